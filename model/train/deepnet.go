package main

import (
	"math"
	"math/rand/v2"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// The heads in training: those of Run, then those of Feel, and one that only helps
// the layers below to learn (which of 20 emoji stood in a tweet).
const (
	outFeel       = deep.Outputs
	outAll        = outFeel + deep.FeelAll
	outFour       = outFeel + deep.FeelFour
	outEmoji      = outFeel + deep.FeelCount
	emojis        = 20
	outputs       = 80              // padded
	hiddenUnits   = 2 * deep.Hidden // for the polarity, and for emotions
	minProb       = 1e-7
	clipNorm      = 1.0
	deepSmoothing = 0.05
)

// unit is a word as it stands in a text: its id, and whether it was written in
// capitals or stretched.
type unit uint32

func (u unit) word() int   { return int(u >> 2) }
func (u unit) caps() bool  { return u&1 != 0 }
func (u unit) elong() bool { return u&2 != 0 }

// deepConfig is the recipe of one network.
type deepConfig struct {
	seed          uint64
	epochs        int
	teacherEpochs int
	batch         int
	rate          float64
	decay         float64
	dropPooled    float64
	dropHidden    float64
	dropWord      float64
	hintDrop      float64
	softShare     float64 // weight of soft labels beside the hard ones
	madeLast      float32 // factor of the weight of rows that are not natural, in the last epoch
	tableFactor   float64 // rate of the tables against that of the dense layers
}

var deepDefaults = deepConfig{
	seed: 1, epochs: 3, teacherEpochs: 2, batch: 256, rate: 3e-3, decay: 1e-4,
	dropPooled: 0.3, dropHidden: 0.2, dropWord: 0.05, hintDrop: 0.3, softShare: 0.7, madeLast: 0.5, tableFactor: 0.5,
}

// param is a dense parameter with the state of Adam.
type param struct{ v, g, m, s []float32 }

func newParam(n int, rng *rand.Rand, scale float64) *param {
	p := &param{make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)}
	if scale > 0 {
		for i := range p.v {
			p.v[i] = float32(rng.NormFloat64() * scale)
		}
	}
	return p
}

// rowTable is a table of vectors whose rows learn only when they are used.
type rowTable struct {
	v, m, s []float32
	g       []float32
	slot    []int32 // of a row in this step's gradient, or -1
	used    []int32
}

func newRowTable(rows int, rng *rand.Rand, scale float64) *rowTable {
	t := &rowTable{v: make([]float32, rows*deep.Dim), m: make([]float32, rows*deep.Dim), s: make([]float32, rows*deep.Dim),
		slot: make([]int32, rows)}
	for i := range t.v {
		t.v[i] = float32(rng.NormFloat64() * scale)
	}
	for i := range t.slot {
		t.slot[i] = -1
	}
	return t
}

func (t *rowTable) row(i int32) []float32 { return t.v[int(i)*deep.Dim : int(i+1)*deep.Dim] }

// grad is the gradient of a row in this step.
func (t *rowTable) grad(i int32) []float32 {
	k := t.slot[i]
	if k < 0 {
		k = int32(len(t.used))
		t.slot[i] = k
		t.used = append(t.used, i)
		if need := len(t.used) * deep.Dim; need > len(t.g) {
			t.g = append(t.g, make([]float32, need)...)
		}
		clear(t.g[int(k)*deep.Dim : int(k+1)*deep.Dim])
	}
	return t.g[int(k)*deep.Dim : int(k+1)*deep.Dim]
}

// trainNet is a network in training.
type trainNet struct {
	cfg   deepConfig
	vocab *vocabulary
	rng   *rand.Rand

	word, char                     *rowTable
	marks                          *param // caps, elong
	first, firstB, att             *param
	hidden, hiddenB, out, outB, sb *param
	step                           int

	// Of one batch.
	slots   map[unit]int32
	list    []unit
	dropped []bool
	x, p    []float32 // vectors and first-layer rows of the distinct units
	dp, dx  []float32
	xt, wt  []float32
	ids     []int32 // all texts behind one another
	start   []int
	pre, h  []float32
	alpha   []float32
	arg     []int32
	z, mask []float32
	hid     []float32
	hmask   []float32
	logits  []float32
	dz, dh  []float32
}

