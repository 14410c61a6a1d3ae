package targets

import (
	"math"
	"math/rand/v2"

	"github.com/synapse-analytics/synapse/model/internal/target"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// headConfig is the recipe of the head.
type headConfig struct {
	seeds, epochs, batch   int // seeds is how many networks are put side by side
	rate, decay, smoothing float64
	dropInput, dropHidden  float64
	hintDrop, domainDrop   float64
}

var headDefaults = headConfig{
	seeds: 3, epochs: 55, batch: 32, rate: 1.5e-3, decay: 2e-2, smoothing: 0.05,
	dropInput: 0.2, dropHidden: 0.3, hintDrop: 0.1, domainDrop: 0.4,
}

const units = target.HeadUnits / 3

// param is a parameter with the state of Adam.
type param struct{ v, g, m, s []float32 }

func newParam(n int, rng *rand.Rand, scale float64) *param {
	p := &param{make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)}
	for i := range p.v {
		p.v[i] = float32(rng.NormFloat64() * scale)
	}
	return p
}

// step is one of AdamW (Loshchilov and Hutter, 2019).
func (p *param) step(rate, decay, fix float64) {
	const b1, b2, eps = 0.9, 0.999, 1e-8
	lr, wd := float32(rate*fix), float32(rate*decay)
	for i, g := range p.g {
		p.m[i] = float32(b1*p.m[i]) + float32((1-b1)*g)
		p.s[i] = float32(b2*p.s[i]) + float32((1-b2)*float32(g*g))
		p.v[i] -= float32(lr*p.m[i])/(float32(math.Sqrt(float64(p.s[i])))+eps) + float32(wd*p.v[i])
		p.g[i] = 0
	}
}

// trainHead trains the small networks on the rows that are not held.
func trainHead(w *target.Weights, rows []row, cfg headConfig, say func(string, ...any)) {
	w.Head.Hidden = make([]float32, target.Inputs*target.HeadUnits)
	for seed := range cfg.seeds {
		hidden, hiddenBias, out, outBias := trainOne(rows, cfg, uint64(seed), say)
		for i := range target.Inputs {
			copy(w.Head.Hidden[i*target.HeadUnits+seed*units:][:units], hidden.v[i*units:])
		}
		copy(w.Head.HiddenBias[seed*units:][:units], hiddenBias.v)
		for c := range w.Head.Out {
			for i := range units {
				w.Head.Out[c][seed*units+i] = out.v[i*target.Classes+c] / float32(cfg.seeds)
			}
			w.Head.OutBias[c] += outBias.v[c] / float32(cfg.seeds)
		}
	}
}

func trainOne(rows []row, cfg headConfig, seed uint64, say func(string, ...any)) (hidden, hiddenBias, out, outBias *param) {
	const in, k = target.Inputs, target.Classes
	rng := rand.New(rand.NewPCG(seed, 41))
	hidden, hiddenBias = newParam(in*units, rng, math.Sqrt(1.0/in)), newParam(units, rng, 0)
	out, outBias = newParam(units*k, rng, 0.1), newParam(k, rng, 0)
	var order []int
	for i := range rows {
		if !rows[i].held {
			order = append(order, i)
		}
	}
	x, xt := make([]float32, cfg.batch*in), make([]float32, in*cfg.batch)
	h, dh := make([]float32, cfg.batch*units), make([]float32, cfg.batch*units)
	mask := make([]float32, cfg.batch*units)
	steps, done := float64((len(order)+cfg.batch-1)/cfg.batch*cfg.epochs), 0.0
	for epoch := range cfg.epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss := 0.0
		for at := 0; at < len(order); at += cfg.batch {
			batch := order[at:min(at+cfg.batch, len(order))]
			n := len(batch)
			for b, i := range batch {
				r := x[b*in : (b+1)*in]
				copy(r, rows[i].inputs[:])
				if rng.Float64() < cfg.hintDrop {
					target.Forget(r)
				}
				if rng.Float64() < cfg.domainDrop {
					target.Stray(r)
				}
				drop(rng, r, nil, cfg.dropInput)
				copy(h[b*units:(b+1)*units], hiddenBias.v)
			}
			vec.MulAdd(h, units, x, in, hidden.v, units, n, in, units)
			for i, v := range h[:n*units] {
				h[i] = max(v, 0)
			}
			drop(rng, h[:n*units], mask, cfg.dropHidden)
			clear(dh)
			for b, i := range batch {
				hb := h[b*units : (b+1)*units]
				var logit [k]float64
				for c := range logit {
					logit[c] = float64(outBias.v[c])
				}
				for j, v := range hb {
					for c := range logit {
						logit[c] += float64(v * out.v[j*k+c])
					}
				}
				p := softmax(logit)
				for c := range p {
					y := cfg.smoothing / k
					if c == rows[i].class {
						y += 1 - cfg.smoothing
					}
					loss -= y * math.Log(p[c]+1e-12)
					d := float32((p[c] - y) * float64(rows[i].weight) / float64(n))
					outBias.g[c] += d
					for j, v := range hb {
						out.g[j*k+c] += d * v
						dh[b*units+j] += d * out.v[j*k+c]
					}
				}
			}
			for i := range dh[:n*units] {
				if h[i] <= 0 {
					dh[i] = 0
				} else {
					dh[i] *= mask[i]
				}
			}
			for b := range n {
				vec.Add(hiddenBias.g, dh[b*units:(b+1)*units])
				for i, v := range x[b*in : (b+1)*in] {
					xt[i*n+b] = v
				}
			}
			vec.MulAdd(hidden.g, units, xt, n, dh, units, in, n, units)
			done++
			rate := cfg.rate * (1 - (done-1)/steps)
			fix := math.Sqrt(1-math.Pow(0.999, done)) / (1 - math.Pow(0.9, done))
			for _, p := range []*param{hidden, hiddenBias, out, outBias} {
				p.step(rate, cfg.decay, fix)
			}
		}
		if epoch+1 == cfg.epochs {
			say("targets: network %d, loss %.4f", seed+1, loss/float64(len(order)))
		}
	}
	return hidden, hiddenBias, out, outBias
}

// drop sets a share of x to zero and scales the rest up; mask gets the factors.
func drop(rng *rand.Rand, x, mask []float32, share float64) {
	keep, bar := float32(1/(1-share)), uint64(share*(1<<16))
	var r uint64
	for i := range x {
		if i%4 == 0 {
			r = rng.Uint64()
		}
		m := keep
		if r&0xffff < bar {
			m = 0
		}
		r >>= 16
		x[i] *= m
		if mask != nil {
			mask[i] = m
		}
	}
}
