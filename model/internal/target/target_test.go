package target

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
)

func TestMention(t *testing.T) {
	for _, c := range []struct{ text, name, want string }{
		{"The battery died", "battery", "battery"},
		{"BATTERY life", "battery life", "BATTERY life"},
		{"the batteries", "battery", "-"},
		{"two screens broke", "screen", "screens"},
		{"screenshots are fine", "screen", "-"},
		{"a touchscreen and a screen", "screen", "screen"},
		{"Élan vital: L'ÉLAN", "élan", "Élan"},
		{"e\u0301lan", "e", "-"},
		{"C++ is fast", "c++", "C++"},
		{"I like node.js a lot", "node.js", "node.js"},
		{"我喜欢电池。", "电池", "-"}, // no word of its own: Han is not split
		{"ok 👩‍💻 good", "👩‍💻", "👩‍💻"},
		{"a \xff b", "\xff", "\xff"},
		{"a \xfe b", "\xff", "-"},
		{"anything", "", "-"},
		{"", "x", "-"},
		{"x", "xx", "-"},
	} {
		span, ok := Mention(c.text, c.name)
		got := "-"
		if ok {
			got = c.text[span[0]:span[1]]
		}
		require.Equal(t, c.want, got, "%q in %q", c.name, c.text)
	}
}

func spanOf(text, part string) [2]int {
	i := strings.Index(text, part)
	return [2]int{i, i + len(part)}
}

func TestSurroundings(t *testing.T) {
	const text = "I was late, and the food was great but the service was so slow; the bill however was fair."
	for _, c := range []struct{ target, clause, near string }{
		{"food", "I was late, and the food was great", "was late, and the food was great but the service"},
		{"service", "the service was so slow", "food was great but the service was so slow; the"},
		{"bill", "the bill", "was so slow; the bill however was fair."},
	} {
		clause, near := Surroundings(text, spanOf(text, c.target))
		require.Equal(t, c.clause, text[clause[0]:clause[1]])
		require.Equal(t, c.near, text[near[0]:near[1]])
	}
	clause, near := Surroundings("good", [2]int{7, 9})
	require.Equal(t, [2]int{0, 4}, clause, "out of the text")
	require.Equal(t, [2]int{0, 4}, near)
}

// random weights: some features are heard of, most not.
func random(seed uint64) *Weights {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &Weights{TermBias: 0.5}
	for _, p := range w.numbers() {
		*p = rng.NormFloat64()
	}
	w.Head.Hidden = make([]float32, Inputs*HeadUnits)
	for _, s := range w.Head.floats() {
		for i := range s {
			s[i] = float32(rng.NormFloat64() * 0.1)
		}
	}
	for _, t := range []*Table{&w.Opinions, &w.Terms} {
		t.Bits, t.Scale, t.Entries = 8, 0.02, make([]uint32, 256)
		for i := range t.Entries {
			t.Entries[i] = rng.Uint32() &^ 0xf0 // half of a tag, to be hit at times
		}
	}
	return w
}

func TestRoundTrip(t *testing.T) {
	w := random(1)
	raw := w.Append(nil)
	got, err := Read(raw)
	require.NoError(t, err)
	require.Equal(t, w, got)
	for _, n := range []int{0, 1, 2, 100, len(raw) - 1} {
		_, err := Read(raw[:n])
		require.ErrorIs(t, err, ErrFormat)
	}
	_, err = Read(append(raw, 0))
	require.ErrorIs(t, err, ErrFormat)
	w.Hints[1][1][1] = math.NaN()
	_, err = Read(w.Append(nil))
	require.ErrorIs(t, err, ErrFormat)
	w = random(1)
	w.Head.Hidden[5] = float32(math.Inf(1))
	_, err = Read(w.Append(nil))
	require.ErrorIs(t, err, ErrFormat)
}

