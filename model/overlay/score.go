package overlay

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/synapse-analytics/synapse/model"
)

// negated is what a negation makes of a weight.
const negated = -0.75

func (o *Overlay) empty() bool {
	return o == nil || o.matcher == nil && o.bias == shift{}
}

// Score is s.Score with o on top. Where no phrase occurs and nothing was learned
// the result has the bits of s.Score. Without a phrase in the text it allocates
// nothing.
func (o *Overlay) Score(s *model.Scorer, in model.Input) model.Result {
	r := s.Score(in)
	if o.empty() {
		return r
	}
	sc := scratches.Get().(*scratch)
	defer sc.release()
	hits := o.hits(sc, &in, &r)
	if rest, ok := o.without(in.Text, 0, len(in.Text), hits, sc); ok {
		r = keepLanguage(s.Score(restOf(&in, rest, &r)), &r)
	}
	return o.finish(r, hits)
}

// hits are the phrases that count in a text whose result without o is r.
func (o *Overlay) hits(sc *scratch, in *model.Input, r *model.Result) []hit {
	if o.matcher == nil {
		return nil
	}
	o.matcher.find(in.Text, sc)
	o.choose(sc, in.Source, r.Language)
	return sc.chosen
}

// without is text[start:end] with spaces for the words that phrases replace and
// their negations. It is not ok when there are none.
func (o *Overlay) without(text string, start, end int, hits []hit, sc *scratch) (string, bool) {
	masked := false
	for i := range hits {
		h := &hits[i]
		if !o.phrases[h.phrase].replaces() {
			continue
		}
		if !masked {
			sc.text = append(sc.text[:0], text[start:end]...)
			masked = true
		}
		blank(sc.text, h.start-start, h.end-start)
		if h.not.token >= 0 && o.phrases[h.phrase].Weight != 0 {
			blank(sc.text, h.not.start-start, h.not.end-start)
		}
	}
	if !masked {
		return "", false
	}
	return string(sc.text), true
}

func blank(b []byte, start, end int) {
	for i := max(start, 0); i < min(end, len(b)); i++ {
		b[i] = ' '
	}
}

// restOf is the input for a part of in's text, in the language that was found in
// the whole.
func restOf(in *model.Input, text string, whole *model.Result) model.Input {
	out := model.Input{Text: text, Source: in.Source, Language: in.Language}
	if whole.Language != "und" {
		out.Language = whole.Language
	}
	return out
}

func keepLanguage(r model.Result, whole *model.Result) model.Result {
	r.Language, r.LanguageSupported = whole.Language, whole.LanguageSupported
	return r
}

// weight is what a hit alone adds to d, and to n.
func (o *Overlay) weight(h *hit) (d, n float64) {
	p := &o.phrases[h.phrase]
	switch {
	case p.Neutral && p.Add:
		return 0, p.Weight
	case h.not.token >= 0:
		d = negated * p.Weight
	default:
		d = p.Weight
	}
	return d, -math.Abs(d)
}

// scale brings the phrases together to MaxWeight.
func (o *Overlay) scale(hits []hit) float64 {
	total := 0.0
	for i := range hits {
		_, n := o.weight(&hits[i])
		total += math.Abs(n)
	}
	if total > MaxWeight {
		return MaxWeight / total
	}
	return 1
}

// sum is what the hits and the bias add.
func (o *Overlay) sum(hits []hit) shift {
	scale, by := o.scale(hits), o.bias
	for i := range hits {
		d, n := o.weight(&hits[i])
		by.d += float64(d * scale)
		by.n += float64(n * scale)
	}
	return by
}

// A phrase of this weight, and a rest of this probability, count for Result.Mixed.
const (
	clearWeight = 1
	clearRest   = 0.5
)

// finish adds hits and bias to r, the result for the rest of the text.
func (o *Overlay) finish(r model.Result, hits []hit) model.Result {
	good, bad := r.Probabilities[model.Positive] >= clearRest, r.Probabilities[model.Negative] >= clearRest
	some := false
	for i := range hits {
		d, _ := o.weight(&hits[i])
		good = good || d >= clearWeight
		bad = bad || d <= -clearWeight
		some = some || math.Abs(d) >= clearWeight
	}
	r.Mixed = r.Mixed || some && good && bad
	return moveResult(r, o.sum(hits))
}

// Hit is a phrase that counts in a text.
type Hit struct {
	model.Span
	Phrase Phrase
	// Negated says that a negation before the phrase turns its weight around.
	Negated bool
	// Weight is what it adds to ln(p(positive)/p(negative)) there.
	Weight float64
}

