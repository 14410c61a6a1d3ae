package overlay

import (
	"math"

	"github.com/synapse-analytics/synapse/model"
)

// A scorer's probabilities are the softmax of (-d/2, n, d/2), so d and n can be
// read back from them. An overlay moves d and n; whatever the scorer is inside,
// it needs nothing else of it.

// shift is a movement of the logits: d is positive over negative, n is neutral
// over the mean of the two.
type shift struct{ d, n float64 }

func (a shift) plus(b shift) shift  { return shift{a.d + b.d, a.n + b.n} }
func (a shift) minus(b shift) shift { return shift{a.d - b.d, a.n - b.n} }

// tiny stands for a probability of 0, whose logit is not finite.
const tiny = 1e-300

func logits(p *[3]float64) shift {
	neg, neu, pos := ln(p[model.Negative]), ln(p[model.Neutral]), ln(p[model.Positive])
	return shift{d: pos - neg, n: neu - float64((pos+neg)/2)}
}

// softmax is the polarity of the logits at.
func softmax(at shift) model.Polarity {
	half := float64(at.d / 2)
	top := max(half, -half, at.n)
	p := [3]float64{exp(-half - top), exp(at.n - top), exp(half - top)}
	sum := p[0] + p[1] + p[2]
	out := model.Polarity{}
	for i := range p {
		p[i] /= sum
		if p[i] > p[out.Label] {
			out.Label = model.Label(i)
		}
	}
	out.Probabilities = p
	out.Score = p[model.Positive] - p[model.Negative]
	return out
}

// movePolarity moves p; a shift of zero leaves every bit.
func movePolarity(p model.Polarity, by shift) model.Polarity {
	if by == (shift{}) {
		return p
	}
	return softmax(logits(&p.Probabilities).plus(by))
}

// moveResult moves r. The stars move as the class that they belong to does: 1 and
// 2 with negative, 3 with neutral, 4 and 5 with positive.
func moveResult(r model.Result, by shift) model.Result {
	if by == (shift{}) {
		return r
	}
	p := softmax(logits(&r.Probabilities).plus(by))
	r.Label, r.Score, r.Probabilities = p.Label, p.Score, p.Probabilities
	r.Confidence = p.Probabilities[p.Label]
	half := float64(by.d / 2)
	top := max(half, -half, by.n)
	low, middle, high := exp(-half-top), exp(by.n-top), exp(half-top)
	stars, sum := r.Stars, 0.0
	for i, factor := range [5]float64{low, low, middle, high, high} {
		stars[i] = float64(stars[i] * factor)
		sum += stars[i]
	}
	if sum > 0 {
		for i := range stars {
			stars[i] /= sum
		}
		r.Stars = stars
	}
	return r
}

const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
)

// exp and ln are written out because the standard library's use instructions of
// their own on some machines, whose last bit differs. The explicit conversions,
// here and elsewhere, keep compilers from fusing multiply and add.

// exp is e^x for x <= 0.
func exp(x float64) float64 {
	if x < -700 {
		return 0
	}
	const log2e = 1.44269504088896338700e+00
	k := math.Floor(float64(x*log2e) + 0.5)
	r := x - float64(k*ln2Hi)
	r -= float64(k * ln2Lo)
	// Taylor to r^12: |r| <= ln2/2, the next term is below 2^-52.
	y := 1.0
	for i := 12; i >= 1; i-- {
		y = float64(float64(y*r)/float64(i)) + 1
	}
	return y * math.Float64frombits(uint64(int64(k)+1023)<<52)
}

// ln is the natural logarithm of x, at least that of tiny.
func ln(x float64) float64 {
	fraction, k := math.Frexp(max(x, tiny))
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		k--
	}
	// ln f = 2 artanh(s), s = (f-1)/(f+1); |s| < 0.1716, so that the term behind
	// s^21 is below 2^-53.
	s := (fraction - 1) / (fraction + 1)
	square := float64(s * s)
	sum := 0.0
	for i := 21; i >= 1; i -= 2 {
		sum = float64(sum*square) + 1/float64(i)
	}
	return float64(float64(k)*ln2Hi) + (float64(float64(k)*ln2Lo) + float64(2*s*sum))
}
