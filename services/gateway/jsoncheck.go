package gateway

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// Bounds on the JSON of the routes that protojson reads: it takes a hundred
// bytes of memory and more for an empty object, so the values are counted before
// it sees them.
const (
	maxDepth  = 32
	maxValues = 100_000
)

// checkJSON says whether doc is one well-formed JSON document within the bounds.
func checkJSON(doc string) error {
	dec := jsontext.NewDecoder(strings.NewReader(doc), jsontext.AllowDuplicateNames(true))
	for n := 0; ; n++ {
		_, err := dec.ReadToken()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return syntaxError(doc, err)
		case dec.StackDepth() > maxDepth:
			return errs.Malformed("the JSON is nested deeper than %d levels", maxDepth)
		case n > maxValues:
			return errs.TooLarge(fmt.Sprintf("the JSON holds more than %d values", maxValues), "split it into several requests")
		case dec.StackDepth() == 0:
			if rest := strings.TrimLeft(doc[dec.InputOffset():], " \t\r\n"); rest != "" {
				return errs.Malformed("the JSON has something after its end")
			}
			return nil
		}
	}
}

func syntaxError(doc string, err error) error {
	var se *jsontext.SyntacticError
	if !errors.As(err, &se) {
		return errs.Malformed("the JSON ends too early")
	}
	where := fmt.Sprintf("byte %d of %d", se.ByteOffset, len(doc))
	field := pathOfPointer(se.JSONPointer)
	if strings.Contains(se.Err.Error(), "UTF-8") {
		if field == "" {
			field = "body"
		}
		e := errs.Invalid(errs.Violation{Field: field, Rule: "is not valid UTF-8", Remedy: "send text as UTF-8"})
		return e
	}
	what := "is not well formed"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		what = "ends too early"
	}
	e := errs.Malformed("the JSON %s (%s)", what, where)
	e.Remedy = "send one well-formed JSON document"
	if field != "" {
		e.Violations = []errs.Violation{{Field: field, Rule: "is not well-formed JSON", Remedy: e.Remedy}}
	}
	return e
}

// decodeMark begins the text of an error of decode. The generated handlers keep
// only the text of a marshaler's error, so field, rule and remedy travel in it,
// apart from each other by the same sign.
const decodeMark = "\x1f"

// decode reads a document into v, a message or a pointer to one that may be nil,
// as the generated handlers give it.
func decode(doc string, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		p := reflect.ValueOf(v)
		if p.Kind() != reflect.Pointer || p.Elem().Kind() != reflect.Pointer {
			return fmt.Errorf("%T is not a message", v)
		}
		if p.Elem().IsNil() {
			p.Elem().Set(reflect.New(p.Elem().Type().Elem()))
		}
		if m, ok = p.Elem().Interface().(proto.Message); !ok {
			return fmt.Errorf("%T is not a message", v)
		}
	}
	err := protojson.UnmarshalOptions{RecursionLimit: maxDepth}.Unmarshal([]byte(doc), m)
	if err == nil {
		return nil
	}
	f := fieldError(doc, err.Error())
	return errors.New(decodeMark + strings.Join([]string{f.Field, f.Rule, f.Remedy}, decodeMark))
}

// decodeError turns the text of an error of decode back.
func decodeError(text string) (error, bool) {
	parts := strings.Split(text, decodeMark)
	if len(parts) != 4 || parts[0] != "" {
		return nil, false
	}
	return errs.Invalid(errs.Violation{Field: parts[1], Rule: parts[2], Remedy: parts[3]}), true
}

var (
	protojsonPlace = regexp.MustCompile(`\(line (\d+):(\d+)\): (.*)$`)
	protojsonType  = regexp.MustCompile(`^invalid value for (\w+) field`)
)

// fieldError reads protojson's message: what is wrong and, by the place that it
// names, with which field.
func fieldError(doc, text string) errs.Violation {
	v := errs.Violation{Field: "body", Rule: "can not be read", Remedy: "see /docs for the fields and their types"}
	m := protojsonPlace.FindStringSubmatch(text)
	if m == nil {
		return v
	}
	line, _ := strconv.Atoi(m[1])
	column, _ := strconv.Atoi(m[2])
	if f := fieldAt(doc, line, column); f != "" {
		v.Field = f
	}
	switch what := m[3]; {
	case strings.HasPrefix(what, "unknown field"):
		v.Rule, v.Remedy = "is not a known field", "remove it or correct its name"
	case strings.HasPrefix(what, "duplicate"):
		v.Rule, v.Remedy = "is given twice", "send each field once"
	case strings.Contains(what, "oneof"):
		v.Rule, v.Remedy = "excludes another field that is given", "send only one of them"
	default:
		if t := protojsonType.FindStringSubmatch(what); t != nil {
			v.Rule = "must be " + kindWords(t[1])
		} else {
			v.Rule = "has a value of the wrong type or form"
		}
	}
	return v
}

func kindWords(kind string) string {
	switch kind {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "bytes":
		return "base64"
	case "enum":
		return "one of the documented names"
	case "double", "float":
		return "a number"
	default:
		return "a whole number in its range"
	}
}

// fieldAt finds the path of the value or name at a place in the document.
func fieldAt(doc string, line, column int) string {
	offset := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(doc[offset:], '\n')
		if i < 0 {
			return ""
		}
		offset += i + 1
	}
	for i := range doc[offset:] {
		if column--; column == 0 {
			offset += i
			break
		}
	}
	dec := jsontext.NewDecoder(strings.NewReader(doc), jsontext.AllowDuplicateNames(true))
	for {
		if _, err := dec.ReadToken(); err != nil {
			return ""
		}
		if dec.InputOffset() > int64(offset) {
			return pathOfPointer(dec.StackPointer())
		}
	}
}

// pathOfPointer turns a JSON pointer into a path such as "requests[3].text".
func pathOfPointer(ptr jsontext.Pointer) string {
	var b strings.Builder
	for tok := range ptr.Tokens() {
		if len(tok) > 64 {
			tok = strings.ToValidUTF8(tok[:64], "") + "…"
		}
		if tok != "" && strings.Trim(tok, "0123456789") == "" {
			b.WriteString("[" + tok + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(tok)
	}
	return b.String()
}