// Hits are the phrases that count in the text, in its order.
func (o *Overlay) Hits(s *model.Scorer, in model.Input) []Hit {
	if o.empty() {
		return nil
	}
	sc := scratches.Get().(*scratch)
	defer sc.release()
	r := s.Score(in)
	hits := o.hits(sc, &in, &r)
	scale := o.scale(hits)
	var out []Hit
	units := cursor{text: in.Text}
	for i := range hits {
		h := &hits[i]
		d, _ := o.weight(h)
		p := o.phrases[h.phrase]
		p.Scope.Sources, p.Scope.Languages = slices.Clone(p.Scope.Sources), slices.Clone(p.Scope.Languages)
		out = append(out, Hit{
			Span: units.span(h.start, h.end), Phrase: p, Weight: d * scale,
			Negated: h.not.token >= 0 && d != 0,
		})
	}
	return out
}

// Analyze is s.Analyze with o on top; its Result is that of Score.
//
//   - Evidence: a phrase is one span with the weight that it adds. With Add, the
//     scorer's own evidence for the same words is part of that span.
//   - Sentences move as far as the phrases in them move the sentence when it stands
//     alone.
//   - Targets move as far as the phrases about them move their sentence. A phrase is
//     about the targets whose opinions it overlaps, else about the nearest target
//     of its sentence. Targets that the text doesn't mention have the sentiment of
//     the whole text.
//   - Emotions are those of the text without the replaced words.
func (o *Overlay) Analyze(s *model.Scorer, in model.Input, want model.Extra) model.Analysis {
	if o.empty() {
		return s.Analyze(in, want)
	}
	sc := scratches.Get().(*scratch)
	defer sc.release()
	whole := s.Score(in)
	hits := o.hits(sc, &in, &whole)
	if len(hits) == 0 && o.bias == (shift{}) {
		return s.Analyze(in, want)
	}
	const ofRest = model.Emotions | model.Evidences
	rest, replaced := o.without(in.Text, 0, len(in.Text), hits, sc)
	// Where a target's sentence ends matters even if nobody asked for sentences.
	of := want | model.Sentences
	if replaced {
		of &^= ofRest
	}
	a := s.Analyze(in, of)
	sentences := a.Sentences
	if replaced {
		b := s.Analyze(restOf(&in, rest, &whole), want&ofRest)
		b.Result = keepLanguage(b.Result, &whole)
		b.Sentences, b.Targets = a.Sentences, a.Targets
		a = b
	}
	at := logits(&a.Probabilities).plus(o.sum(hits))
	a.Result = o.finish(a.Result, hits)
	if want&model.Evidences != 0 {
		o.addEvidence(&a, in.Text, at.d, hits)
	}
	o.moveTargets(s, &in, &a, sentences, hits, &whole, sc)
	for i := range a.Sentences {
		sentence := &a.Sentences[i]
		by := o.moved(s, &in, &sentence.Span, within(hits, &sentence.Span), &whole, sc)
		sentence.Polarity = movePolarity(sentence.Polarity, by)
	}
	if want&model.Sentences == 0 {
		a.Sentences = nil
	}
	return a
}

// addEvidence makes spans of the hits and lets Bias hold what is left of d.
func (o *Overlay) addEvidence(a *model.Analysis, text string, d float64, hits []hit) {
	all := a.Evidence
	scale := o.scale(hits)
	for i := range hits {
		if w, _ := o.weight(&hits[i]); w != 0 {
			all = append(all, model.Evidence{StartByte: hits[i].start, EndByte: hits[i].end, Weight: w * scale})
		}
	}
	slices.SortStableFunc(all, func(x, y model.Evidence) int {
		return cmp.Or(cmp.Compare(x.StartByte, y.StartByte), cmp.Compare(x.EndByte, y.EndByte))
	})
	merged := all[:0]
	for _, e := range all {
		if n := len(merged); n > 0 && e.StartByte < merged[n-1].EndByte {
			merged[n-1].EndByte = max(merged[n-1].EndByte, e.EndByte)
			merged[n-1].Weight += e.Weight
			continue
		}
		merged = append(merged, e)
	}
	a.LogitDifference, a.Bias = d, d
	units := cursor{text: text}
	for i := range merged {
		e := &merged[i]
		a.Bias -= e.Weight
		span := units.span(e.StartByte, e.EndByte)
		e.StartUTF16, e.EndUTF16 = span.StartUTF16, span.EndUTF16
	}
	a.Evidence = merged
}

// moved is how far hits, which lie in span, and the bias move the text there.
func (o *Overlay) moved(s *model.Scorer, in *model.Input, span *model.Span, hits []hit, whole *model.Result, sc *scratch) shift {
	by := o.sum(hits)
	if rest, ok := o.without(in.Text, span.StartByte, span.EndByte, hits, sc); ok {
		with := s.Score(restOf(in, in.Text[span.StartByte:span.EndByte], whole))
		without := s.Score(restOf(in, rest, whole))
		by = by.plus(logits(&without.Probabilities).minus(logits(&with.Probabilities)))
	}
	return by
}

