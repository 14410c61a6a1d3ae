package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// goldenAnalyses is the hash over all bits of the analyses of goldenTexts. It is
// the same on every machine; new weights, or a change that moves a score on
// purpose, change it. TestGoldenAnalyses prints the new value.
const goldenAnalyses = "7101055481e15a8ee44a0ca18234fe12525a816d61c97e34fb437da178a57929"

var goldenTexts = []string{
	"", " ", "ok", "!!!", "👍", "👩‍💻 shipped it 🎉", "12345",
	"The parcel arrived on Tuesday.",
	"The parcel arrived a week late, again!",
	"I love this phone, best purchase of the year!",
	"i dont regret buying this, works gr8 :)",
	"NOT what I ordered. AWFUL!!!",
	"The food was great but the service was terribly slow.",
	"Not bad at all, I can't complain.",
	"Is the battery any good?",
	"I wish it had a dark mode.",
	"Better than my old one, worse than I hoped.",
	"Setting it up was a piece of cake.",
	"This update is sooooo slow 😡😡",
	"Flight to Lisbon today #excited",
	"@support your app crashes every morning, please fix it https://example.com/x?y=1",
	"I was charged twice and nobody answers my tickets.",
	"Thanks to Maria from support, the issue was resolved in minutes! <3",
	"Pros:\n- cheap\n- light\nCons:\n- breaks after a week\n- no warranty",
	"He said \"never again\" and left... I agree. Mr. Jones, e.g., paid $4.99 for nothing!",
	"My grandmother died last night, I miss her so much.",
	"wow, I did not expect that, what a surprise",
	"I'm scared of the results tomorrow",
	"lol that cat video killed me 😂",
	"Me encanta este lugar, es maravilloso",
	"Das Essen war leider kalt und viel zu teuer.",
	"Ce n'est pas mal du tout, merci beaucoup !",
	"Che bello, grazie mille!",
	"Adorei o show, foi lindo demais",
	"Pelayanannya buruk dan mengecewakan",
	"هذا الفيلم جميل جدا",
	"यह फिल्म बहुत अच्छी है।",
	"这部电影很好看。太棒了！",
	"Это ужасный фильм, мне совсем не понравилось",
	"e\u0301te\u0301 \u200f\u202bmixed\u202c \ufeffmarks \U0001d54f",
	"I love \xff\xfe this great \xe2\x82 film \xed\xa0\x80",
	strings.Repeat("The plot was thin and the acting worse, but somehow I could not stop watching. 😀 ", 30),
}

// goldenInput is the i-th golden text with hints and targets.
func goldenInput(i int) Input {
	return Input{
		Text:     goldenTexts[i],
		Source:   []string{"", "tweet", "review", "comment"}[i%4],
		Language: []string{"", "en", ""}[i%3],
		Targets:  []Target{{Text: "battery"}, {Text: "service"}},
	}
}

// bitString is all the bits of a value that was computed, in a fixed order.
type bitString []byte

func (b *bitString) float(values ...float64) {
	for _, v := range values {
		*b = binary.LittleEndian.AppendUint64(*b, math.Float64bits(v))
	}
}

func (b *bitString) int(values ...int) {
	for _, v := range values {
		*b = binary.LittleEndian.AppendUint64(*b, uint64(int64(v)))
	}
}

func (b *bitString) bool(v bool) {
	if v {
		b.int(1)
	} else {
		b.int(0)
	}
}

func (b *bitString) string(s string) {
	b.int(len(s))
	*b = append(*b, s...)
}

func (b *bitString) span(s Span) { b.int(s.StartByte, s.EndByte, s.StartUTF16, s.EndUTF16) }

func (b *bitString) polarity(p *Polarity) {
	b.int(int(p.Label))
	b.float(p.Score)
	b.float(p.Probabilities[:]...)
}

func resultBits(r *Result) []byte {
	var b bitString
	b.polarity(&Polarity{Label: r.Label, Score: r.Score, Probabilities: r.Probabilities})
	b.float(r.Confidence)
	b.string(r.Language)
	b.bool(r.LanguageSupported)
	b.bool(r.Mixed)
	b.float(r.Stars[:]...)
	return b
}

