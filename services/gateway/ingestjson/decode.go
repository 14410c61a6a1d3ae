package ingestjson

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// Bounds on what a document may make the decoder allocate. Events beyond
// MaxEvents are refused here, as the service would refuse them; the other two
// lie above what the service takes, whose verdict is per event.
const (
	// MaxEvents is the most events of one request.
	MaxEvents = 1000
	// MaxAttributes is the most attributes of one event that are read.
	MaxAttributes = 64
	// MaxTargets is the most targets of one event that are read.
	MaxTargets = 64
)

// DecodeRequest reads one IngestEventsRequest. The error is nil or an *Error.
func DecodeRequest(doc string) (*ingestv1.IngestEventsRequest, error) {
	p := parser{s: doc}
	req := &ingestv1.IngestEventsRequest{}
	if err := p.request(req); err != nil {
		return nil, err
	}
	if err := p.trailing(); err != nil {
		return nil, err
	}
	return req, nil
}

// DecodeEvent reads one EventInput into ev, which must be empty; after an error
// ev holds what had been read. The error is nil or an *Error.
func DecodeEvent(doc string, ev *typev1.EventInput) error {
	p := parser{s: doc}
	var d decoder
	if err := d.event(&p, ev); err != nil {
		return err
	}
	if err := p.trailing(); err != nil {
		return err
	}
	return nil
}

func (p *parser) trailing() *Error {
	if p.ws(); p.i < len(p.s) {
		return p.syntax("has something after its end")
	}
	return nil
}

// decoder hands out messages in blocks, which is cheaper than one by one.
type decoder struct {
	events []typev1.EventInput
	times  []timestamppb.Timestamp
}

func (d *decoder) newEvent(rest int) *typev1.EventInput {
	if len(d.events) == 0 {
		// An event takes about 150 bytes; a wrong guess costs a block more.
		d.events = make([]typev1.EventInput, min(64, rest/150+1))
	}
	ev := &d.events[0]
	d.events = d.events[1:]
	return ev
}

func (d *decoder) newTime() *timestamppb.Timestamp {
	if len(d.times) == 0 {
		d.times = make([]timestamppb.Timestamp, len(d.events)+1)
	}
	t := &d.times[0]
	d.times = d.times[1:]
	return t
}

// object reads the braces and names of an object and calls field for each
// value, with p.i at its first byte.
func (p *parser) object(field func(name string, at int) *Error) *Error {
	if p.ws() != '{' {
		return p.wrong("an object")
	}
	p.i++
	if p.ws() == '}' {
		p.i++
		return nil
	}
	for {
		if p.ws() != '"' {
			return p.syntax("misses a field name")
		}
		at := p.i
		name, err := p.str()
		if err != nil {
			return err
		}
		if p.ws() != ':' {
			return p.syntax("misses a colon after a field name")
		}
		p.i++
		p.ws()
		if err := field(name, at); err != nil {
			return err
		}
		switch p.ws() {
		case ',':
			p.i++
		case '}':
			p.i++
			return nil
		default:
			return p.syntax("misses a comma or a closing brace")
		}
	}
}

// array reads the brackets of an array and calls item for each element.
func (p *parser) array(item func(n int) *Error) *Error {
	if p.ws() != '[' {
		return p.wrong("an array")
	}
	p.i++
	if p.ws() == ']' {
		p.i++
		return nil
	}
	for n := 0; ; n++ {
		p.ws()
		if err := item(n); err != nil {
			return err
		}
		switch p.ws() {
		case ',':
			p.i++
		case ']':
			p.i++
			return nil
		default:
			return p.syntax("misses a comma or a closing bracket")
		}
	}
}

// wrong refuses the value at p.i, which is of another type than wanted or no
// JSON at all.
func (p *parser) wrong(want string) *Error {
	if p.i >= len(p.s) {
		return p.syntax("")
	}
	switch c := p.s[p.i]; {
	case c == '{', c == '[', c == '"', c == '-', '0' <= c && c <= '9',
		strings.HasPrefix(p.s[p.i:], "true"), strings.HasPrefix(p.s[p.i:], "false"), strings.HasPrefix(p.s[p.i:], "null"):
		return p.fail(Field, p.i, "must be "+want, "send it as "+want+" or leave it out")
	}
	return p.syntax("has no value where one must be")
}

func (p *parser) text() (string, *Error) {
	if p.i >= len(p.s) || p.s[p.i] != '"' {
		return "", p.wrong("a string")
	}
	return p.str()
}

func (p *parser) request(req *ingestv1.IngestEventsRequest) *Error {
	var (
		seen uint
		d    decoder
	)
	return p.object(func(name string, at int) *Error {
		var bit uint
		switch name {
		case "parent":
			bit = 1
		case "events":
			bit = 2
		case "fullResults", "full_results":
			bit = 4
		default:
			return p.unknown(name, at)
		}
		if seen&bit != 0 {
			return p.twice(name, at)
		}
		seen |= bit
		if p.null() {
			return nil
		}
		var err *Error
		switch bit {
		case 1:
			req.Parent, err = p.text()
		case 2:
			err = d.list(p, req)
		case 4:
			req.FullResults, err = p.boolean()
		}
		if err != nil {
			return err.in(name)
		}
		return nil
	})
}

