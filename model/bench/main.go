// Command bench measures the speed of the scorer beside VADER's Go port and
// fastText, in one run and in turns, so that all of them see the same machine.
//
//	go run ./model/bench
//
// Figures on one core are the time that a process spends on a core, so that other
// programs on the machine disturb them little (fastText's leave out the kernel, see
// predict); those on several cores go by the clock. Medians of the rounds are shown.
// It takes a minute and a half.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/synapse-analytics/synapse/model"
)

func main() {
	log.SetFlags(0)
	samples := flag.String("samples", "internal/cli/sample/reviews.jsonl", "texts to make tweets and reviews of")
	data := flag.String("data", os.Getenv("SYNAPSE_DATASETS"), "folder with the labelled sets, for their texts; may be missing")
	rounds := flag.Int("rounds", 5, "measurements of each figure")
	worker := flag.Bool("worker", false, "answer questions of another process of this program")
	flag.Parse()
	list, err := corpora(*samples, *data)
	switch {
	case err != nil:
	case *worker:
		err = work(list)
	default:
		err = run(list, *samples, []string{"-samples", *samples, "-data", *data}, *rounds)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// line is a row of the table and its measurements.
type line struct {
	name   string
	corpus int
	got    []answer
}

func (l *line) median(of func(answer) float64) float64 {
	var all []float64
	for _, a := range l.got {
		all = append(all, of(a))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func nanoseconds(a answer) float64 { return a.Nanoseconds }

// fastRounds are the rounds that fastText takes part in: it is slow to load, and
// every one of its measurements is long.
const fastRounds = 3

func run(list []corpus, samples string, args []string, rounds int) error {
	fast, err := prepareFastText(samples)
	if err != nil {
		return err
	}
	if fast != nil {
		defer fast.remove()
	}
	one := []string{"GOMAXPROCS=1"}
	simd, err := startWorker(args, one...)
	if err != nil {
		return err
	}
	defer simd.stop()
	plain, err := startWorker(args, append(one, "SYNAPSE_SIMD=off")...)
	if err != nil {
		return err
	}
	defer plain.stop()

	loads := workloads()
	var lines []*line
	byKey := map[string]*line{}
	add := func(name string, c int, a answer) {
		key := fmt.Sprint(name, c)
		if byKey[key] == nil {
			byKey[key] = &line{name: name, corpus: c}
			lines = append(lines, byKey[key])
		}
		byKey[key].got = append(byKey[key].got, a)
	}
	for round := range rounds {
		for c := range list {
			for w := range loads {
				a, err := simd.ask(question{Corpus: c, Workload: w})
				if err != nil {
					return err
				}
				add(loads[w].name, c, a)
				if loads[w].name == vaderName {
					continue
				}
				if a, err = plain.ask(question{Corpus: c, Workload: w}); err != nil {
					return err
				}
				add(loads[w].name+scalar, c, a)
			}
		}
		if fast == nil || round >= fastRounds {
			continue
		}
		for i := range fast.shapes {
			s := &fast.shapes[i]
			load, err := fast.load(s)
			if err != nil {
				return err
			}
			for c := range list {
				a, err := fast.measure(s, list[c].inputs, load)
				if err != nil {
					return err
				}
				add(s.name, c, a)
			}
		}
	}
	printSingle(list, lines, byKey)
	return scaling(list, args)
}

const scalar = ", without SIMD"

func prepareFastText(samples string) (*fastText, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	fast, err := newFastText(dir, samples)
	if err != nil {
		log.Printf("SKIPPED, NOT MEASURED: fastText (%v); make setup installs it\n", err)
		return nil, os.RemoveAll(dir)
	}
	return fast, nil
}

func printSingle(list []corpus, lines []*line, byKey map[string]*line) {
	fmt.Printf("%s, one core, %s/%s\n", model.Default().Version(), runtime.GOOS, runtime.GOARCH)
	for c := range list {
		base := byKey[fmt.Sprint(labelName, c)].median(nanoseconds)
		rows := [][]string{{"", "µs/text", "without SIMD", "texts/s", "MB/s", "times", "allocs/text", "bytes/text"}}
		for _, l := range lines {
			if l.corpus != c || strings.HasSuffix(l.name, scalar) {
				continue
			}
			ns := l.median(nanoseconds)
			plain, allocs, bytes := "-", "-", "-"
			if p := byKey[fmt.Sprint(l.name+scalar, c)]; p != nil {
				plain = fmt.Sprintf("%.2f", p.median(nanoseconds)/1e3)
			}
			if !strings.HasPrefix(l.name, "fastText") {
				allocs = fmt.Sprintf("%.1f", l.median(func(a answer) float64 { return a.Allocations }))
				bytes = fmt.Sprintf("%.0f", l.median(func(a answer) float64 { return a.AllocatedBytes }))
			}
			rows = append(rows, []string{l.name, fmt.Sprintf("%.2f", ns/1e3), plain, fmt.Sprintf("%.0f", 1e9/ns),
				fmt.Sprintf("%.1f", list[c].bytes*1e3/ns), fmt.Sprintf("%.2f", ns/base), allocs, bytes})
		}
		fmt.Printf("\n%s: %d of %.0f bytes\n\n", list[c].name, len(list[c].inputs), list[c].bytes)
		printTable(rows)
	}
	fmt.Println("\ntimes: the time of a text, in times of label and probabilities")
}

// printTable prints rows in Markdown; the first is the header, and the first
// column stands to the left.
func printTable(rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, r := range rows {
		for i, cell := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				cell += pad
			} else {
				cell = pad + cell
			}
			fmt.Print("| " + cell + " ")
		}
		fmt.Println("|")
		for i := 0; n == 0 && i < len(width); i++ {
			fmt.Print("|" + strings.Repeat("-", width[i]+2))
		}
		if n == 0 {
			fmt.Println("|")
		}
	}
}

// scaling measures texts per second over 1, 2, 4 … and all cores, in turns.
func scaling(list []corpus, args []string) error {
	w, err := startWorker(args)
	if err != nil {
		return err
	}
	defer w.stop()
	var cores []int
	for n := 1; n < runtime.NumCPU(); n *= 2 {
		cores = append(cores, n)
	}
	cores = append(cores, runtime.NumCPU())
	loads := workloads()
	rows := [][]string{{"", "cores", "texts/s", "times"}}
	for k, load := range loads {
		if load.name != labelName && load.name != allName {
			continue
		}
		got := make([]line, len(cores))
		for range 3 {
			for i, n := range cores {
				a, err := w.ask(question{Workload: k, Cores: n})
				if err != nil {
					return err
				}
				got[i].got = append(got[i].got, a)
			}
		}
		base := got[0].median(nanoseconds)
		for i, n := range cores {
			ns := got[i].median(nanoseconds)
			rows = append(rows, []string{load.name, fmt.Sprint(n), fmt.Sprintf("%.0f", 1e9/ns), fmt.Sprintf("%.2f", base/ns)})
		}
	}
	fmt.Printf("\nseveral cores, %s, by the clock\n\n", list[0].name)
	printTable(rows)
	return nil
}
