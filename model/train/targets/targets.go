// Package targets trains the sentiment towards targets and the finding of targets
// on the aspect sets. Everything is a sum of weights of hashed features, so what a
// word says about a target is known exactly.
package targets

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sort"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/target"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// sets are the aspect sets and their sources. The document scorer must not have
// been trained on their polarity: what it says of a text that it knows is too good
// to learn from.
var sets = []struct {
	name, source string
	domain       int
	weight       float64 // more where the sentences are as people write them: MAMS has only mixed ones
}{
	{"aspect_mams_train", "review", 1, 1.4},
	{"aspect_semeval14_restaurants_train", "review", 1, 2},
	{"aspect_semeval14_laptops_train", "review", 1, 2},
	{"aspect_twitter_acl14_train", "tweet", 0, 1.8},
}

// Around tells what the document scorer says about a target's surroundings.
type Around func(text, source string, span [2]int) target.Around

// row is a text and a target in it.
type row struct {
	hashes [2][]uint64 // without the domain's features, and with them
	levels [2][]uint64
	tokens int
	hints  [target.Hints]float64
	inputs [target.Inputs]float32 // of the head
	domain int
	weight float64
	class  int
	held   bool // kept out of training, to fit temperatures
}

// Train trains the tables and the head on the sets of dir. net is the document's
// network. The same arguments give the same weights.
func Train(dir string, around Around, net *deep.Net, say func(string, ...any)) (*target.Weights, error) {
	rows, texts, err := read(dir, around, net)
	if err != nil {
		return nil, err
	}
	w := &target.Weights{}
	trainOpinions(w, rows, opinionDefaults, say)
	trainHead(w, rows, headDefaults, say)
	mix(w, rows, say)
	trainTerms(w, texts, termDefaults, say)
	return w, nil
}

