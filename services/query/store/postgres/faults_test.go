package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

// impatient gives up soon, so that faults are seen as such.
func impatient(url string) pgdb.Config {
	c := pgtest.Config(url)
	c.AcquireTimeout, c.ConnectTimeout = 300*time.Millisecond, time.Second
	return c
}

func openWith(t *testing.T, c pgdb.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), c, quiet)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// persist repeats f while the store says that it can not now, as the service does.
func persist(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		require.ErrorIs(t, err, query.ErrBusy)
		require.True(t, time.Now().Before(deadline), "the store does not come back: %v", err)
		time.Sleep(20 * time.Millisecond)
	}
}

// told collects the ids that the store said it stored.
type told struct {
	mu  sync.Mutex
	ids map[string]int
}

func (o *told) add(out query.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = map[string]int{}
	}
	for _, e := range out.Stored {
		o.ids[e.Project+"/"+e.ID]++
	}
}

// check: what was told is what is there, once.
func (o *told) check(t *testing.T, s query.Store, projects ...string) {
	t.Helper()
	rows := 0
	for _, p := range projects {
		page, err := s.ListEvents(t.Context(), query.ListQuery{Project: p, Limit: 1_000_000})
		require.NoError(t, err)
		rows += len(page.Events)
		for _, e := range page.Events {
			require.Equal(t, 1, o.ids[p+"/"+e.ID], "times that %s was told as stored", e.ID)
		}
	}
	require.Len(t, o.ids, rows)
	r, err := s.Verify(t.Context(), "")
	require.NoError(t, err)
	require.Zero(t, r.Count, "%v", r.Differences)
}

// TestServerKilled: the server is killed under load, again and again. Everything is
// stored once, counted once and told once.
func TestServerKilled(t *testing.T) {
	server, err := pgtest.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	url, err := server.NewDatabase()
	require.NoError(t, err)
	s := openWith(t, impatient(url))
	traffic := storetest.NewTraffic(5)
	traffic.Projects, traffic.Text = []string{"p"}, 20
	stop := make(chan struct{})
	var kills sync.WaitGroup
	kills.Go(func() {
		for range 4 {
			time.Sleep(700 * time.Millisecond)
			if err := server.Kill(); err != nil {
				t.Error(err)
			}
			if err := server.Run(); err != nil {
				t.Error(err)
			}
		}
		close(stop)
	})
	var all told
	accepted, batches := int64(0), 0
	for done := false; !done; batches++ {
		b := traffic.Batch(200, 20)
		var out query.Outcome
		persist(t, func() (err error) { out, err = s.Apply(context.WithoutCancel(t.Context()), b); return err })
		all.add(out)
		accepted += 200
		counts := query.AcceptedBatch{Counts: []query.HourCount{{Project: "p", Hour: 1, Events: 200}}, Position: b.Position}
		persist(t, func() error { return s.ApplyAccepted(context.WithoutCancel(t.Context()), counts) })
		select {
		case <-stop:
			done = true
		default:
		}
	}
	kills.Wait()
	require.Greater(t, batches, 20)
	st, err := s.Balance(t.Context(), "p", 1)
	require.NoError(t, err)
	require.Equal(t, query.Counters{Accepted: accepted, Stored: accepted}, st.Total)
	all.check(t, s, "p")
}

// TestPrimaryHangs: the primary hangs in the middle of a batch and goes on after the
// store has given up its connections; then it hangs for good, and its replica, which has
// every commit, is promoted.
func TestPrimaryHangs(t *testing.T) {
	primary, standby := pair(t)
	set(t, primary, "synchronous_standby_names = '*'")
	url, err := primary.NewDatabase()
	require.NoError(t, err)
	both := strings.Replace(url, fmt.Sprintf(":%d/", primary.Port), fmt.Sprintf(":%d,127.0.0.1:%d/", primary.Port, standby.Port), 1)
	c := impatient(both + "&target_session_attrs=read-write")
	c.StatementTimeout = time.Second
	s := openWith(t, c)
	traffic := storetest.NewTraffic(6)
	traffic.Projects, traffic.Text = []string{"p"}, 20
	var all told
	batches := 0
	apply := func() {
		b := traffic.Batch(200, 20)
		batches++
		var out query.Outcome
		persist(t, func() (err error) { out, err = s.Apply(context.WithoutCancel(t.Context()), b); return err })
		all.add(out)
	}
	during := func(fault func()) {
		done := make(chan struct{})
		go func() { defer close(done); time.Sleep(300 * time.Millisecond); fault() }()
		var longest time.Duration
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			began := time.Now()
			apply()
			longest = max(longest, time.Since(began))
		}
		t.Logf("a batch waited %s", longest.Round(time.Millisecond))
	}
	during(func() {
		require.NoError(t, primary.Pause())
		time.Sleep(c.StatementTimeout + 6*time.Second)
		require.NoError(t, primary.Resume())
	})
	during(func() {
		require.NoError(t, primary.Pause())
		require.NoError(t, standby.Promote())
	})
	require.Greater(t, batches, 10)
	var st query.BalanceState
	persist(t, func() (err error) { st, err = s.Balance(t.Context(), "p", 1); return err })
	require.EqualValues(t, 200*batches, st.Total.Stored)
	all.check(t, s, "p")
	require.NoError(t, primary.Kill())
}

