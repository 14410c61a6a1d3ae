package ingest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// TestLeaderKilled: the cluster loses the leader of EVENTS under calls. Those that
// are being appended outlive the election; those that can not wait are refused
// with the time to come again; what is answered is true.
func TestLeaderKilled(t *testing.T) {
	servers, err := natstest.Start(natstest.Options{Nodes: 3})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, servers.Stop()) })
	cfg := jetstream.DefaultConfig()
	cfg.URL, cfg.MonitorURL, cfg.Replicas = servers.URL(), servers.MonitorURL(), 3
	q, err := jetstream.Open(t.Context(), cfg, noLogger())
	require.NoError(t, err)
	require.NoError(t, q.Close())
	// The first leader to go is not the server that ingest is connected to: nothing
	// tells it that what it has sent gets no answer.
	first, err := servers.StreamLeader(string(queue.Events))
	require.NoError(t, err)
	for _, n := range servers.Nodes {
		if n != first {
			cfg.URL = n.URL()
		}
	}
	q, err = jetstream.Open(t.Context(), cfg, noLogger())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	s := newService(t, q, nil)

	stop := make(chan struct{})
	var mu sync.Mutex
	accepted, refused, unknown := map[string]bool{}, map[string]int{}, 0
	longest := time.Duration(0)
	var callers sync.WaitGroup
	for c := range 16 {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id, began := fmt.Sprintf("%d-%d", c, i), time.Now()
				_, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent(id, "x")))
				mu.Lock()
				longest = max(longest, time.Since(began))
				switch e := errs.As(err); {
				case err == nil:
					accepted[id] = true
				case e == nil || e.Code != codes.Unavailable && e.Code != codes.ResourceExhausted || !retryInfo(err):
					t.Errorf("%s: %v", id, err)
				case strings.Contains(e.Message, "unknown"):
					unknown++
				default:
					refused[id]++
				}
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	progress := func() {
		t.Helper()
		count := func() int { mu.Lock(); defer mu.Unlock(); return len(accepted) }
		target := count() + 64
		require.Eventually(t, func() bool { return count() >= target }, time.Minute, 5*time.Millisecond)
	}
	progress()
	for range 2 {
		leader, err := servers.StreamLeader(string(queue.Events))
		require.NoError(t, err)
		began := time.Now()
		require.NoError(t, leader.Kill())
		progress()
		t.Logf("accepted again after %.1f s", time.Since(began).Seconds())
		require.NoError(t, leader.Run())
	}
	close(stop)
	callers.Wait()
	t.Logf("%d accepted, %d refused, %d unknown, longest call %.1f s", len(accepted), len(refused), unknown, longest.Seconds())
	require.Zero(t, unknown, "an append is tried for longer than an election takes")

	times := storedIDs(t, q)
	for id := range accepted {
		require.Equal(t, 1, times[id], "accepted %s", id)
	}
	for id := range refused {
		require.Zero(t, times[id], "refused %s", id)
	}
}

func retryInfo(err error) bool {
	for _, d := range errs.ToStatus(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.RetryDelay.AsDuration() > 0
		}
	}
	return false
}

// storedIDs counts the ids of the events in EVENTS.
func storedIDs(t *testing.T, q *jetstream.Queue) map[string]int {
	t.Helper()
	var info queue.Info
	require.Eventually(t, func() bool {
		var err error
		info, err = q.Info(t.Context(), queue.Events)
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	c, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "check", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	defer c.Close()
	times := map[string]int{}
	for last := uint64(0); last < info.Last; {
		messages, err := c.Fetch(t.Context(), 100)
		require.NoError(t, err)
		for _, m := range messages {
			var b pipelinev1.EventBatch
			require.NoError(t, proto.Unmarshal(m.Data, &b))
			for _, e := range b.Events {
				times[e.Event.Id]++
			}
			last = m.Position.Sequence
		}
		require.NoError(t, messages[len(messages)-1].Ack())
	}
	return times
}
