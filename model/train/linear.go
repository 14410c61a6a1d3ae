package main

import (
	"math"
	"math/rand/v2"
	"sort"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// config is the recipe of one table.
type config struct {
	bits      uint8 // of the shipped table
	trainBits uint  // of the table used in training, larger
	epochs    int
	rate      float64
	start     float64 // AdaGrad's first sum of squares: larger is shyer of rare features
	decay     float64 // of weights, per update
	minWord   uint8   // features seen less often are left out
	minChar   uint8
	char      float32 // value of a letter n-gram, a word's being 1
	hintDrop  float64 // share of rows that do not see their source
	seed      uint64
}

var englishConfig = config{bits: 20, trainBits: 22, epochs: 4, rate: 0.06, start: 1e-2, decay: 1e-4, minWord: 3, minChar: 5,
	char: 1.5, hintDrop: 0.3, seed: 1}

var othersConfig = config{bits: 19, trainBits: 21, epochs: 5, rate: 0.05, start: 1e-4, decay: 1e-3, minWord: 2, minChar: 2,
	char: 0.7, hintDrop: 0.3, seed: 2}

// cell is one weight pair with its sums of squared gradients (AdaGrad).
type cell struct{ d, n, gd, gn float32 }

type learner struct {
	cfg    config
	cells  []cell
	shift  uint
	counts []uint8 // saturating, by the top 25 bits
	bias   [2]float64
	source [modelfile.Sources][2]float64

	block        feature.Block
	set          feature.Set
	words, chars []uint64
	tokens       int
}

const countShift = 64 - 25

// extract reads the features of a text, the untrained ones left out.
func (l *learner) extract(text string) {
	l.words, l.chars = l.words[:0], l.chars[:0]
	var st feature.State
	for pos := 0; pos < len(text); {
		pos = l.block.Fill(text, pos)
		l.set.Extract(&l.block, &st)
		for _, h := range l.set.Words {
			if l.counts[h>>countShift] >= l.cfg.minWord {
				l.words = append(l.words, h)
			}
		}
		for _, h := range l.set.Chars {
			if l.counts[h>>countShift] >= l.cfg.minChar {
				l.chars = append(l.chars, h)
			}
		}
	}
	l.tokens = st.Tokens
}

// count is the first pass: how often each feature occurs.
func (l *learner) count(rows []item) {
	var st feature.State
	for i := range rows {
		st = feature.State{}
		for pos := 0; pos < len(rows[i].text); {
			pos = l.block.Fill(rows[i].text, pos)
			l.set.Extract(&l.block, &st)
			for _, hs := range [2][]uint64{l.set.Words, l.set.Chars} {
				for _, h := range hs {
					if c := &l.counts[h>>countShift]; *c < 255 {
						*c++
					}
				}
			}
		}
	}
}

// raw is the sum of the weights over the extracted features.
func (l *learner) raw() (d, n float64) {
	var wd, wn, cd, cn float32
	for _, h := range l.words {
		c := &l.cells[h>>l.shift]
		wd += c.d
		wn += c.n
	}
	for _, h := range l.chars {
		c := &l.cells[h>>l.shift]
		cd += c.d
		cn += c.n
	}
	return float64(wd + l.cfg.char*cd), float64(wn + l.cfg.char*cn)
}

// step learns one row at the given rate and returns its loss.
func (l *learner) step(e *item, text string, weight, rate float64, hint bool) float64 {
	l.extract(text)
	if l.tokens == 0 {
		return 0
	}
	norm := 1 / math.Sqrt(float64(l.tokens))
	d, n := l.raw()
	d, n = d*norm+l.bias[0], n*norm+l.bias[1]
	hint = hint && e.source >= 0
	if hint {
		d += l.source[e.source][0]
		n += l.source[e.source][1]
	}
	gd, gn, loss := gradient(d, n, e, smoothing)
	gd, gn = gd*weight, gn*weight
	biasRate := 0.1 * rate
	l.bias[0] -= biasRate * gd
	l.bias[1] -= biasRate * gn
	if hint {
		l.source[e.source][0] -= biasRate * gd
		l.source[e.source][1] -= biasRate * gn
	}
	r, keep := float32(rate), float32(1-rate*l.cfg.decay)
	l.update(l.words, float32(gd*norm), float32(gn*norm), r, keep)
	l.update(l.chars, float32(gd*norm)*l.cfg.char, float32(gn*norm)*l.cfg.char, r, keep)
	return loss * weight
}

func (l *learner) update(features []uint64, gd, gn, rate, keep float32) {
	for _, h := range features {
		c := &l.cells[h>>l.shift]
		c.gd += gd * gd
		c.gn += gn * gn
		c.d = c.d*keep - rate*gd/float32(math.Sqrt(float64(c.gd)+l.cfg.start))
		c.n = c.n*keep - rate*gn/float32(math.Sqrt(float64(c.gn)+l.cfg.start))
	}
}

const smoothing = 0.03

// madeWeight is what rows that were made up count here: they are about order and
// composition, which a table hardly sees.
const madeWeight = 0.35

// gradient of the log-loss in d and n, where the logits are (-d/2, n, d/2). So much
// of a hard label goes to the classes that it is not.
func gradient(d, n float64, e *item, smoothing float64) (gd, gn, loss float64) {
	if e.binary && e.soft == nil {
		p := sigmoid(d)
		y := smoothing
		if e.class == int8(model.Positive) {
			y = 1 - smoothing
		}
		return p - y, 0, -y*math.Log(p+1e-12) - (1-y)*math.Log(1-p+1e-12)
	}
	p := softmax(d, n)
	var y [3]float64
	for i := range y {
		y[i] = smoothing / 2
	}
	if e.soft != nil {
		for i, v := range e.soft {
			y[i] = float64(v)
		}
	} else {
		y[e.class] = 1 - smoothing
	}
	for i := range p {
		loss -= y[i] * math.Log(p[i]+1e-12)
	}
	return ((p[2] - y[2]) - (p[0] - y[0])) / 2, p[1] - y[1], loss
}

func softmax(d, n float64) [3]float64 {
	top := max(d/2, -d/2, n)
	p := [3]float64{vec.Exp64(-d/2 - top), vec.Exp64(n - top), vec.Exp64(d/2 - top)}
	s := p[0] + p[1] + p[2]
	return [3]float64{p[0] / s, p[1] / s, p[2] / s}
}

// trainLinear trains one table, packs it and fits its temperatures.
func trainLinear(name string, fit, calibration []item, cfg config, say func(string, ...any)) modelfile.Linear {
	l := &learner{cfg: cfg, cells: make([]cell, 1<<cfg.trainBits), shift: 64 - cfg.trainBits, counts: make([]uint8, 1<<25)}
	l.count(fit)
	say("%s: counted the features of %d rows", name, len(fit))
	rng := rand.New(rand.NewPCG(cfg.seed, 20240601))
	order := make([]int, len(fit))
	for i := range order {
		order[i] = i
	}
	total, done := float64(cfg.epochs*len(fit)), 0.0
	for epoch := range cfg.epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss := 0.0
		for _, i := range order {
			e := &fit[i]
			rate := cfg.rate * (1 - done/total)
			done++
			hint := rng.Float64() >= cfg.hintDrop
			if e.long {
				loss += l.step(e, window(e.text, rng), float64(e.weight), rate, hint)
				if epoch%2 == 1 {
					continue // the whole text every other time
				}
				loss += l.step(e, e.text, 1, rate, hint)
				continue
			}
			weight := float64(e.weight)
			if e.made {
				weight *= madeWeight
			}
			loss += l.step(e, e.text, weight, rate, hint)
		}
		say("%s: epoch %d, loss %.4f", name, epoch+1, loss/float64(len(fit)))
	}
	out := l.pack(fit)
	calibrateLinear(l, &out, calibration)
	say("%s: bias %.3f, sources %.3f, temperatures %.2f", name, out.Bias, out.Source, out.Temp)
	return out
}

