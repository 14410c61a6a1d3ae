package main

import (
	"math"
	"sort"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// moodWeights say how much the network's choice among four emotions counts in
// them, by kind of source: it was trained on tweets. Chosen on the validation sets.
var moodWeights = [modelfile.Sources + 1]float64{1, 0.3, 0.1, 0.4}

// example is a calibration text and what the halves of the model say about it.
type example struct {
	it     *item
	parts  model.Parts
	source int // index into Blend
	class  int // of length
	weight float64
}

// calibrate fits how the halves are weighed and where the answers are cut, on
// texts that trained neither. Labels count as they are here: with smoothed ones the
// answers would be less sure than right.
func calibrate(m *modelfile.Model, texts []item, say func(string, ...any)) error {
	// As loaded, so that it is fitted on what quantisation has left.
	s, err := assemble(m)
	if err != nil {
		return err
	}
	examples := listen(s, texts)
	blend(m, examples)
	for i, b := range m.Blend {
		say("blend of source %d: %.2f", i, b)
	}
	m.Heads.StarsOwn, m.Heads.StarsPolarity = fitStars(m, examples)
	m.Heads.Mixed = fitMixed(examples)
	fitEmotions(m, examples)
	m.Heads.Moods = moodWeights
	say("stars %.2f %.2f, mixed from %.2f", m.Heads.StarsOwn, m.Heads.StarsPolarity, m.Heads.Mixed)
	return nil
}

// listen scores every text with its source's hint and without.
func listen(s *model.Scorer, texts []item) []example {
	names := [modelfile.Sources]string{"tweet", "review", "comment"}
	var out []example
	for i := range texts {
		it := &texts[i]
		e := example{it: it, source: modelfile.Sources, weight: float64(it.weight)}
		switch {
		case it.source == int8(model.Tweet) && it.binary:
			e.weight = 0 // labels by emoticons or of feelings say little about how sure one can be
		case it.source == int8(model.Tweet), it.source == int8(model.Comment):
			e.weight = 1 // the classes in their natural shares
		}
		e.parts = s.Parts(model.Input{Text: it.text})
		if e.parts.Tokens == 0 {
			continue
		}
		e.class = model.TemperatureClass(e.parts.Tokens)
		out = append(out, e)
		if it.source >= 0 {
			e.source = int(it.source)
			e.parts = s.Parts(model.Input{Text: it.text, Source: names[it.source]})
			out = append(out, e)
		}
	}
	return out
}

// blend fits the two weights: for all texts, then by source, then by length, each
// drawn towards the one before.
func blend(m *modelfile.Model, all []example) {
	const pull = 30
	root := fitTwo(all, modelfile.Blend{Wide: 0.5, Deep: 0.5}, 1)
	for s := range m.Blend {
		var of []example
		for _, e := range all {
			if e.source == s {
				of = append(of, e)
			}
		}
		parent := fitTwo(of, root, pull)
		for c := range m.Blend[s] {
			var at []example
			for _, e := range of {
				if e.class == c {
					at = append(at, e)
				}
			}
			m.Blend[s][c] = fitTwo(at, parent, pull)
		}
	}
}

// fitTwo minimises the log-loss plus pull/2 times the squared distance from start,
// by Newton's method with halved steps.
func fitTwo(list []example, start modelfile.Blend, pull float64) modelfile.Blend {
	value := func(b modelfile.Blend) (loss float64, grad [2]float64, hess [2][2]float64) {
		for i := range list {
			e := &list[i]
			if e.it.class == noLabel || e.it.deep {
				continue
			}
			p := &e.parts
			gd, gn, l := gradient(b.Wide*p.WideD+b.Deep*p.DeepD, b.Wide*p.WideN+b.Deep*p.DeepN, e.it, 0)
			loss += e.weight * l
			d, n := [2]float64{p.WideD, p.DeepD}, [2]float64{p.WideN, p.DeepN}
			// The curvature by differences of the gradient would cost a pass; the
			// Fisher information does as well here.
			hd, hn, hdn := curvature(b.Wide*p.WideD+b.Deep*p.DeepD, b.Wide*p.WideN+b.Deep*p.DeepN, e.it)
			for r := range 2 {
				grad[r] += e.weight * (gd*d[r] + gn*n[r])
				for c := range 2 {
					hess[r][c] += e.weight * (hd*d[r]*d[c] + hn*n[r]*n[c] + hdn*(d[r]*n[c]+n[r]*d[c]))
				}
			}
		}
		dw, dd := b.Wide-start.Wide, b.Deep-start.Deep
		loss += pull / 2 * (dw*dw + dd*dd)
		grad[0] += pull * dw
		grad[1] += pull * dd
		hess[0][0] += pull
		hess[1][1] += pull
		return loss, grad, hess
	}
	b := start
	loss, g, h := value(b)
	for range 25 {
		det := h[0][0]*h[1][1] - h[0][1]*h[1][0]
		if det <= 0 {
			break
		}
		sw, sd := (g[0]*h[1][1]-g[1]*h[0][1])/det, (g[1]*h[0][0]-g[0]*h[1][0])/det
		step := 1.0
		for ; step > 1e-4; step /= 2 {
			next := modelfile.Blend{Wide: b.Wide - step*sw, Deep: b.Deep - step*sd}
			l, g2, h2 := value(next)
			if l < loss {
				b, loss, g, h = next, l, g2, h2
				break
			}
		}
		if step <= 1e-4 || math.Abs(sw)+math.Abs(sd) < 1e-6 {
			break
		}
	}
	// A half that speaks against itself is noise.
	return modelfile.Blend{Wide: max(b.Wide, 0), Deep: max(b.Deep, 0)}
}

// curvature is the Fisher information in d and n.
func curvature(d, n float64, e *item) (dd, nn, dn float64) {
	if e.binary {
		p := sigmoid(d)
		return p * (1 - p), 0, 0
	}
	p := softmax(d, n)
	m := (p[2] - p[0]) / 2
	return (p[0]+p[2])/4 - m*m, p[1] * (1 - p[1]), -m * p[1]
}

// sigmoid is 1/(1+e^-x).
func sigmoid(x float64) float64 {
	e := vec.Exp64(-math.Abs(x))
	if x < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

// fitStars finds the two weights on a grid, by log-loss.
func fitStars(m *modelfile.Model, all []example) (own, polarity float64) {
	best := math.Inf(1)
	for o := 0.2; o < 1.6; o += 0.05 {
		for p := 0.0; p < 1.2; p += 0.05 {
			loss := 0.0
			for i := range all {
				e := &all[i]
				if e.it.stars == noLabel || e.it.long {
					continue
				}
				b := m.Blend[e.source][e.class]
				d, n := b.Wide*e.parts.WideD+b.Deep*e.parts.DeepD, b.Wide*e.parts.WideN+b.Deep*e.parts.DeepN
				var x [5]float64
				top := math.Inf(-1)
				for k := range x {
					x[k] = d * float64(k-2) / 2
					if k == 2 {
						x[k] = n
					}
					x[k] = p*x[k] + o*e.parts.Network[deep.OutStars+k]
					top = max(top, x[k])
				}
				sum := 0.0
				for k := range x {
					sum += vec.Exp64(x[k] - top)
				}
				loss -= e.weight * (x[e.it.stars] - top - math.Log(sum))
			}
			if loss < best {
				best, own, polarity = loss, o, p
			}
		}
	}
	return own, polarity
}

// fitMixed finds the logit from which saying "mixed" has the best F1.
func fitMixed(all []example) float64 {
	type point struct {
		x     float64
		mixed bool
	}
	var points []point
	truth := 0.0
	for i := range all {
		if e := &all[i]; e.it.mixed != noLabel {
			points = append(points, point{e.parts.Network[deep.OutMixed], e.it.mixed == 1})
			truth += float64(e.it.mixed)
		}
	}
	sort.Slice(points, func(i, j int) bool { return points[i].x > points[j].x })
	bar, best, hits := 0.0, -1.0, 0.0
	for i, p := range points {
		if p.mixed {
			hits++
		}
		if f := 2 * hits / (truth + float64(i+1)); f > best {
			bar, best = p.x, f
		}
	}
	return bar
}

// fitEmotions fits the probability of every emotion, then moves it so that one
// half is where claiming the emotion has the best expected F1.
func fitEmotions(m *modelfile.Model, all []example) {
	var of []*example
	for i := range all {
		if all[i].it.hasAll {
			of = append(of, &all[i])
		}
	}
	for k := range m.Heads.Emotions {
		x := make([][3]float64, len(of))
		y := make([]bool, len(of))
		for i, e := range of {
			x[i] = [3]float64{e.parts.Feel[deep.FeelAll+k], e.parts.Feelings[k], 1}
			y[i] = e.it.many>>k&1 == 1
		}
		w := fitLogistic(x, y, [3]float64{1, 0.2, -0.5}, [3]float64{20, 20, 1})
		p := make([]float64, len(of))
		for i := range x {
			p[i] = sigmoid(w[0]*x[i][0] + w[1]*x[i][1] + w[2])
		}
		bar := bestBar(p)
		m.Heads.Emotions[k] = modelfile.Emotion{Own: w[0], Table: w[1], Bias: w[2] - math.Log(bar/(1-bar))}
	}
}

// bestBar is the probability from which claiming has the best F1, as the
// probabilities themselves expect it: the labels of a rare emotion are too few.
func bestBar(p []float64) float64 {
	p = append([]float64(nil), p...)
	sort.Sort(sort.Reverse(sort.Float64Slice(p)))
	truth := 0.0
	for _, v := range p {
		truth += v
	}
	bar, best, hits := 0.5, -1.0, 0.0
	for i, v := range p {
		hits += v
		if f := 2 * hits / (truth + float64(i+1)); f > best {
			bar, best = v, f
		}
	}
	return min(max(bar, 0.02), 0.98)
}

// fitLogistic is logistic regression by Newton's method, with pull/2 times the
// squared distance from start added to the loss.
func fitLogistic(x [][3]float64, y []bool, start, pull [3]float64) [3]float64 {
	w := start
	for range 20 {
		var g [3]float64
		var h [3][3]float64
		for j := range w {
			g[j] = pull[j] * (w[j] - start[j])
			h[j][j] = pull[j]
		}
		for i, row := range x {
			p := sigmoid(w[0]*row[0] + w[1]*row[1] + w[2]*row[2])
			d := p
			if y[i] {
				d--
			}
			for j := range w {
				g[j] += d * row[j]
				for k := range w {
					h[j][k] += p * (1 - p) * row[j] * row[k]
				}
			}
		}
		step := solve(h, g)
		size := 0.0
		for j := range w {
			w[j] -= max(-1, min(1, step[j]))
			size += math.Abs(step[j])
		}
		if size < 1e-7 {
			break
		}
	}
	return w
}

// solve solves h*x = g for a positive definite h.
func solve(h [3][3]float64, g [3]float64) [3]float64 {
	for i := range 3 {
		for r := i + 1; r < 3; r++ {
			f := h[r][i] / h[i][i]
			for c := i; c < 3; c++ {
				h[r][c] -= f * h[i][c]
			}
			g[r] -= f * g[i]
		}
	}
	var x [3]float64
	for i := 2; i >= 0; i-- {
		x[i] = g[i]
		for c := i + 1; c < 3; c++ {
			x[i] -= h[i][c] * x[c]
		}
		x[i] /= h[i][i]
	}
	return x
}

// calibrateLinear fits one temperature per class of length.
func calibrateLinear(l *learner, out *modelfile.Linear, rows []item) {
	type point struct {
		d, n float64
		e    *item
	}
	var classes [modelfile.Temperatures][]point
	for i := range rows {
		e := &rows[i]
		l.extract(e.text)
		if l.tokens == 0 {
			continue
		}
		norm := 1 / math.Sqrt(float64(l.tokens))
		d, n := l.raw()
		d, n = d*norm+l.bias[0], n*norm+l.bias[1]
		k := model.TemperatureClass(l.tokens)
		classes[k] = append(classes[k], point{d, n, e})
		if e.source >= 0 {
			s := l.source[e.source]
			classes[k] = append(classes[k], point{d + s[0], n + s[1], e})
		}
	}
	for k, points := range classes {
		if len(points) < 100 {
			if k > 0 {
				out.Temp[k] = out.Temp[k-1]
			}
			continue
		}
		best := math.Inf(1)
		for t := 0.5; t < 4; t *= 1.03 {
			loss := 0.0
			for _, p := range points {
				_, _, one := gradient(p.d/t, p.n/t, p.e, smoothing)
				if p.e.source == int8(model.Review) {
					one *= 2 // there are half as many of them as of tweets
				}
				loss += one
			}
			if loss < best {
				best, out.Temp[k] = loss, t
			}
		}
	}
}