// within are the hits inside span; hits are in order and don't overlap.
func within(hits []hit, span *model.Span) []hit {
	from, _ := slices.BinarySearchFunc(hits, span.StartByte, func(h hit, at int) int { return cmp.Compare(h.start, at) })
	to := from
	for to < len(hits) && hits[to].end <= span.EndByte {
		to++
	}
	return hits[from:to]
}

func (o *Overlay) moveTargets(s *model.Scorer, in *model.Input, a *model.Analysis, sentences []model.Sentence, hits []hit, whole *model.Result, sc *scratch) {
	if len(a.Targets) == 0 {
		return
	}
	about := make([][]hit, len(a.Targets))
	for i := range hits {
		h := &hits[i]
		for _, t := range targetsOf(a.Targets, sentenceAt(sentences, h.start, h.end, in.Text), h) {
			about[t] = append(about[t], *h)
		}
	}
	for i := range a.Targets {
		t := &a.Targets[i]
		if !t.Mentioned {
			t.Polarity = model.Polarity{Label: a.Label, Score: a.Score, Probabilities: a.Probabilities}
			continue
		}
		span := sentenceAt(sentences, t.Span.StartByte, t.Span.EndByte, in.Text)
		span = nearby(span, t.Span, about[i], in.Text)
		t.Polarity = movePolarity(t.Polarity, o.moved(s, in, &span, about[i], whole, sc))
		if len(about[i]) > 0 {
			t.Opinions = addOpinions(t.Opinions, in.Text, about[i])
		}
	}
}

// sentenceAt is the sentence that holds start:end, or the whole text.
func sentenceAt(sentences []model.Sentence, start, end int, text string) model.Span {
	i, _ := slices.BinarySearchFunc(sentences, start+1, func(s model.Sentence, at int) int { return cmp.Compare(s.StartByte, at) })
	if i > 0 && end <= sentences[i-1].EndByte {
		return sentences[i-1].Span
	}
	return model.Span{EndByte: len(text)}
}

// nearby cuts sentence down to target, its hits, and what lies around them, so
// that a text without a full stop and with many targets takes no time beyond its
// length.
func nearby(sentence, target model.Span, hits []hit, text string) model.Span {
	const around = 1000 // bytes, more than nearly every sentence has
	start, end := target.StartByte, target.EndByte
	for i := range hits {
		start, end = min(start, hits[i].start), max(end, hits[i].end)
	}
	start, end = max(start-around, sentence.StartByte), min(end+around, sentence.EndByte)
	for start > sentence.StartByte && text[start] > ' ' {
		start--
	}
	for end < sentence.EndByte && text[end] > ' ' {
		end++
	}
	return model.Span{StartByte: start, EndByte: end}
}

// targetsOf are the indices of the targets that h speaks about.
func targetsOf(targets []model.TargetResult, sentence model.Span, h *hit) []int {
	var direct, nearest []int
	best := 0
	for i := range targets {
		t := &targets[i]
		if !t.Mentioned || t.Span.StartByte < sentence.StartByte || t.Span.EndByte > sentence.EndByte {
			continue
		}
		if slices.ContainsFunc(t.Opinions, func(o model.Span) bool { return o.StartByte < h.end && h.start < o.EndByte }) {
			direct = append(direct, i)
		}
		gap := max(t.Span.StartByte-h.end, h.start-t.Span.EndByte, 0)
		if len(nearest) == 0 || gap < best {
			nearest, best = []int{i}, gap
		}
	}
	if direct != nil {
		return direct
	}
	return nearest
}

// addOpinions puts the hits among the opinions, in order and without overlap.
func addOpinions(opinions []model.Span, text string, hits []hit) []model.Span {
	out := slices.Clone(opinions)
	for i := range hits {
		out = append(out, model.Span{StartByte: hits[i].start, EndByte: hits[i].end})
	}
	slices.SortStableFunc(out, func(x, y model.Span) int { return cmp.Compare(x.StartByte, y.StartByte) })
	merged := out[:0]
	for _, s := range out {
		if n := len(merged); n > 0 && s.StartByte < merged[n-1].EndByte {
			merged[n-1].EndByte = max(merged[n-1].EndByte, s.EndByte)
			continue
		}
		merged = append(merged, s)
	}
	units := cursor{text: text}
	for i := range merged {
		merged[i] = units.span(merged[i].StartByte, merged[i].EndByte)
	}
	return merged
}

// cursor counts UTF-16 units, going through the text once. Bytes that are not
// UTF-8 count as one unit each, as decoders that replace them do.
type cursor struct {
	text      string
	at, units int
}

func (c *cursor) to(at int) int {
	for c.at < at {
		r, size := utf8.DecodeRuneInString(c.text[c.at:])
		c.at += size
		c.units++
		if r > 0xffff {
			c.units++
		}
	}
	return c.units
}

// span must be asked for in the order of the text.
func (c *cursor) span(start, end int) model.Span {
	return model.Span{StartByte: start, EndByte: end, StartUTF16: c.to(start), EndUTF16: c.to(end)}
}
