package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/validation"
)

// scoreInput is a line of input.
type scoreInput struct {
	id, text, source, language string
	targets                    []string
}

// withText is a text with these hints.
func (in *scoreInput) withText(text string) scoreInput {
	out := *in
	out.text = text
	return out
}

// read reads a line of JSON. Fields that are not known are passed over. The usual
// line is read by hand; one with escapes or with anything else by encoding/json.
// The strings are parts of the line or copies.
func (in *scoreInput) read(line string) []errs.Violation {
	if !utf8.ValidString(line) {
		return []errs.Violation{{Field: "line", Rule: "must be UTF-8", Remedy: "convert the file to UTF-8"}}
	}
	if in.quick(line) {
		return nil
	}
	var x struct {
		ID       string   `json:"id"`
		Text     string   `json:"text"`
		Source   string   `json:"source"`
		Language string   `json:"language"`
		Targets  []string `json:"targets"`
	}
	if err := json.Unmarshal([]byte(line), &x); err != nil {
		var wrong *json.UnmarshalTypeError
		v := errs.Violation{
			Field: "line", Rule: "must be a JSON object: " + strings.TrimPrefix(err.Error(), "json: "),
			Remedy: `write a line such as {"id":"1","text":"Love it","targets":["it"]}`,
		}
		if errors.As(err, &wrong) {
			v.Rule = "must be a JSON object, not a " + wrong.Value
			if wrong.Field != "" {
				v.Field, v.Rule = wrong.Field, fmt.Sprintf("must be a %s, not a %s", wantedType(wrong.Field), wrong.Value)
			}
		}
		return []errs.Violation{v}
	}
	*in = scoreInput{x.ID, x.Text, x.Source, x.Language, x.Targets}
	return nil
}

func wantedType(field string) string {
	if field == "targets" {
		return "list of strings"
	}
	return "string"
}

// quick reads an object whose fields are known and whose strings hold no escapes;
// it says no to any other line, and to one that is not JSON.
func (in *scoreInput) quick(line string) bool {
	l := lexer{line}
	if !l.take('{') {
		return false
	}
	for !l.take('}') {
		name, ok := l.str()
		if !ok || !l.take(':') {
			return false
		}
		switch name {
		case "id":
			in.id, ok = l.str()
		case "text":
			in.text, ok = l.str()
		case "source":
			in.source, ok = l.str()
		case "language":
			in.language, ok = l.str()
		case "targets":
			in.targets, ok = l.strs(in.targets[:0])
		default:
			return false
		}
		if !ok {
			return false
		}
		if !l.take(',') {
			return l.take('}') && l.end()
		}
		if l.peek() == '}' {
			return false
		}
	}
	return l.end()
}

// lexer walks over a line.
type lexer struct{ rest string }

// peek returns the next byte that is not white space; 0 at the end.
func (l *lexer) peek() byte {
	for len(l.rest) > 0 {
		switch c := l.rest[0]; c {
		case ' ', '\t', '\r', '\n':
			l.rest = l.rest[1:]
		default:
			return c
		}
	}
	return 0
}

func (l *lexer) take(c byte) bool {
	if l.peek() != c {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

func (l *lexer) end() bool { return l.peek() == 0 && l.rest == "" }

// str takes a string without escapes.
func (l *lexer) str() (string, bool) {
	if !l.take('"') {
		return "", false
	}
	n := strings.IndexByte(l.rest, '"')
	if n < 0 {
		return "", false
	}
	s := l.rest[:n]
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == '\\' {
			return "", false
		}
	}
	l.rest = l.rest[n+1:]
	return s, true
}

// strs takes a list of strings without escapes, and appends them.
func (l *lexer) strs(list []string) ([]string, bool) {
	if !l.take('[') {
		return list, false
	}
	if l.take(']') {
		return list, true
	}
	for {
		s, ok := l.str()
		if !ok {
			return list, false
		}
		list = append(list, s)
		if l.take(']') {
			return list, true
		}
		if !l.take(',') {
			return list, false
		}
	}
}

// Bounds of ScoreTextRequest as its proto states them. They serve only to pass a
// valid line quickly: the rules of the proto judge what does not pass.
const (
	maxScoreText     = 65_536
	maxScoreSource   = 64
	maxScoreTargets  = 16
	maxScoreTarget   = 128
	maxPlainLanguage = 3
)

// fits says that the input keeps every rule. It may say no to a valid one.
func (in *scoreInput) fits() bool {
	if in.text == "" || len(in.text) > maxScoreText || !utf8.ValidString(in.text) || strings.IndexByte(in.text, 0) >= 0 || len(in.source) > maxScoreSource || len(in.targets) > maxScoreTargets {
		return false
	}
	if n := len(in.language); n != 0 && (n < 2 || n > maxPlainLanguage) {
		return false
	}
	for i := range len(in.language) {
		if c := in.language[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	for _, t := range in.targets {
		if t == "" || len(t) > maxScoreTarget || strings.IndexByte(t, 0) >= 0 {
			return false
		}
	}
	return true
}

var scoreRules = sync.OnceValues(func() (protovalidate.Validator, error) {
	return protovalidate.New(protovalidate.WithMessages(&scoringv1.ScoreTextRequest{}))
})

// violations are the rules of ScoreText that the input breaks; none for a valid
// one.
func (in *scoreInput) violations() []errs.Violation {
	if in.fits() {
		return nil
	}
	for _, f := range [][2]string{{"text", in.text}, {"source", in.source}, {"language", in.language}, {"targets", strings.Join(in.targets, "")}} {
		if !utf8.ValidString(f[1]) {
			return []errs.Violation{{Field: f[0], Rule: "must be UTF-8", Remedy: "convert it to UTF-8"}}
		}
	}
	rules, err := scoreRules()
	if err == nil {
		err = rules.Validate(&scoringv1.ScoreTextRequest{Text: in.text, Source: in.source, Language: in.language, Targets: in.targets})
	}
	if err == nil {
		return nil
	}
	if v := validation.FromProtovalidate(err); len(v) > 0 {
		return v
	}
	return []errs.Violation{{Field: "line", Rule: "could not be checked: " + err.Error(), Remedy: "report this"}}
}