func newTrainNet(cfg deepConfig, vocab *vocabulary, charRows int, glove func(word int) []float32) *trainNet {
	rng := rand.New(rand.NewPCG(cfg.seed, 77))
	n := &trainNet{cfg: cfg, vocab: vocab, rng: rng, slots: map[unit]int32{}}
	n.word = newRowTable(len(vocab.has), rng, 0.1)
	n.char = newRowTable(charRows, rng, 0.05)
	for i := range vocab.has {
		if v := glove(i); v != nil {
			copy(n.word.row(int32(i)), v)
		}
	}
	n.marks = newParam(2*deep.Dim, rng, 0.1)
	n.first = newParam(deep.Dim*deep.RowLen, rng, 1/math.Sqrt(deep.Dim*deep.Width))
	n.firstB = newParam(deep.Gated, rng, 0)
	n.att = newParam(deep.Channels, rng, 0.05)
	n.hidden = newParam(deep.Pooled*hiddenUnits, rng, math.Sqrt(2.0/deep.Pooled))
	n.hiddenB = newParam(hiddenUnits, rng, 0)
	n.out = newParam(hiddenUnits*outputs, rng, 0.1)
	n.outB = newParam(outputs, rng, 0)
	n.sb = newParam(deep.Sources*outputs, rng, 0)
	n.apart(n.out.v)
	return n
}

// apart keeps the two hidden layers to their own outputs.
func (n *trainNet) apart(out []float32) {
	for i := range hiddenUnits {
		row := out[i*outputs : (i+1)*outputs]
		if i < deep.Hidden {
			clear(row[outFeel:])
		} else {
			clear(row[:outFeel])
		}
	}
}

func (n *trainNet) denseFields() []**param {
	return []**param{&n.marks, &n.first, &n.firstB, &n.att, &n.hidden, &n.hiddenB, &n.out, &n.outB, &n.sb}
}

func (n *trainNet) dense() []*param {
	fields := n.denseFields()
	out := make([]*param, len(fields))
	for i, p := range fields {
		out[i] = *p
	}
	return out
}

func resize(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n, n+n/4)
	}
	return s[:n]
}

func zero(s []float32, n int) []float32 {
	s = resize(s, n)
	clear(s)
	return s
}

// forward computes the logits of the texts. With train it drops words and
// activations.
func (n *trainNet) forward(texts [][]unit, sources []int8, train bool) {
	clear(n.slots)
	n.list, n.ids, n.start = n.list[:0], n.ids[:0], append(n.start[:0], 0)
	for _, t := range texts {
		for _, u := range t {
			k, ok := n.slots[u]
			if !ok {
				k = int32(len(n.list))
				n.slots[u] = k
				n.list = append(n.list, u)
			}
			n.ids = append(n.ids, k)
		}
		n.start = append(n.start, len(n.ids))
	}
	n.embed(train)
	units, tokens := len(n.list), len(n.ids)
	n.p = zero(n.p, units*deep.RowLen)
	vec.MulAdd(n.p, deep.RowLen, n.x, deep.Dim, n.first.v, deep.RowLen, units, deep.Dim, deep.RowLen)

	n.pre, n.h, n.alpha = resize(n.pre, tokens*deep.Gated), resize(n.h, tokens*deep.Channels), resize(n.alpha, tokens)
	n.z = zero(n.z, len(texts)*deep.Pooled)
	if need := len(texts) * deep.Channels; cap(n.arg) < need {
		n.arg = make([]int32, need)
	}
	n.arg = n.arg[:len(texts)*deep.Channels]
	for i := range texts {
		n.pool(i)
	}
	n.mask = n.dropout(n.mask, n.z, n.cfg.dropPooled, train)
	b := len(texts)
	n.hid = resize(n.hid, b*hiddenUnits)
	for i := range b {
		copy(n.hid[i*hiddenUnits:], n.hiddenB.v)
	}
	vec.MulAdd(n.hid, hiddenUnits, n.z, deep.Pooled, n.hidden.v, hiddenUnits, b, deep.Pooled, hiddenUnits)
	for i, v := range n.hid {
		if v < 0 {
			n.hid[i] = 0
		}
	}
	n.hmask = n.dropout(n.hmask, n.hid, n.cfg.dropHidden, train)
	n.logits = resize(n.logits, b*outputs)
	for i := range b {
		row := n.logits[i*outputs : (i+1)*outputs]
		copy(row, n.outB.v)
		if s := sources[i]; s >= 0 {
			vec.Add(row, n.sb.v[int(s)*outputs:int(s+1)*outputs])
		}
	}
	vec.MulAdd(n.logits, outputs, n.hid, hiddenUnits, n.out.v, outputs, b, hiddenUnits, outputs)
}

