package model

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkResult holds any result to what the package promises.
func checkResult(t *testing.T, r Result) {
	t.Helper()
	sum := 0.0
	for _, p := range r.Probabilities {
		require.False(t, math.IsNaN(p))
		require.GreaterOrEqual(t, p, 0.0)
		require.LessOrEqual(t, p, r.Confidence)
		sum += p
	}
	require.InDelta(t, 1, sum, 1e-9)
	require.Equal(t, r.Probabilities[r.Label], r.Confidence)
	require.InDelta(t, r.Probabilities[Positive]-r.Probabilities[Negative], r.Score, 1e-12)
	require.NotEmpty(t, r.Language)
	if r.Language == undetermined {
		require.False(t, r.LanguageSupported)
	}
}

// sanityBar is the share of the sanity texts that must come out right.
const sanityBar = 0.9

func TestSanity(t *testing.T) {
	s := Default()
	require.LessOrEqual(t, len(sanity), 100)
	right := 0
	for _, c := range sanity {
		r := s.Score(Input{Text: c.text})
		checkResult(t, r)
		if r.Label == c.want {
			right++
		} else {
			t.Logf("%q is %v (%.2f), want %v", c.text, r.Label, r.Probabilities, c.want)
		}
	}
	got := float64(right) / float64(len(sanity))
	t.Logf("%d of %d right", right, len(sanity))
	require.GreaterOrEqual(t, got, sanityBar)
}

func TestEdgeTexts(t *testing.T) {
	long := strings.Repeat("This film is great, I love it. ", 65536/31+1)[:65536]
	for _, c := range []struct {
		name, text string
		want       Label
		language   string
	}{
		{"empty", "", Neutral, "und"},
		{"spaces", " \t\r\n\u00a0\u3000", Neutral, "und"},
		{"nul", "\x00\x00\x00", Neutral, "und"},
		{"invalid UTF-8 only", "\xff\xfe\xfd", Neutral, "und"},
		{"invalid UTF-8 within", "I love \xff\xfe this great \xe2\x82 film", Positive, "en"},
		{"64 KiB", long, Positive, "en"},
		{"emoji with modifiers", "👍🏽👍🏿", Positive, "und"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Default().Score(Input{Text: c.text})
			checkResult(t, r)
			require.Equal(t, c.want, r.Label, "%+v", r)
			require.Equal(t, c.language, r.Language)
		})
	}
}

// The end of a long text counts like its start.
func TestLongTextIsScoredInFull(t *testing.T) {
	good := strings.Repeat("The meeting is on Tuesday. ", 200)
	bad := good + strings.Repeat("It was horrible, the worst, I hate it. ", 50)
	a, b := Default().Score(Input{Text: good}), Default().Score(Input{Text: bad})
	require.Equal(t, Negative, b.Label)
	require.Less(t, b.Score, a.Score)
}

func TestLanguages(t *testing.T) {
	s := Default()
	for _, c := range []struct {
		text, hint, want string
		supported        bool
	}{
		{"I really like the new version of this app", "", "en", true},
		{"great", "", "en", true},
		{"Das ist wirklich ein schöner Tag heute", "", "de", true},
		{"Je ne sais pas ce que tu veux dire", "", "fr", true},
		{"No me gusta nada esta película", "", "es", true},
		{"Non mi piace per niente questo film", "", "it", true},
		{"Eu não gosto nada desse filme", "", "pt", true},
		{"Saya tidak suka makanan ini", "", "id", true},
		{"هذا الفيلم جميل جدا", "", "ar", true},
		{"Это очень хороший фильм, который мы любили", "", "ru", false},
		{"这部电影很好看", "", "zh", false},
		{"この映画はとても面白い", "", "ja", false},
		{"이 영화는 정말 재미있다", "", "ko", false},
		{"αυτή η ταινία είναι καλή", "", "el", false},
		{"הסרט הזה טוב מאוד", "", "he", false},
		{"यह फिल्म बहुत अच्छी है", "", "hi", false},
		{"Tämä on erittäin hyvä elokuva ja pidin siitä kovasti", "", "fi", false},
		{"To jest bardzo dobry film i bardzo mi się podobał, polecam go wszystkim", "", "pl", false},
		{"Bu çok güzel bir film ve onu çok sevdim", "", "tr", false},
		{"Dank", "nl-BE", "nl", false},
		{"super", "de-AT", "de", true},
		{"xhosa", "xho", "xho", false},
		{"I really like the new version of this app", "fr", "en", true},
		{"12345 !!!", "", "und", false},
	} {
		r := s.Score(Input{Text: c.text, Language: c.hint})
		require.Equal(t, c.want, r.Language, c.text)
		require.Equal(t, c.supported, r.LanguageSupported, c.text)
	}
	require.Contains(t, s.Languages(), "en")
	require.Contains(t, s.Languages(), "ar")
	require.NotContains(t, s.Languages(), "nl")
	require.Len(t, s.Languages(), 19)
}

