package main

import (
	"bytes"
	_ "embed" // the paragraphs
	"math"
	"math/rand/v2"
	"sort"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

const (
	gateBits   = 16
	rowBits    = 14
	langEpochs = 6
)

// udhr holds paragraphs of the Universal Declaration of Human Rights in some
// fifty languages, most of which the sentiment sets do not have, so that a text
// in one of them is told apart instead of passing for a neighbour.
//
//go:embed udhr/udhr.tsv.gz
var udhr []byte

// udhrRows reads them.
func udhrRows() ([]dataset.Row, error) { return dataset.Parse(bytes.NewReader(udhr), "") }

// trainLanguage trains the gate and the rows on the letters of the texts and of the
// paragraphs. Only texts in Latin letters take part: other scripts are told by their
// letters.
func trainLanguage(c *corpus, paragraphs []dataset.Row, say func(string, ...any)) modelfile.Language {
	rows := append([]labelled(nil), c.languages...)
	for _, r := range paragraphs {
		// Whole, and in pieces of the length of a tweet and of a few words.
		for _, n := range []int{400, 120, 40} {
			for at := 0; at+n/2 < len(r.Text); at += n {
				rows = append(rows, labelled{r.Text[at:min(at+n, len(r.Text))], r.Label})
			}
		}
	}
	var kept []labelled
	size := map[string]int{}
	for _, e := range rows {
		if e.lang != "ar" {
			kept = append(kept, e)
			size[e.lang]++
		}
	}
	rows = kept
	var codes []string
	for code := range size {
		codes = append(codes, code)
	}
	sort.Strings(codes)
	index := map[string]int{}
	for i, code := range codes {
		index[code] = i
	}
	supported := map[string]bool{}
	for _, tag := range tags {
		supported[tag] = true
	}
	l := &languageLearner{k: len(codes), english: index["en"]}
	l.gate = make([]float32, 1<<gateBits)
	l.gateG = make([]float32, 1<<gateBits)
	l.rows = make([]float32, l.k<<rowBits)
	l.rowsG = make([]float32, l.k<<rowBits)
	l.bias = make([]float64, l.k)
	rng := rand.New(rand.NewPCG(7, 20240601))
	for epoch := range langEpochs {
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		hit, seen := 0, 0
		rate := 0.3 * (1 - float64(epoch)/langEpochs)
		for i := range rows {
			e := &rows[i]
			chars := l.chars(piece(e.text, rng))
			if len(chars) < 4 {
				continue
			}
			// The rarer a language, the more a row of it weighs.
			w := min(4, math.Sqrt(1500/float64(size[e.lang])))
			l.stepGate(chars, e.lang == "en", w, rate)
			if e.lang == "en" && rng.IntN(8) != 0 {
				continue // the gate lets few English texts through to the rows
			}
			seen++
			if l.stepRows(chars, index[e.lang], w, rate) {
				hit++
			}
		}
		say("language: epoch %d, %.3f right while training", epoch+1, float64(hit)/float64(seen))
	}
	out := modelfile.Language{GateBits: gateBits, Bits: rowBits, Codes: codes, GateBias: l.gateBias, Bias: l.bias}
	for _, code := range codes {
		out.Supported = append(out.Supported, supported[code])
	}
	out.Gate, out.GateScale = quantiseAll(l.gate)
	out.Rows, out.Scale = quantiseAll(l.rows)
	return out
}

// piece gives the identifier short texts too: half of the time a few words.
func piece(text string, rng *rand.Rand) string {
	n := 15 + rng.IntN(60)
	if rng.IntN(2) == 0 || len(text) <= n {
		return text
	}
	at := rng.IntN(len(text) - n)
	for at > 0 && text[at-1] != ' ' {
		at--
	}
	return text[at:min(at+n, len(text))]
}

type languageLearner struct {
	block       feature.Block
	set         feature.Set
	k, english  int
	gate, gateG []float32
	gateBias    float64
	rows, rowsG []float32
	bias        []float64
}

// chars gives the letter n-grams of the first block, as the scorer sees them.
func (l *languageLearner) chars(text string) []uint64 {
	var st feature.State
	l.block.Fill(text, 0)
	l.set.Extract(&l.block, &st)
	return l.set.Chars
}

func (l *languageLearner) stepGate(chars []uint64, english bool, w, rate float64) {
	if len(chars) > 512 {
		chars = chars[:512]
	}
	norm := 1 / math.Sqrt(float64(len(chars)))
	sum := 0.0
	for _, h := range chars {
		sum += float64(l.gate[h>>(64-gateBits)])
	}
	y := 0.0
	if english {
		y = 1
	}
	g := (sigmoid(sum*norm+l.gateBias) - y) * w
	l.gateBias -= 0.01 * rate * g
	gx := float32(g * norm)
	for _, h := range chars {
		i := h >> (64 - gateBits)
		l.gateG[i] += gx * gx
		l.gate[i] -= float32(rate) * gx / float32(math.Sqrt(float64(l.gateG[i])+1e-4))
	}
}

func (l *languageLearner) stepRows(chars []uint64, class int, w, rate float64) bool {
	if len(chars) > 256 {
		chars = chars[:256]
	}
	norm := 1 / math.Sqrt(float64(len(chars)))
	logit := make([]float64, l.k)
	for _, h := range chars {
		row := l.rows[int(h>>(64-rowBits))*l.k:][:l.k]
		for i, v := range row {
			logit[i] += float64(v)
		}
	}
	best, sum, top := 0, 0.0, math.Inf(-1)
	for i := range logit {
		logit[i] = logit[i]*norm + l.bias[i]
		if logit[i] > top {
			best, top = i, logit[i]
		}
	}
	for i := range logit {
		logit[i] = vec.Exp64(logit[i] - top)
		sum += logit[i]
	}
	grad := make([]float32, l.k)
	for i := range logit {
		g := logit[i] / sum
		if i == class {
			g--
		}
		g *= w
		l.bias[i] -= 0.01 * rate * g
		grad[i] = float32(g * norm)
	}
	for _, h := range chars {
		at := int(h>>(64-rowBits)) * l.k
		row, sq := l.rows[at:at+l.k], l.rowsG[at:at+l.k]
		for i, g := range grad {
			if g < 1e-4 && g > -1e-4 {
				continue
			}
			sq[i] += g * g
			row[i] -= float32(rate) * g / float32(math.Sqrt(float64(sq[i])+1e-4))
		}
	}
	return best == class
}

// quantiseAll turns weights into int8 and the value of one unit.
func quantiseAll(ws []float32) ([]int8, float64) {
	all := make([]float64, 0, len(ws))
	for _, w := range ws {
		if w != 0 {
			all = append(all, math.Abs(float64(w)))
		}
	}
	sort.Float64s(all)
	limit := all[int(float64(len(all)-1)*0.9995)]
	out := make([]int8, len(ws))
	for i, w := range ws {
		out[i] = quantise(float64(w), limit)
	}
	return out, limit / 127
}