// TestTwoWriters: two processes apply the same stream and streams of their own at
// the same time.
func TestTwoWriters(t *testing.T) {
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	var all told
	var writers sync.WaitGroup
	for k := range 2 {
		s := openWith(t, pgtest.Config(url))
		writers.Go(func() {
			common, own := storetest.NewTraffic(7), storetest.NewTraffic(uint64(8+k))
			common.Projects, own.Projects = []string{"p"}, []string{"own"}
			for i := range 30 {
				b := own.Batch(50, 10)
				for j := range b.Sources { // ids and messages of its own
					b.Sources[j].Epoch += uint64(1 + k)
					for n := range b.Sources[j].Events {
						b.Sources[j].Events[n].ID += fmt.Sprint("-", k)
					}
				}
				b.Sources = append(b.Sources, common.Batch(100, 20).Sources...)
				out, err := s.Apply(t.Context(), b)
				if err != nil {
					t.Errorf("batch %d of writer %d: %v", i, k, err)
					return
				}
				all.add(out)
			}
		})
	}
	writers.Wait()
	s := openWith(t, pgtest.Config(url))
	require.Len(t, all.ids, 30*100+2*30*50)
	all.check(t, s, "p", "own")
	last, err := s.LastSeq(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(all.ids), last)
}

// cutter is a proxy in front of a server. Once armed, it lets the next commit
// through and cuts the connection before its answer, or cuts before the commit.
type cutter struct {
	net.Listener
	target string
	armed  atomic.Int32 // 1: after the commit, 2: before it
}