// A language that was not trained never gets a confident answer.
func TestUnsupportedIsNotConfident(t *testing.T) {
	for _, text := range []string{
		"Tämä on erittäin hyvä elokuva ja pidin siitä kovasti",
		"Это ужасный фильм, мне совсем не понравилось",
		"To jest bardzo zły film i bardzo mi się nie podobał",
	} {
		r := Default().Score(Input{Text: text})
		require.False(t, r.LanguageSupported, text)
		require.Less(t, r.Confidence, 0.75, text)
	}
}

func TestHostileHints(t *testing.T) {
	for _, hint := range []string{"", "en", "EN", "xx-yy", "-", "pt_BR", strings.Repeat("a", 1000), "\xff", "qqq"} {
		checkResult(t, Default().Score(Input{Text: "ok", Language: hint, Source: hint}))
	}
	require.Equal(t, Tweet, SourceKind("twitter"))
	require.Equal(t, UnknownSource, SourceKind("Tweet "))
}

func TestLabelString(t *testing.T) {
	require.Equal(t, "NEGATIVE NEUTRAL POSITIVE UNKNOWN",
		Negative.String()+" "+Neutral.String()+" "+Positive.String()+" "+Label(9).String())
}

func TestScoreBatchEqualsScore(t *testing.T) {
	s := Default()
	in := make([]Input, len(sanity))
	for i, c := range sanity {
		in[i] = Input{Text: c.text, Source: []string{"", "tweet", "review", "comment"}[i%4]}
	}
	out := make([]Result, len(in)-1) // the shorter slice rules
	s.ScoreBatch(in, out)
	for i := range out {
		require.Equal(t, s.Score(in[i]), out[i])
	}
	s.ScoreBatch(nil, out)
	s.ScoreBatch(in, nil)
}

func TestConcurrentUse(t *testing.T) {
	s := Default()
	want := s.Score(Input{Text: sanity[0].text})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				s.Score(Input{Text: sanity[i%len(sanity)].text})
				if s.Score(Input{Text: sanity[0].text}) != want {
					t.Error("another result")
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestScoreDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items at random")
	}
	s := Default()
	in := Input{Text: strings.Repeat("A not so long text, with an emoji 👍 and été. ", 40), Source: "review"}
	s.Score(in)
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { s.Score(in) }), 0.1)
}

func FuzzScore(f *testing.F) {
	for _, c := range sanity {
		f.Add(c.text, "tweet", "en")
	}
	f.Add("\xff\x00👩\u200d💻 n't", "", "xx")
	s := Default()
	f.Fuzz(func(t *testing.T, text, source, language string) {
		in := Input{Text: text, Source: source, Language: language}
		r := s.Score(in)
		checkResult(t, r)
	})
}

// What is stored for the letters of a known word is what its n-grams add up to.
func TestLettersAreTheirSums(t *testing.T) {
	s := Default()
	known := 0
	for _, text := range append(goldenTexts, tweet, review) {
		var sc scratch
		sc.block.Fill(text, 0)
		sc.set.Extract(&sc.block, &sc.state)
		if !s.network.Run(&sc.block, &sc.net, &sc.out) {
			continue
		}
		from := int32(0)
		for i := range sc.block.N {
			d, n := s.english.sum(sc.set.Chars[from:sc.set.CharEnd[i]])
			gotD, gotN := s.letters.of(&s.english, i, &sc.set, &sc.net)
			require.Equal(t, [2]int64{d, n}, [2]int64{gotD, gotN}, "%q in %q", sc.block.Text(i), text)
			if sc.net.Word(i) >= 0 && sc.set.Plain[i] {
				known++
			}
			from = sc.set.CharEnd[i]
		}
	}
	require.Greater(t, known, 200)
}
