package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

// pair starts a server and a replica of it.
func pair(t *testing.T) (primary, standby *pgtest.Server) {
	t.Helper()
	primary, err := pgtest.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Stop()) })
	standby, err = primary.Standby()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	return primary, standby
}

// set changes settings of a running server.
func set(t *testing.T, s *pgtest.Server, settings ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	for _, text := range settings {
		_, err := conn.Exec(t.Context(), "ALTER SYSTEM SET "+text)
		require.NoError(t, err)
	}
	_, err = conn.Exec(t.Context(), "SELECT pg_reload_conf()")
	require.NoError(t, err)
}

func onServer(url string, from, to *pgtest.Server) string {
	return strings.Replace(url, fmt.Sprint(":", from.Port), fmt.Sprint(":", to.Port), 1)
}

// replicated opens a store on the primary that reads from replicas.
func replicated(t *testing.T, url string, replicas ...string) *postgres.Store {
	t.Helper()
	c := pgtest.Config(url)
	c.Replicas = replicas
	return openWith(t, c)
}

// served waits until reads are answered by a replica.
func served(t *testing.T, s *postgres.Store) {
	t.Helper()
	require.Eventually(t, func() bool {
		before, _ := s.Replicas().Reads()
		_, err := s.ListEvents(t.Context(), query.ListQuery{Project: "p", Limit: 1})
		require.NoError(t, err)
		after, _ := s.Replicas().Reads()
		return after > before
	}, 20*time.Second, 10*time.Millisecond, "no replica is read from")
}

func rows(t testing.TB, s query.Store, project string) (n int64) {
	t.Helper()
	q := query.SeriesQuery{Project: project, Grain: query.Day, EndUS: 50_000 * query.Day.US()}
	require.NoError(t, s.Series(context.Background(), q, func(r query.SeriesRow) error {
		n += r.Cells[0].Count + r.Cells[1].Count + r.Cells[2].Count
		return nil
	}))
	return n
}

// TestStoreReplica: the whole suite, with reads from a replica that is always some
// milliseconds behind.
func TestStoreReplica(t *testing.T) {
	primary, standby := pair(t)
	set(t, standby, "recovery_min_apply_delay = '5ms'")
	d := &databases{server: primary, urls: map[string]string{}}
	var answered atomic.Int64
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB, dir string) query.Store {
			c := pgtest.Config(d.url(dir))
			c.Replicas = []string{onServer(d.url(dir), primary, standby)}
			s, err := postgres.Open(context.Background(), c, quiet)
			require.NoError(t, err)
			return counted{s, &answered}
		},
		Crash: func(dir string) *exec.Cmd {
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), childURL+"="+d.url(dir))
			cmd.Stderr = os.Stderr
			return cmd
		},
	})
	require.Positive(t, answered.Load(), "reads that the replica answered")
}

// counted adds up what replicas answered.
type counted struct {
	*postgres.Store
	answered *atomic.Int64
}

func (c counted) Close() error {
	n, _ := c.Replicas().Reads()
	c.answered.Add(n)
	return c.Store.Close()
}

