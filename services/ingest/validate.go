package ingest

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/timestamppb"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/validation"
)

// Bounds of EventInput as its proto states them. They serve only to pass a valid
// event quickly: what does not pass here is judged by the rules of the proto.
const (
	maxIDBytes        = 128
	maxTextBytes      = 65_536
	maxSourceBytes    = 64
	maxUserIDBytes    = 128
	maxLanguageBytes  = 35
	maxAttributes     = 32
	maxAttributeKey   = 64
	maxAttributeValue = 1024
	maxTargets        = 16
	maxTargetBytes    = 128
	minOccurred       = 946_684_800 // the year 2000, seconds since 1970
	maxAhead          = 24 * time.Hour
)

// validator judges single events by the rules of their proto.
type validator struct {
	rules protovalidate.Validator
	now   func() time.Time
}

func newValidator(now func() time.Time) (*validator, error) {
	rules, err := protovalidate.New(
		protovalidate.WithMessages(&typev1.EventInput{}),
		protovalidate.WithNowFunc(func() *timestamppb.Timestamp { return timestamppb.New(now()) }),
	)
	if err != nil {
		return nil, fmt.Errorf("ingest: rules of EventInput: %w", err)
	}
	return &validator{rules: rules, now: now}, nil
}

// check returns the rules that the event breaks; none for a valid one. at is the
// time of receipt.
func (v *validator) check(e *typev1.EventInput, at time.Time) []errs.Violation {
	if wellFormed(e, at) {
		return nil
	}
	return v.judge(e)
}

// judge asks the rules themselves, and for what they cannot see (bytes that are
// not UTF-8 never come over gRPC, but can from a caller in the same process).
func (v *validator) judge(e *typev1.EventInput) []errs.Violation {
	if e == nil {
		e = &typev1.EventInput{}
	}
	if bad := encodingViolations(e); len(bad) > 0 {
		return bad
	}
	if err := v.rules.Validate(e); err != nil {
		if bad := validation.FromProtovalidate(err); len(bad) > 0 {
			return bad
		}
		// The rules could not be evaluated: refuse rather than store the unknown.
		return []errs.Violation{{Field: "event", Rule: "could not be checked", Remedy: "report this event's shape to the operator"}}
	}
	return nil
}

// wellFormed says that an event keeps every rule. It may say no to a valid
// event, never yes to an invalid one; FuzzWellFormed compares it with the rules.
func wellFormed(e *typev1.EventInput, at time.Time) bool {
	if e == nil || e.Text == "" || len(e.Text) > maxTextBytes || !validText(e.Text) {
		return false
	}
	if e.Id != "" && !validID(e.Id) {
		return false
	}
	if len(e.Source) > maxSourceBytes || !validText(e.Source) ||
		len(e.UserId) > maxUserIDBytes || !validText(e.UserId) {
		return false
	}
	if e.Language != "" && !validLanguage(e.Language) {
		return false
	}
	if t := e.OccurredAt; t != nil {
		if t.Nanos < 0 || t.Nanos > 999_999_999 || t.Seconds < minOccurred {
			return false
		}
		limit := at.Add(maxAhead)
		if s := limit.Unix(); t.Seconds > s || t.Seconds == s && t.Nanos > int32(limit.Nanosecond()) {
			return false
		}
	}
	if len(e.Attributes) > maxAttributes || len(e.Targets) > maxTargets {
		return false
	}
	for k, v := range e.Attributes {
		if k == "" || len(k) > maxAttributeKey || len(v) > maxAttributeValue || !validText(k) || !validText(v) {
			return false
		}
	}
	for _, t := range e.Targets {
		if t == "" || len(t) > maxTargetBytes || !validText(t) {
			return false
		}
	}
	return true
}

// validID is the pattern of an event id, ^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$.
func validID(s string) bool {
	if len(s) > maxIDBytes || !isAlnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !idBytes[s[i]] {
			return false
		}
	}
	return true
}

var idBytes = func() (t [256]bool) {
	for i := range t {
		c := byte(i)
		t[i] = isAlnum(c) || c == '.' || c == '_' || c == '~' || c == '-'
	}
	return t
}()

// validLanguage is ^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$.
func validLanguage(s string) bool {
	if len(s) > maxLanguageBytes {
		return false
	}
	head, rest, more := strings.Cut(s, "-")
	if len(head) < 2 || len(head) > 3 || !isAlpha(head[0]) || !isAlpha(head[1]) || !isAlpha(head[len(head)-1]) {
		return false
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "-")
		if len(part) < 2 || len(part) > 8 {
			return false
		}
		for i := range len(part) {
			if !isAlnum(part[i]) {
				return false
			}
		}
	}
	return true
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isAlnum(c byte) bool { return isAlpha(c) || c >= '0' && c <= '9' }

func containsNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// encodingViolations finds the strings that are not UTF-8 and a time that is not
// one.
func encodingViolations(e *typev1.EventInput) []errs.Violation {
	var bad []errs.Violation
	check := func(field, s string) {
		if !utf8.ValidString(s) {
			bad = append(bad, errs.Violation{Field: field, Rule: "must be UTF-8", Remedy: "convert the text to UTF-8 before sending"})
		}
	}
	check("id", e.Id)
	check("text", e.Text)
	check("source", e.Source)
	check("user_id", e.UserId)
	check("language", e.Language)
	for k, v := range e.Attributes {
		if !utf8.ValidString(k) {
			check("attributes", k)
			continue
		}
		check(fmt.Sprintf("attributes[%.64q]", k), v)
	}
	for i, t := range e.Targets {
		check(fmt.Sprintf("targets[%d]", i), t)
	}
	if t := e.OccurredAt; t != nil && t.CheckValid() != nil {
		bad = append(bad, errs.Violation{
			Field: "occurred_at", Rule: "must be a time with nanos from 0 to 999999999",
			Remedy: "send a valid google.protobuf.Timestamp, or leave it out",
		})
	}
	slices.SortFunc(bad, func(a, b errs.Violation) int { return strings.Compare(a.Field, b.Field) })
	return bad
}
