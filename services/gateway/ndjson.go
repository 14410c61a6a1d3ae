package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/grpc/metadata"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/gateway/ingestjson"
)

const (
	// maxLine bounds one line. An event at all its limits, every character of it
	// written as an escape, is shorter.
	maxLine = 1 << 20
	// maxBlock is the size in bytes after which a block of lines is sent.
	maxBlock = 2 << 20
)

// ndjson serves one request with an event a line. It sends blocks of up to 1,000
// events as it reads and answers with the verdicts of all, whose index counts
// the lines that are not blank.
//
// Up to the first block that was taken over an error is an answer for the whole
// request, as with JSON. After that the events of earlier blocks are accepted
// for good, so what goes wrong is said per event: the events that it concerns
// are rejected for its reason.
type ndjson struct {
	c      *call
	md     metadata.MD
	parent string
	full   bool

	accepted, duplicate, rejected int64
	// index of the next event.
	index int64
	// out holds the verdicts as JSON; listed counts them.
	out     []byte
	listed  int
	traceID string
	// taken says that a block was taken over.
	taken bool
	// failed is why later events are not sent any more.
	failed *errs.Error
}

// verdict is the gateway's own about a line.
type verdict struct {
	index int64
	res   *ingestv1.IngestResult
}

// run reads, sends and answers. An error means that nothing was taken over.
func (n *ndjson) run() error {
	b, err := n.c.openBody()
	if b != nil {
		defer b.done()
	}
	if err != nil {
		return err
	}
	lines := ingestjson.NewLines(b, maxLine)
	for {
		block, err := lines.Block(ingestjson.MaxEvents, maxBlock)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if !n.taken {
				return err
			}
			n.stop(lines.LineNumber(), 1, errs.FromError(err))
			break
		}
		if n.listed+len(block) > n.c.g.cfg.MaxResults {
			if err := n.tooMany(lines, block); err != nil {
				return err
			}
			break
		}
		if err := n.send(block); err != nil {
			return err
		}
	}
	if n.index == 0 {
		return errEmptyBody()
	}
	if !n.taken {
		if err := n.authorise(); err != nil {
			return err
		}
	}
	if n.failed != nil && n.failed.RetryAfter > 0 {
		n.c.Header().Set("Retry-After", retryAfter(n.failed.RetryAfter))
	}
	body := ingestjson.AppendCounts(make([]byte, 0, len(n.out)+256), n.accepted, n.duplicate, n.rejected)
	body = append(body, n.out...)
	n.c.answer(http.StatusOK, ingestjson.AppendEnd(body, n.traceID))
	return nil
}

// authorise asks the service whether the caller may ingest at all, for a request
// without a line that could be sent.
func (n *ndjson) authorise() error {
	ctx, cancel := context.WithTimeout(n.c.ctx, n.c.g.cfg.RequestTimeout)
	defer cancel()
	_, err := n.c.g.ingest.GetIngestStatus(metadata.NewOutgoingContext(ctx, n.md),
		&ingestv1.GetIngestStatusRequest{Name: n.parent + "/ingestStatus"})
	return err
}

// send decodes a block, sends its events and notes the verdicts.
func (n *ndjson) send(block []ingestjson.Line) error {
	var (
		events = make([]*typev1.EventInput, 0, len(block))
		where  = make([]int64, 0, len(block)) // index of each event
		own    []verdict
	)
	for i, line := range block {
		index := n.index + int64(i)
		ev := &typev1.EventInput{}
		switch res := n.decode(line, ev); {
		case res != nil:
			own = append(own, verdict{index, res})
		case n.failed != nil:
			own = append(own, verdict{index, refusal(ev.GetId(), n.failed)})
		default:
			events = append(events, ev)
			where = append(where, index)
		}
	}
	n.index += int64(len(block))
	if len(events) == 0 {
		return n.note(own, nil, nil)
	}
	ctx, cancel := context.WithTimeout(n.c.ctx, n.c.g.cfg.RequestTimeout)
	defer cancel()
	resp, a, err := n.c.g.sendAlone(ctx, n.md, &ingestv1.IngestEventsRequest{Parent: n.parent, Events: events, FullResults: n.full})
	n.c.headers(a.header, a.trailer)
	if err != nil {
		if !n.taken {
			return err
		}
		n.failed = errs.FromError(err)
		var results []*ingestv1.IngestResult
		for i, ev := range events {
			res := refusal(ev.GetId(), n.failed)
			res.Index = int32(i)
			results = append(results, res)
		}
		n.rejected += int64(len(events))
		return n.note(own, results, where)
	}
	n.taken = true
	n.accepted += int64(resp.GetAccepted())
	n.duplicate += int64(resp.GetDuplicate())
	n.rejected += int64(resp.GetRejected())
	if n.traceID == "" {
		n.traceID = resp.GetTraceId()
	}
	return n.note(own, resp.GetResults(), where)
}

