package jetstream

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// benchConfig lets a benchmark store as much as it wants.
func benchConfig(b *testing.B, sync string) Config {
	cfg := DefaultConfig()
	cfg.Dir, cfg.Sync = b.TempDir(), sync
	cfg.EventsMaxBytes = 1 << 40
	return cfg
}

// BenchmarkPublish compares Publish with the ways that nats.go has, on the same
// server: js.Publish (a request each) and js.PublishMsgAsync (its own futures).
// Bytes are random: they do not compress. Each message has an id and a header,
// as ingest's have.
func BenchmarkPublish(b *testing.B) {
	for _, sync := range []string{SyncAlways, SyncInterval} {
		q, err := Open(context.Background(), benchConfig(b, sync), quiet())
		require.NoError(b, err)
		for _, size := range []int{200, 20 << 10} {
			data := make([]byte, size)
			_, _ = rand.Read(data)
			for _, callers := range []int{1, 64, 256} {
				for _, way := range publishWays(b, q) {
					b.Run(fmt.Sprintf("sync=%s/bytes=%d/callers=%d/%s", sync, size, callers, way.name), func(b *testing.B) {
						benchPublish(b, data, callers, way.publish)
						require.NoError(b, trimAll(q))
					})
				}
			}
		}
		require.NoError(b, q.Close())
	}
}

type publishWay struct {
	name    string
	publish func(id string, data []byte) error
}

const benchCounts = "default@495000=100"

func publishWays(b *testing.B, q *Queue) []publishWay {
	ctx := context.Background()
	msg := func(data []byte) *nats.Msg {
		return &nats.Msg{Subject: subjects[queue.Events], Data: data, Header: nats.Header{queue.CountsHeader: {benchCounts}}}
	}
	async, err := natsjs.New(q.nc, natsjs.WithPublishAsyncMaxPending(4096))
	require.NoError(b, err)
	return []publishWay{
		{"synapse", func(id string, data []byte) error {
			_, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: id, Data: data, Header: map[string]string{queue.CountsHeader: benchCounts}})
			return err
		}},
		{"nats.go-sync", func(id string, data []byte) error {
			_, err := q.js.PublishMsg(ctx, msg(data), natsjs.WithMsgID(id))
			return err
		}},
		{"nats.go-async", func(id string, data []byte) error {
			f, err := async.PublishMsgAsync(msg(data), natsjs.WithMsgID(id))
			if err != nil {
				return err
			}
			select {
			case <-f.Ok():
				return nil
			case err := <-f.Err():
				return err
			}
		}},
	}
}

var benchID atomic.Uint64

func benchPublish(b *testing.B, data []byte, callers int, publish func(id string, data []byte) error) {
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := publish(fmt.Sprint("b", benchID.Add(1)), data); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
}

func trimAll(q *Queue) error {
	info, err := q.Info(context.Background(), queue.Events)
	if err != nil {
		return err
	}
	return q.Trim(context.Background(), queue.Events, info.Last)
}

// BenchmarkConsume reads messages of 100 packed events; each is acknowledged.
func BenchmarkConsume(b *testing.B) {
	for _, size := range []int{200, 20 << 10} {
		for _, after := range []*queue.Position{nil, {}} {
			name := "shared"
			if after != nil {
				name = "ordered"
			}
			b.Run(fmt.Sprintf("bytes=%d/%s", size, name), func(b *testing.B) {
				q, err := Open(context.Background(), benchConfig(b, SyncInterval), quiet())
				require.NoError(b, err)
				data := make([]byte, size)
				_, _ = rand.Read(data)
				benchPublish(b, data, 64, publishWays(b, q)[0].publish)
				c, err := q.Consume(context.Background(), queue.ConsumerConfig{Stream: queue.Events, Name: "r", StartAfter: after})
				require.NoError(b, err)
				b.ResetTimer()
				start := time.Now()
				for n := 0; n < b.N; {
					ms, err := c.Fetch(context.Background(), 64)
					require.NoError(b, err)
					n += len(ms)
					for _, m := range ms {
						_ = m.Ack()
					}
				}
				b.StopTimer()
				b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
				require.NoError(b, c.Close())
				require.NoError(b, q.Close())
			})
		}
	}
}

// BenchmarkLatency is the time from Publish to the return of a Fetch that waits.
func BenchmarkLatency(b *testing.B) {
	for _, sync := range []string{SyncAlways, SyncInterval} {
		b.Run("sync="+sync, func(b *testing.B) {
			q, err := Open(context.Background(), benchConfig(b, sync), quiet())
			require.NoError(b, err)
			c, err := q.Consume(context.Background(), queue.ConsumerConfig{Stream: queue.Events, Name: "r"})
			require.NoError(b, err)
			data := make([]byte, 200)
			for b.Loop() {
				done := make(chan error, 1)
				go func() {
					_, _, err := q.Publish(context.Background(), queue.Events, queue.Outgoing{Data: data})
					done <- err
				}()
				ms, err := c.Fetch(context.Background(), 64)
				require.NoError(b, err)
				require.Len(b, ms, 1)
				_ = ms[0].Ack()
				require.NoError(b, <-done)
			}
			require.NoError(b, c.Close())
			require.NoError(b, q.Close())
		})
	}
}

// BenchmarkStreams appends the messages that ingest makes, to one stream and to four,
// each with three copies on three servers that fsync always: what several streams of
// events would gain on one machine, and how far one goes. A message holds 100 or 1000
// events of 200 bytes; callers are those of one ingest process and of eight.
func BenchmarkStreams(b *testing.B) {
	servers, err := natstest.Start(natstest.Options{Nodes: 3})
	require.NoError(b, err)
	defer func() { require.NoError(b, servers.Stop()) }()
	cfg := configOf(servers, natstest.Options{Nodes: 3})
	cfg.EventsMaxBytes = 32 << 30
	q, err := Open(context.Background(), cfg, quiet())
	require.NoError(b, err)
	defer func() { require.NoError(b, q.Close()) }()
	var extra []string
	for i := range 4 {
		sc := q.streamConfig(queue.Events)
		sc.Name, sc.Subjects = fmt.Sprintf("%s_%d", sc.Name, i), []string{fmt.Sprintf("%s.%d", sc.Subjects[0], i)}
		_, err := q.js.CreateStream(context.Background(), sc)
		require.NoError(b, err)
		extra = append(extra, sc.Subjects[0])
	}
	for _, events := range []int{100, 1000} {
		data := make([]byte, events*200)
		_, _ = rand.Read(data)
		for _, callers := range []int{4, 32} {
			for _, streams := range []int{1, 4} {
				b.Run(fmt.Sprintf("events=%d/callers=%d/streams=%d", events, callers, streams), func(b *testing.B) {
					var next atomic.Uint64
					began := time.Now()
					benchPublish(b, data, callers, func(id string, data []byte) error {
						subject := extra[next.Add(1)%uint64(streams)]
						_, err := q.publishSettled(context.Background(), subject, nats.Header{natsjs.MsgIDHeader: {id}}, data)
						return err
					})
					b.ReportMetric(float64(b.N*events)/time.Since(began).Seconds(), "events/s")
				})
			}
		}
	}
}
