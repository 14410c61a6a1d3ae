package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

var full30k = sync.OnceValue(func() []taggedRow { return generate(grammarOnce(), 1, DefaultRows) })

func TestLoad(t *testing.T) {
	g, err := load()
	require.NoError(t, err)
	require.Len(t, g.phenomena, len(Phenomena()))
	for _, p := range g.phenomena {
		require.GreaterOrEqual(t, len(p.frames), 15, p.name)
		require.Positive(t, p.share, p.name)
	}
}

// Every slot of every frame is filled in every domain that the frame goes with.
func TestFramesExpand(t *testing.T) {
	g := grammarOnce()
	w := newWriter(g, 3)
	for _, p := range g.phenomena {
		for i := range p.frames {
			f := p.frames[i]
			for _, d := range f.domains {
				one := f
				one.domains = []*domain{d}
				if text := w.write(p, &one).Text; text == "" || text[0] == ',' || strings.Contains(text, "{") {
					t.Errorf("%s in %s: %q", f.text, d.name, text)
				}
			}
		}
	}
}

func TestLexicon(t *testing.T) {
	g := grammarOnce()
	things, words := 0, map[string]bool{}
	countable := func(d *domain) bool {
		for _, n := range d.things {
			if !n.plural && !n.mass {
				return true
			}
		}
		return false
	}
	for _, d := range append([]*domain{g.general}, g.domains...) {
		things += len(d.things)
		if d != g.general {
			require.True(t, countable(d), "%s: frames for a single thing would never end", d.name)
			require.NotEmpty(t, d.lists["fact"], d.name)
		}
		for list := range opinionLists {
			for _, word := range d.lists[list] {
				words[word] = true
			}
		}
	}
	require.GreaterOrEqual(t, things, 150)
	require.GreaterOrEqual(t, len(words), 600)
	for _, list := range []string{"goodidiom", "isgood", "badidiom", "isbad"} {
		require.GreaterOrEqual(t, len(g.general.lists[list]), 35, list)
	}
}

// The rows of a seed are part of what the weights are made from: a change of the
// frames changes this hash, and the weights are then to be trained again.
func TestDeterministic(t *testing.T) {
	hash := func(rows []Row) string {
		h := sha256.New()
		for _, r := range rows {
			fmt.Fprintf(h, "%s\t%d\t%t\t%s\t%g\n", r.Text, r.Class, r.Mixed, r.Source, r.Weight)
		}
		return hex.EncodeToString(h.Sum(nil))[:16]
	}
	a, b := Rows(7, 2000), Rows(7, 2000)
	require.Equal(t, a, b)
	require.NotEqual(t, hash(a), hash(Rows(8, 2000)))
	require.Equal(t, "15f7f2819cac50a7", hash(a))
}

func TestBounds(t *testing.T) {
	require.Empty(t, Rows(1, 0))
	require.Empty(t, Rows(1, -5))
	require.Len(t, Rows(1, 1), 1)
	require.Len(t, Rows(1, 997), 997)
}

func TestRows(t *testing.T) {
	rows := full30k()
	require.Len(t, rows, DefaultRows)
	seen := map[string]bool{}
	var classes [3]int
	kinds := make([]int, len(Phenomena()))
	sources := map[string]int{}
	mixed := 0
	for _, r := range rows {
		require.False(t, seen[r.Text], "twice: %s", r.Text)
		seen[r.Text] = true
		classes[r.Class]++
		kinds[r.phenomenon]++
		sources[r.Source]++
		require.True(t, r.Weight > 0 && r.Weight <= 1, r.Text)
		if r.Mixed {
			mixed++
		}
	}
	for i, want := range [3]float64{0.41, 0.205, 0.385} {
		require.InDelta(t, want, float64(classes[i])/DefaultRows, 0.025, "class %d", i)
	}
	for i, p := range Phenomena() {
		require.GreaterOrEqual(t, kinds[i], 200, p.Name)
		t.Logf("%-20s %d", p.Name, kinds[i])
	}
	require.Len(t, sources, 4)
	require.Greater(t, mixed, 500)
}

// An opinion word must not give its row's label away.
func TestWordsAreBalanced(t *testing.T) {
	type tally struct{ own, all int }
	words := map[string]*tally{}
	own, all := 0, 0
	for _, r := range full30k() {
		for _, u := range r.words {
			if words[u.word] == nil {
				words[u.word] = &tally{}
			}
			words[u.word].all++
			all++
			if u.class == r.Class {
				words[u.word].own++
				own++
			}
		}
	}
	require.InDelta(t, 0.5, float64(own)/float64(all), 0.05)
	for word, n := range words {
		if n.all >= 40 {
			require.InDelta(t, 0.5, float64(n.own)/float64(n.all), 0.2, "%s: %d of %d", word, n.own, n.all)
		}
	}
}

