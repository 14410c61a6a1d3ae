// Command train makes the weights of the scorer from the labelled sets.
//
//	go run ./model/train -data DIR -out model/weights/synapse-wide-1.bin
//
// It writes the weights and, beside them, the card (.json) with the figures of
// every validation set. Seeds, order and arithmetic are fixed and one goroutine
// does it all: on one architecture the same data gives the same bytes.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/jonreiter/govader"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

// Version is stamped into the weights. A new recipe gets a new one.
const version = "synapse-wide-1"

func main() {
	log.SetFlags(0)
	data := flag.String("data", os.Getenv("SYNAPSE_DATASETS"), "folder with the labelled sets")
	out := flag.String("out", "model/weights/"+version+".bin", "where the weights go")
	reduce := flag.Int("reduce", 1, "train on every n-th row only, to try things out")
	vader := flag.Bool("vader", true, "measure VADER too, for the card")
	languageFrom := flag.String("language-from", "", "take the language tables from these weights instead of training them")
	flag.Parse()
	if err := run(*data, *out, *languageFrom, *reduce, *vader); err != nil {
		log.Fatal(err)
	}
}

func run(data, out, languageFrom string, reduce int, vader bool) error {
	start := time.Now()
	say := func(format string, args ...any) {
		log.Printf("%5.0fs  %s", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	corpus, err := load(data, reduce)
	if err != nil {
		return err
	}
	say("%d English rows, %d of other languages; %d dropped as in a validation set",
		len(corpus.english), len(corpus.others), corpus.dropped)

	m := &modelfile.Model{Version: version}
	if languageFrom != "" {
		raw, err := os.ReadFile(languageFrom)
		if err != nil {
			return err
		}
		old, err := modelfile.Decode(raw)
		if err != nil {
			return err
		}
		m.Language = old.Language
	} else if m.Language, err = trainLanguage(corpus, say); err != nil {
		return err
	}
	m.English = trainLinear("english", corpus.english, englishConfig, say)
	m.Others = trainLinear("others", corpus.others, othersConfig, say)
	raw, err := modelfile.Encode(m)
	if err != nil {
		return err
	}
	scorer, err := model.Load(raw)
	if err != nil {
		return err
	}
	card, err := measure(data, scorer, vader, say)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	card.Bytes, card.SHA256 = len(raw), hex.EncodeToString(sum[:])
	js, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, raw, 0o644); err != nil {
		return err
	}
	say("%d bytes of weights", len(raw))
	return os.WriteFile(strings.TrimSuffix(out, ".bin")+".json", append(js, '\n'), 0o644)
}

// measure scores all validation sets with the weights as they will be shipped.
func measure(data string, s *model.Scorer, vader bool, say func(string, ...any)) (*model.Card, error) {
	sets, err := dataset.Validation(data)
	if err != nil {
		return nil, err
	}
	card := &model.Card{Version: s.Version(), Languages: s.Languages(), Trained: trainedOn,
		Classes: []string{model.Negative.String(), model.Neutral.String(), model.Positive.String()}}
	analyzer := govader.NewSentimentIntensityAnalyzer()
	for i := range sets {
		set := &sets[i]
		got := dataset.Evaluate(set, func(e dataset.Example) [3]float64 {
			return s.Score(model.Input{Text: e.Text, Source: e.Source}).Probabilities
		})
		bare := dataset.Evaluate(set, func(e dataset.Example) [3]float64 {
			return s.Score(model.Input{Text: e.Text}).Probabilities
		})
		m := model.Metric{Set: got.Set, Metric: string(got.Metric), Rows: got.Rows, Value: got.Value,
			Accuracy: got.Accuracy, MacroF1: got.MacroF1, CalibrationError: got.Calibration, ByLanguage: got.Groups}
		if vader {
			m.Baseline = dataset.Evaluate(set, func(e dataset.Example) [3]float64 {
				return dataset.Lexicon(analyzer.PolarityScores(e.Text).Compound)
			}).Value
		}
		card.Metrics = append(card.Metrics, m)
		say("%-24s %-15s %.3f (acc %.3f, ece %.3f, no hint %.3f)  vader %.3f", m.Set, m.Metric, m.Value,
			m.Accuracy, m.CalibrationError, bare.Value, m.Baseline)
	}
	for _, name := range []string{"multilingual_umsab_val", "multilingual_nusax_val"} {
		m, err := measureLanguage(data, name, s)
		if err != nil {
			return nil, err
		}
		card.Metrics = append(card.Metrics, m)
		say("%-24s %-15s %.3f %.2v", name, m.Metric, m.Value, m.ByLanguage)
	}
	for i := range sets {
		if sets[i].Examples[0].Group == "" {
			say("%-24s taken for English: %.3f", sets[i].Name, shareOfEnglish(&sets[i], s))
		}
	}
	return card, nil
}

// measureLanguage is the share of texts whose language is told right.
func measureLanguage(dir, name string, s *model.Scorer) (model.Metric, error) {
	m := model.Metric{Set: name, Metric: "language_accuracy", ByLanguage: map[string]float64{}}
	rows, err := dataset.Read(dir, name, "lang")
	if err != nil {
		return m, err
	}
	seen := map[string]float64{}
	hits := 0.0
	for _, r := range rows {
		seen[r.Extra]++
		if s.Score(model.Input{Text: r.Text}).Language == tags[r.Extra] {
			hits++
			m.ByLanguage[r.Extra]++
		}
	}
	for lang, n := range seen {
		m.ByLanguage[lang] /= n
	}
	m.Rows, m.Value = len(rows), hits/float64(len(rows))
	m.Accuracy = m.Value
	return m, nil
}

func shareOfEnglish(set *dataset.Set, s *model.Scorer) float64 {
	n := 0.0
	for _, e := range set.Examples {
		if s.Score(model.Input{Text: e.Text}).Language == "en" {
			n++
		}
	}
	return n / float64(len(set.Examples))
}