// dropout sets a share of x to zero and scales the rest up; it returns the
// factors.
func (n *trainNet) dropout(mask, x []float32, share float64, train bool) []float32 {
	mask = resize(mask, len(x))
	if !train {
		return mask
	}
	keep := float32(1 / (1 - share))
	bar := uint32(share * (1 << 16))
	var r uint64
	for i := range mask {
		if i%4 == 0 {
			r = n.rng.Uint64()
		}
		m := keep
		if uint32(r)&0xffff < bar {
			m = 0
		}
		r >>= 16
		mask[i] = m
		x[i] *= m
	}
	return mask
}

// embed fills x, the vectors of the batch's units.
func (n *trainNet) embed(train bool) {
	n.x = zero(n.x, len(n.list)*deep.Dim)
	if cap(n.dropped) < len(n.list) {
		n.dropped = make([]bool, 2*len(n.list))
	}
	n.dropped = n.dropped[:len(n.list)]
	for i, u := range n.list {
		x := n.x[i*deep.Dim : (i+1)*deep.Dim]
		w := u.word()
		n.dropped[i] = !n.vocab.has[w] || (train && n.rng.Float64() < n.cfg.dropWord)
		if !n.dropped[i] {
			vec.Add(x, n.word.row(int32(w)))
		}
		grams := n.vocab.grams[w]
		f := 1 / float32(len(grams))
		for _, g := range grams {
			vec.Axpy(x, f, n.char.row(g))
		}
		if u.caps() {
			vec.Add(x, n.marks.v[:deep.Dim])
		}
		if u.elong() {
			vec.Add(x, n.marks.v[deep.Dim:])
		}
	}
}

// pool runs the convolution over text i and pools it into z.
func (n *trainNet) pool(i int) {
	from, to := n.start[i], n.start[i+1]
	z := n.z[i*deep.Pooled : (i+1)*deep.Pooled]
	mean, top := z[:deep.Channels], z[deep.Channels:]
	arg := n.arg[i*deep.Channels : (i+1)*deep.Channels]
	if from == to {
		return
	}
	row := func(t, k int) []float32 {
		at := int(n.ids[t])*deep.RowLen + k*deep.Gated
		return n.p[at : at+deep.Gated]
	}
	best := float32(-1e30)
	for t := from; t < to; t++ {
		pre := n.pre[t*deep.Gated : (t+1)*deep.Gated]
		copy(pre, n.firstB.v)
		for k := range deep.Width {
			if at := t + k - deep.Width/2; at >= from && at < to {
				vec.Add(pre, row(at, k))
			}
		}
		h := n.h[t*deep.Channels : (t+1)*deep.Channels]
		vec.Gate(h, pre)
		for j, v := range h {
			if t == from || v > top[j] {
				top[j], arg[j] = v, int32(t)
			}
		}
		n.alpha[t] = vec.Dot(n.att.v, h)
		best = max(best, n.alpha[t])
	}
	sum := float32(0)
	for t := from; t < to; t++ {
		n.alpha[t] = vec.Exp(n.alpha[t] - best)
		sum += n.alpha[t]
	}
	for t := from; t < to; t++ {
		n.alpha[t] /= sum
		vec.Axpy(mean, n.alpha[t], n.h[t*deep.Channels:(t+1)*deep.Channels])
	}
}

