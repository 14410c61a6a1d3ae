package main

import (
	"math"
	"math/rand/v2"

	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

// feelingConfig is the recipe of the table of emotions.
type feelingConfig struct {
	bits   uint8
	epochs int
	rate   float64
	start  float64 // AdaGrad's first sum of squares
	decay  float64
	seed   uint64
}

var feelingDefaults = feelingConfig{bits: 16, epochs: 4, rate: 0.25, start: 1e-2, decay: 2e-5, seed: 3}

// trainFeelings trains one logistic regression per emotion on the words and pairs
// of words of the texts that have emotions.
func trainFeelings(fit []item, cfg feelingConfig, say func(string, ...any)) modelfile.Table {
	const k = modelfile.Emotions
	w, g := make([]float32, k<<cfg.bits), make([]float32, k<<cfg.bits)
	var bias [k]float64
	var rows []int
	for i := range fit {
		if fit[i].hasAll {
			rows = append(rows, i)
		}
	}
	shift := 64 - uint(cfg.bits)
	rng := rand.New(rand.NewPCG(cfg.seed, 20240601))
	var block feature.Block
	var set feature.Set
	var at []int
	done, total := 0.0, float64(len(rows)*cfg.epochs)
	for epoch := range cfg.epochs {
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		loss := 0.0
		for _, r := range rows {
			it := &fit[r]
			rate := cfg.rate * (1 - done/total)
			done++
			var st feature.State
			at = at[:0]
			for pos := 0; pos < len(it.text); {
				pos = block.Fill(it.text, pos)
				set.Extract(&block, &st)
				for _, h := range set.Words {
					at = append(at, int(h>>shift)*k)
				}
			}
			if st.Tokens == 0 {
				continue
			}
			norm := 1 / math.Sqrt(float64(st.Tokens))
			var sum [k]float32
			for _, a := range at {
				for e, v := range w[a : a+k] {
					sum[e] += v
				}
			}
			var grad [k]float32
			for e := range k {
				p := sigmoid(float64(sum[e])*norm + bias[e])
				y := float64(it.many >> e & 1)
				loss -= y*math.Log(p+1e-12) + (1-y)*math.Log(1-p+1e-12)
				bias[e] -= 0.1 * rate * (p - y)
				grad[e] = float32((p - y) * norm)
			}
			keep := float32(1 - rate*cfg.decay)
			for _, a := range at {
				row, sq := w[a:a+k], g[a:a+k]
				for e, d := range grad {
					if d < 1e-3 && d > -1e-3 {
						continue
					}
					sq[e] += d * d
					row[e] = row[e]*keep - float32(rate)*d/float32(math.Sqrt(float64(sq[e])+cfg.start))
				}
			}
		}
		say("emotions of words: epoch %d, loss %.4f", epoch+1, loss/float64(len(rows)))
	}
	out := modelfile.Table{Bits: cfg.bits}
	out.Rows, out.Scale = quantiseAll(w)
	return out
}
