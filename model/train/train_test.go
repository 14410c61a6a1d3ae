package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

func ignore(string, ...any) {}

// miniature is a corpus of made-up rows, enough to learn a word from.
func miniature() *corpus {
	c := &corpus{}
	for i := range 600 {
		it := plain
		it.source, it.stars, it.mixed, it.hasAll = int8(i%3), 4, 0, true
		text, class := "a wonderful day", model.Positive
		switch i % 3 {
		case 1:
			text, class, it.stars, it.many = "an awful day", model.Negative, 0, 1<<2
		case 2:
			text, class, it.stars, it.mixed = "the day was monday", model.Neutral, 2, 1
		}
		it.text, it.class = text, int8(class)
		if i%50 == 0 {
			it.long, it.four, it.emoji = true, int8(i%4), int8(i%20)
		}
		c.english = append(c.english, it)
		it.lang = []string{"de", "id"}[i%2]
		c.others = append(c.others, it)
		c.languages = append(c.languages, labelled{text, "en"}, labelled{text, it.lang})
	}
	return c
}

func trainMiniature(t *testing.T) []byte {
	t.Helper()
	cfg := config{bits: 12, trainBits: 16, epochs: 3, rate: 0.2, start: 1e-2, decay: 1e-4, minWord: 2, minChar: 2, char: 1, seed: 1}
	c := miniature()
	all, err := udhrRows()
	require.NoError(t, err)
	var paragraphs []dataset.Row // some of each language are enough
	for i := 0; i < len(all); i += 8 {
		paragraphs = append(paragraphs, all[i])
	}
	m := &modelfile.Model{Version: "mini"}
	m.Language = trainLanguage(c, paragraphs, ignore)
	m.English = trainLinear("english", withClass(c.english), nil, cfg, ignore)
	m.Others = trainLinear("others", c.others, c.others, cfg, ignore)
	m.Feelings = trainFeelings(c.english, feelingConfig{bits: 8, epochs: 2, rate: 0.2, start: 1e-2, seed: 1}, ignore)
	v := newVocabulary()
	for i := range c.english {
		c.english[i].units = v.units(c.english[i].text)
	}
	v.settle(map[string][]float32{}, nil)
	n := newTrainNet(deepConfig{seed: 1, epochs: 3, batch: 32, rate: 3e-3, decay: 1e-4, dropPooled: 0.1, tableFactor: 0.5},
		v, 1<<charBits, func(int) []float32 { return nil })
	n.fit(c.english, ignore)
	m.Deep = n.pack(v)
	m.Letters = model.LetterSums(&m.English, v.known())
	require.NoError(t, calibrate(m, c.english, ignore))
	raw, err := modelfile.Encode(m)
	require.NoError(t, err)
	return raw
}

func TestTrainingIsRepeatable(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a miniature twice: some ten seconds")
	}
	a := trainMiniature(t)
	require.Equal(t, a, trainMiniature(t), "two runs gave different bytes")
	s, err := model.Load(a)
	require.NoError(t, err)
	good := s.Analyze(model.Input{Text: "wonderful", Language: "en"}, model.Emotions)
	bad := s.Analyze(model.Input{Text: "awful", Language: "en"}, model.Emotions)
	require.Equal(t, model.Positive, good.Label)
	require.Equal(t, model.Negative, bad.Label)
	require.Greater(t, good.Stars[4], bad.Stars[4])
	require.Greater(t, bad.Emotions[2], good.Emotions[2], "anger")
}

