package jetstream

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// TestCluster: three servers, three copies. Leaders of the stream and of the
// consumers change again and again and one server dies, under publishers and
// readers that stay: nothing acknowledged is lost or comes twice, nobody stalls.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three servers for some seconds")
	}
	servers := startCluster(t)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	cfg := testConfig()
	cfg.URL, cfg.Replicas, cfg.Watchdog, cfg.PublishTimeout = strings.Join(urls, ","), 3, time.Second, 5*time.Second
	q := openClosed(t, cfg)
	require.NoError(t, q.Ready(t.Context()))

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stop := make(chan struct{})
	var mu sync.Mutex
	acked := map[string]bool{}
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", p, i)
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: id, Data: []byte(id)}); err == nil {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				mu.Lock()
				acked[id] = true
				mu.Unlock()
			}
		})
	}
	shared, ordered := map[string]int{}, map[string]int{}
	var readers sync.WaitGroup
	read := func(seen map[string]int, cc queue.ConsumerConfig) {
		cc.Stream = queue.Events
		c, err := q.Consume(ctx, cc)
		require.NoError(t, err)
		readers.Go(func() {
			defer c.Close()
			var last uint64
			for {
				ms, err := c.Fetch(ctx, 50)
				if err != nil {
					t.Errorf("%s: %v", cc.Name, err)
					return
				}
				for _, m := range ms {
					if string(m.Data) == "end" {
						return
					}
					if cc.StartAfter != nil && m.Position.Sequence != last+1 {
						t.Errorf("sequence %d after %d", m.Position.Sequence, last)
					}
					last = m.Position.Sequence
					seen[string(m.Data)]++
					_ = m.Ack()
				}
			}
		})
	}
	read(ordered, queue.ConsumerConfig{Name: "ordered", StartAfter: &queue.Position{}})
	read(shared, queue.ConsumerConfig{Name: "shared", AckWait: 2 * time.Second})

	for i := range 20 {
		for _, api := range []string{"CONSUMER.LEADER.STEPDOWN.EVENTS.ordered", "CONSUMER.LEADER.STEPDOWN.EVENTS.shared", "STREAM.LEADER.STEPDOWN.EVENTS"} {
			_, _ = q.nc.Request("$JS.API."+api, nil, 2*time.Second)
		}
		time.Sleep(100 * time.Millisecond)
		if i == 10 {
			servers[0].Shutdown()
			servers[0].WaitForShutdown()
		}
	}
	close(stop)
	wg.Wait()
	require.Eventually(t, func() bool {
		_, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: "end", Data: []byte("end")})
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	readers.Wait()
	require.NotEmpty(t, acked)
	twice := 0
	for id := range acked {
		require.Equal(t, 1, ordered[id], "ordered: %s", id)
		if shared[id] > 1 {
			twice++
		}
	}
	for id, n := range ordered {
		require.Equal(t, 1, n, "stored: %s", id)
	}
	t.Logf("%d acknowledged, %d stored, shared reader saw %d, %d of them twice; %+v", len(acked), len(ordered), len(shared), twice, q.Stats())
}

// startCluster starts three servers that form a cluster.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	ports := []int{freePort(t), freePort(t), freePort(t)}
	var routes []*url.URL
	for _, p := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
	}
	var out []*server.Server
	for i, p := range ports {
		out = append(out, startServer(t, server.Options{
			ServerName: fmt.Sprint("n", i), StoreDir: t.TempDir(), SyncAlways: true,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: p}, Routes: routes,
		}))
	}
	return out
}
