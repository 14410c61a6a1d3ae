package gateway

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// merger lets small ingest requests share calls. A request is sent at once while
// fewer than `width` calls with its credential and project are under way; the
// ones that arrive meanwhile wait for one of those to end and then go together.
// So nobody waits on a clock, a lone caller sees no difference, and under load
// the cost of a call is spread over many requests.
//
// Only requests that the service could not tell apart share a call: the same
// credential, project and kind of answer, no trace of their own, no idempotency
// key, no event id in common. The service's verdicts are per event, so each
// caller gets exactly its own; an error of the whole call, which is about
// credential, backlog or outage, is everybody's. Only a rate limit looks at the
// number of events: a shared call that hits one is repeated caller by caller.
type merger struct {
	width   int
	timeout time.Duration
	call    func(context.Context, metadata.MD, *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, answers, error)

	mu     sync.Mutex
	groups map[groupKey]*group
}

// Bounds of a shared call and of the requests that may share one.
const (
	mergeMaxEvents  = 256
	mergeMaxBytes   = 512 << 10
	mergeEachEvents = 16
	mergeEachBytes  = 16 << 10
)

type groupKey struct {
	credential, parent string
	full               bool
}

type group struct {
	underway int
	// waiting collects requests; nil if none waits.
	waiting *batch
}

// batch is one shared call. Its first member sends it; the others wait.
type batch struct {
	start   chan struct{} // closed when it may be sent
	done    chan struct{} // closed when members have their answers
	events  []*typev1.EventInput
	ids     map[string]struct{}
	bytes   int
	members []*member
	answers answers
	err     error
}

type member struct {
	from, to int // its events in the batch
	resp     *ingestv1.IngestEventsResponse
}

// errAlone says that a request must be sent by itself.
var errAlone = errors.New("not in a shared call")

func newMerger(timeout time.Duration, call func(context.Context, metadata.MD, *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, answers, error)) *merger {
	return &merger{width: max(2, runtime.GOMAXPROCS(0)), timeout: timeout, call: call, groups: make(map[groupKey]*group)}
}

// takes says whether a request may share a call.
func (m *merger) takes(c *call, md metadata.MD, req *ingestv1.IngestEventsRequest, bytes int) bool {
	return len(req.GetEvents()) > 0 && len(req.GetEvents()) <= mergeEachEvents && bytes <= mergeEachBytes &&
		len(md["authorization"]) == 1 && len(md["idempotency-key"]) == 0 && !c.span.SpanContext().IsSampled()
}

// send sends a request in a shared call, or at once and alone if few calls are
// under way. It returns errAlone if the caller has to send it.
func (m *merger) send(ctx context.Context, md metadata.MD, req *ingestv1.IngestEventsRequest, bytes int) (*ingestv1.IngestEventsResponse, answers, error) {
	key := groupKey{md["authorization"][0], req.GetParent(), req.GetFullResults()}
	m.mu.Lock()
	g := m.groups[key]
	if g == nil {
		g = &group{}
		m.groups[key] = g
	}
	if g.underway < m.width && g.waiting == nil {
		g.underway++
		m.mu.Unlock()
		defer m.ended(key, g)
		return m.call(ctx, md, req)
	}
	b := g.waiting
	leads := b == nil
	if leads {
		b = &batch{start: make(chan struct{}), done: make(chan struct{})}
		g.waiting = b
	}
	me := b.add(req, bytes)
	m.mu.Unlock()
	if me == nil {
		return nil, answers{}, errAlone
	}
	if leads {
		// It waits for at most as long as the calls under way may take, also when
		// its own caller has gone: others rely on it.
		<-b.start
		defer m.ended(key, g)
		m.run(ctx, md, b, req.GetParent(), req.GetFullResults())
	} else {
		select {
		case <-b.done:
		case <-ctx.Done():
			return nil, answers{}, context.Cause(ctx)
		}
	}
	if b.err != nil && len(b.members) > 1 && errs.ReasonOf(b.err) == errs.RateLimited {
		return nil, answers{}, errAlone
	}
	return me.resp, b.answers, b.err
}

// add makes a request a member; nil if it does not fit. The merger is locked.
func (b *batch) add(req *ingestv1.IngestEventsRequest, bytes int) *member {
	events := req.GetEvents()
	if len(b.events)+len(events) > mergeMaxEvents || b.bytes+bytes > mergeMaxBytes {
		return nil
	}
	for _, e := range events {
		if _, taken := b.ids[e.GetId()]; taken {
			return nil
		}
	}
	for _, e := range events {
		if id := e.GetId(); id != "" {
			if b.ids == nil {
				b.ids = make(map[string]struct{})
			}
			b.ids[id] = struct{}{}
		}
	}
	me := &member{from: len(b.events), to: len(b.events) + len(events)}
	b.events = append(b.events, events...)
	b.bytes += bytes
	b.members = append(b.members, me)
	return me
}

// ended notes that a call has ended, and lets the waiting batch go.
func (m *merger) ended(key groupKey, g *group) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g.underway--
	if b := g.waiting; b != nil {
		g.waiting = nil
		g.underway++
		close(b.start)
		return
	}
	if g.underway == 0 {
		delete(m.groups, key)
	}
}

// run sends a batch and deals out the verdicts. The call does not end with its
// first member's request.
func (m *merger) run(ctx context.Context, md metadata.MD, b *batch, parent string, full bool) {
	b.err = errs.Fault(errors.New("a shared call did not end")) // unless it does
	defer close(b.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
	defer cancel()
	resp, a, err := m.call(ctx, md, &ingestv1.IngestEventsRequest{Parent: parent, Events: b.events, FullResults: full})
	b.answers, b.err = a, err
	if err != nil {
		return
	}
	results := resp.GetResults()
	for _, me := range b.members {
		n := 0
		for n < len(results) && int(results[n].GetIndex()) < me.to {
			n++
		}
		me.resp = share(results[:n], me.from, me.to-me.from, resp.GetTraceId())
		results = results[n:]
	}
}

// share makes the answer for n events from their verdicts. Events without one
// were accepted.
func share(results []*ingestv1.IngestResult, from, n int, traceID string) *ingestv1.IngestEventsResponse {
	out := &ingestv1.IngestEventsResponse{Accepted: int32(n), Results: results, TraceId: traceID}
	for _, r := range results {
		r.Index -= int32(from)
		switch r.GetStatus() {
		case ingestv1.IngestResult_DUPLICATE:
			out.Duplicate++
			out.Accepted--
		case ingestv1.IngestResult_REJECTED:
			out.Rejected++
			out.Accepted--
		}
	}
	return out
}
