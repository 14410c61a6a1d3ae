package main

import (
	"math/rand/v2"
	"sync"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// windowTokens is how many tokens a network sees at once, as in scoring.
const windowTokens = feature.BlockTokens - 1

// halves is how many goroutines share a batch. Each has gradients and random
// numbers of its own, and they are added in a fixed order: the result does not
// depend on who is done first.
const halves = 2

// twin shares n's parameters but not its gradients.
func (n *trainNet) twin(k uint64) *trainNet {
	t := &trainNet{cfg: n.cfg, vocab: n.vocab, rng: rand.New(rand.NewPCG(n.cfg.seed, 78+k)), slots: map[unit]int32{}}
	t.word, t.char = n.word.twin(), n.char.twin()
	from := n.dense()
	for i, p := range t.denseFields() {
		*p = &param{v: from[i].v, g: make([]float32, len(from[i].g))}
	}
	return t
}

func (t *rowTable) twin() *rowTable {
	slot := make([]int32, len(t.slot))
	for i := range slot {
		slot[i] = -1
	}
	return &rowTable{v: t.v, slot: slot}
}

// take adds the gradients of a twin to n's and clears them.
func (n *trainNet) take(t *trainNet) {
	from := t.dense()
	for i, p := range n.dense() {
		vec.Add(p.g, from[i].g)
		clear(from[i].g)
	}
	for i, table := range []*rowTable{n.word, n.char} {
		other := []*rowTable{t.word, t.char}[i]
		for k, row := range other.used {
			vec.Add(table.grad(row), other.g[k*deep.Dim:(k+1)*deep.Dim])
			other.slot[row] = -1
		}
		other.used = other.used[:0]
	}
}

// share is a goroutine's part of a batch.
type share struct {
	net     *trainNet
	texts   [][]unit
	sources []int8
	items   []*item
	dlogits []float32
	loss    float64
}

func (s *share) run(batch int, made float32) {
	if len(s.items) == 0 {
		s.loss = 0
		return
	}
	s.net.forward(s.texts, s.sources, true)
	if need := len(s.items) * outputs; cap(s.dlogits) < need {
		s.dlogits = make([]float32, need)
	}
	d := s.dlogits[:len(s.items)*outputs]
	s.loss = s.net.loss(s.items, batch, made, d)
	s.net.backward(d, s.sources)
}

// fit trains n on the items.
func (n *trainNet) fit(items []item, say func(string, ...any)) {
	cfg := n.cfg
	rng := rand.New(rand.NewPCG(cfg.seed, 4711))
	// A long text is seen by one window per epoch and 150 tokens.
	var order []int32
	for i := range items {
		k := 1
		if items[i].long {
			k = min(3, 1+len(items[i].units)/150)
		}
		for range k {
			order = append(order, int32(i))
		}
	}
	shares := [halves]share{{net: n}, {net: n.twin(1)}}
	steps := (len(order) + cfg.batch - 1) / cfg.batch * cfg.epochs
	step := 0
	for epoch := range cfg.epochs {
		made := float32(1)
		if epoch == cfg.epochs-1 {
			made = cfg.madeLast
		}
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss := 0.0
		for at := 0; at < len(order); at += cfg.batch {
			for k := range shares {
				s := &shares[k]
				s.texts, s.sources, s.items = s.texts[:0], s.sources[:0], s.items[:0]
			}
			batch := order[at:min(at+cfg.batch, len(order))]
			for i, k := range batch {
				it := &items[k]
				u := it.units
				if len(u) > windowTokens {
					from := rng.IntN(len(u) - windowTokens + 1)
					u = u[from : from+windowTokens]
				}
				source := it.source
				if rng.Float64() < cfg.hintDrop {
					source = -1
				}
				if len(u) > 0 {
					s := &shares[i%halves]
					s.texts, s.sources, s.items = append(s.texts, u), append(s.sources, source), append(s.items, it)
				}
			}
			var wg sync.WaitGroup
			for k := range shares {
				wg.Go(func() { shares[k].run(len(batch), made) })
			}
			wg.Wait()
			for k := range shares {
				loss += shares[k].loss
				if k > 0 {
					n.take(shares[k].net)
				}
			}
			// A few steps to warm up, then a straight line to zero.
			rate := cfg.rate * (1 - float64(step)/float64(steps))
			if step < 200 {
				rate *= float64(step+1) / 200
			}
			n.update(rate)
			step++
		}
		say("network %d: epoch %d of %d, loss %.4f", cfg.seed, epoch+1, cfg.epochs, loss/float64(len(order)))
	}
}
