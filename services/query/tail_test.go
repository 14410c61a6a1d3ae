package query_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

type tailClient = grpc.ServerStreamingClient[queryv1.TailEventsResponse]

// opens a tail; it has subscribed when the first heartbeat or event comes.
func (w *world) tail(ctx context.Context, project, filter, cursor string) tailClient {
	w.t.Helper()
	c, err := w.api.TailEvents(as(ctx, project), &queryv1.TailEventsRequest{Parent: "projects/" + project, Filter: filter, Cursor: cursor})
	require.NoError(w.t, err)
	return c
}

// store1 stores events at once, without the scoring role.
func (w *world) store1(sequence uint64, events ...*pipelinev1.QueuedEvent) {
	w.t.Helper()
	b := &pipelinev1.ScoredBatch{SourceSequence: sequence, SourceEpoch: 1}
	for _, e := range events {
		b.Events = append(b.Events, scored(e))
	}
	w.publishScored(b)
}

// begin opens a tail and proves that it is subscribed by a heartbeat.
func (w *world) begin(ctx context.Context, project, filter string) (tailClient, string) {
	w.t.Helper()
	c := w.tail(ctx, project, filter, "")
	m, err := c.Recv()
	require.NoError(w.t, err)
	require.NotNil(w.t, m.GetHeartbeat())
	return c, m.Cursor
}

func next(t *testing.T, c tailClient) *queryv1.TailEventsResponse {
	t.Helper()
	for {
		m, err := c.Recv()
		require.NoError(t, err)
		if m.GetHeartbeat() == nil {
			return m
		}
	}
}

func TestTail(t *testing.T) {
	w := newWorld(t)
	w.cfg.Heartbeat = time.Second
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all, start := w.begin(ctx, "p", "")
	bad, _ := w.begin(ctx, "p", `label = NEGATIVE`)
	foreign, _ := w.begin(ctx, "q", "")
	w.store1(1, queued("p", "a", "x"), queued("p", "b", "bad"), queued("q", "c", "x"))
	w.store1(2, queued("p", "a", "x"), queued("p", "d", "bad")) // a is a duplicate
	var cursors []string
	for _, id := range []string{"a", "b", "d"} {
		m := next(t, all)
		require.Equal(t, id, m.GetEvent().Id)
		cursors = append(cursors, m.Cursor)
	}
	require.Equal(t, "b", next(t, bad).GetEvent().Id)
	require.Equal(t, "d", next(t, bad).GetEvent().Id)
	require.Equal(t, "projects/q/events/c", next(t, foreign).GetEvent().Name)

	// A tail's event is the list's.
	page, err := w.api.ListEvents(as(t.Context(), "p"), &queryv1.ListEventsRequest{Parent: "projects/p", Filter: `id = "a"`})
	require.NoError(t, err)
	resumed := w.tail(ctx, "p", "", start)
	m := next(t, resumed)
	require.Equal(t, page.Events[0].String(), m.GetEvent().String())
	require.Equal(t, cursors[0], m.Cursor)

	// From any cursor exactly the rest, then what comes.
	w.store1(3, queued("p", "e", "bad"))
	for i, from := range append([]string{start}, cursors...) {
		c := w.tail(ctx, "p", "", from)
		for _, id := range []string{"a", "b", "d", "e"}[i:] {
			require.Equal(t, id, next(t, c).GetEvent().Id)
		}
	}
	c := w.tail(ctx, "p", `label = NEGATIVE`, cursors[1])
	require.Equal(t, "d", next(t, c).GetEvent().Id)
	require.Equal(t, "e", next(t, c).GetEvent().Id)
	m, err = c.Recv()
	require.NoError(t, err)
	require.NotNil(t, m.GetHeartbeat())
	c = w.tail(ctx, "p", "", m.Cursor)
	w.store1(4, queued("p", "f", "x"))
	require.Equal(t, "f", next(t, c).GetEvent().Id, "a heartbeat's cursor is as good")

	for name, tc := range map[string]struct{ project, filter, cursor string }{
		"foreign cursor": {"q", "", cursors[0]},
		"changed cursor": {"p", "", changed(cursors[0], len(cursors[0])-2)},
		"no cursor":      {"p", "", "x"},
		"filter":         {"p", "nope = 1", ""},
	} {
		_, err := w.tail(ctx, tc.project, tc.filter, tc.cursor).Recv()
		require.Equal(t, codes.InvalidArgument, status.Code(err), name)
	}
}

func TestTailResync(t *testing.T) {
	w := newWorld(t)
	w.cfg.Heartbeat, w.cfg.TailResume = time.Second, 3
	w.start()
	_, start := w.begin(t.Context(), "p", "")
	w.store1(1, queued("p", "a", "x"), queued("p", "b", "x"), queued("p", "c", "bad"), queued("p", "d", "bad"))
	w.stored("p", 4)
	c := w.tail(t.Context(), "p", "", start)
	require.NotNil(t, next(t, c).GetResync())
	w.store1(2, queued("p", "e", "x"))
	require.Equal(t, "e", next(t, c).GetEvent().Id, "it goes on from now")
	c = w.tail(t.Context(), "p", `label = NEGATIVE`, start)
	require.Equal(t, "c", next(t, c).GetEvent().Id, "what does not match does not count")

	// A cursor of another store is not an error: a client that reconnects for
	// ever must get on.
	other := newWorld(t)
	other.cfg.Heartbeat = time.Second
	other.start()
	c = other.tail(t.Context(), "p", "", start)
	m := next(t, c)
	require.Contains(t, m.GetResync().GetReason(), "another store")
	_, cursor := other.begin(t.Context(), "p", "")
	require.NotEqual(t, start, cursor)
}

