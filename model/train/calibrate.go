package main

import (
	"math"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

// calibrate fits one temperature per class of length on rows that were kept
// out of training. Half of the weight is on rows without their source's hint.
func (l *learner) calibrate(out *modelfile.Linear, rows []example) {
	type point struct {
		d, n float64
		e    *example
	}
	var classes [modelfile.Temperatures][]point
	for i := range rows {
		e := &rows[i]
		if e.weight < 0.5 {
			continue
		}
		texts := []string{e.text}
		for _, t := range texts {
			l.extract(t)
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
	}
	for k, points := range classes {
		out.Temp[k] = 1
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
				_, _, one := gradient(p.d/t, p.n/t, p.e)
				loss += one
			}
			if loss < best {
				best, out.Temp[k] = loss, t
			}
		}
	}
}