// transpose gives the columns of a (rows of cols) as rows.
func transpose(dst, a []float32, rows, cols int) []float32 {
	dst = resize(dst, rows*cols)
	for i := range rows {
		for j, v := range a[i*cols : (i+1)*cols] {
			dst[j*rows+i] = v
		}
	}
	return dst
}

// backward takes the gradients of the logits down to all parameters.
func (n *trainNet) backward(dlogits []float32, sources []int8) {
	b := len(sources)
	for i, s := range sources {
		row := dlogits[i*outputs : (i+1)*outputs]
		vec.Add(n.outB.g, row)
		if s >= 0 {
			vec.Add(n.sb.g[int(s)*outputs:int(s+1)*outputs], row)
		}
	}
	n.xt = transpose(n.xt, n.hid, b, hiddenUnits)
	vec.MulAdd(n.out.g, outputs, n.xt, b, dlogits, outputs, hiddenUnits, b, outputs)
	n.apart(n.out.g)
	n.wt = transpose(n.wt, n.out.v, hiddenUnits, outputs)
	n.dh = zero(n.dh, b*hiddenUnits)
	vec.MulAdd(n.dh, hiddenUnits, dlogits, outputs, n.wt, hiddenUnits, b, outputs, hiddenUnits)
	for i := range n.dh {
		if n.hid[i] <= 0 {
			n.dh[i] = 0
		} else {
			n.dh[i] *= n.hmask[i]
		}
	}
	for i := range b {
		vec.Add(n.hiddenB.g, n.dh[i*hiddenUnits:(i+1)*hiddenUnits])
	}
	n.xt = transpose(n.xt, n.z, b, deep.Pooled)
	vec.MulAdd(n.hidden.g, hiddenUnits, n.xt, b, n.dh, hiddenUnits, deep.Pooled, b, hiddenUnits)
	n.wt = transpose(n.wt, n.hidden.v, deep.Pooled, hiddenUnits)
	n.dz = zero(n.dz, b*deep.Pooled)
	vec.MulAdd(n.dz, deep.Pooled, n.dh, hiddenUnits, n.wt, deep.Pooled, b, hiddenUnits, deep.Pooled)
	for i := range n.dz {
		n.dz[i] *= n.mask[i]
	}
	units := len(n.list)
	n.dp = zero(n.dp, units*deep.RowLen)
	for i := range b {
		n.unpool(i)
	}
	n.xt = transpose(n.xt, n.x, units, deep.Dim)
	vec.MulAdd(n.first.g, deep.RowLen, n.xt, units, n.dp, deep.RowLen, deep.Dim, units, deep.RowLen)
	n.wt = transpose(n.wt, n.first.v, deep.Dim, deep.RowLen)
	n.dx = zero(n.dx, units*deep.Dim)
	vec.MulAdd(n.dx, deep.Dim, n.dp, deep.RowLen, n.wt, deep.Dim, units, deep.RowLen, deep.Dim)
	for i, u := range n.list {
		dx := n.dx[i*deep.Dim : (i+1)*deep.Dim]
		w := u.word()
		if !n.dropped[i] {
			vec.Add(n.word.grad(int32(w)), dx)
		}
		grams := n.vocab.grams[w]
		f := 1 / float32(len(grams))
		for _, g := range grams {
			vec.Axpy(n.char.grad(g), f, dx)
		}
		if u.caps() {
			vec.Add(n.marks.g[:deep.Dim], dx)
		}
		if u.elong() {
			vec.Add(n.marks.g[deep.Dim:], dx)
		}
	}
}

