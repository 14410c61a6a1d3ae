package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

type tailStream = grpc.ServerStreamingServer[queryv1.TailEventsResponse]

func eventAt(cursor string) *queryv1.TailEventsResponse {
	return &queryv1.TailEventsResponse{Cursor: cursor, Message: &queryv1.TailEventsResponse_Event{
		Event: &typev1.Event{Id: cursor, Text: "line\nbreak </script>", Sentiment: &typev1.Sentiment{Label: typev1.Sentiment_POSITIVE}},
	}}
}

// reader reads server-sent events as a browser does.
type reader struct {
	resp *http.Response
	scan *bufio.Scanner
}

type sse struct{ id, event, data, comment string }

func (e *edge) open(t *testing.T, base, query string, opts ...option) *reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/v1/projects/p/events:tail"+query, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", goodKey)
	for _, o := range opts {
		o(r)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &reader{resp: resp, scan: bufio.NewScanner(resp.Body)}
}

// next reads one block; ok is false at the end of the stream.
func (r *reader) next() (sse, bool) {
	var e sse
	for r.scan.Scan() {
		line := r.scan.Text()
		if line == "" {
			return e, true
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data += value
		case "", "retry":
			e.comment = value
		}
	}
	return e, false
}

func TestTail(t *testing.T) {
	b := &backend{tail: func(req *queryv1.TailEventsRequest, s tailStream) error {
		from := 0
		_, _ = fmt.Sscanf(req.GetCursor(), "c%d", &from)
		for i := from + 1; i <= from+3; i++ {
			if err := s.Send(eventAt(fmt.Sprint("c", i))); err != nil {
				return err
			}
		}
		for _, m := range []*queryv1.TailEventsResponse{
			{Cursor: "g", Message: &queryv1.TailEventsResponse_Gap_{Gap: &queryv1.TailEventsResponse_Gap{Withheld: 7, Reason: "slow"}}},
			{Cursor: "r", Message: &queryv1.TailEventsResponse_Resync_{Resync: &queryv1.TailEventsResponse_Resync{Reason: "old"}}},
			{Cursor: "h", Message: &queryv1.TailEventsResponse_Heartbeat_{Heartbeat: &queryv1.TailEventsResponse_Heartbeat{}}},
			{Cursor: "z", Message: &queryv1.TailEventsResponse_End_{End: &queryv1.TailEventsResponse_End{Reason: "done"}}},
		} {
			if err := s.Send(m); err != nil {
				return err
			}
		}
		<-s.Context().Done()
		return nil
	}}
	e := newEdge(t, b)
	base := e.serve(t)
	r := e.open(t, base, "?filter=label%20%3D%20%22POSITIVE%22", with("Accept", "text/event-stream"))
	require.Equal(t, 200, r.resp.StatusCode)
	require.Equal(t, "text/event-stream", r.resp.Header.Get("Content-Type"))
	require.Equal(t, "no", r.resp.Header.Get("X-Accel-Buffering"))
	require.Contains(t, r.resp.Header.Get("Cache-Control"), "no-store")
	first, _ := r.next()
	require.Equal(t, "2000", first.comment)
	for i := 1; i <= 3; i++ {
		ev, ok := r.next()
		require.True(t, ok)
		require.Equal(t, fmt.Sprint("c", i), ev.id)
		require.Equal(t, "event", ev.event)
		require.Contains(t, ev.data, `line\nbreak`)
		require.Contains(t, ev.data, `"score"`)
	}
	gap, _ := r.next()
	require.Equal(t, "gap", gap.event)
	require.JSONEq(t, `{"withheld":7,"reason":"slow"}`, gap.data)
	resync, _ := r.next()
	require.Equal(t, "resync", resync.event)
	beat, _ := r.next()
	require.Equal(t, sse{id: "h", comment: "alive"}, beat)
	end, ok := r.next()
	require.True(t, ok)
	require.Equal(t, sse{id: "z", event: "end", data: end.data}, end)
	_, ok = r.next()
	require.False(t, ok, "the stream is over")
	_, last := b.seen()
	require.Equal(t, `label = "POSITIVE"`, last.(*queryv1.TailEventsRequest).GetFilter())
	require.Equal(t, "projects/p", last.(*queryv1.TailEventsRequest).GetParent())

	// Resumed by the header, which is stronger than the address.
	r = e.open(t, base, "?cursor=c1", with("Last-Event-ID", "c3"))
	_, _ = r.next()
	ev, _ := r.next()
	require.Equal(t, "c4", ev.id)
	r = e.open(t, base, "?cursor=c7")
	_, _ = r.next()
	ev, _ = r.next()
	require.Equal(t, "c8", ev.id)
	require.Eventually(t, func() bool { return b.tails.Load() == 0 && e.tails.Load() == 0 }, 10*time.Second, time.Millisecond)
}