// A soft label must not depend on the label of its own text: the teacher has not
// seen it.
func TestTeachersHaveNotSeenWhatTheyLabel(t *testing.T) {
	cfg := deepConfig{seed: 1, epochs: 1, teacherEpochs: 1, batch: 16, rate: 3e-3, tableFactor: 0.5}
	labels := func(flip int) (soft []*[3]float32, items []item) {
		v := newVocabulary()
		for i := range 60 {
			it := plain
			it.text = "text number " + string(rune('a'+i%26)) + string(rune('a'+i/26))
			it.class = int8(i % 3)
			switch i {
			case flip:
				it.class = int8((i + 1) % 3)
			case 57:
				it.made = true
			case 58:
				it.four, it.binary = 1, true
			case 59:
				it.class, it.deep, it.emoji = noLabel, true, 3
			}
			it.units = v.units(it.text)
			items = append(items, it)
		}
		v.settle(map[string][]float32{}, nil)
		teach(items, cfg, v, func(int) []float32 { return nil }, ignore)
		for i := range items {
			soft = append(soft, items[i].soft)
		}
		return soft, items
	}
	as, items := labels(-1)
	flipped, _ := labels(7)
	require.Equal(t, as[7], flipped[7])
	require.NotEqual(t, as, flipped, "the other half is labelled otherwise")
	require.Nil(t, as[57], "made up")
	require.Nil(t, as[58], "of one of four emotions")
	require.NotNil(t, as[59])
	require.InDelta(t, teachWeight, items[59].weight, 1e-6)
	require.InDelta(t, 1, as[7][0]+as[7][1]+as[7][2], 1e-5)
}

// What is calibrated on must not be known from a phrase of it.
func TestSplit(t *testing.T) {
	var all []item
	for i := range 400 {
		it := plain
		it.text, it.phrase = string(rune('a'+i%26))+" "+string(rune('a'+i/26)), i%2 == 0
		it.held = i%20 == 0
		all = append(all, it)
	}
	fit, calibration := split(all)
	require.Len(t, append(fit, calibration...), len(all))
	natural := 0
	for _, it := range calibration {
		require.Equal(t, it.phrase, it.held, "a phrase is calibrated on if it is held, another text by its hash")
		if !it.phrase {
			natural++
		}
	}
	require.Positive(t, natural)
	require.Equal(t, 20, len(calibration)-natural)
}

// A sentence to calibrate on takes along its phrases of two words or more.
func TestHeldPhrases(t *testing.T) {
	held, free := "", ""
	for i := 0; held == "" || free == ""; i++ {
		text := fmt.Sprintf("film number %d was good", i)
		if toCalibrate(text) {
			held = text
		} else {
			free = text
		}
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "sst5_train_phrases.tsv.gz"))
	require.NoError(t, err)
	z := gzip.NewWriter(f)
	_, err = fmt.Fprintf(z, "label\tkind\ttext\n4\tsentence\t%s\n4\tsentence\t%s\n4\tphrase\twas good\n", held, free)
	require.NoError(t, errors.Join(err, z.Close(), f.Close()))
	got, err := (&loader{dir: dir, reduce: 1, guard: &dataset.Guard{}, c: &corpus{}}).heldPhrases()
	require.NoError(t, err)
	require.Len(t, got, 10, "the runs of two to five words")
	require.True(t, got[held] && got["was good"] && got["film number"])
	require.False(t, got[free] || got["good"])
}

// Rows that are made up pull less when they are told to; others do not.
func TestMadeRowsCountLess(t *testing.T) {
	v := newVocabulary()
	units := v.units("good")
	v.settle(map[string][]float32{}, nil)
	n := newTrainNet(deepConfig{seed: 1}, v, 1<<charBits, func(int) []float32 { return nil })
	n.forward([][]unit{units, units}, []int8{-1, -1}, false)
	natural, made := plain, plain
	natural.class, made.class, made.made = 2, 2, true
	d := make([]float32, 2*outputs)
	n.loss([]*item{&natural, &made}, 2, 0.5, d)
	for k := range 3 {
		require.NotZero(t, d[k])
		require.InDelta(t, d[k]/2, d[outputs+k], 1e-7)
	}
}

// The gradient must be the slope of the loss.
func TestGradient(t *testing.T) {
	const h = 1e-6
	for _, binary := range []bool{false, true} {
		for class := range int8(3) {
			if binary && class == int8(model.Neutral) {
				continue
			}
			e := &item{class: class, binary: binary}
			for _, at := range [][2]float64{{0, 0}, {2, -1}, {-3, 0.5}} {
				gd, gn, _ := gradient(at[0], at[1], e, smoothing)
				_, _, d0 := gradient(at[0]-h, at[1], e, smoothing)
				_, _, d1 := gradient(at[0]+h, at[1], e, smoothing)
				_, _, n0 := gradient(at[0], at[1]-h, e, smoothing)
				_, _, n1 := gradient(at[0], at[1]+h, e, smoothing)
				require.InDelta(t, (d1-d0)/(2*h), gd, 1e-6)
				require.InDelta(t, (n1-n0)/(2*h), gn, 1e-6)
			}
		}
	}
}

