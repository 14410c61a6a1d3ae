package compose

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// writer turns frames into rows. Its balance steers which opinion words come next.
type writer struct {
	*grammar
	rng     *rand.Rand
	balance map[string]int // rows of a word's own class minus the others
}

func newWriter(g *grammar, seed uint64) *writer {
	return &writer{grammar: g, rng: rand.New(rand.NewPCG(seed, 0x636f6d706f7365)), balance: map[string]int{}}
}

// scene is what one text is about.
type scene struct {
	*writer
	frame     *frame
	dom       *domain
	thing     noun
	article   string
	parts     [2]noun
	person    int  // 0 he, 1 she
	plural    bool // of the last subject
	mentioned bool // the thing is known from a sentence before
	words     []use
	taken     []string // words that the text has already
	shouted   bool     // has capitals that matter
}

// context is the share of texts that get a sentence before or behind, in percent.
const (
	contextBefore = 26
	contextBehind = 10
)

func (w *writer) write(p *phenomenon, f *frame) taggedRow {
	s := &scene{writer: w, frame: f, dom: f.domains[w.rng.IntN(len(f.domains))]}
	d := s.dom
	s.thing = d.things[w.rng.IntN(len(d.things))]
	for f.single && (s.thing.plural || s.thing.mass) { // every domain has countable things: see TestLexicon
		s.thing = d.things[w.rng.IntN(len(d.things))]
	}
	s.plural = s.thing.plural
	s.person = w.rng.IntN(2)
	s.article = w.pick(d.lists["articles"], "the")
	if s.thing.plural {
		s.article = map[string]string{"this": "these", "that": "those"}[s.article]
		if s.article == "" {
			s.article = "the"
		}
	}
	if len(d.parts) > 1 {
		i := w.rng.IntN(len(d.parts))
		j := (i + 1 + w.rng.IntN(len(d.parts)-1)) % len(d.parts)
		s.parts = [2]noun{d.parts[i], d.parts[j]}
	}
	source := []string{"review", "comment", "tweet", ""}[w.rng.IntN(4)]
	before, behind := "", ""
	if !p.bare {
		switch roll := w.rng.IntN(100); {
		case roll < contextBefore/2 && !p.alone && len(d.lists["fact"]) > 0:
			before = s.expand(w.pick(d.lists["fact"], "")) + ". "
			s.mentioned = strings.Contains(before, s.thing.text)
			if s.mentioned && strings.HasPrefix(s.article, "th") {
				s.article = "the"
			}
		case roll < contextBefore:
			before = s.expand(w.pick(w.general.lists["opener"], "")) + " "
		}
	}
	s.plural = s.thing.plural
	text := s.expand(f.text)
	if !p.bare && w.rng.IntN(100) < contextBehind {
		list := w.general.lists["closer"]
		if !s.mentioned && !p.alone && w.rng.IntN(2) == 0 && len(d.lists["fact"]) > 0 {
			list = d.lists["fact"]
		}
		if behind = s.expand(w.pick(list, "")); strings.HasSuffix(text, "?") || strings.HasPrefix(before, behind) {
			behind = "" // nothing is said behind a question, or said twice
		}
	}
	return taggedRow{
		Row: Row{
			Text:   s.style(p, before, text, behind, source),
			Class:  f.class,
			Mixed:  f.mixed,
			Source: source,
			Weight: f.weight,
		},
		words: s.words,
	}
}

func (w *writer) pick(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return list[w.rng.IntN(len(list))]
}

// count notes the opinion words of a row that was kept.
func (w *writer) count(r *taggedRow) {
	for _, u := range r.words {
		if u.class == r.Class {
			w.balance[u.word]++
		} else {
			w.balance[u.word]--
		}
	}
}

// opinionLists have a polarity of their own.
var opinionLists = map[string]int8{
	"good": Positive, "owngood": Positive, "ownbad": Negative, "great": Positive, "goodvp": Positive, "goodev": Positive, "goodidiom": Positive, "virtue": Positive,
	"happy": Positive, "bad": Negative, "awful": Negative, "badvp": Negative, "badev": Negative, "badidiom": Negative,
	"faults": Negative, "upset": Negative,
}

// opinion picks a word of a list, one that is wanted in a row of this class.
func (s *scene) opinion(list string, words []string) string {
	class, ok := opinionLists[list]
	if !ok {
		return s.pick(words, "")
	}
	best, bestScore := "", 0
	for range 5 {
		word := words[s.rng.IntN(len(words))]
		score := s.balance[word]
		if s.frame.class != class {
			score = -score
		}
		if slices.Contains(s.taken, word) {
			score += 1 << 20
		}
		if best == "" || score < bestScore {
			best, bestScore = word, score
		}
	}
	s.taken = append(s.taken, best)
	s.words = append(s.words, use{best, class})
	return best
}

// expand fills the slots of a text.
func (s *scene) expand(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch text[i] {
		case '[':
			end := closing(text, i)
			options := split(text[i+1 : end])
			b.WriteString(s.expand(options[s.rng.IntN(len(options))]))
			i = end + 1
		case '{':
			end := closing(text, i)
			b.WriteString(s.slot(text[i+1 : end]))
			i = end + 1
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return b.String()
}

// closing finds the bracket that closes the one at i; load made sure there is one.
func closing(text string, i int) int {
	depth := 0
	for j := i; j < len(text); j++ {
		switch text[j] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
			if depth == 0 {
				return j
			}
		}
	}
	return len(text) - 1
}