// network is one that knows a word.
func network() *deep.Net {
	rng := rand.New(rand.NewPCG(3, 1))
	w := &deep.Weights{
		Keys: []uint32{deep.Key(hashOf("food"))}, Scales: []float32{0.01}, Vectors: make([]int8, deep.Dim), CharBits: 2, CharScale: 0.01,
		Chars: make([]int8, deep.Dim<<2), First: make([]float32, deep.Dim*deep.RowLen), Hidden: make([]float32, deep.Pooled*deep.Hidden),
		Out: make([]float32, deep.Hidden*deep.Outputs), Feel: make([]float32, deep.Pooled*deep.Hidden), FeelOut: make([]float32, deep.Hidden*deep.FeelCount),
	}
	for _, s := range [][]int8{w.Vectors, w.Chars} {
		for i := range s {
			s[i] = int8(rng.IntN(255) - 127)
		}
	}
	for i := range w.First {
		w.First[i] = float32(rng.NormFloat64() * 0.1)
	}
	w.FitUnits()
	return deep.New(w)
}

// An entry answers to its own tag alone.
func TestTable(t *testing.T) {
	table := Table{Bits: 8, Scale: 1, Entries: make([]uint32, 256)}
	h := feature.Mix(42)
	slot, tag := table.Slot(h)
	table.Entries[slot] = Pack(tag, [Classes]int8{-127, 0, 127})
	var sum [Classes]int32
	table.add(h, &sum)
	require.Equal(t, [Classes]int32{-127, 0, 127}, sum)
	table.add(h^1<<50, &sum) // the same slot, another tag
	require.Equal(t, [Classes]int32{-127, 0, 127}, sum)
}

func check(t *testing.T, m *Model, text string, span [2]int, source int) {
	t.Helper()
	a := &Around{Text: Polarity{1, 2}, Clause: Polarity{-3, 0}, Near: Polarity{0.5, -1}}
	p, opinions, ok := m.Score(text, span, source, a)
	again, _, _ := m.Score(text, span, source, a)
	require.Equal(t, p, again)
	if !ok {
		require.Nil(t, opinions)
	} else {
		require.InDelta(t, 1, p[0]+p[1]+p[2], 1e-9)
	}
	require.LessOrEqual(t, len(opinions), maxOpinions)
	last := 0
	inText := func(s [2]int) {
		t.Helper()
		require.LessOrEqual(t, last, s[0])
		require.Less(t, s[0], s[1])
		require.LessOrEqual(t, s[1], len(text))
		last = s[1]
	}
	for _, o := range opinions {
		inText(o)
		require.True(t, o[1] <= span[0] || o[0] >= span[1], "an opinion word is the target")
	}
	last = 0
	terms := m.Find(text)
	require.LessOrEqual(t, len(terms), maxTerms)
	for _, s := range terms {
		inText(s)
	}
}

func FuzzScore(f *testing.F) {
	const text = "The food was great but the service was so slow, 👍🏽 I can't complain!!"
	f.Add(text, 4, 8, 1)
	f.Add(text, 0, 0, -1)
	f.Add("\xff\xfe e\u0301 \u200d", 0, 3, 9)
	f.Add(strings.Repeat("not a good day ", 40), 400, 404, 0)
	m := New(random(2), network())
	f.Fuzz(func(t *testing.T, text string, start, end, source int) {
		if start < 0 || end <= start || end > len(text) {
			start, end = 0, len(text)
		}
		check(t, m, text, [2]int{start, end}, source)
		if span, ok := Mention(text, text[start:end]); ok {
			require.LessOrEqual(t, span[1], len(text))
			if utf8.ValidString(text) {
				require.True(t, utf8.ValidString(text[span[0]:span[1]]) || !utf8.ValidString(text[start:end]))
			}
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add(random(1).Append(nil))
	f.Add([]byte{8, 8})
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := Read(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		check(t, New(w, network()), "The food was great but the service was slow.", [2]int{4, 8}, 1)
	})
}