func newCutter(t *testing.T, target string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{Listener: l, target: target}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var mute atomic.Bool
	go func() {
		defer func() { _ = client.Close() }()
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			if n > 0 && mute.Load() { // the commit has happened
				return
			}
			if err == nil {
				_, err = client.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if n > 0 && bytes.Contains(buf[:n], []byte("commit")) {
			switch {
			case c.armed.CompareAndSwap(1, 0):
				mute.Store(true)
			case c.armed.CompareAndSwap(2, 0):
				return
			}
		}
		if err == nil {
			_, err = server.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// TestLostCommit: the answer to a commit is lost. Whether it was kept is found out:
// nothing is counted twice, and what was stored is told.
func TestLostCommit(t *testing.T) {
	server := pgtest.Shared(t)
	url, err := server.NewDatabase()
	require.NoError(t, err)
	proxy := newCutter(t, fmt.Sprintf("127.0.0.1:%d", server.Port))
	_, port, err := net.SplitHostPort(proxy.Addr().String())
	require.NoError(t, err)
	s := openWith(t, impatient(strings.Replace(url, fmt.Sprint(":", server.Port), ":"+port, 1)))
	traffic := storetest.NewTraffic(6)
	traffic.Projects = []string{"p"}
	var all told
	cut := func(i int, f func() error) {
		t.Helper()
		proxy.armed.Store(int32(i % 3))
		persist(t, f)
		require.Zero(t, proxy.armed.Load(), "nothing was cut")
	}
	for i := range 12 {
		b := traffic.Batch(50, 10)
		var out query.Outcome
		cut(i, func() (err error) { out, err = s.Apply(t.Context(), b); return err })
		require.Len(t, out.Stored, 50, "batch %d", i)
		all.add(out)
		counts := query.AcceptedBatch{Counts: []query.HourCount{{Project: "p", Hour: 1, Events: 50}}, Position: b.Position}
		cut(i, func() error { return s.ApplyAccepted(t.Context(), counts) })
		letter := query.Letter{Epoch: 1, Sequence: uint64(i), Project: "p", Counts: []query.HourCount{{Project: "p", Hour: 1, Events: 2}}}
		var counted int
		cut(i, func() (err error) {
			counted, err = s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{letter}, Position: b.Position})
			return err
		})
		require.Equal(t, 2, counted)
	}
	st, err := s.Balance(t.Context(), "p", 1)
	require.NoError(t, err)
	require.Equal(t, query.Counters{Accepted: 600, Stored: 600, DeadLetter: 24}, st.Total)
	all.check(t, s, "p")
}

// TestExhausted: with all connections taken, reads are refused within the time that
// was set, and the writer is not.
func TestExhausted(t *testing.T) {
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	c := impatient(url)
	c.MaxConns = 2
	s := openWith(t, c)
	_, err = s.Apply(t.Context(), storetest.NewTraffic(1).Batch(100, 10))
	require.NoError(t, err)
	taken, release := make(chan struct{}), make(chan struct{})
	var holders sync.WaitGroup
	for range 2 {
		holders.Go(func() {
			first := true
			err := s.Series(t.Context(), query.SeriesQuery{Project: "alpha", Grain: query.Day, EndUS: 50_000 * query.Day.US()}, func(query.SeriesRow) error {
				if first {
					taken <- struct{}{}
					<-release
				}
				first = false
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-taken
	}
	_, err = s.ListEvents(t.Context(), query.ListQuery{Project: "alpha", Limit: 1})
	require.ErrorIs(t, err, query.ErrExhausted)
	require.ErrorIs(t, err, query.ErrBusy)
	require.ErrorContains(t, err, "none of 2 within 300ms")
	read, _ := s.Pools()
	require.Positive(t, read.Stats().Refused)
	require.NoError(t, s.ApplyAccepted(t.Context(), query.AcceptedBatch{Position: query.StoredPosition{Position: queue.Position{Epoch: 1, Sequence: 1}}}))
	close(release)
	holders.Wait()
	_, err = s.ListEvents(t.Context(), query.ListQuery{Project: "alpha", Limit: 1})
	require.NoError(t, err)
}

// TestPooler: everything works behind PgBouncer in transaction pooling, several
// writers and readers on fewer connections of the server.
func TestPooler(t *testing.T) {
	server := pgtest.Shared(t)
	url, err := server.NewDatabase()
	require.NoError(t, err)
	c := pgtest.Config(strings.Replace(url, fmt.Sprint(":", server.Port), fmt.Sprint(":", server.Pool(t)), 1))
	c.Pooler = true
	var all told
	var work sync.WaitGroup
	for k := range 3 {
		s := openWith(t, c)
		work.Go(func() {
			traffic := storetest.NewTraffic(9)
			traffic.Projects = []string{"p"}
			for range 20 {
				out, err := s.Apply(t.Context(), traffic.Batch(100, 20))
				if err != nil {
					t.Errorf("writer %d: %v", k, err)
					return
				}
				all.add(out)
				f, err := filter.Parse(`source = "tweet" AND score < 0.5 AND text:"a" AND -attributes:x`, filter.Events)
				if err == nil {
					_, err = s.ListEvents(t.Context(), query.ListQuery{Project: "p", Filter: f, Limit: 20, Scan: 500})
				}
				if err != nil {
					t.Errorf("reader %d: %v", k, err)
					return
				}
			}
		})
	}
	work.Wait()
	require.Len(t, all.ids, 2000)
	all.check(t, openWith(t, c), "p")
}

// TestReplacedServer: the server is replaced by one that lost the last commit. What
// the writer remembers of rows that are gone must not be used.
func TestReplacedServer(t *testing.T) {
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	s := openWith(t, pgtest.Config(url))
	traffic := storetest.NewTraffic(3)
	traffic.Projects = []string{"kept"}
	_, err = s.Apply(t.Context(), traffic.Batch(50, 10))
	require.NoError(t, err)
	_, write := s.Pools()
	tables := []string{"writer", "projects", "dims", "event_ids", "events", "rollups", "balance", "positions", "applied_sources"}
	for _, name := range tables { // what the other server has
		_, err := write.Pool().Exec(t.Context(), "CREATE TABLE other_"+name+" AS TABLE "+name)
		require.NoError(t, err)
	}
	traffic.Projects = []string{"lost"}
	b := traffic.Batch(50, 10)
	out, err := s.Apply(t.Context(), b)
	require.NoError(t, err)
	require.Len(t, out.Stored, 50)
	for _, name := range tables {
		_, err := write.Pool().Exec(t.Context(), "DELETE FROM "+name)
		require.NoError(t, err)
		_, err = write.Pool().Exec(t.Context(), "INSERT INTO "+name+" OVERRIDING SYSTEM VALUE SELECT * FROM other_"+name)
		require.NoError(t, err)
	}
	out, err = s.Apply(t.Context(), b)
	require.NoError(t, err)
	require.Len(t, out.Stored, 50)
	page, err := s.ListEvents(t.Context(), query.ListQuery{Project: "lost", Limit: 100})
	require.NoError(t, err)
	require.Len(t, page.Events, 50)
	r, err := s.Verify(t.Context(), "")
	require.NoError(t, err)
	require.Zero(t, r.Count, "%v", r.Differences)
}
