package overlay

import (
	"fmt"
	"testing"

	"github.com/synapse-analytics/synapse/model"
)

const tweet = "@user I really love the new phone, but the battery is not great :( will update you soon #apple http://t.co/x"

var sink model.Result

// manyPhrases are n phrases of one to three words, none of which is in tweet.
func manyPhrases(n int) []Phrase {
	out := make([]Phrase, n)
	for i := range out {
		out[i] = Phrase{Text: []string{"wort%dx", "neues wort%dx", "ein neues wort%dx"}[i%3], Weight: 2}
		out[i].Text = fmt.Sprintf(out[i].Text, i)
	}
	return out
}

func BenchmarkScore(b *testing.B) {
	s, in := model.Default(), model.Input{Text: tweet}
	b.Run("base", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sink = s.Score(in)
		}
	})
	for _, n := range []int{0, 20, MaxPhrases} {
		o := mustNew(b, manyPhrases(n)...)
		b.Run(fmt.Sprintf("phrases=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = o.Score(s, in)
			}
		})
	}
	for name, add := range map[string]bool{"hit/replace": false, "hit/add": true} {
		o := mustNew(b, append(manyPhrases(MaxPhrases-1), Phrase{Text: "great", Weight: 2, Add: add})...)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = o.Score(s, in)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	spec := Spec{Phrases: manyPhrases(MaxPhrases)}
	for b.Loop() {
		if _, err := New(spec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTune(b *testing.B) {
	s := model.Default()
	for _, n := range []int{20, 500} {
		relabels := newProject(1).relabels(n)
		b.Run(fmt.Sprintf("relabels=%d", n), func(b *testing.B) {
			for b.Loop() {
				// Whether 20 are enough to be accepted makes no difference in time.
				if _, report, _ := Tune(s, nil, relabels, Options{}); report.After.Texts == 0 {
					b.Fatal("nothing learned")
				}
			}
		})
	}
}