// unpool takes the gradient of text i's pools down to the rows of its words.
func (n *trainNet) unpool(i int) {
	from, to := n.start[i], n.start[i+1]
	dz := n.dz[i*deep.Pooled : (i+1)*deep.Pooled]
	dmean, dtop := dz[:deep.Channels], dz[deep.Channels:]
	arg := n.arg[i*deep.Channels : (i+1)*deep.Channels]
	inner := float32(0) // sum of alpha times its gradient
	var da [4096]float32
	for t := from; t < to; t++ {
		da[t-from] = vec.Dot(dmean, n.h[t*deep.Channels:(t+1)*deep.Channels])
		inner += float32(n.alpha[t] * da[t-from])
	}
	var dh [deep.Channels]float32
	var dpre [deep.Gated]float32
	for t := from; t < to; t++ {
		h := n.h[t*deep.Channels : (t+1)*deep.Channels]
		ds := float32(n.alpha[t] * (da[t-from] - inner))
		for j := range dh {
			dh[j] = float32(n.alpha[t]*dmean[j]) + float32(ds*n.att.v[j])
			if int(arg[j]) == t {
				dh[j] += dtop[j]
			}
		}
		vec.Axpy(n.att.g, ds, h)
		pre := n.pre[t*deep.Gated : (t+1)*deep.Gated]
		for j, d := range dh {
			x, y := pre[j], pre[deep.Channels+j]
			ix, iy := 1/(1+abs32(x)), 1/(1+abs32(y))
			dpre[j] = float32(float32(float32(d*0.5)*float32(1+float32(y*iy))) * float32(ix*ix))
			dpre[deep.Channels+j] = float32(float32(float32(d*0.5)*float32(x*ix)) * float32(iy*iy))
		}
		vec.Add(n.firstB.g, dpre[:])
		row := func(t, k int) []float32 {
			at := int(n.ids[t])*deep.RowLen + k*deep.Gated
			return n.dp[at : at+deep.Gated]
		}
		for k := range deep.Width {
			if at := t + k - deep.Width/2; at >= from && at < to {
				vec.Add(row(at, k), dpre[:])
			}
		}
	}
}

func abs32(x float32) float32 {
	if x < 0 {
		return -x
	}
	return x
}

// loss fills the gradients of the logits, of items that are a part of a batch of
// so many, and returns the sum of the losses of the sentiment head.
func (n *trainNet) loss(items []*item, batch int, made float32, dlogits []float32) float64 {
	clear(dlogits)
	scale := 1 / float32(batch)
	total := 0.0
	for i, it := range items {
		l := n.logits[i*outputs : (i+1)*outputs]
		d := dlogits[i*outputs : (i+1)*outputs]
		w := it.weight * scale
		if it.made {
			w *= made
		}
		hard := w
		if it.soft != nil {
			share := float32(n.cfg.softShare)
			if it.class == noLabel {
				share = 1
			}
			hard = w * (1 - share)
			softmaxLoss(l[:3], d[:3], it.soft[:], w*share)
		}
		if it.class != noLabel {
			if it.binary {
				total += float64(it.weight) * pairLoss(l, d, it.class, hard)
			} else {
				total += float64(it.weight) * classLoss(l[:3], d[:3], int(it.class), hard)
			}
		}
		if it.stars != noLabel {
			classLoss(l[deep.OutStars:deep.OutStars+5], d[deep.OutStars:], int(it.stars), 0.5*w)
		}
		if it.four != noLabel {
			classLoss(l[outFour:outFour+4], d[outFour:], int(it.four), 2*scale)
		}
		if it.emoji != noLabel {
			classLoss(l[outEmoji:outEmoji+emojis], d[outEmoji:], int(it.emoji), 0.3*scale)
		}
		if it.hasAll {
			for k := range 28 {
				binaryLoss(l, d, outAll+k, it.many>>k&1 == 1, 0.45*scale)
			}
		}
		if it.mixed != noLabel {
			binaryLoss(l, d, deep.OutMixed, it.mixed == 1, 0.2*w)
		}
	}
	return total
}