// window cuts some 250 to 400 bytes out of a long text, at spaces.
func window(text string, rng *rand.Rand) string {
	n := 250 + rng.IntN(150)
	if len(text) <= n {
		return text
	}
	at := rng.IntN(len(text) - n)
	cut := text[at : at+n]
	for i := range len(cut) {
		if cut[i] == ' ' {
			return cut[i+1:]
		}
	}
	return cut
}

// pack quantises the trained weights to int8 and places them in the shipped
// table. Where two features want one entry the heavier and commoner one gets it.
func (l *learner) pack(rows []item) modelfile.Linear {
	cfg := l.cfg
	out := modelfile.Linear{Temp: [modelfile.Temperatures]float64{1, 1, 1, 1, 1, 1}, Bits: cfg.bits, Bias: l.bias, Source: l.source, Entries: make([]uint32, 1<<cfg.bits)}
	wordMax, charMax := l.clip()
	out.WordScale = wordMax / 127
	out.CharScale = charMax / 127 * float64(cfg.char)
	shift := 64 - uint(cfg.bits)
	best := make([]float32, 1<<cfg.bits)
	place := func(features []uint64, limit float64, value float32) {
		for _, h := range features {
			c := l.cells[h>>l.shift]
			d, n := quantise(float64(c.d), limit), quantise(float64(c.n), limit)
			if d == 0 && n == 0 {
				continue
			}
			i := h >> shift
			w := float32(math.Abs(float64(c.d))+math.Abs(float64(c.n))) * value *
				float32(math.Sqrt(float64(l.counts[h>>countShift])))
			tag := uint32(h>>(shift-16)) & 0xffff
			if w > best[i] {
				best[i] = w
				out.Entries[i] = tag | uint32(uint8(n))<<16 | uint32(uint8(d))<<24
			}
		}
	}
	for i := range rows {
		l.extract(rows[i].text)
		place(l.words, wordMax, 1)
		place(l.chars, charMax, cfg.char)
	}
	return out
}

// clip finds the magnitude that int8's 127 stands for: the 99.99th percentile,
// so that a few outliers do not coarsen all others.
func (l *learner) clip() (word, char float64) {
	var all []float64
	for i := range l.cells {
		c := &l.cells[i]
		if c.d != 0 || c.n != 0 {
			all = append(all, math.Abs(float64(c.d)), math.Abs(float64(c.n)))
		}
	}
	sort.Float64s(all)
	v := all[int(float64(len(all)-1)*0.9999)]
	return v, v
}

func quantise(w, limit float64) int8 {
	q := math.Round(w / limit * 127)
	return int8(max(-127, min(127, q)))
}