// TestReadYourWrites: what a process has written, or has learned from the store that
// another has, is in each of its answers from then on.
func TestReadYourWrites(t *testing.T) {
	primary, standby := pair(t)
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	replica := onServer(url, primary, standby)
	writer, reader := replicated(t, url, replica), replicated(t, url, replica)
	traffic := storetest.NewTraffic(4)
	traffic.Projects, traffic.Text = []string{"p"}, 20
	const per = 20
	var written atomic.Int64
	done := make(chan struct{})
	var readers sync.WaitGroup
	loop := func(f func() error) {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		loop(func() error { // in the process that writes
			want := written.Load()
			if n := rows(t, writer, "p"); n < want {
				return fmt.Errorf("%d events of %d that were stored", n, want)
			}
			return nil
		})
		loop(func() error { // in another
			at, err := reader.Positions(context.Background())
			if err != nil {
				return err
			}
			want := int64(at[queue.Scored].Sequence) * per
			if n := rows(t, reader, "p"); n < want {
				return fmt.Errorf("%d events, the position says %d", n, want)
			}
			last, err := reader.LastSeq(context.Background())
			if err != nil || last == 0 {
				return err
			}
			found, err := reader.EventsAfter(context.Background(), query.AfterQuery{Project: "p", After: last - 1, UpTo: last, Limit: 1})
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("the event with the last Seq %d is missing", last)
			}
			return err
		})
	}
	until := time.Now().Add(8 * time.Second)
	for i := 0; time.Now().Before(until) && !t.Failed(); i++ {
		b := traffic.Batch(per, per)
		_, err := writer.Apply(t.Context(), b)
		require.NoError(t, err)
		written.Add(per)
		id := b.Sources[0].Events[per-1].ID
		_, err = writer.GetEvent(t.Context(), "p", id)
		require.NoError(t, err, "batch %d", i)
		time.Sleep(time.Duration(i%5) * time.Millisecond)
	}
	close(done)
	readers.Wait()
	for name, s := range map[string]*postgres.Store{"writer": writer, "reader": reader} {
		replica, primary := s.Replicas().Reads()
		t.Logf("%s: %d reads by the replica, %d by the primary", name, replica, primary)
		require.Greater(t, replica, int64(100))
	}
}

// busy reads and writes until the test says stop; no caller may see an error, or an
// answer without what was written.
type busy struct {
	stop    chan struct{}
	workers sync.WaitGroup
	reads   atomic.Int64
}

