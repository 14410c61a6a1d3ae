package model

import (
	"strings"
	"testing"

	"github.com/jonreiter/govader"
)

const tweet = "@user I really love the new phone, but the battery is not great :( will update you soon #apple http://t.co/x"

var review = strings.Repeat("The plot was thin and the acting worse, but somehow I could not stop watching. "+
	"I'd recommend it to anyone who loves old films; just don't expect a masterpiece! ", 8)

var german = "Ich liebe das neue Handy, aber der Akku ist wirklich nicht so toll, ich melde mich morgen wieder bei dir"

var sink Result

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
		b.Run(c.name+"/vader", func(b *testing.B) {
			a := govader.NewSentimentIntensityAnalyzer()
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				sink.Score = a.PolarityScores(c.text).Compound
			}
		})
	}
}

func BenchmarkExplain(b *testing.B) {
	s, in := Default(), Input{Text: tweet}
	b.ReportAllocs()
	for b.Loop() {
		sink, _ = s.Explain(in)
	}
}
