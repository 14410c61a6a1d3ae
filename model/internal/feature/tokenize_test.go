package feature

import (
	"bufio"
	"flag"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// tokens renders a text the way the golden file holds it.
func tokens(text string) string {
	var out []string
	var b Block
	for pos := 0; pos < len(text); {
		pos = b.Fill(text, pos)
		for i := range b.N {
			s := b.Text(i)
			if b.Tokens[i].Caps {
				s += "<caps>"
			}
			if b.Tokens[i].Elong {
				s += "<elong>"
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

// TestTokensGolden holds the tokenizer to testdata/tokens.tsv. A difference means
// that hashes moved: the weights must be trained anew.
func TestTokensGolden(t *testing.T) {
	const path = "testdata/tokens.tsv"
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var out strings.Builder
	sc := bufio.NewScanner(strings.NewReader(string(raw)))
	for sc.Scan() {
		text, want, _ := strings.Cut(sc.Text(), "\t")
		got := tokens(text)
		out.WriteString(text + "\t" + got + "\n")
		if !*update && got != want {
			t.Errorf("%q\n got %q\nwant %q", text, got, want)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o644))
	}
}

func TestFillAcceptsAnyBytes(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"spaces":        " \t\n\u00a0\u3000",
		"nul":           "a\x00b\x00",
		"invalid":       "good \xff\xfe\xc3 bad\xe2\x82",
		"one long word": strings.Repeat("a1b2", 20000),
		"marks only":    strings.Repeat("\u0301", 500),
		"apostrophes":   strings.Repeat("'", 300) + "n't" + strings.Repeat("'s", 300),
		"joiners":       strings.Repeat("👩\u200d", 300),
		"hostile caps":  strings.Repeat("İ", 300),
	} {
		t.Run(name, func(t *testing.T) { checkTokens(t, text) })
	}
}

// checkTokens holds the tokens of any text to their invariants.
func checkTokens(t *testing.T, text string) {
	t.Helper()
	var b Block
	last := 0
	for pos := 0; pos < len(text); {
		next := b.Fill(text, pos)
		require.Greater(t, next, pos, "no progress")
		pos = next
		for i := range b.N {
			tok := b.Tokens[i]
			require.LessOrEqual(t, last, tok.Start)
			require.Less(t, tok.Start, tok.End)
			require.LessOrEqual(t, tok.End, len(text))
			require.LessOrEqual(t, len(b.Runes(i)), MaxWordRunes+4)
			if utf8.ValidString(text) {
				require.True(t, utf8.RuneStart(text[tok.Start]))
				require.True(t, tok.End == len(text) || utf8.RuneStart(text[tok.End]))
			}
			last = tok.End
		}
	}
}

func FuzzFill(f *testing.F) {
	f.Add("I can't believe it's sooo GOOD!!! :-) @you http://x.y 👍🏽 12.50")
	f.Add("ca n't \xff'n't' <3")
	f.Fuzz(func(t *testing.T, text string) { checkTokens(t, text) })
}

func TestNegationScope(t *testing.T) {
	has := func(text, word string) bool {
		var b Block
		var s Set
		var st State
		b.Fill(text, 0)
		s.Extract(&b, &st)
		want := Mix(hashRunes([]rune(word)) + seedNot)
		for _, h := range s.Words {
			if h == want {
				return true
			}
		}
		return false
	}
	require.True(t, has("this is not a good film", "good"))
	require.True(t, has("I don't like it", "like"))
	require.True(t, has("I dont like it", "like"))
	require.False(t, has("this is a good film", "good"))
	require.False(t, has("not bad, good", "good"), "a comma ends the scope")
	require.False(t, has("not bad but good", "good"), "but ends the scope")
	require.False(t, has("not one two three good", "good"), "three words at most")
}

func TestCharsAreBounded(t *testing.T) {
	got := appendChars(nil, []rune(strings.Repeat("x", MaxWordRunes)), 0)
	require.LessOrEqual(t, len(got), 4*(MaxChars+2))
	require.Len(t, appendChars(nil, []rune("ab"), 0), 6) // <a <ab <ab> ab ab> b>
}

// Weights are stored summed up over the Letters of words, so these must be what
// Extract finds in a plain one.
func TestPlainWords(t *testing.T) {
	var b Block
	var set Set
	b.Fill("The room was gooood. Not cheap, small but 😀. We'd say naïve", 0)
	set.Extract(&b, new(State))
	plain := map[string]bool{}
	from := int32(0)
	for i := range b.N {
		if set.Plain[i] {
			plain[b.Text(i)] = true
			require.Equal(t, Letters(b.Runes(i)), set.Chars[from:set.CharEnd[i]], b.Text(i))
		}
		from = set.CharEnd[i]
	}
	require.True(t, plain["the"] && plain["good"] && plain["naïve"])
	require.False(t, plain["cheap"], "under a negation")
	require.False(t, plain["small"], "before a but")
	require.False(t, plain["😀"])
}