// decode reads a line into ev; a verdict means that the line was refused.
func (n *ndjson) decode(line ingestjson.Line, ev *typev1.EventInput) *ingestv1.IngestResult {
	if line.TooLong {
		return &ingestv1.IngestResult{
			Status: ingestv1.IngestResult_REJECTED, Reason: string(errs.RequestTooLarge),
			Violations: []*typev1.FieldViolation{{
				Field: lineName(line.Number), Rule: fmt.Sprintf("is longer than %d bytes", maxLine), Remedy: "send a shorter event",
			}},
		}
	}
	err := ingestjson.DecodeEvent(line.Text, ev)
	if err == nil {
		return nil
	}
	v := &typev1.FieldViolation{Field: lineName(line.Number), Rule: "can not be read"}
	var e *ingestjson.Error
	if errors.As(err, &e) {
		_, column := ingestjson.Position(line.Text, e.Offset)
		v.Rule = fmt.Sprintf("%s (line %d, column %d)", e.Rule, line.Number, column)
		v.Remedy = e.Remedy
		if e.Path != "" && e.Kind != ingestjson.Syntax {
			v.Field = e.Path
		}
	}
	reason := errs.MalformedRequest
	if e != nil && e.Kind == ingestjson.Limit {
		reason = errs.InvalidField
	}
	return &ingestv1.IngestResult{
		Status: ingestv1.IngestResult_REJECTED, Reason: string(reason), Violations: []*typev1.FieldViolation{v},
	}
}

func lineName(n int) string { return fmt.Sprintf("line %d", n) }

// refusal is the verdict on an event that could not be sent.
func refusal(id string, e *errs.Error) *ingestv1.IngestResult {
	return &ingestv1.IngestResult{
		Id: id, Status: ingestv1.IngestResult_REJECTED, Reason: string(e.Reason), Retryable: e.Retryable(),
	}
}

// note writes the verdicts of a block in the order of their index: the gateway's
// own and the service's, which count the events that were sent.
func (n *ndjson) note(own []verdict, results []*ingestv1.IngestResult, where []int64) error {
	before := cap(n.out)
	n.rejected += int64(len(own))
	for len(own) > 0 || len(results) > 0 {
		switch {
		case len(results) > 0 && int(results[0].GetIndex()) >= len(where):
			return errs.Fault(fmt.Errorf("ingest answered about event %d of %d", results[0].GetIndex(), len(where)))
		case len(results) == 0, len(own) > 0 && own[0].index < where[results[0].GetIndex()]:
			n.list(own[0].res, own[0].index)
			own = own[1:]
		default:
			n.list(results[0], where[results[0].GetIndex()])
			results = results[1:]
		}
	}
	if grown := cap(n.out) - before; grown > 0 && cap(n.out) > memoryFloor {
		if err := n.c.hold(int64(grown)); err != nil && !n.taken {
			return err
		} else if err != nil {
			n.failed = errs.FromError(err)
		}
	}
	return nil
}

func (n *ndjson) list(res *ingestv1.IngestResult, index int64) {
	if n.listed > 0 {
		n.out = append(n.out, ',')
	}
	n.listed++
	n.out = ingestjson.AppendResult(n.out, res, index)
}

// stop says with one verdict that the lines from one on, count of them, were not
// read.
func (n *ndjson) stop(line, count int, why *errs.Error) {
	n.failed = why
	res := refusal("", why)
	res.Violations = []*typev1.FieldViolation{{
		Field: lineName(line), Rule: "and the lines after it were not read: " + why.Message,
		Remedy: "send these lines again",
	}}
	n.rejected += int64(count)
	n.list(res, n.index)
	n.index += int64(count)
}

// tooMany ends a request whose list of verdicts is full. It counts the lines
// that are left.
func (n *ndjson) tooMany(lines *ingestjson.Lines, block []ingestjson.Line) error {
	why := errs.TooLarge(fmt.Sprintf("the answer lists %d verdicts, the most that one answer does", n.listed),
		"send these lines in another request")
	if !n.taken {
		return why
	}
	rest, err := lines.Skip()
	if err != nil {
		why = errs.FromError(err)
	}
	n.stop(block[0].Number, len(block)+rest, why)
	return nil
}