func read(dir string, around Around, net *deep.Net) (rows []row, texts []marked, err error) {
	guard, err := dataset.NewGuard(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, set := range sets {
		examples, err := dataset.Examples(dir, set.name, dataset.OfTarget)
		if err != nil {
			return nil, nil, err
		}
		for i := range examples {
			e := &examples[i]
			if !guard.Allows(set.name, e.Text) {
				continue
			}
			span := [2]int{e.From, e.From + len(e.Target)}
			a := around(e.Text, set.source, span)
			r := newRow(e.Text, span, set.domain, &a, net)
			if r.tokens == 0 {
				continue
			}
			r.class, r.held, r.weight = e.Class, heldOut(e.Text), set.weight
			rows = append(rows, r)
			if set.source == "review" {
				texts = mark(texts, e.Text, span)
			}
		}
	}
	return rows, texts, nil
}

func newRow(text string, span [2]int, domain int, around *target.Around, net *deep.Net) row {
	r := row{domain: domain, weight: 1, hints: around.Hints(), levels: [2][]uint64{around.Levels(nil, -1), around.Levels(nil, domain)}}
	var f target.Features
	var s deep.State
	for k, d := range []int{-1, domain} {
		if f.Around(text, span, d) {
			r.hashes[k] = append([]uint64(nil), f.Hashes...)
			r.tokens = f.Tokens
		}
	}
	target.Look(&r.inputs, text, span, around, domain, net, &s)
	return r
}

func heldOut(text string) bool { return hash(text)%12 == 5 }

func hash(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}

// opinionConfig is the recipe of the table of opinions.
type opinionConfig struct {
	bits, trainBits uint8
	epochs          int
	rate, hintRate  float64
	start           float64 // AdaGrad's first sum of squares: larger is shyer of rare features
	decay           float64 // of weights, per update
	smoothing       float64
	domainDrop      float64 // share of rows that do not see their domain
	hintDrop        float64 // and that do not see the hints
	minCount        uint8
	seed            uint64
}

var opinionDefaults = opinionConfig{
	bits: 18, trainBits: 22, epochs: 4, rate: 0.12, hintRate: 0.05, start: 0.1, decay: 1e-3, smoothing: 0.05,
	domainDrop: 0.4, hintDrop: 0.1, minCount: 2, seed: 1,
}

type cell struct{ w, g [target.Classes]float32 }

// learner is a table in training.
type learner struct {
	cells  []cell
	counts []uint8 // of features, saturating
	shift  uint
	min    uint8
}

func newLearner(bits, minCount uint8) *learner {
	return &learner{cells: make([]cell, 1<<bits), counts: make([]uint8, 1<<24), shift: 64 - uint(bits), min: minCount}
}

func (l *learner) count(hashes []uint64) {
	for _, h := range hashes {
		if c := &l.counts[h>>40]; *c < 255 {
			*c++
		}
	}
}

func (l *learner) sum(hashes []uint64) (x [target.Classes]float64) {
	for _, h := range hashes {
		if l.counts[h>>40] >= l.min {
			for c, v := range l.cells[h>>l.shift].w {
				x[c] += float64(v)
			}
		}
	}
	return x
}

func (l *learner) update(hashes []uint64, grad [target.Classes]float64, rate, start, keep float64) {
	for _, h := range hashes {
		if l.counts[h>>40] < l.min {
			continue
		}
		cell := &l.cells[h>>l.shift]
		for c, g := range grad {
			cell.g[c] += float32(g * g)
			cell.w[c] = cell.w[c]*float32(keep) - float32(rate*g/math.Sqrt(float64(cell.g[c])+start))
		}
	}
}

// pack quantises to int8. Where two features want one entry the heavier gets it.
func (l *learner) pack(t *target.Table, bits uint8, lists func(func([]uint64))) {
	var all []float64
	for i := range l.cells {
		for _, v := range l.cells[i].w {
			if v != 0 {
				all = append(all, math.Abs(float64(v)))
			}
		}
	}
	if len(all) == 0 {
		all = append(all, 1)
	}
	sort.Float64s(all)
	top := all[int(float64(len(all)-1)*0.9995)]
	t.Bits, t.Scale, t.Entries = bits, top/127, make([]uint32, 1<<bits)
	best := make([]float64, 1<<bits)
	lists(func(hashes []uint64) {
		for _, h := range hashes {
			if l.counts[h>>40] < l.min {
				continue
			}
			var q [target.Classes]int8
			weight := 0.0
			for c, v := range l.cells[h>>l.shift].w {
				q[c] = int8(max(-127, min(127, math.Round(float64(v)/top*127))))
				weight += math.Abs(float64(q[c]))
			}
			if slot, tag := t.Slot(h); weight > best[slot] {
				best[slot], t.Entries[slot] = weight, target.Pack(tag, q)
			}
		}
	})
}

func softmax(x [target.Classes]float64) (p [target.Classes]float64) {
	top, sum := max(x[0], x[1], x[2]), 0.0
	for c := range x {
		p[c] = vec.Exp64(x[c] - top)
		sum += p[c]
	}
	for c := range p {
		p[c] /= sum
	}
	return p
}

func trainOpinions(w *target.Weights, rows []row, cfg opinionConfig, say func(string, ...any)) {
	l := newLearner(cfg.trainBits, cfg.minCount)
	var order []int
	for i := range rows {
		if !rows[i].held {
			order = append(order, i)
			l.count(rows[i].hashes[1])
			l.count(rows[i].levels[1])
		}
	}
	rng := rand.New(rand.NewPCG(cfg.seed, 31))
	done, total := 0.0, float64(cfg.epochs*len(order))
	keepHints := w.Hints
	for epoch := range cfg.epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss := 0.0
		for _, i := range order {
			r := &rows[i]
			rate := 1 - done/total
			done++
			k, domain := 1, r.domain
			if rng.Float64() < cfg.domainDrop {
				k, domain = 0, target.Domains
			}
			hashes, levels, hints := r.hashes[k], r.levels[k], r.hints
			if rng.Float64() < cfg.hintDrop {
				levels = nil
				clear(hints[:target.Hints-1])
			}
			norm := 1 / math.Sqrt(float64(r.tokens))
			x, y := l.sum(hashes), l.sum(levels)
			for c := range x {
				x[c] = (x[c] + y[c]) * norm
				for k, v := range keepHints[domain][c] {
					x[c] += v * hints[k]
				}
			}
			p := softmax(x)
			var grad [target.Classes]float64
			for c := range p {
				y := cfg.smoothing / target.Classes
				if c == r.class {
					y += 1 - cfg.smoothing
				}
				loss -= y * math.Log(p[c]+1e-12)
				for k, v := range hints {
					keepHints[domain][c][k] -= cfg.hintRate * rate * (p[c] - y) * r.weight * v
				}
				grad[c] = (p[c] - y) * norm * r.weight
			}
			keep := 1 - cfg.rate*rate*cfg.decay
			l.update(hashes, grad, cfg.rate*rate, cfg.start, keep)
			l.update(levels, grad, cfg.rate*rate, cfg.start, keep)
		}
		say("targets: epoch %d, loss %.4f", epoch+1, loss/float64(len(order)))
	}
	// Comments have no set of their own.
	keepHints[2] = keepHints[target.Domains]
	w.Hints = keepHints
	l.pack(&w.Opinions, cfg.bits, func(f func([]uint64)) {
		for _, i := range order {
			f(rows[i].hashes[1])
			f(rows[i].levels[1])
		}
	})
}

// mix fits how table and head are weighed, by domain, by log-loss on the rows that
// were held.
func mix(w *target.Weights, rows []row, say func(string, ...any)) {
	type point struct {
		table [target.Classes]float64
		head  [target.Classes]float32
		row   *row
	}
	for d := range w.Mix {
		var points []point
		for i := range rows {
			r := &rows[i]
			if !r.held || d != target.Domains && r.domain != d {
				continue
			}
			k, inputs := 1, r.inputs
			if d == target.Domains {
				k = 0
				target.Stray(inputs[:])
			}
			points = append(points, point{w.Logits(r.hashes[k], r.levels[k], r.tokens, d, &r.hints), w.Head.Logits(&inputs), r})
		}
		best := math.Inf(1)
		for a := 0.0; a < 1.3; a += 0.05 {
			for b := 0.0; b < 2; b += 0.05 {
				loss := 0.0
				for i := range points {
					p := &points[i]
					var x [target.Classes]float64
					for c := range x {
						x[c] = a*p.table[c] + b*float64(p.head[c])
					}
					loss -= p.row.weight * math.Log(softmax(x)[p.row.class]+1e-12)
				}
				if loss < best {
					best, w.Mix[d] = loss, [2]float64{a, b}
				}
			}
		}
	}
	w.Mix[2] = w.Mix[target.Domains] // comments have no set of their own
	say("targets: table and head weigh %.2f", w.Mix)
}