func TestSurface(t *testing.T) {
	bad := map[string]*regexp.Regexp{
		"double space":    regexp.MustCompile(`  |^ | $|\t|\n`),
		"template":        regexp.MustCompile(`[{}\[\]|]`),
		"article":         regexp.MustCompile(`(?i)(^| )(a [aei]|an [bcdfgjklpqtvwz]|a a |a an |an a |the the |the a )`),
		"space and mark":  regexp.MustCompile(` [,.!?](\s|$)`),
		"mark after mark": regexp.MustCompile(`,[,.]|[!?]\.|[^.]\.\.([^.]|$)`),
		"lost agreement":  regexp.MustCompile(`(?i)\b(they|these|we) (is|was|has|doesn't|isn't)\b|\b(it|he|she) (are|were|have|don't|aren't) `),
	}
	// "A EU plan", "a one-off", "a USB cable" begin with another sound than they are spelt.
	sound := regexp.MustCompile(`(?i)\ba (one|eu)`)
	for _, r := range full30k() {
		text := sound.ReplaceAllString(r.Text, "")
		for what, re := range bad {
			require.False(t, re.MatchString(text), "%s: %q", what, r.Text)
		}
	}
}

func TestNoValidationText(t *testing.T) {
	dir := os.Getenv("SYNAPSE_DATASETS")
	if dir == "" {
		dir = "../../../../shared/data/sentiment"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("SKIPPED: no data sets: set SYNAPSE_DATASETS to compare the rows with the validation sets")
	}
	held := map[string]string{}
	for _, name := range dataset.ValidationNames {
		rows, err := dataset.Read(dir, name, "")
		require.NoError(t, err)
		for _, r := range rows {
			// Keys under 8 letters ("thanks") are phrases, not copies of a text.
			if k := dataset.Key(r.Text); len(k) >= 8 {
				held[k] = name
			}
		}
	}
	require.NotEmpty(t, held)
	for _, r := range full30k() {
		require.Empty(t, held[dataset.Key(r.Text)], r.Text)
	}
}

func TestInflect(t *testing.T) {
	for _, c := range []struct{ base, s, d, n, g string }{
		{"work", "works", "worked", "worked", "working"},
		{"crash", "crashes", "crashed", "crashed", "crashing"},
		{"lose my data", "loses my data", "lost my data", "lost my data", "losing my data"},
		{"drag on", "drags on", "dragged on", "dragged on", "dragging on"},
		{"carry", "carries", "carried", "carried", "carrying"},
		{"stay", "stays", "stayed", "stayed", "staying"},
		{"freeze", "freezes", "froze", "frozen", "freezing"},
		{"set", "sets", "set", "set", "setting"},
		{"die", "dies", "died", "died", "dying"},
		{"lie", "lies", "lied", "lied", "lying"},
		{"disagree", "disagrees", "disagreed", "disagreed", "disagreeing"},
		{"have heart", "has heart", "had heart", "had heart", "having heart"},
	} {
		require.Equal(t, c.base, inflect(c.base, ""))
		require.Equal(t, []string{c.s, c.d, c.n, c.g},
			[]string{inflect(c.base, "s"), inflect(c.base, "d"), inflect(c.base, "n"), inflect(c.base, "g")})
	}
}

func TestArticles(t *testing.T) {
	for in, want := range map[string]string{
		"a apple and an banana": "an apple and a banana", "A hour": "An hour", "an useful app": "a useful app",
		"a unusable app": "an unusable app", "a one-off": "a one-off", "a RPG": "an RPG", "a unique case": "a unique case",
		"a unpleasant room": "an unpleasant room", "a European bank": "a European bank", "a 8 euro fee": "an 8 euro fee",
		"banana apple": "banana apple", "a uninspired film": "an uninspired film", "a honest man": "an honest man", "a home": "a home",
		"a \"excellent\" one": "an \"excellent\" one", "a underwhelming meal": "an underwhelming meal",
	} {
		require.Equal(t, want, articles(in))
	}
}

func TestComparative(t *testing.T) {
	for in, want := range map[string]string{
		"good": "better", "well built": "better built", "easy to use": "easier to use",
		"helpful": "more helpful", "noisy": "noisier",
	} {
		require.Equal(t, want, comparative(in))
	}
}

func TestStyleParts(t *testing.T) {
	require.Equal(t, "sooo good", elongate("so good", 2))
	require.Equal(t, "greaaat", elongate("great", 2))
	require.Equal(t, "looove", elongate("love", 2))
	require.Equal(t, "veryyy", elongate("very", 2))
	require.Equal(t, "#NotSoBad", hashtag("not so bad", true))
	require.Equal(t, "#donotbuy", hashtag("do not buy", false))
	require.Equal(t, "Fine. Really? Yes... and no", sentences("fine. really? yes... and no"))
	require.Equal(t, "a, b; c ;)", tidy("a , b ; c  ;)"))
	require.Equal(t, "glitch", singular("glitches"))
	require.Equal(t, "delay", singular("delays"))
	require.Equal(t, "misdiagnosis", singular("misdiagnoses"))
	require.Equal(t, []string{"a", "[b|c]", ""}, split("a|[b|c]|"))
}