func keepBusy(t *testing.T, s *postgres.Store) *busy {
	b := &busy{stop: make(chan struct{})}
	traffic := storetest.NewTraffic(11)
	traffic.Projects, traffic.Text = []string{"p"}, 20
	first, err := s.Apply(t.Context(), traffic.Batch(50, 10))
	require.NoError(t, err)
	var written atomic.Int64
	written.Add(50)
	run := func(f func() error) {
		b.workers.Go(func() {
			for {
				select {
				case <-b.stop:
					return
				default:
				}
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	run(func() error {
		_, err := s.Apply(context.Background(), traffic.Batch(50, 10))
		written.Add(50)
		time.Sleep(20 * time.Millisecond)
		return err
	})
	for range 3 {
		run(func() error {
			want := written.Load()
			if n := rows(t, s, "p"); n < want-50 { // the last may be on its way still
				return fmt.Errorf("%d events of %d", n, want)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, err := s.GetEvent(ctx, "p", first.Stored[0].ID)
			if err == nil {
				_, err = s.ListEvents(ctx, query.ListQuery{Project: "p", Limit: 100})
			}
			b.reads.Add(1)
			return err
		})
	}
	return b
}

// more waits until reads have gone on for a while.
func (b *busy) more(t *testing.T) {
	t.Helper()
	n := b.reads.Load()
	require.Eventually(t, func() bool { return t.Failed() || b.reads.Load() > n+50 }, time.Minute, time.Millisecond)
}

func (b *busy) end() {
	close(b.stop)
	b.workers.Wait()
}

// TestReplicaLost: a replica is killed under reads, and comes back. No caller notices;
// the log names it.
func TestReplicaLost(t *testing.T) {
	primary, standby := pair(t)
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	c := pgtest.Config(url)
	c.Replicas = []string{onServer(url, primary, standby)}
	var log bytes.Buffer
	s, err := postgres.Open(t.Context(), c, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	b := keepBusy(t, s)
	for range 3 {
		served(t, s)
		b.more(t)
		require.NoError(t, standby.Kill())
		b.more(t)
		require.NoError(t, standby.Run())
	}
	served(t, s)
	b.end()
	require.NoError(t, s.Close())
	for _, says := range []string{"a replica is left out", "a replica answers"} {
		require.Regexp(t, fmt.Sprintf(`%s.* replica=127.0.0.1:%d`, says, standby.Port), log.String())
	}
}

// TestReplicaHangs: a replica stops to answer, in the middle of reads.
func TestReplicaHangs(t *testing.T) {
	primary, standby := pair(t)
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	proxy := newStaller(t, standby.Port)
	s := replicated(t, url, strings.Replace(url, fmt.Sprint(":", primary.Port), fmt.Sprint(":", proxy.port), 1))
	b := keepBusy(t, s)
	served(t, s)
	b.more(t)
	proxy.stalled.Store(true)
	b.more(t)
	proxy.stalled.Store(false)
	served(t, s)
	b.end()
}

// staller passes bytes on, or holds them.
type staller struct {
	port    int
	stalled atomic.Bool
}

func newStaller(t *testing.T, target int) *staller {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &staller{port: l.Addr().(*net.TCPAddr).Port} //nolint:forcetypeassert // of a TCP listener
	pass := func(from, to net.Conn) {
		defer func() { _ = from.Close(); _ = to.Close() }()
		buf := make([]byte, 1<<16)
		for {
			n, err := from.Read(buf)
			for s.stalled.Load() {
				time.Sleep(5 * time.Millisecond)
			}
			if n > 0 {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", target))
			if err != nil {
				_ = client.Close()
				continue
			}
			go pass(client, server)
			go pass(server, client)
		}
	}()
	t.Cleanup(func() { s.stalled.Store(false); _ = l.Close() })
	return s
}

// TestReplicaBehind: a replica that gets nothing any more is read from no longer than
// what it has is enough.
func TestReplicaBehind(t *testing.T) {
	primary, standby := pair(t)
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	s, idle := replicated(t, url, onServer(url, primary, standby)), replicated(t, url, onServer(url, primary, standby))
	b := keepBusy(t, s)
	served(t, s)
	served(t, idle)
	require.NoError(t, standby.Detach())
	b.more(t)
	b.more(t)
	require.Eventually(t, func() bool { // the primary alone, also when nothing is written
		before, _ := s.Replicas().Reads()
		b.more(t)
		after, _ := s.Replicas().Reads()
		return before == after
	}, 20*time.Second, time.Millisecond)
	b.end()
	// A process that has neither written nor learned anything since.
	require.Eventually(t, func() bool { return rows(t, idle, "p") == rows(t, s, "p") }, 20*time.Second, 10*time.Millisecond)
	before, _ := idle.Replicas().Reads()
	for range 100 {
		rows(t, idle, "p")
	}
	after, _ := idle.Replicas().Reads()
	require.Equal(t, before, after, "a broken connection is not a replica without lag")
}

// TestReplicaPromoted: a replica that was made a primary of its own, and written to, is
// not read from.
func TestReplicaPromoted(t *testing.T) {
	primary, standby := pair(t)
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	other := onServer(url, primary, standby)
	s := replicated(t, url, other)
	b := keepBusy(t, s)
	served(t, s)
	require.NoError(t, standby.Promote())
	b.more(t)
	var astray query.Store
	require.Eventually(t, func() bool {
		opened, err := postgres.Open(t.Context(), pgtest.Config(other), quiet)
		if err != nil {
			return false
		}
		astray = opened
		return true
	}, 20*time.Second, 50*time.Millisecond)
	traffic := storetest.NewTraffic(99)
	traffic.Projects = []string{"astray"}
	_, err = astray.Apply(t.Context(), traffic.Batch(5000, 100))
	require.NoError(t, err)
	require.NoError(t, astray.Close())
	for range 50 {
		require.Zero(t, rows(t, s, "astray"))
	}
	b.end()
}

// TestReplicaOfLostPrimary: the primary is lost and one of two replicas is promoted,
// the one that had less. The other still has what was lost, at a higher position of
// the old log: it must not answer.
func TestReplicaOfLostPrimary(t *testing.T) {
	primary, next := pair(t)
	rest, err := primary.Standby()
	require.NoError(t, err)
	defer func() { require.NoError(t, rest.Stop()) }()
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	both := strings.Replace(url, fmt.Sprint("127.0.0.1:", primary.Port), fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", primary.Port, next.Port), 1) +
		"&target_session_attrs=read-write"
	s := replicated(t, both, onServer(url, primary, rest))
	traffic := storetest.NewTraffic(12)
	traffic.Projects, traffic.Text = []string{"p"}, 2000
	kept := traffic.Batch(10, 10)
	_, err = s.Apply(t.Context(), kept)
	require.NoError(t, err)
	served(t, s)
	require.Eventually(t, func() bool { // the next has it
		opened, err := pgx.Connect(t.Context(), onServer(url, primary, next))
		if err != nil {
			return false
		}
		defer func() { _ = opened.Close(t.Context()) }()
		var n int
		return opened.QueryRow(t.Context(), "SELECT count(*) FROM events").Scan(&n) == nil && n == 10
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, next.Detach())
	lost := traffic.Batch(5000, 100)
	_, err = s.Apply(t.Context(), lost)
	require.NoError(t, err)
	served(t, s) // the rest has it
	require.NoError(t, primary.Kill())
	require.NoError(t, next.Promote())
	traffic.Projects = []string{"new"}
	fresh := traffic.Batch(10, 10)
	persist(t, func() error { _, err := s.Apply(t.Context(), fresh); return err })
	for range 200 {
		for _, p := range []string{"new", "p"} {
			var n int64
			// Connections to the lost primary are found out one by one.
			persist(t, func() error {
				page, err := s.ListEvents(t.Context(), query.ListQuery{Project: p, Limit: 10_000})
				n = int64(len(page.Events))
				return err
			})
			require.EqualValues(t, 10, n, p)
		}
	}
	require.NoError(t, primary.Run()) // for its Stop
}

// TestReplicaConflict: a read that the replica cancels, since it must replay what the
// read stands in the way of, is answered.
func TestReplicaConflict(t *testing.T) {
	primary, standby := pair(t)
	set(t, standby, "max_standby_streaming_delay = 0")
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	s := replicated(t, url, onServer(url, primary, standby))
	reader := sdkmetric.NewManualReader()
	stop, err := s.Replicas().Observe(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), "query")
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()
	b := keepBusy(t, s)
	served(t, s)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	failed := func() int64 {
		var got metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &got))
		for _, m := range got.ScopeMetrics[0].Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "synapse.db.replica.fallbacks" {
				for _, p := range sum.DataPoints {
					if v, _ := p.Attributes.Value("reason"); v.AsString() == "failed" {
						return p.Value
					}
				}
			}
		}
		return 0
	}
	// Each lock takes every read of events away. One table, so that it waits for those who
	// hold several before it holds anything, and cannot deadlock with them.
	for until := time.Now().Add(time.Minute); failed() < 5; {
		require.True(t, time.Now().Before(until), "no read was cancelled")
		_, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.02); COMMIT")
		require.NoError(t, err)
	}
	served(t, s)
	b.more(t)
	b.end()
}

// TestReplicaConfig: a replica that never answers does not keep the store from opening,
// nor does a wrong one get read from.
func TestReplicaConfig(t *testing.T) {
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	s := replicated(t, url, "postgres://postgres@127.0.0.1:1/nowhere?sslmode=disable", url)
	b := keepBusy(t, s)
	b.more(t)
	b.end()
	n, _ := s.Replicas().Reads()
	require.Zero(t, n, "the primary is no replica of itself")
	c := pgdb.DefaultConfig()
	c.Replicas = []string{"mysql://x", "postgres://u:secret@h/d"}
	err = c.Validate()
	require.ErrorContains(t, err, "replicas: need url")
	require.ErrorContains(t, err, "replicas: must begin with postgres://")
	require.ErrorContains(t, err, "replicas: must not hold a password")
	require.NotContains(t, err.Error(), "secret")
}