func (d *decoder) list(p *parser, req *ingestv1.IngestEventsRequest) *Error {
	return p.array(func(n int) *Error {
		if n == MaxEvents {
			return p.fail(Limit, p.i, "must hold at most 1,000 events", "send the events in several requests, or as NDJSON")
		}
		ev := d.newEvent(len(p.s) - p.i)
		if err := d.event(p, ev); err != nil {
			return err.in("[" + strconv.Itoa(n) + "]")
		}
		req.Events = append(req.Events, ev)
		return nil
	})
}

// The fields of an event as bits, to find one that is given twice.
const (
	fieldID = 1 << iota
	fieldText
	fieldSource
	fieldUser
	fieldOccurred
	fieldLanguage
	fieldAttributes
	fieldTargets
)

func eventField(name string) uint {
	switch name {
	case "id":
		return fieldID
	case "text":
		return fieldText
	case "source":
		return fieldSource
	case "userId", "user_id":
		return fieldUser
	case "occurredAt", "occurred_at":
		return fieldOccurred
	case "language":
		return fieldLanguage
	case "attributes":
		return fieldAttributes
	case "targets":
		return fieldTargets
	}
	return 0
}

func (d *decoder) event(p *parser, ev *typev1.EventInput) *Error {
	var seen uint
	return p.object(func(name string, at int) *Error {
		bit := eventField(name)
		if bit == 0 {
			return p.unknown(name, at)
		}
		if seen&bit != 0 {
			return p.twice(name, at)
		}
		seen |= bit
		if p.null() {
			return nil
		}
		var err *Error
		switch bit {
		case fieldID:
			ev.Id, err = p.text()
		case fieldText:
			ev.Text, err = p.text()
		case fieldSource:
			ev.Source, err = p.text()
		case fieldUser:
			ev.UserId, err = p.text()
		case fieldOccurred:
			ev.OccurredAt = d.newTime()
			err = p.timestamp(ev.OccurredAt)
		case fieldLanguage:
			ev.Language, err = p.text()
		case fieldAttributes:
			err = p.attributes(ev)
		case fieldTargets:
			err = p.targets(ev)
		}
		if err != nil {
			return err.in(name)
		}
		return nil
	})
}

func (p *parser) unknown(name string, at int) *Error {
	err := p.fail(Field, at, "is not a known field", "remove it or correct its name")
	err.Path = clip(name)
	return err
}

func (p *parser) twice(name string, at int) *Error {
	err := p.fail(Field, at, "is given twice", "send each field once")
	err.Path = clip(name)
	return err
}

// clip shortens a name that the sender made up, for messages.
func clip(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	n := most
	for n > 0 && name[n]&0xC0 == 0x80 {
		n--
	}
	return name[:n] + "…"
}

func (p *parser) boolean() (bool, *Error) {
	switch rest := p.s[p.i:]; {
	case strings.HasPrefix(rest, "true"):
		p.i += 4
		return true, nil
	case strings.HasPrefix(rest, "false"):
		p.i += 5
		return false, nil
	}
	return false, p.wrong("true or false")
}

func (p *parser) attributes(ev *typev1.EventInput) *Error {
	ev.Attributes = make(map[string]string)
	return p.object(func(name string, at int) *Error {
		if _, ok := ev.Attributes[name]; ok {
			err := p.fail(Field, at, "is given twice", "send each attribute once")
			err.Path = "[" + strconv.Quote(clip(name)) + "]"
			return err
		}
		if len(ev.Attributes) == MaxAttributes {
			return p.fail(Limit, at, "must hold at most 32 pairs", "send fewer attributes")
		}
		value, err := p.text()
		if err != nil {
			return err.in("[" + strconv.Quote(clip(name)) + "]")
		}
		ev.Attributes[name] = value
		return nil
	})
}

func (p *parser) targets(ev *typev1.EventInput) *Error {
	return p.array(func(n int) *Error {
		if n == MaxTargets {
			return p.fail(Limit, p.i, "must hold at most 16 targets", "send fewer targets")
		}
		value, err := p.text()
		if err != nil {
			return err.in("[" + strconv.Itoa(n) + "]")
		}
		ev.Targets = append(ev.Targets, value)
		return nil
	})
}

// The range of google.protobuf.Timestamp: the years 1 to 9999.
const (
	minSeconds = -62135596800
	maxSeconds = 253402300799
)

// timestamp reads an RFC 3339 time as protojson does: at most nine digits of a
// fraction, any offset.
func (p *parser) timestamp(ts *timestamppb.Timestamp) *Error {
	at := p.i
	s, err := p.text()
	if err != nil {
		return err
	}
	t, perr := time.Parse(time.RFC3339Nano, s)
	sec := t.Unix()
	dot := strings.LastIndexByte(s, '.')
	zone := strings.LastIndexAny(s, "Z-+")
	if perr != nil || sec < minSeconds || sec > maxSeconds || dot >= 0 && zone >= dot && zone-dot > len(".999999999") {
		return p.fail(Field, at, "must be a time as in RFC 3339, from the year 1 to 9999",
			`send it as "2026-01-31T12:00:00Z", with at most nine digits of a fraction`)
	}
	ts.Seconds, ts.Nanos = sec, int32(t.Nanosecond())
	return nil
}