func analysisBits(a *Analysis) []byte {
	b := bitString(resultBits(&a.Result))
	b.int(len(a.Emotions), len(a.Evidence), len(a.Sentences), len(a.Targets))
	b.float(a.Emotions...)
	b.float(a.Bias, a.LogitDifference)
	for _, e := range a.Evidence {
		b.int(e.StartByte, e.EndByte, e.StartUTF16, e.EndUTF16)
		b.float(e.Weight)
	}
	for i := range a.Sentences {
		b.span(a.Sentences[i].Span)
		b.polarity(&a.Sentences[i].Polarity)
	}
	for i := range a.Targets {
		target := &a.Targets[i]
		b.polarity(&target.Polarity)
		b.string(target.Target)
		b.bool(target.Mentioned)
		b.bool(target.Found)
		b.span(target.Span)
		b.int(len(target.Opinions))
		for _, o := range target.Opinions {
			b.span(o)
		}
	}
	return b
}

func TestGoldenAnalyses(t *testing.T) {
	s := Default()
	all := sha256.New()
	each := make([]string, len(goldenTexts))
	for i := range goldenTexts {
		a := s.Analyze(goldenInput(i), AllExtras)
		sum := sha256.Sum256(analysisBits(&a))
		all.Write(sum[:])
		each[i] = hex.EncodeToString(sum[:4])
	}
	got := hex.EncodeToString(all.Sum(nil))
	if got == goldenAnalyses {
		return
	}
	for i, text := range goldenTexts {
		t.Logf("%s %.60q", each[i], text)
	}
	t.Fatalf("The analyses of the golden texts changed.\n"+
		"After a retraining, or a change that is meant to move scores, set goldenAnalyses in determinism_test.go to\n\t%q\n"+
		"If neither happened, or this machine alone disagrees, results depend on something they must not depend on\n"+
		"(a fused multiply-add, a map's order, a SIMD kernel unlike its scalar twin): compare the hashes of the texts above with another machine's.", got)
}

// The plain Go kernels give the bits of the assembly.
func TestGoldenAnalysesWithoutSIMD(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestGoldenAnalyses$", "-test.v")
	cmd.Env = append(os.Environ(), "SYNAPSE_SIMD=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestGoldenAnalyses ")
}

func TestSameBitsFromManyGoroutines(t *testing.T) {
	s := Default()
	want := make([][]byte, len(goldenTexts))
	for i := range goldenTexts {
		a := s.Analyze(goldenInput(i), AllExtras)
		want[i] = analysisBits(&a)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 3 {
				for _, i := range rng.Perm(len(goldenTexts)) {
					in := goldenInput(i)
					a, r := s.Analyze(in, AllExtras), s.Score(in)
					if string(analysisBits(&a)) != string(want[i]) || string(resultBits(&r)) != string(resultBits(&a.Result)) {
						t.Errorf("other bits for %q", in.Text)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// A result depends on its own text alone, not on what was scored before it or
// beside it.
func TestOrderDoesNotMatter(t *testing.T) {
	s := Default()
	want := make([][]byte, len(goldenTexts))
	for i := range goldenTexts {
		r := s.Score(goldenInput(i))
		want[i] = resultBits(&r)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		order := rng.Perm(len(goldenTexts))
		in, out := make([]Input, len(order)), make([]Result, len(order))
		for k, i := range order {
			in[k] = goldenInput(i)
		}
		// A batch in one go, and in two of any sizes.
		s.ScoreBatch(in, out)
		parts := make([]Result, len(order))
		cut := rng.IntN(len(order) + 1)
		s.ScoreBatch(in[:cut], parts[:cut])
		s.ScoreBatch(in[cut:], parts[cut:])
		for k, i := range order {
			require.Equal(t, want[i], resultBits(&out[k]), "%q", goldenTexts[i])
			require.Equal(t, want[i], resultBits(&parts[k]), "%q", goldenTexts[i])
			a := s.Analyze(in[k], Extra(rng.IntN(int(AllExtras)+1)))
			require.Equal(t, want[i], resultBits(&a.Result), "%q", goldenTexts[i])
		}
	}
}
