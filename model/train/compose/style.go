package compose

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

var (
	spaces    = regexp.MustCompile(` {2,}`)
	spaceMark = regexp.MustCompile(` +([,.!?]|; )`)
	itIs      = regexp.MustCompile(`(^|[.!?,] |and |but |that )(it|they|he|she|that|It|They|He|She|That) (is|are) ([a-z])`)
	dotComma  = regexp.MustCompile(`([!?])[,.]`)
)

// full are the long forms of what frames write short.
var full = []string{
	"isn't", "is not", "aren't", "are not", "wasn't", "was not", "weren't", "were not", "don't", "do not",
	"doesn't", "does not", "didn't", "did not", "can't", "cannot", "couldn't", "could not", "won't", "will not",
	"wouldn't", "would not", "hasn't", "has not", "haven't", "have not", "shouldn't", "should not",
}

var lengthen = strings.NewReplacer(full...)

// style joins the parts of a text and gives it the surface of its source.
func (s *scene) style(p *phenomenon, before, text, behind, source string) string {
	rng := s.rng
	neutral := s.frame.class == Neutral
	text = tidy(text)
	// The context is separate: its end mark is always a full stop.
	mark := ""
	if !p.open && text != "" && ended(text) {
		mark = s.mark(source, neutral)
	}
	text += mark
	if behind != "" {
		if mark == "" && !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "!") && !strings.HasSuffix(text, "?") && !p.open {
			text += "."
		}
		text += " " + behind + "."
	}
	switch {
	case strings.HasSuffix(before, ", "):
		text = before + s.small(text)
	case strings.HasSuffix(before, ": "):
		text = before + text
	default:
		text = before + capital(text)
	}
	text = articles(tidy(text))
	question := strings.Contains(text, "?")
	if !question && rng.IntN(100) < 14 {
		text = lengthen.Replace(text)
	}
	if rng.IntN(100) < 60 {
		text = itIs.ReplaceAllStringFunc(text, func(m string) string {
			g := itIs.FindStringSubmatch(m)
			return g[1] + g[2] + map[string]string{"is": "'s", "are": "'re"}[g[3]] + " " + g[4]
		})
	}
	text = sentences(text)
	informal := source == "tweet" || source == "comment"
	if informal && !s.shouted && rng.IntN(100) < 28 || !s.shouted && rng.IntN(100) < 4 {
		text = strings.ToLower(text)
	}
	switch roll := rng.IntN(100); {
	case informal && roll < 4:
		text = strings.ReplaceAll(text, "'", "")
	case roll < 9:
		text = strings.ReplaceAll(text, "'", "’")
	}
	if source == "tweet" && !p.open {
		switch roll := rng.IntN(100); {
		case roll < 10:
			text = "@user " + text
		case roll < 13:
			text += fmt.Sprintf(" https://t.co/%x", rng.Uint32())
		}
	}
	return text
}

func tidy(s string) string {
	s = spaces.ReplaceAllString(s, " ")
	s = spaceMark.ReplaceAllString(s, "$1")
	return strings.TrimSpace(dotComma.ReplaceAllString(s, "$1"))
}

// ended reports whether a text needs a mark at its end.
func ended(s string) bool {
	if i := strings.LastIndexByte(s, ' '); i+1 < len(s) && s[i+1] == '#' {
		return false
	}
	r := []rune(s)
	last := r[len(r)-1]
	return unicode.IsLetter(last) || unicode.IsDigit(last) || strings.ContainsRune(`"'%)`, last)
}

func (s *scene) mark(source string, neutral bool) string {
	type share struct {
		mark string
		n    int
	}
	marks := map[string][]share{
		"review":  {{".", 82}, {"!", 12}, {"", 6}},
		"comment": {{".", 58}, {"", 22}, {"!", 16}, {"...", 4}},
		"tweet":   {{"", 40}, {".", 34}, {"!", 20}, {"!!", 6}},
		"":        {{".", 64}, {"", 18}, {"!", 18}},
	}[source]
	roll := s.rng.IntN(100)
	for _, m := range marks {
		if roll < m.n {
			if neutral && m.mark != "" || m.mark == "..." && s.frame.class == Positive {
				return "."
			}
			return m.mark
		}
		roll -= m.n
	}
	return ""
}

// capital sets the first letter of a text.
func capital(s string) string {
	for i, r := range s {
		if unicode.IsLetter(r) {
			return s[:i] + string(unicode.ToUpper(r)) + s[i+len(string(r)):]
		}
		if unicode.IsDigit(r) || r == '#' || r == '@' {
			break
		}
	}
	return s
}

// small undoes the capital of a text that goes on behind a comma, unless it starts
// with a name, "I" or capitals.
func (s *scene) small(text string) string {
	first := strings.TrimRight(text, ".,:;!?")
	if i := strings.IndexAny(first, " '"); i >= 0 {
		first = first[:i]
	}
	if first == "" || first == "I" || len(first) > 1 && unicode.IsUpper(rune(first[1])) {
		return text
	}
	for _, list := range []string{"name", "city", "day", "month"} {
		for _, name := range s.general.lists[list] {
			if name == first {
				return text
			}
		}
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// sentences sets the first letter of every sentence.
func sentences(s string) string {
	var b strings.Builder
	start := 0
	for i := 0; i+1 < len(s); i++ {
		if strings.IndexByte(".!?", s[i]) >= 0 && s[i+1] == ' ' && !strings.HasSuffix(s[:i+1], "...") {
			b.WriteString(capital(s[start : i+2]))
			start = i + 2
		}
	}
	b.WriteString(capital(s[start:]))
	return b.String()
}