// split cuts the options of a choice at the bars that are not inside a further one.
func split(text string) []string {
	var out []string
	depth, start := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, text[start:i])
				start = i + 1
			}
		}
	}
	return append(out, text[start:])
}

func (s *scene) slot(name string) string {
	if op, rest, ok := strings.Cut(name, ":"); ok {
		switch op {
		case "s":
			verb := s.expand(rest)
			if s.plural {
				return verb
			}
			return inflect(verb, "s")
		case "caps":
			s.shouted = true
			return strings.ToUpper(s.expand(rest))
		case "long":
			return elongate(s.expand(rest), 2+s.rng.IntN(4))
		case "tag":
			return hashtag(s.expand(rest), s.rng.IntN(2) == 0)
		}
	}
	if list, form, ok := verbSlot(name); ok {
		words := s.dom.lists[list]
		if len(words) == 0 {
			words = s.general.lists[list]
		}
		phrase := s.opinion(list, words)
		if form == "s" && s.plural {
			form = ""
		}
		out := inflect(s.expand(phrase), form)
		if form == "d" && s.plural && strings.HasPrefix(out, "was ") {
			out = "were " + out[4:]
		}
		return out
	}
	if forms, ok := agreement[name]; ok {
		if s.plural {
			return forms[1]
		}
		return forms[0]
	}
	switch name {
	case "T":
		s.plural = s.thing.plural
		return strings.TrimPrefix(s.article+" "+s.thing.text, " ")
	case "t":
		return s.thing.text
	case "S":
		return s.subject()
	case "a":
		if s.thing.plural || s.thing.mass {
			return ""
		}
		return "a"
	case "it", "them", "its", "this":
		return s.pronoun(name)
	case "one":
		if s.thing.plural {
			return "ones"
		}
		return "one"
	case "It", "This":
		return capital(s.pronoun(strings.ToLower(name)))
	case "P", "Q", "p", "q", "Pis", "Pwas", "Qis", "Qwas":
		return s.part(name)
	case "good", "great", "bad", "awful":
		return s.opinion(name, s.dom.lists[name])
	case "gooder":
		return comparative(s.opinion("good", s.dom.lists["good"]))
	case "badder":
		return comparative(s.opinion("bad", s.dom.lists["bad"]))
	case "Good", "Great", "Bad", "Awful":
		list := strings.ToLower(name)
		return s.opinion(list, s.general.lists[list])
	case "virtue":
		return s.opinion(name, s.dom.lists[name])
	case "faults":
		return s.opinion(name, s.dom.lists[name])
	case "fault":
		return singular(s.opinion("faults", s.dom.lists["faults"]))
	case "num":
		return fmt.Sprint(2 + s.rng.IntN(28))
	case "nth":
		return fmt.Sprintf("%dth", 4+s.rng.IntN(16))
	case "money":
		return fmt.Sprint(5 * (1 + s.rng.IntN(60)))
	case "clock":
		return fmt.Sprintf("%d:%02d", 7+s.rng.IntN(15), 15*s.rng.IntN(4))
	}
	words := s.dom.lists[name]
	if len(words) == 0 {
		words = s.general.lists[name]
	}
	word := s.opinion(name, words)
	if strings.HasPrefix(name, "emo") {
		return word // emoticons hold brackets
	}
	return s.expand(word)
}

// subject is the thing or a pronoun for it.
func (s *scene) subject() string {
	named := 70
	if s.mentioned {
		named = 25
	}
	if s.rng.IntN(100) < named {
		return s.slot("T")
	}
	if !s.mentioned && s.dom.is("thing") && s.rng.IntN(6) == 0 {
		return s.pronoun("this")
	}
	return s.pronoun("it")
}

// pronoun for the thing; it becomes the last subject.
func (s *scene) pronoun(name string) string {
	many := s.thing.plural || s.dom.is("they")
	s.plural = many
	forms := map[string][3]string{ // one thing, many, a man
		"it": {"it", "they", "he"}, "them": {"it", "them", "him"}, "its": {"its", "their", "his"}, "this": {"this", "these", "he"},
	}[name]
	switch {
	case many && name == "this" && s.dom.is("they"):
		return "they"
	case many:
		return forms[1]
	case s.dom.is("person") && s.person == 0:
		return forms[2]
	case s.dom.is("person"):
		return map[string]string{"it": "she", "them": "her", "its": "her", "this": "she"}[name]
	}
	return forms[0]
}

func (s *scene) part(name string) string {
	n := s.parts[0]
	if name[0] == 'Q' || name[0] == 'q' {
		n = s.parts[1]
	}
	if len(name) == 1 {
		s.plural = n.plural
		if name == "P" || name == "Q" {
			return "the " + n.text
		}
		return n.text
	}
	forms := agreement[name[1:]]
	if n.plural {
		return forms[1]
	}
	return forms[0]
}
