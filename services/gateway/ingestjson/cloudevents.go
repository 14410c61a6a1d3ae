package ingestjson

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/types/known/timestamppb"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// cloudEvent is a CloudEvent in structured mode (CloudEvents 1.0, JSON format).
// Extension attributes and the attributes not named here are ignored.
type cloudEvent struct {
	SpecVersion string         `json:"specversion"`
	ID          string         `json:"id"`
	Source      string         `json:"source"`
	Type        string         `json:"type"`
	Time        string         `json:"time"`
	Data        jsontext.Value `json:"data"`
	DataBase64  *string        `json:"data_base64"`
}

// cloudData is what is read of data that is an object; its other members are
// ignored.
type cloudData struct {
	Text       *string           `json:"text"`
	UserID     string            `json:"userId"`
	Language   string            `json:"language"`
	Attributes map[string]string `json:"attributes"`
	Targets    []string          `json:"targets"`
}

// DecodeCloudEvent reads one CloudEvent in structured JSON: `id`, `source` and
// `time` become those of the event, and `data` its text, either as a string or
// as an object with `text` and, if wanted, `userId`, `language`, `attributes`
// and `targets`. The error is nil or an *Error.
func DecodeCloudEvent(doc string) (*typev1.EventInput, error) {
	ev, err := cloudOne(jsontext.Value(doc))
	if err != nil {
		return nil, err
	}
	return ev, nil
}

// DecodeCloudEvents reads a batch of CloudEvents (a JSON array), at most
// MaxEvents. The error is nil or an *Error.
func DecodeCloudEvents(doc string) ([]*typev1.EventInput, error) {
	dec := jsontext.NewDecoder(strings.NewReader(doc))
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, cloudSyntax(err)
	}
	if tok.Kind() != '[' {
		return nil, &Error{Kind: Field, Rule: "must be an array", Remedy: "send a batch as an array of CloudEvents"}
	}
	var out []*typev1.EventInput
	for dec.PeekKind() != ']' {
		at := int(dec.InputOffset())
		if len(out) == MaxEvents {
			return nil, &Error{
				Kind: Limit, Rule: "must hold at most 1,000 events", Remedy: "send the events in several requests",
				Offset: at,
			}
		}
		v, err := dec.ReadValue()
		if err != nil {
			return nil, cloudSyntax(err)
		}
		ev, fault := cloudOne(v)
		if fault != nil {
			fault.Offset += at
			return nil, fault.in(fmt.Sprintf("[%d]", len(out)))
		}
		out = append(out, ev)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, cloudSyntax(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, &Error{
			Kind: Syntax, Rule: "has something after its end", Remedy: "send one well-formed JSON document",
			Offset: int(dec.InputOffset()),
		}
	}
	return out, nil
}

func cloudOne(v jsontext.Value) (*typev1.EventInput, *Error) {
	var ce cloudEvent
	if err := json.Unmarshal(v, &ce); err != nil {
		return nil, cloudSyntax(err)
	}
	refuse := func(path, rule, remedy string) (*typev1.EventInput, *Error) {
		return nil, &Error{Kind: Field, Path: path, Rule: rule, Remedy: remedy}
	}
	switch {
	case ce.SpecVersion != "1.0":
		return refuse("specversion", `must be "1.0"`, "send CloudEvents 1.0")
	case ce.ID == "":
		return refuse("id", "must not be empty", "give each event an id of its own")
	case ce.Source == "":
		return refuse("source", "must not be empty", "say where the event comes from")
	case ce.Type == "":
		return refuse("type", "must not be empty", "say what kind of event it is")
	case ce.DataBase64 != nil:
		return refuse("data_base64", "is not read", "send the text in data, as a string or as an object with text")
	}
	ev := &typev1.EventInput{Id: ce.ID, Source: ce.Source}
	if ce.Time != "" {
		t, err := time.Parse(time.RFC3339Nano, ce.Time)
		if err != nil || t.Unix() < minSeconds || t.Unix() > maxSeconds {
			return refuse("time", "must be a time as in RFC 3339", `send it as "2026-01-31T12:00:00Z"`)
		}
		ev.OccurredAt = timestamppb.New(t)
	}
	switch ce.Data.Kind() {
	case '"':
		if err := json.Unmarshal(ce.Data, &ev.Text); err != nil {
			return nil, cloudSyntax(err).in("data")
		}
	case '{':
		var data cloudData
		if err := json.Unmarshal(ce.Data, &data); err != nil {
			return nil, cloudSyntax(err).in("data")
		}
		if data.Text == nil {
			return refuse("data.text", "must be given", "put the text into data.text")
		}
		ev.Text, ev.UserId, ev.Language = *data.Text, data.UserID, data.Language
		ev.Attributes, ev.Targets = data.Attributes, data.Targets
	default:
		return refuse("data", "must be a string or an object with text", "put the text into data or data.text")
	}
	return ev, nil
}

// cloudSyntax turns an error of the JSON packages into ours.
func cloudSyntax(err error) *Error {
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return &Error{
			Kind: Field, Path: pointerPath(semantic.JSONPointer), Rule: "has a value of the wrong type",
			Remedy: "send it as the documentation says", Offset: int(semantic.ByteOffset),
		}
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		kind, rule := Syntax, "is not well-formed JSON"
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			kind, rule = Field, "is given twice"
		case strings.Contains(err.Error(), "invalid UTF-8"):
			kind, rule = Field, "is not valid UTF-8"
		case errors.Is(err, io.ErrUnexpectedEOF):
			rule = "ends too early"
		}
		return &Error{
			Kind: kind, Path: pointerPath(syntactic.JSONPointer), Rule: rule,
			Remedy: "send one well-formed JSON document", Offset: int(syntactic.ByteOffset),
		}
	}
	return &Error{Kind: Syntax, Rule: "ends too early", Remedy: "send the whole document"}
}

// pointerPath turns a JSON pointer into a path as in this package's errors.
func pointerPath(ptr jsontext.Pointer) string {
	var b strings.Builder
	for tok := range ptr.Tokens() {
		if tok != "" && strings.Trim(tok, "0123456789") == "" {
			b.WriteString("[" + tok + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(clip(tok))
	}
	return b.String()
}
