package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonreiter/govader"

	"github.com/synapse-analytics/synapse/model"
)

var start = time.Now()

const (
	slice  = 60 * time.Millisecond  // of one measurement on one core
	spread = 300 * time.Millisecond // of one measurement on several
	batch  = 256                    // texts of a call of ScoreBatch, at most
)

// workload is something that is done to a list of texts.
type workload struct {
	name string
	do   func(in []model.Input)
}

func workloads() []workload {
	s := model.Default()
	analyzer := govader.NewSentimentIntensityAnalyzer()
	out := make([]model.Result, batch)
	analyze := func(want model.Extra) func([]model.Input) {
		return func(in []model.Input) {
			for i := range in {
				s.Analyze(in[i], want)
			}
		}
	}
	return []workload{
		{labelName, func(in []model.Input) {
			for i := range in {
				out[0] = s.Score(in[i])
			}
		}},
		{"the same in batches", func(in []model.Input) { s.ScoreBatch(in, out) }},
		{"with evidence", analyze(model.Evidences)},
		{"with emotions", analyze(model.Emotions)},
		{"with evidence and emotions", analyze(model.Evidences | model.Emotions)},
		{"with sentences", analyze(model.Sentences)},
		{"with aspects", analyze(model.Aspects)},
		{allName, analyze(model.AllExtras)},
		{vaderName, func(in []model.Input) {
			for i := range in {
				analyzer.PolarityScores(in[i].Text)
			}
		}},
	}
}

const (
	labelName = "label and probabilities"
	allName   = "with all extras"
	vaderName = "VADER (govader)"
)

// question asks a worker for one measurement.
type question struct {
	Corpus, Workload int
	Cores            int // 0: time on a core of one goroutine; else of so many, by the clock
}

// answer is for one text, on average.
type answer struct {
	Nanoseconds, Allocations, AllocatedBytes float64
}

// work answers questions from standard input until it ends. It runs in processes
// of its own, so that the scorer can be switched by their environment.
func work(list []corpus) error {
	loads := workloads()
	at := make([]int, len(list))
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for in.More() {
		var q question
		if err := in.Decode(&q); err != nil {
			return err
		}
		var a answer
		if q.Cores > 0 {
			a = parallel(list[q.Corpus].inputs, q.Workload, q.Cores)
		} else {
			a = single(&list[q.Corpus], &at[q.Corpus], loads[q.Workload].do)
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

// single goes on where the last measurement of the corpus stopped.
func single(c *corpus, at *int, do func([]model.Input)) answer {
	next := func() int {
		part := c.part(*at)
		*at = (*at + len(part)) % len(c.inputs)
		do(part)
		return len(part)
	}
	next() // the caches are another scorer's
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	texts, begin, spent := 0, cpuTime(), time.Duration(0)
	for spent < slice {
		texts += next()
		spent = cpuTime() - begin
	}
	runtime.ReadMemStats(&after)
	n := float64(texts)
	return answer{float64(spent.Nanoseconds()) / n, float64(after.Mallocs-before.Mallocs) / n,
		float64(after.TotalAlloc-before.TotalAlloc) / n}
}

// parallel lets every core take parts of the texts for itself.
func parallel(inputs []model.Input, load, cores int) answer {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	var texts atomic.Int64
	var wg sync.WaitGroup
	clock := time.Now()
	for c := range cores {
		wg.Go(func() {
			do, at := workloads()[load].do, c*len(inputs)/cores
			for time.Since(clock) < spread {
				part := inputs[at:min(at+batch, len(inputs))]
				at = (at + len(part)) % len(inputs)
				do(part)
				texts.Add(int64(len(part)))
			}
		})
	}
	wg.Wait()
	return answer{Nanoseconds: float64(time.Since(clock).Nanoseconds()) / float64(texts.Load())}
}

// worker is a process that answers.
type worker struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out *json.Decoder
}

// startWorker runs this program again as a worker, with additions to the
// environment.
func startWorker(args []string, env ...string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: exec.Command(self, append([]string{"-worker"}, args...)...)}
	w.cmd.Env = append(os.Environ(), env...)
	w.cmd.Stderr = os.Stderr
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.in, w.out = json.NewEncoder(stdin), json.NewDecoder(stdout)
	return w, w.cmd.Start()
}

func (w *worker) ask(q question) (a answer, err error) {
	if err = w.in.Encode(q); err == nil {
		err = w.out.Decode(&a)
	}
	if err != nil {
		err = fmt.Errorf("worker: %w", err)
	}
	return a, err
}

func (w *worker) stop() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}
