package compose

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed frames/*.txt lexicon/*.txt
var files embed.FS

// noun is a thing or a part of one.
type noun struct {
	text         string
	plural, mass bool
}

// domain is a field of life with the words that fit its things.
type domain struct {
	name   string
	flags  []string
	things []noun
	parts  []noun
	lists  map[string][]string
}

func (d *domain) is(flag string) bool { return slices.Contains(d.flags, flag) }

// frame is a sentence with slots.
type frame struct {
	text    string
	class   int8
	mixed   bool
	weight  float32
	single  bool      // only of a thing that can be counted, and one of it
	domains []*domain // those that have all its words
}

type phenomenon struct {
	name              string
	share             int
	bare, open, alone bool
	frames            []frame
}

type grammar struct {
	general   *domain
	domains   []*domain
	phenomena []*phenomenon
}

func load() (*grammar, error) {
	g := &grammar{general: &domain{lists: map[string][]string{}}}
	if err := each("lexicon", g.lexicon); err != nil {
		return nil, err
	}
	if len(g.domains) == 0 {
		return nil, errors.New("no domains")
	}
	for _, d := range g.domains {
		for _, list := range []string{"good", "bad", "great", "awful"} {
			d.lists["own"+list] = d.lists[list]
			if d.is("own") {
				continue
			}
			// The domain's own words count twice, as they are fewer and more telling.
			own := d.lists[list]
			d.lists[list] = slices.Concat(own, own, g.general.lists[list])
		}
	}
	if err := each("frames", g.frames); err != nil {
		return nil, err
	}
	return g, nil
}

// each reads the files of a folder in the order of their names.
func each(folder string, parse func(name, text string) error) error {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := fs.ReadFile(files, folder+"/"+e.Name())
		if err != nil {
			return err
		}
		if err := parse(e.Name(), string(b)); err != nil {
			return err
		}
	}
	return nil
}

func (g *grammar) lexicon(name, text string) error {
	d := g.general
	key := ""
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "//") {
			continue
		}
		if f := strings.Fields(line); f[0] == "domain" && len(f) > 1 {
			key = ""
			if f[1] == "*" {
				d = g.general
				continue
			}
			d = &domain{name: f[1], flags: f[2:], lists: map[string][]string{}}
			if !d.is("person") {
				d.flags = append(d.flags, "thing")
			}
			g.domains = append(g.domains, d)
			continue
		}
		if line[0] != ' ' {
			k, rest, ok := strings.Cut(line, ":")
			if !ok {
				return fmt.Errorf("%s:%d: no list name", name, i+1)
			}
			key, line = k, rest
		}
		sep := ";"
		if strings.HasPrefix(key, "emo") {
			sep = " " // for emoticons with a wink
		}
		for item := range strings.SplitSeq(line, sep) {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			switch key {
			case "":
				return fmt.Errorf("%s:%d: no list", name, i+1)
			case "things":
				d.things = append(d.things, parseNoun(item))
			case "parts":
				d.parts = append(d.parts, parseNoun(item))
			default:
				d.lists[key] = append(d.lists[key], item)
			}
		}
	}
	return nil
}

func parseNoun(s string) noun {
	switch s[0] {
	case '+':
		return noun{text: s[1:], plural: true}
	case '~':
		return noun{text: s[1:], mass: true}
	}
	return noun{text: s}
}

func (g *grammar) frames(name, text string) error {
	var p *phenomenon
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		var err error
		if head, ok := strings.CutPrefix(line, "== "); ok {
			if p, err = header(head); err == nil {
				g.phenomena = append(g.phenomena, p)
			}
		} else if p == nil {
			err = errors.New("a frame before the first phenomenon")
		} else {
			err = g.frame(p, line)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	return nil
}

func header(s string) (*phenomenon, error) {
	p := &phenomenon{}
	if _, err := fmt.Sscan(s, &p.name, &p.share); err != nil {
		return nil, err
	}
	for _, o := range strings.Fields(s)[2:] {
		switch o {
		case "bare":
			p.bare = true
		case "open":
			p.open = true
		case "alone":
			p.alone = true
		default:
			return nil, fmt.Errorf("unknown option %q", o)
		}
	}
	return p, nil
}

func (g *grammar) frame(p *phenomenon, line string) error {
	head, text, _ := strings.Cut(line, " ")
	flags := ""
	if i := strings.LastIndex(text, " @"); i >= 0 {
		text, flags = strings.TrimSpace(text[:i]), text[i+2:]
	}
	f := frame{text: text, weight: 1}
	for i, c := range head {
		switch {
		case i == 0 && strings.ContainsRune("-0+", c):
			f.class = int8(strings.IndexRune("-0+", c))
		case i > 0 && c == 'm':
			f.mixed = true
		case i > 0 && c >= '1' && c <= '9':
			f.weight = float32(c-'0') / 10
		default:
			return fmt.Errorf("%q is no head of a frame", head)
		}
	}
	if text == "" {
		return errors.New("no text")
	}
	slots, err := slotsOf(text)
	if err != nil {
		return err
	}
	var wanted []string
	for flag := range strings.SplitSeq(flags, ",") {
		if flag == "sg" {
			f.single = true
		} else if flag != "" {
			wanted = append(wanted, flag)
		}
	}
	for _, d := range g.domains {
		if fits(d, wanted) && !slices.ContainsFunc(slots, func(s string) bool { return !g.has(d, s) }) {
			f.domains = append(f.domains, d)
		}
	}
	if len(f.domains) == 0 {
		return fmt.Errorf("no domain has the words of %q", text)
	}
	p.frames = append(p.frames, f)
	return nil
}

func fits(d *domain, flags []string) bool {
	for _, flag := range flags {
		ok := false
		for one := range strings.SplitSeq(flag, "/") {
			not, negated := strings.CutPrefix(one, "!")
			ok = ok || d.is(not) != negated
		}
		if !ok {
			return false
		}
	}
	return true
}

// slotsOf lists the innermost slots of a text.
func slotsOf(text string) ([]string, error) {
	var slots []string
	start, braces, brackets := -1, 0, 0
	for i, c := range text {
		switch c {
		case '{':
			start = i + 1
			braces++
		case '}':
			braces--
			if start >= 0 {
				slots = append(slots, text[start:i])
			}
			start = -1
		case '[':
			brackets++
		case ']':
			brackets--
		}
		if braces < 0 || brackets < 0 {
			break
		}
	}
	if braces != 0 || brackets != 0 {
		return nil, errors.New("brackets do not match")
	}
	return slots, nil
}

// has reports whether a domain can fill a slot.
func (g *grammar) has(d *domain, slot string) bool {
	if strings.Contains(slot, ":") {
		return true // checked when it is expanded
	}
	if list, _, ok := verbSlot(slot); ok {
		slot = list
	}
	switch slot {
	case "Good", "Great", "Bad", "Awful":
		slot = strings.ToLower(slot)
	case "gooder":
		return g.has(d, "good")
	case "badder":
		return g.has(d, "bad")
	case "fault":
		slot = "faults"
	case "P", "p", "Q", "q", "Pis", "Pwas", "Qis", "Qwas":
		return len(d.parts) > 1
	}
	return agreement[slot] != [2]string{} || plainSlots[slot] || len(d.lists[slot]) > 0 || len(g.general.lists[slot]) > 0
}

var plainSlots = map[string]bool{
	"T": true, "t": true, "S": true, "a": true, "it": true, "them": true,
	"its": true, "this": true, "It": true, "This": true, "one": true, "num": true, "nth": true, "money": true, "clock": true,
}

// agreement holds the forms for one and for many.
var agreement = map[string][2]string{
	"is": {"is", "are"}, "was": {"was", "were"}, "isn't": {"isn't", "aren't"}, "wasn't": {"wasn't", "weren't"},
	"has": {"has", "have"}, "hasn't": {"hasn't", "haven't"}, "does": {"does", "do"}, "doesn't": {"doesn't", "don't"},
	"'s": {"'s", "'re"},
}

// verbSlot splits {Gd} in the list of the verb phrase and its form.
func verbSlot(slot string) (list, form string, ok bool) {
	if slot == "" || len(slot) > 2 {
		return "", "", false
	}
	list, ok = map[byte]string{'G': "goodvp", 'B': "badvp", 'E': "goodev", 'F': "badev", 'X': "goodidiom", 'Y': "badidiom"}[slot[0]]
	form = slot[1:]
	return list, form, ok && strings.Contains(" s d n g", " "+form) || ok && form == ""
}
