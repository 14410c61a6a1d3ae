package model

import (
	"strings"
	"testing"
)

const tweet = "@user I really love the new phone, but the battery is not great :( will update you soon #apple http://t.co/x"

var review = strings.Repeat("The plot was thin and the acting worse, but somehow I could not stop watching. "+
	"I'd recommend it to anyone who loves old films; just don't expect a masterpiece! ", 8)

var german = "Ich liebe das neue Handy, aber der Akku ist wirklich nicht so toll, ich melde mich morgen wieder bei dir"

var sink Result

// make bench-score measures the same beside other scorers.
func BenchmarkScore(b *testing.B) {
	for _, c := range []struct{ name, text string }{{"tweet", tweet}, {"review", review}, {"german", german}} {
		b.Run(c.name, func(b *testing.B) {
			s, in := Default(), Input{Text: c.text}
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				sink = s.Score(in)
			}
		})
	}
}

func BenchmarkAnalyze(b *testing.B) {
	for _, c := range []struct {
		name string
		want Extra
	}{{"emotions", Emotions}, {"evidence", Evidences}, {"sentences", Sentences}, {"aspects", Aspects}, {"all", AllExtras}} {
		b.Run(c.name, func(b *testing.B) {
			s, in := Default(), Input{Text: tweet}
			b.ReportAllocs()
			for b.Loop() {
				sink = s.Analyze(in, c.want).Result
			}
		})
	}
}
