package ingest

import (
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// submission is the events of one call on their way through the accept path:
// judged and encoded by prepare, given to the batcher, decided by settle.
type submission struct {
	stamp    stamp
	at       time.Time
	verdicts []verdict
	byID     map[string]int32 // first event of each id in this call
	seed     recentKey
	call     *call // nil when there is nothing to append
	tally    tally

	violations int // listed in verdicts
}

const (
	// maxEventViolations bounds the violations that the answer lists for an event.
	maxEventViolations = 10
	// maxCallViolations is where only one is listed for each further event.
	maxCallViolations = 1000
)

// verdict is what is known of one event. A zero status is open: it depends on
// the append of its part, or on the event that it repeats.
type verdict struct {
	status     ingestv1.IngestResult_Status
	part       int32 // index of its part, when open and not a repeat
	repeats    int32 // 1 + index of the event in this call that it repeats; 0 is none
	id         string
	remember   bool // the sender gave the id: worth knowing again
	recent     recentID
	reason     errs.Reason
	violations []errs.Violation
}

// tally counts verdicts.
type tally struct {
	accepted, duplicate, rejected int
	reasons                       []reasonCount
}

type reasonCount struct {
	reason errs.Reason
	n      int
}

func (t *tally) reject(reason errs.Reason) {
	t.rejected++
	for i := range t.reasons {
		if t.reasons[i].reason == reason {
			t.reasons[i].n++
			return
		}
	}
	t.reasons = append(t.reasons, reasonCount{reason, 1})
}

var submissions = sync.Pool{New: func() any { return new(submission) }}

// release gives a settled or never added submission back.
func (sub *submission) release() {
	clear(sub.verdicts)
	clear(sub.byID)
	sub.verdicts, sub.call, sub.violations = sub.verdicts[:0], nil, 0
	sub.tally.accepted, sub.tally.duplicate, sub.tally.rejected = 0, 0, 0
	sub.tally.reasons = sub.tally.reasons[:0]
	submissions.Put(sub)
}

// prepare judges the events of a call and encodes the valid ones.
func (s *Service) prepare(project string, events []*typev1.EventInput, span trace.SpanContext) *submission {
	sub := submissions.Get().(*submission)
	now := s.now()
	sub.at = now
	sub.stamp.project, sub.stamp.acceptedUS = project, now.UnixMicro()
	sub.stamp.span = trace.SpanContext{}
	if span.IsSampled() {
		sub.stamp.span = span
	}
	sub.stamp.encode()
	if s.recent != nil {
		sub.seed = s.recent.projectSeed(project)
	}
	if cap(sub.verdicts) < len(events) {
		sub.verdicts = make([]verdict, 0, max(len(events), 128))
	}
	sub.verdicts = sub.verdicts[:len(events)]
	nameless, open := 0, 0
	for i, e := range events {
		v := &sub.verdicts[i]
		s.judge(sub, events, i, v)
		if v.status == ingestv1.IngestResult_STATUS_UNSPECIFIED && v.repeats == 0 {
			open++
			if e.Id == "" {
				nameless++
			}
		}
	}
	if open > 0 {
		s.pack(sub, events, nameless)
	}
	return sub
}

// judge decides what can be decided of an event without the queue.
func (s *Service) judge(sub *submission, events []*typev1.EventInput, i int, v *verdict) {
	e := events[i]
	if bad := s.validator.check(e, sub.at); len(bad) > 0 {
		v.status, v.reason, v.violations = ingestv1.IngestResult_REJECTED, errs.InvalidField, sub.bound(bad)
		if e != nil && e.Id != "" && validID(e.Id) {
			v.id = e.Id
		}
		return
	}
	if v.id = e.Id; e.Id == "" {
		return
	}
	if len(events) > 1 {
		if sub.byID == nil {
			sub.byID = make(map[string]int32, len(events))
		}
		first, seen := sub.byID[e.Id]
		switch {
		case !seen:
			sub.byID[e.Id] = int32(i)
		case events[first].Text == e.Text:
			v.repeats = first + 1
			return
		default:
			v.status, v.reason = ingestv1.IngestResult_REJECTED, errs.IDRepeatedInBatch
			v.violations = []errs.Violation{{
				Field:  "id",
				Rule:   fmt.Sprintf("must not be that of event %d of the same batch, whose text is another", first),
				Remedy: "give each event an id of its own",
			}}
			return
		}
	}
	if s.recent == nil {
		return
	}
	v.recent, v.remember = s.recent.id(sub.seed, e.Id, e.Text), true
	if s.recent.known(v.recent, sub.at) {
		v.status, v.remember = ingestv1.IngestResult_DUPLICATE, false
	}
}

// bound cuts an event's violations so that the answer to a call stays small
// however bad its events are: after the first ones, one for each event.
func (sub *submission) bound(bad []errs.Violation) []errs.Violation {
	most := maxEventViolations
	if sub.violations >= maxCallViolations {
		most = 1
	}
	bad = bad[:min(len(bad), most)]
	sub.violations += len(bad)
	return bad
}

// pack encodes the open events of a call into parts: one where they fit in one
// message.
func (s *Service) pack(sub *submission, events []*typev1.EventInput, nameless int) {
	var ids string
	if nameless > 0 {
		ids = s.ids.generate(sub.at, nameless)
	}
	maxEvents, maxBytes := s.cfg.Batch.MaxEvents, int(s.cfg.Batch.MaxBytes)
	c := &call{done: make(chan struct{}), parts: make([]part, 0, 1)}
	newPart := func() *part {
		c.parts = append(c.parts, part{
			data: getBuffer(), project: sub.stamp.project,
			hour: sub.stamp.acceptedUS / 3_600_000_000, span: sub.stamp.span,
		})
		return &c.parts[len(c.parts)-1]
	}
	p := newPart()
	for i, e := range events {
		v := &sub.verdicts[i]
		if v.status != ingestv1.IngestResult_STATUS_UNSPECIFIED || v.repeats != 0 {
			continue
		}
		if v.id == "" {
			v.id, ids = ids[:uuidLen], ids[uuidLen:]
		}
		before := len(*p.data)
		*p.data = appendEvent(*p.data, &sub.stamp, e, v.id)
		if p.events > 0 && (len(*p.data) > maxBytes || p.events == maxEvents) {
			tail := (*p.data)[before:]
			full := p.data
			p = newPart()
			*p.data = append(*p.data, tail...)
			*full = (*full)[:before]
		}
		p.events++
		v.part = int32(len(c.parts) - 1)
	}
	sub.call = c
}

// settle completes the verdicts once every part has its outcome. It returns an
// error when the call fails as a whole: nothing of it was stored, or it is not
// known what was.
func (s *Service) settle(sub *submission) *errs.Error {
	if sub.call != nil {
		if err := s.outcome(sub); err != nil {
			return err
		}
	}
	for i := range sub.verdicts {
		v := &sub.verdicts[i]
		if v.status == ingestv1.IngestResult_STATUS_UNSPECIFIED {
			s.conclude(sub, v)
		}
		switch v.status {
		case ingestv1.IngestResult_ACCEPTED:
			sub.tally.accepted++
		case ingestv1.IngestResult_DUPLICATE:
			sub.tally.duplicate++
		default:
			sub.tally.reject(v.reason)
		}
	}
	s.metrics.decided(&sub.tally)
	return nil
}

// outcome looks at the parts: an error when nothing was stored or something is
// unknown.
func (s *Service) outcome(sub *submission) *errs.Error {
	var refused, unknown error
	stored, all := 0, 0
	for i := range sub.call.parts {
		p := &sub.call.parts[i]
		all += p.events
		switch {
		case p.err == nil:
			stored += p.events
		case isUnknown(p.err):
			unknown = p.err
		default:
			refused = p.err
		}
	}
	if unknown != nil {
		known := ""
		if stored > 0 {
			known = fmt.Sprintf(" (%d of %d are for certain)", stored, all)
		}
		return errUnknown(known, unknown)
	}
	if stored == 0 {
		return s.fromQueue(refused)
	}
	return nil
}

// conclude decides an open event by the outcome of its append.
func (s *Service) conclude(sub *submission, v *verdict) {
	if v.repeats > 0 {
		// The first of its id stands before it and is decided already.
		first := &sub.verdicts[v.repeats-1]
		if first.status == ingestv1.IngestResult_REJECTED {
			v.status, v.reason = first.status, first.reason
			return
		}
		v.status = ingestv1.IngestResult_DUPLICATE
		return
	}
	if err := sub.call.parts[v.part].err; err != nil {
		v.status, v.reason = ingestv1.IngestResult_REJECTED, s.fromQueue(err).Reason
		return
	}
	v.status = ingestv1.IngestResult_ACCEPTED
	if v.remember {
		s.recent.add(v.recent, sub.at)
	}
}

// retryable says whether an event refused for this reason can be sent again.
func retryable(r errs.Reason) bool {
	return r != errs.InvalidField && r != errs.IDRepeatedInBatch
}

// result makes the answer for an event.
func (v *verdict) result(i int) *ingestv1.IngestResult {
	out := &ingestv1.IngestResult{Index: int32(i), Id: v.id, Status: v.status}
	if v.status != ingestv1.IngestResult_REJECTED {
		return out
	}
	out.Reason, out.Retryable = string(v.reason), retryable(v.reason)
	for _, bad := range v.violations {
		out.Violations = append(out.Violations, &typev1.FieldViolation{Field: bad.Field, Rule: bad.Rule, Remedy: bad.Remedy})
	}
	return out
}