// marked is a text and the terms in it.
type marked struct {
	text  string
	spans [][2]int
}

// mark adds a span to the text it is of, which is the last or a new one.
func mark(texts []marked, text string, span [2]int) []marked {
	for i := len(texts) - 1; i >= 0 && i >= len(texts)-3; i-- {
		if texts[i].text == text {
			texts[i].spans = append(texts[i].spans, span)
			return texts
		}
	}
	return append(texts, marked{text, [][2]int{span}})
}

// termConfig is the recipe of the table of terms.
type termConfig struct {
	bits, trainBits uint8
	epochs          int
	rate, start     float64
	minCount        uint8
	seed            uint64
}

var termDefaults = termConfig{bits: 17, trainBits: 21, epochs: 5, rate: 0.3, start: 0.1, minCount: 2, seed: 2}

// token is one token of a text and what it is of a term.
type token struct {
	hashes [target.Classes][]uint64 // by the label of the token before
	label  int
	before int
	kind   feature.Kind
	start  bool // of a text
}

// tokensOf reads the first block of a text, which is more than a sentence.
func tokensOf(m *marked) []token {
	var b feature.Block
	var f target.Features
	b.Fill(m.text, 0)
	out := make([]token, b.N)
	for i := range out {
		t := &b.Tokens[i]
		out[i].kind, out[i].start = t.Kind, i == 0
		for _, s := range m.spans {
			switch {
			case t.Start < s[1] && t.End > s[0] && t.Start <= s[0]:
				out[i].label = 1
			case t.Start < s[1] && t.End > s[0] && out[i].label == 0:
				out[i].label = 2
			}
		}
		if i > 0 {
			out[i].before = out[i-1].label
		}
		for before := range out[i].hashes {
			f.Term(&b, i, before)
			out[i].hashes[before] = append([]uint64(nil), f.Hashes...)
		}
	}
	return out
}

func trainTerms(w *target.Weights, texts []marked, cfg termConfig, say func(string, ...any)) {
	l := newLearner(cfg.trainBits, cfg.minCount)
	var fit, held [][]token
	for i := range texts {
		tokens := tokensOf(&texts[i])
		if heldOut(texts[i].text) {
			held = append(held, tokens)
			continue
		}
		fit = append(fit, tokens)
		for k := range tokens {
			l.count(tokens[k].hashes[tokens[k].before])
		}
	}
	rng := rand.New(rand.NewPCG(cfg.seed, 32))
	done, total := 0.0, float64(cfg.epochs*len(fit))
	for range cfg.epochs {
		rng.Shuffle(len(fit), func(i, j int) { fit[i], fit[j] = fit[j], fit[i] })
		for _, tokens := range fit {
			rate := cfg.rate * (1 - done/total)
			done++
			for k := range tokens {
				t := &tokens[k]
				hashes := t.hashes[t.before]
				grad := softmax(l.sum(hashes))
				grad[t.label]--
				l.update(hashes, grad, rate, cfg.start, 1)
			}
		}
	}
	l.pack(&w.Terms, cfg.bits, func(f func([]uint64)) {
		for _, tokens := range fit {
			for k := range tokens {
				f(tokens[k].hashes[tokens[k].before])
			}
		}
	})
	best := -1.0
	bias := 0.0
	for w.TermBias = -1; w.TermBias < 2; w.TermBias += 0.1 {
		if f := termF1(w, held); f > best {
			best, bias = f, w.TermBias
		}
	}
	w.TermBias = bias
	say("terms: F1 %.3f on %d texts, bias %.1f", best, len(held), bias)
}

// termF1 counts terms that are found whole.
func termF1(w *target.Weights, texts [][]token) float64 {
	hits, truth, claimed := 0.0, 0.0, 0.0
	for _, tokens := range texts {
		got := make([]int, len(tokens)+1)
		before := 0
		for k := range tokens {
			before = w.LabelOf(tokens[k].hashes[before], before, tokens[k].kind)
			got[k] = before
		}
		for k := range tokens {
			if got[k] == 1 {
				claimed++
			}
			if tokens[k].label != 1 {
				continue
			}
			truth++
			same := got[k] == 1
			end := k + 1
			for ; end < len(tokens) && tokens[end].label == 2; end++ {
				same = same && got[end] == 2
			}
			if same && (end == len(tokens) || got[end] != 2) {
				hits++
			}
		}
	}
	if truth+claimed == 0 {
		return 0
	}
	return 2 * hits / (truth + claimed)
}