func TestTailGap(t *testing.T) {
	w := newWorld(t)
	w.cfg.Heartbeat, w.cfg.TailBuffer = time.Second, 16
	w.start()
	slow, start := w.begin(t.Context(), "p", "")
	const messages, per = 120, 100
	big := strings.Repeat("x", 2000)
	for m := range messages {
		var events []*pipelinev1.QueuedEvent
		for i := range per {
			events = append(events, queued("p", fmt.Sprintf("%d-%d", m, i), big))
		}
		w.store1(uint64(m+1), events...)
	}
	w.stored("p", messages*per) // nobody reads, and the writer is done
	w.store1(messages+1, queued("p", "last", "x"))
	w.stored("p", messages*per+1)
	seen, withheld := 0, 0
	var gap string
	for seen+withheld < messages*per+1 {
		m := next(t, slow)
		if g := m.GetGap(); g != nil {
			require.Positive(t, g.Withheld)
			require.NotEmpty(t, g.Reason)
			withheld += int(g.Withheld)
			gap = m.Cursor
			continue
		}
		seen++
	}
	require.Equal(t, messages*per+1, seen+withheld, "every event was sent or counted as withheld")
	require.Positive(t, withheld)
	// A cursor after the gap goes on after it, one before it brings what was
	// withheld if that is not too much.
	w.store1(messages+2, queued("p", "more", "x"))
	c := w.tail(t.Context(), "p", `id = "more"`, gap)
	require.Equal(t, "more", next(t, c).GetEvent().Id)
	c = w.tail(t.Context(), "p", `id = "0-0" OR id = "119-99"`, start)
	require.Equal(t, "0-0", next(t, c).GetEvent().Id)
	require.Equal(t, "119-99", next(t, c).GetEvent().Id)
}

// TestTailExact: readers that break off and go on at their cursor, again and
// again while events come, together see every event once, in order.
func TestTailExact(t *testing.T) {
	w := newWorld(t)
	w.cfg.Heartbeat, w.cfg.TailBuffer = time.Second, 4096
	w.start()
	const messages, per, readers = 150, 20, 4
	var wg sync.WaitGroup
	var want []string
	for m := range messages {
		for i := range per {
			want = append(want, fmt.Sprintf("%d-%d", m, i))
		}
	}
	for r := range readers {
		_, cursor := w.begin(t.Context(), "p", "")
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(r), 1))
			var got []string
			for len(got) < len(want) {
				ctx, cancel := context.WithCancel(t.Context())
				c, err := w.api.TailEvents(as(ctx, "p"), &queryv1.TailEventsRequest{Parent: "projects/p", Cursor: cursor})
				for n := 1 + rnd.IntN(200); err == nil && n > 0 && len(got) < len(want); n-- {
					var m *queryv1.TailEventsResponse
					if m, err = c.Recv(); err != nil {
						break
					}
					cursor = m.Cursor
					switch {
					case m.GetEvent() != nil:
						got = append(got, m.GetEvent().Id)
					case m.GetHeartbeat() == nil:
						t.Errorf("unexpected %v", m)
						cancel()
						return
					}
				}
				cancel()
				if err != nil {
					t.Error(err)
					return
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Error("events were lost, told twice or out of order")
			}
		})
	}
	for m := range messages {
		var events []*pipelinev1.QueuedEvent
		for i := range per {
			events = append(events, queued("p", fmt.Sprintf("%d-%d", m, i), "x"))
		}
		w.store1(uint64(m+1), events...)
	}
	wg.Wait()
}

func TestTailEndsAndLimits(t *testing.T) {
	w := newWorld(t)
	w.cfg.Heartbeat, w.cfg.MaxTails = time.Second, 2
	w.start()
	first, _ := w.begin(t.Context(), "p", "")
	ctx, cancel := context.WithCancel(t.Context())
	_, _ = w.begin(ctx, "p", "")
	_, err := w.tail(t.Context(), "p", "", "").Recv()
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.Equal(t, errs.TooManyStreams, reason(t, err))
	cancel() // gives its place back
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := w.tail(ctx, "p", "", "").Recv()
		return err == nil
	}, patience, time.Millisecond)

	stopped := make(chan error, 1)
	go func() { stopped <- w.svc.Stop(context.Background()) }()
	m := next(t, first)
	require.NotNil(t, m.GetEnd())
	require.NotEmpty(t, m.Cursor)
	_, err = first.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, errs.ShuttingDown, reason(t, err))
	require.NoError(t, <-stopped)
	_, err = w.tail(t.Context(), "p", "", m.Cursor).Recv()
	require.Equal(t, codes.Unavailable, status.Code(err))
	w.stop()
	w.start()
	w.store1(1, queued("p", "a", "x"))
	require.Equal(t, "a", next(t, w.tail(t.Context(), "p", "", m.Cursor)).GetEvent().Id)
}