func TestTailRefused(t *testing.T) {
	b := &backend{tail: func(*queryv1.TailEventsRequest, tailStream) error {
		return errs.BadFilter("names an unknown field at column 1", "correct it")
	}}
	e := newEdge(t, b)
	p := problem(t, e.do(t, "GET", "/v1/projects/p/events:tail?filter=x", ""))
	require.Equal(t, errs.InvalidFilter, p.Reason)
	require.Equal(t, errs.CredentialMissing, problem(t, e.do(t, "GET", "/v1/projects/p/events:tail", "", anonymous)).Reason)
	require.Equal(t, 405, problem(t, e.do(t, "POST", "/v1/projects/p/events:tail", "{}")).Status)
	require.Equal(t, 406, problem(t, e.do(t, "GET", "/v1/projects/p/events:tail", "", with("Accept", "application/xml"))).Status)
	full := newEdge(t, b, func(d *Deps) { d.Config.MaxTails = 1 })
	full.tails.Store(1)
	require.Equal(t, errs.TooManyStreams, problem(t, full.do(t, "GET", "/v1/projects/p/events:tail", "")).Reason)
}

func TestTailErrorAfterTheFirstByte(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		event string
		want  string
	}{
		"fault":         {errs.Down("the query service is away", time.Second, nil), "error", `"reason":"UNAVAILABLE"`},
		"service stops": {errs.Stopping(), "end", "being stopped"},
		"over":          {nil, "end", "over"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, &backend{tail: func(_ *queryv1.TailEventsRequest, s tailStream) error {
				if err := s.Send(eventAt("c1")); err != nil {
					return err
				}
				return tt.err
			}})
			r := e.open(t, e.serve(t), "")
			_, _ = r.next()
			_, _ = r.next()
			last, ok := r.next()
			require.True(t, ok)
			require.Equal(t, tt.event, last.event)
			require.Contains(t, last.data, tt.want)
			_, ok = r.next()
			require.False(t, ok)
		})
	}
}

func TestTailIsAlive(t *testing.T) {
	e := newEdge(t, &backend{tail: func(_ *queryv1.TailEventsRequest, s tailStream) error {
		_ = s.SendHeader(nil)
		<-s.Context().Done()
		return nil
	}}, func(d *Deps) { d.Config.TailHeartbeat = 10 * time.Millisecond })
	r := e.open(t, e.serve(t), "")
	require.Equal(t, 200, r.resp.StatusCode, "before any event")
	_, _ = r.next()
	for range 3 {
		beat, ok := r.next()
		require.True(t, ok)
		require.Equal(t, "alive", beat.comment)
	}
	// The reader goes away: everything behind it ends.
	require.NoError(t, r.resp.Body.Close())
	require.Eventually(t, func() bool { return e.backend.tails.Load() == 0 && e.tails.Load() == 0 }, 10*time.Second, time.Millisecond)
}

func TestStopEndsTails(t *testing.T) {
	e := newEdge(t, &backend{tail: func(_ *queryv1.TailEventsRequest, s tailStream) error {
		if err := s.Send(eventAt("c1")); err != nil {
			return err
		}
		<-s.Context().Done()
		return nil
	}})
	base := e.serve(t)
	var readers []*reader
	for range 20 {
		readers = append(readers, e.open(t, base, ""))
	}
	for _, r := range readers {
		_, _ = r.next()
		ev, _ := r.next()
		require.Equal(t, "c1", ev.id)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, e.Stop(ctx))
	for _, r := range readers {
		ev, ok := r.next()
		require.True(t, ok)
		require.Equal(t, "end", ev.event)
		require.Contains(t, ev.data, "being stopped")
	}
	require.Error(t, e.Ready(context.Background()))
	require.Equal(t, errs.ShuttingDown, problem(t, e.do(t, "GET", "/v1/projects/p/events:tail", "")).Reason)
	require.NoError(t, e.Stop(ctx), "twice does no harm")
}

func TestStuckTailReaderIsCut(t *testing.T) {
	e := newEdge(t, &backend{tail: func(_ *queryv1.TailEventsRequest, s tailStream) error {
		big := eventAt("c")
		big.GetEvent().Text = strings.Repeat("x", 60_000)
		for {
			if err := s.Send(big); err != nil {
				return err
			}
		}
	}}, func(d *Deps) { d.Config.TailWriteTimeout = 100 * time.Millisecond })
	r := e.open(t, e.serve(t), "")
	require.Eventually(t, func() bool { return e.tails.Load() == 0 && e.backend.tails.Load() == 0 }, 20*time.Second, 5*time.Millisecond)
	_, err := io.Copy(io.Discard, r.resp.Body)
	require.Error(t, err, "it was cut, so there is no end event")
}
