package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

func key(s string) metadata.MD { return metadata.MD{"authorization": {s}} }

func single(id, text string) *ingestv1.IngestEventsRequest {
	return &ingestv1.IngestEventsRequest{Parent: "projects/p", Events: []*typev1.EventInput{{Id: id, Text: text}}}
}

// blocked occupies all calls of a merger with its key, so that the next requests
// are merged; free lets them go.
func blocked(t *testing.T, m *merger, gate chan struct{}, entered chan struct{}, md metadata.MD) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	for i := range m.width {
		wg.Go(func() { _, _, _ = m.send(context.Background(), md, single(fmt.Sprint("first", i), "x"), 100) })
	}
	for range m.width {
		<-entered
	}
	_ = gate
	return &wg
}

func (m *merger) waitingMembers(md metadata.MD, parent string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[groupKey{md["authorization"][0], parent, false}]
	if g == nil || g.waiting == nil {
		return 0
	}
	return len(g.waiting.members)
}

func TestMergedCallersGetTheirOwnVerdicts(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan struct{}, 1000)
	var mu sync.Mutex
	var sizes []int
	m := newMerger(time.Minute, func(_ context.Context, _ metadata.MD, r *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, answers, error) {
		entered <- struct{}{}
		<-gate
		mu.Lock()
		sizes = append(sizes, len(r.GetEvents()))
		mu.Unlock()
		return judge(r), answers{header: metadata.MD{"ratelimit": {"r"}}}, nil
	})
	md := key("k")
	first := blocked(t, m, gate, entered, md)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			req := single(fmt.Sprint("e", i), "text")
			switch i % 3 {
			case 1:
				req.Events[0].Text = ""
			case 2:
				req.Events = append(req.Events, &typev1.EventInput{Id: fmt.Sprint("dup", i), Text: "x"})
			}
			resp, a, err := m.send(context.Background(), md, req, 100)
			if err != nil {
				t.Errorf("%d: %v", i, err)
				return
			}
			want := judge(req)
			if resp.String() != want.String() {
				t.Errorf("%d: got %v, want %v", i, resp, want)
			}
			if len(a.header["ratelimit"]) != 1 {
				t.Errorf("%d: headers are lost", i)
			}
		})
	}
	require.Eventually(t, func() bool { return m.waitingMembers(md, "projects/p") == 60 }, 10*time.Second, time.Millisecond)
	close(gate)
	wg.Wait()
	first.Wait()
	require.Contains(t, sizes, 80, "the waiting ones went together: %v", sizes)
	require.Empty(t, m.groups, "nothing is kept")
}

func TestMergeKeepsApart(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan struct{}, 1000)
	m := newMerger(time.Minute, func(_ context.Context, md metadata.MD, r *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, answers, error) {
		entered <- struct{}{}
		<-gate
		ids := map[string]bool{}
		for _, e := range r.GetEvents() {
			if ids[e.GetId()] && e.GetId() != "" {
				t.Errorf("the id %s is there twice", e.GetId())
			}
			ids[e.GetId()] = true
			if e.GetText() != md["authorization"][0]+r.GetParent() && !strings.HasPrefix(e.GetId(), "first") {
				t.Errorf("an event of %s went with %s", e.GetText(), md["authorization"][0]+r.GetParent())
			}
		}
		return judge(r), answers{}, nil
	})
	first := blocked(t, m, gate, entered, key("k"))
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			md, parent := key("k"), "projects/p"
			switch i % 4 {
			case 1:
				md = key("other")
			case 2:
				parent = "projects/q"
			}
			req := &ingestv1.IngestEventsRequest{Parent: parent, Events: []*typev1.EventInput{{Id: "same", Text: md["authorization"][0] + parent}}}
			_, _, err := m.send(context.Background(), md, req, 100)
			if err != nil && err != errAlone { //nolint:errorlint // it is this value
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return m.waitingMembers(key("k"), "projects/p") == 1 }, 10*time.Second, time.Millisecond)
	close(gate)
	wg.Wait()
	first.Wait()
	require.Empty(t, m.groups)
}

func TestMergeErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		err, want error
	}{
		"everybody's":   {errs.Down("away", time.Second, nil), errs.Down("away", time.Second, nil)},
		"by the number": {errs.Exhausted(errs.RateLimited, "too fast", "", time.Second, nil), errAlone},
	} {
		t.Run(name, func(t *testing.T) {
			gate, entered := make(chan struct{}), make(chan struct{}, 1000)
			m := newMerger(time.Minute, func(_ context.Context, _ metadata.MD, r *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, answers, error) {
				entered <- struct{}{}
				<-gate
				if len(r.GetEvents()) > 1 {
					return nil, answers{}, tt.err
				}
				return judge(r), answers{}, nil
			})
			md := key("k")
			first := blocked(t, m, gate, entered, md)
			gone, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { // the first member's caller goes away; the others' calls do not
				_, _, err := m.send(gone, md, single("a", "x"), 100)
				if err == nil {
					t.Error("no error")
				}
			})
			require.Eventually(t, func() bool { return m.waitingMembers(md, "projects/p") == 1 }, 10*time.Second, time.Millisecond)
			for i := range 5 {
				wg.Go(func() {
					_, _, err := m.send(context.Background(), md, single(fmt.Sprint("b", i), "x"), 100)
					if err == nil || err.Error() != tt.want.Error() {
						t.Errorf("got %v, want %v", err, tt.want)
					}
				})
			}
			require.Eventually(t, func() bool { return m.waitingMembers(md, "projects/p") == 6 }, 10*time.Second, time.Millisecond)
			cancel()
			close(gate)
			wg.Wait()
			first.Wait()
			require.Empty(t, m.groups)
		})
	}
}

// TestMergedRoute sends many small requests at once through the whole gateway:
// each gets its own verdict, and every event reaches the service once.
func TestMergedRoute(t *testing.T) {
	b := &backend{ingest: func(r *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
		return judge(r), nil
	}}
	e := newEdge(t, b)
	var wg sync.WaitGroup
	for c := range 32 {
		wg.Go(func() {
			for i := range 20 {
				text, accepted := "fine", 1.0
				if (c+i)%5 == 0 {
					text, accepted = "", 0
				}
				w := e.do(t, "POST", "/v1/projects/p/events:ingest", fmt.Sprintf(`{"events":[{"id":"e-%d-%d","text":%q}]}`, c, i, text))
				if w.Code != 200 || !strings.Contains(w.Body.String(), fmt.Sprintf(`{"accepted":%v,"duplicate":0,"rejected":%v,`, accepted, 1-accepted)) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, c := range b.ingested() {
		for _, ev := range c.GetEvents() {
			seen[ev.GetId()]++
		}
	}
	require.Len(t, seen, 640)
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
	require.Less(t, len(b.ingested()), 640, "calls are shared")
}
