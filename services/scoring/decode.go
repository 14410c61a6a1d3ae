package scoring

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/synapse-analytics/synapse/model"
)

// A message of EVENTS is read by hand: an event passes through scoring as the
// bytes that it is, and only what scoring needs is looked at. That saves the
// generated code's unpacking and packing, which cost as much as a short text's
// scoring. What is read here is as strict as the generated code, so that nothing
// is passed on which the next reader cannot unpack; FuzzDecode compares the two.

// event is an event of a message.
type event struct {
	raw        []byte // the encoded pipeline.v1.QueuedEvent
	project    string
	acceptedUS int64
	text       model.Input
	traceID    []byte // 16 bytes with spanID's 8, or neither
	spanID     []byte
}

var errWire = errors.New("not a pipeline.v1.EventBatch")

// decodeBatch appends the events of a message to events. They share its bytes
// and those of one copy of it.
func decodeBatch(data []byte, events []event) ([]event, error) {
	text := string(data)              // one copy, of which all strings are parts
	data = data[:len(data):len(data)] // str counts from the end
	d := decoder{all: text, size: len(data)}
	err := d.fields(data, func(num protowire.Number, value []byte) error {
		if num != 1 || value == nil {
			return nil
		}
		e := event{raw: value}
		if err := d.queued(&e); err != nil {
			return fmt.Errorf("event %d: %w", len(events), err)
		}
		events = append(events, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	return events, nil
}

// decoder reads messages that are parts of one.
type decoder struct {
	all  string // the whole message
	size int
}

// str returns a length-delimited value, which ends where rest begins, as a part
// of all. It must be UTF-8.
func (d *decoder) str(value []byte) (string, error) {
	if !utf8.Valid(value) {
		return "", errors.New("a string is not UTF-8")
	}
	// value is a part of the message's bytes: its capacity tells where it ends.
	start := d.size - cap(value)
	return d.all[start : start+len(value)], nil
}

// fields calls f for each field of a message: with the bytes of a
// length-delimited one, with nil for the others.
func (d *decoder) fields(b []byte, f func(num protowire.Number, value []byte) error) error {
	return d.varints(b, f, nil)
}

// varints is fields that also calls v, if it is not nil, for each varint.
func (d *decoder) varints(b []byte, f func(protowire.Number, []byte) error, v func(protowire.Number, uint64)) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if num > protowire.MaxValidNumber {
			return errors.New("a field number is out of range")
		}
		b = b[n:]
		switch typ {
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if value == nil {
				value = b[:0]
			}
			if err := f(num, value); err != nil {
				return err
			}
			b = b[n:]
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if v != nil {
				v(num, value)
			}
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(num, typ, b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
		}
	}
	return nil
}

// queued reads a pipeline.v1.QueuedEvent.
func (d *decoder) queued(e *event) error {
	err := d.varints(e.raw, func(num protowire.Number, value []byte) (err error) {
		switch num {
		case 1:
			e.project, err = d.str(value)
		case 2:
			err = d.input(e, value)
		case 4:
			e.traceID = value
		case 5:
			e.spanID = value
		}
		return err
	}, func(num protowire.Number, value uint64) {
		if num == 3 {
			e.acceptedUS = int64(value)
		}
	})
	if len(e.traceID) != 16 || len(e.spanID) != 8 {
		e.traceID, e.spanID = nil, nil
	}
	return err
}

// input reads a type.v1.EventInput.
func (d *decoder) input(e *event, b []byte) error {
	return d.fields(b, func(num protowire.Number, value []byte) (err error) {
		switch num {
		case 2:
			e.text.Text, err = d.str(value)
		case 3:
			e.text.Source, err = d.str(value)
		case 6:
			e.text.Language, err = d.str(value)
		case 1, 4: // id, user_id
			_, err = d.str(value)
		case 8: // targets
			var target string
			target, err = d.str(value)
			e.text.Targets = append(e.text.Targets, model.Target{Text: target})
		case 5: // occurred_at
			err = d.fields(value, func(protowire.Number, []byte) error { return nil })
		case 7: // attributes
			err = d.fields(value, func(num protowire.Number, value []byte) (err error) {
				if num == 1 || num == 2 {
					_, err = d.str(value)
				}
				return err
			})
		}
		return err
	})
}
