package model

import (
	"unicode/utf8"

	"github.com/synapse-analytics/synapse/model/internal/sentence"
	"github.com/synapse-analytics/synapse/model/internal/target"
)

// Analyze is Score with the extras that want names, and the sentiment towards
// in.Targets. An extra costs about as much as a score of the text; it does not
// change the bits of the result or of other extras. Time and memory are in
// proportion to the length of the text, times the number of targets.
func (s *Scorer) Analyze(in Input, want Extra) Analysis {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	source := SourceKind(in.Source)
	var ev *evidence
	if want&Evidences != 0 {
		ev = newEvidence(in.Text)
	}
	s.read(&in, sc, nil, want, ev)
	l := s.polarity(sc, source)
	a := Analysis{Result: s.result(&in, sc, &l)}
	if ev != nil {
		a.LogitDifference = l.d
		a.Evidence, a.Bias = ev.finish(in.Text, sc, &l, s.sourceD(sc, source))
	}
	if want&Emotions != 0 {
		a.Emotions = s.emotions(sc, source)
	}
	p := reader{s: s, in: &in, sc: sc, lang: sc.lang, whole: Polarity{a.Label, a.Score, a.Probabilities}, logits: l}
	if want&Sentences != 0 {
		a.Sentences = p.sentences()
	}
	a.Targets = p.targets(want&Aspects != 0)
	return a
}

// sourceD is what naming the source adds to the network's difference.
func (s *Scorer) sourceD(sc *scratch, source Kind) float64 {
	if source < 0 || !sc.lang.english || sc.tokens == 0 {
		return 0
	}
	b := s.network.SourceBias(int(source))
	return float64(b[2]) - float64(b[0])
}

// reader scores parts of a text in the language of the whole.
type reader struct {
	s    *Scorer
	in   *Input
	sc   *scratch
	lang verdict
	// What was found about the whole.
	whole  Polarity
	logits logits
}

func (p *reader) part(start, end int) logits {
	in := Input{Text: p.in.Text[start:end], Source: p.in.Source}
	p.s.read(&in, p.sc, &p.lang, 0, nil)
	return p.s.polarity(p.sc, SourceKind(in.Source))
}

func (p *reader) sentences() []Sentence {
	spans := sentence.Split(nil, p.in.Text)
	if len(spans) == 0 {
		return nil
	}
	out := make([]Sentence, len(spans))
	units := unitCounter{text: p.in.Text}
	for i, span := range spans {
		out[i].Span = units.span(span.Start, span.End)
		if len(spans) == 1 {
			out[i].Polarity = p.whole
		} else {
			l := p.part(span.Start, span.End)
			out[i].Polarity = softmax3(&l)
		}
	}
	return out
}

func (c *unitCounter) span(start, end int) Span {
	from := c.at(start)
	return Span{start, end, from, c.at(end)}
}

func (p *reader) targets(find bool) []TargetResult {
	find = find && p.lang.english && p.s.targets != nil
	if len(p.in.Targets) == 0 && !find {
		return nil
	}
	out := make([]TargetResult, 0, len(p.in.Targets))
	for i := range p.in.Targets {
		t := TargetResult{Target: p.in.Targets[i].Text}
		span, ok := place(p.in.Text, &p.in.Targets[i])
		if ok {
			p.towards(&t, span)
		} else {
			t.Polarity = p.whole
		}
		out = append(out, t)
	}
	if find {
		for _, span := range p.s.targets.Find(p.in.Text) {
			if p.given(out, span) {
				continue
			}
			t := TargetResult{Target: p.in.Text[span[0]:span[1]], Found: true}
			p.towards(&t, span)
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// given reports whether the caller named the target that stands at span.
func (p *reader) given(out []TargetResult, span [2]int) bool {
	for i := range p.in.Targets {
		if o := &out[i]; o.Mentioned && o.Span.StartByte < span[1] && span[0] < o.Span.EndByte {
			return true
		}
	}
	return false
}

func (p *reader) towards(t *TargetResult, span [2]int) {
	units := unitCounter{text: p.in.Text}
	t.Mentioned, t.Span = true, units.span(span[0], span[1])
	around := p.around(span)
	t.Polarity = softmax3(&logits{d: around.Clause.D, n: around.Clause.N})
	if !p.lang.english || p.s.targets == nil {
		return
	}
	probabilities, opinions, ok := p.s.targets.Score(p.in.Text, span, int(SourceKind(p.in.Source)), &around)
	if !ok {
		return
	}
	t.Probabilities, t.Label = probabilities, Negative
	for i, v := range probabilities {
		if v > probabilities[t.Label] {
			t.Label = Label(i)
		}
	}
	t.Polarity.Score = probabilities[Positive] - probabilities[Negative]
	units = unitCounter{text: p.in.Text}
	for _, o := range opinions {
		t.Opinions = append(t.Opinions, units.span(o[0], o[1]))
	}
}

func (p *reader) around(span [2]int) target.Around {
	clause, near := target.Surroundings(p.in.Text, span)
	c, n := p.part(clause[0], clause[1]), p.part(near[0], near[1])
	return target.Around{
		Text:   target.Polarity{D: p.logits.d, N: p.logits.n},
		Clause: target.Polarity{D: c.d, N: c.n}, Near: target.Polarity{D: n.d, N: n.n},
	}
}

// Around scores what surrounds a target, as English. Training fits on it how much
// it counts; scoring has no use for it.
func (s *Scorer) Around(in Input, span [2]int) target.Around {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	p := reader{s: s, in: &in, sc: sc, lang: verdict{code: "en", supported: true, english: true, letters: true}}
	p.logits = p.part(0, len(in.Text))
	return p.around(span)
}

// place finds where a target stands: where the caller says, or where its name is
// found first. An offset that cuts a character or lies outside counts as none.
func place(text string, t *Target) (span [2]int, ok bool) {
	if start, end := t.Span.StartByte, t.Span.EndByte; start >= 0 && start < end && end <= len(text) &&
		between(text, start) && between(text, end) {
		return [2]int{start, end}, true
	}
	return target.Mention(text, t.Text)
}

// between reports whether a byte offset lies between two characters.
func between(text string, at int) bool {
	for back := 1; back < utf8.UTFMax && back <= at; back++ {
		if _, size := utf8.DecodeRuneInString(text[at-back:]); size > back {
			return false
		}
	}
	return true
}