// So must those of the network, in every kind of parameter.
func TestNetworkGradient(t *testing.T) {
	v := newVocabulary()
	texts := [][]unit{v.units("not a GOOD day, sooooo bad"), v.units("the day"), v.units("bad good")}
	for range minCount {
		v.units("good day bad the")
	}
	v.settle(map[string][]float32{}, nil)
	n := newTrainNet(deepConfig{seed: 3}, v, 1<<charBits, func(int) []float32 { return nil })
	for i := range n.hiddenB.v { // far from where a unit turns on or off
		n.hiddenB.v[i] = 4
		if i%4 == 0 {
			n.hiddenB.v[i] = -4
		}
	}
	sources := []int8{-1, 0, 2}
	rng := rand.New(rand.NewPCG(1, 2))
	weights := make([]float32, len(texts)*outputs)
	for i := range weights {
		weights[i] = float32(rng.NormFloat64())
	}
	value := func() float64 { // any linear function of the logits will do
		n.forward(texts, sources, false)
		sum := 0.0
		for i, w := range weights {
			sum += float64(w) * float64(n.logits[i])
		}
		return sum
	}
	value()
	for i := range n.mask {
		n.mask[i] = 1
	}
	for i := range n.hmask {
		n.hmask[i] = 1
	}
	n.backward(weights, sources)
	check := func(name string, p *float32, grad float32) {
		const h = 2e-3
		was := *p
		*p = was - h
		low := value()
		*p = was + h
		high := value()
		*p = was
		slope := (high - low) / (2 * h)
		require.InDelta(t, slope, float64(grad), 0.02*math.Abs(slope)+0.01, name)
	}
	for k, p := range n.dense() {
		grads := append([]float32(nil), p.g...)
		for range 12 {
			i := rng.IntN(len(p.v))
			if p == n.out && (i/outputs < deep.Hidden) != (i%outputs < outFeel) {
				continue // not connected
			}
			check([]string{"marks", "first", "first bias", "attention", "hidden", "hidden bias", "out", "out bias", "source bias"}[k],
				&p.v[i], grads[i])
		}
	}
	for _, table := range []*rowTable{n.word, n.char} {
		grads := append([]float32(nil), table.g...)
		for k, row := range append([]int32(nil), table.used...) {
			j := rng.IntN(deep.Dim)
			check("table", &table.v[int(row)*deep.Dim+j], grads[k*deep.Dim+j])
		}
	}
}

func TestFitLogistic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x [][3]float64
	var y []bool
	for range 20000 {
		row := [3]float64{rng.NormFloat64(), rng.NormFloat64(), 1}
		x = append(x, row)
		y = append(y, rng.Float64() < sigmoid(2*row[0]-row[1]+0.5))
	}
	w := fitLogistic(x, y, [3]float64{}, [3]float64{1, 1, 1})
	require.InDelta(t, 2, w[0], 0.15)
	require.InDelta(t, -1, w[1], 0.15)
	require.InDelta(t, 0.5, w[2], 0.1)
}

func TestBestBar(t *testing.T) {
	// Claiming the first two expects 1.7 of 2.0 true ones among 2 claims.
	require.InDelta(t, 0.8, bestBar([]float64{0.1, 0.9, 0.1, 0.8, 0.1}), 1e-12)
	require.InDelta(t, 0.3, bestBar([]float64{0.3, 0.3, 0.3}), 1e-12, "a rare one is claimed below one half")
}

func TestQuantise(t *testing.T) {
	require.EqualValues(t, 127, quantise(9, 1))
	require.EqualValues(t, -127, quantise(-9, 1))
	require.EqualValues(t, 64, quantise(0.5, 1))
	require.EqualValues(t, 0, quantise(0.001, 1))
}