func binaryLoss(l, d []float32, at int, yes bool, w float32) {
	x := l[at]
	e := vec.Exp(-abs32(x))
	p := 1 / (1 + e)
	if x < 0 {
		p = 1 - p
	}
	if yes {
		p--
	}
	d[at] += p * w
}

// pairLoss chooses between negative and positive only.
func pairLoss(l, d []float32, class int8, w float32) float64 {
	two := [2]float32{l[0], l[2]}
	var dd [2]float32
	loss := classLoss(two[:], dd[:], int(class)/2, w)
	d[0] += dd[0]
	d[2] += dd[1]
	return loss
}

// classLoss is the cross-entropy with label smoothing.
func classLoss(l, d []float32, class int, w float32) float64 {
	var y [32]float32
	for i := range l {
		y[i] = deepSmoothing / float32(len(l))
	}
	y[class] += 1 - deepSmoothing
	return softmaxLoss(l, d, y[:len(l)], w)
}

func softmaxLoss(l, d, y []float32, w float32) float64 {
	top := l[0]
	for _, v := range l {
		top = max(top, v)
	}
	var p [32]float32
	sum := float32(0)
	for i, v := range l {
		p[i] = vec.Exp(v - top)
		sum += p[i]
	}
	loss := 0.0
	for i := range l {
		q := p[i] / sum
		d[i] += float32((q - y[i]) * w)
		loss -= float64(y[i]) * math.Log(float64(max(q, minProb)))
	}
	return loss
}

// update is one step of AdamW (Loshchilov and Hutter, 2019); the tables' rows
// that were not used keep their state.
func (n *trainNet) update(rate float64) {
	n.step++
	norm := 0.0
	for _, p := range n.dense() {
		for _, g := range p.g {
			norm += float64(float64(g) * float64(g))
		}
	}
	for _, t := range []*rowTable{n.word, n.char} {
		for _, g := range t.g[:len(t.used)*deep.Dim] {
			norm += float64(float64(g) * float64(g))
		}
	}
	scale := float32(1)
	if norm = math.Sqrt(norm); norm > clipNorm {
		scale = float32(clipNorm / norm)
	}
	const b1, b2 = 0.9, 0.999
	c1 := 1 - math.Pow(b1, float64(n.step))
	c2 := 1 - math.Pow(b2, float64(n.step))
	lr := float32(rate * math.Sqrt(c2) / c1)
	for _, p := range n.dense() {
		adam(p.v, p.g, p.m, p.s, scale, lr, float32(rate*n.cfg.decay))
		clear(p.g)
	}
	lr = float32(rate * n.cfg.tableFactor)
	for _, t := range []*rowTable{n.word, n.char} {
		for k, i := range t.used {
			at := int(i) * deep.Dim
			end := at + deep.Dim
			adam(t.v[at:end], t.g[k*deep.Dim:(k+1)*deep.Dim], t.m[at:end], t.s[at:end], scale, lr, 0)
			t.slot[i] = -1
		}
		t.used = t.used[:0]
	}
}

func adam(v, g, m, s []float32, scale, lr, decay float32) {
	const b1, b2, eps = 0.9, 0.999, 1e-8
	g, m, s = g[:len(v)], m[:len(v)], s[:len(v)]
	for i, x := range g {
		x *= scale
		m[i] = float32(b1*m[i]) + float32((1-b1)*x)
		s[i] = float32(b2*s[i]) + float32((1-b2)*float32(x*x))
		v[i] -= float32(lr*m[i])/(float32(math.Sqrt(float64(s[i])))+eps) + float32(decay*v[i])
	}
}
