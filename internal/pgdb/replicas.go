package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/synapse-analytics/synapse/internal/dberr"
)

const (
	// replicaAcquire bounds the wait for a connection to a replica, and replicaWait
	// the wait for it to replay what the read needs: then the primary is asked.
	replicaAcquire = 100 * time.Millisecond
	replicaWait    = 50 * time.Millisecond
	replicaPoll    = 2 * time.Millisecond
	// replicaBegin bounds the begin of a transaction on a replica, replicaRead a whole
	// read: one that hangs leaves the primary time to answer.
	replicaBegin = time.Second
	replicaRead  = 3 * time.Second
)

// Replicas are hot standbys of a database's server that answer reads. A read goes to
// one only if it has replayed everything that was noted (Note) before the read began,
// and shows a heartbeat that is not older than Config.MaxLag.
//
// The database has a table heartbeat (timeline bigint, at_us bigint) of one row. The
// heartbeat is written there: the time since the last replayed transaction would grow
// on an idle primary, and the distance in bytes stays 0 on a broken connection. Its
// timeline tells a standby of this primary from one that still follows, or has all of,
// a primary that was replaced: positions in the log of different timelines can not be
// compared.
type Replicas struct {
	primary *DB
	maxLag  time.Duration
	log     *slog.Logger
	list    []*replica
	turn    atomic.Uint64

	mu    sync.Mutex
	need  position
	notes uint64 // number given to the last note
	known uint64 // the highest that succeeded
	lost  uint64 // the highest that failed
	beats []beat // ascending, those of the last MaxLag

	end  context.CancelFunc
	work sync.WaitGroup

	counts struct {
		replica, primary atomic.Int64
		fallbacks        [reasons]atomic.Int64
	}
}

// position is a place in the log of a timeline.
type position struct{ timeline, lsn int64 }

// beat is a heartbeat: what was committed before sent is on every server that shows at.
type beat struct {
	at   int64
	sent time.Time
}

// replica is one server.
type replica struct {
	db   *DB
	name string

	mu   sync.Mutex
	well bool
	at   int64 // the heartbeat it shows
}

// reason is why a read went to the primary.
type reason int

const (
	noneUsable reason = iota
	behind
	failing
	slow
	reasons
)

var reasonNames = [reasons]string{"none_usable", "behind", "failed", "slow"}

// OpenReplicas makes the pools of Config.Replicas and watches them until Close. A
// replica that can not be reached is no error: it is not used until it can. With no
// replicas it returns nil, whose Note and Close do nothing.
func OpenReplicas(ctx context.Context, c Config, application string, primary *DB, log *slog.Logger) (*Replicas, error) {
	if len(c.Replicas) == 0 {
		return nil, nil
	}
	r := &Replicas{primary: primary, maxLag: c.MaxLag, log: log}
	for i, url := range c.Replicas {
		rc := c
		rc.URL, rc.Replicas = url, nil
		rc.AcquireTimeout = min(rc.AcquireTimeout, replicaAcquire)
		db, err := newDB(context.WithoutCancel(ctx), rc, application, log)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("replica %d: %w", i+1, err), r.closePools())
		}
		cfg := db.pool.Config().ConnConfig
		r.list = append(r.list, &replica{db: db, name: cfg.Host + ":" + strconv.Itoa(int(cfg.Port))})
	}
	run, cancel := context.WithCancel(context.Background())
	r.end = cancel
	every := max(r.maxLag/4, 20*time.Millisecond)
	r.work.Go(func() { repeat(run, every, r.beat) })
	for _, rep := range r.list {
		r.work.Go(func() { repeat(run, every, func(ctx context.Context) { r.probe(ctx, rep) }) })
	}
	r.Note(ctx)
	return r, nil
}

// repeat calls f now and after each period until ctx ends.
func repeat(ctx context.Context, every time.Duration, f func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		f(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the watch and closes the pools.
func (r *Replicas) Close() error {
	if r == nil {
		return nil
	}
	r.end()
	r.work.Wait()
	return r.closePools()
}

func (r *Replicas) closePools() (err error) {
	for _, rep := range r.list {
		err = errors.Join(err, rep.db.Close())
	}
	return err
}

const (
	timelineSQL = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint"
	// The flushed end is at or after every commit that anyone has seen.
	noteSQL = "SELECT " + timelineSQL + ", (pg_current_wal_flush_lsn() - '0/0')::bigint"
	beatSQL = "UPDATE heartbeat SET timeline = " + timelineSQL +
		", at_us = greatest(at_us + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) RETURNING at_us"
)

// Note has every read that begins after it see what was committed before it. When it
// fails no replica is used until a later one has succeeded, which the heartbeat tries.
func (r *Replicas) Note(ctx context.Context) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.notes++
	n := r.notes
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replicaBegin)
	defer cancel()
	var p position
	err := r.primary.pool.QueryRow(ctx, noteSQL).Scan(&p.timeline, &p.lsn)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.lost = max(r.lost, n)
		return
	}
	r.known = max(r.known, n)
	r.raise(p)
}

// NoteView is Note for what a read-only transaction of the primary has seen. When it
// fails, what was seen must not be told.
func (r *Replicas) NoteView(ctx context.Context, tx *sql.Tx) error {
	if r == nil {
		return nil
	}
	var p position
	if err := tx.QueryRowContext(ctx, noteSQL).Scan(&p.timeline, &p.lsn); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raise(p)
	return nil
}

// raise moves what a replica must have replayed.
func (r *Replicas) raise(p position) {
	if p.timeline > r.need.timeline || p.timeline == r.need.timeline && p.lsn > r.need.lsn {
		r.need = p
	}
}

// beat writes the heartbeat.
func (r *Replicas) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, max(r.maxLag, time.Second))
	defer cancel()
	b := beat{sent: time.Now()}
	if err := r.primary.pool.QueryRow(ctx, beatSQL).Scan(&b.at); err != nil {
		if ctx.Err() == nil {
			r.log.DebugContext(ctx, "no heartbeat for the replicas could be written", "error", Wrap(err))
		}
		return
	}
	if _, known := r.needed(); !known {
		r.Note(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beats = append(r.beats, b)
	for len(r.beats) > 1 && b.sent.Sub(r.beats[0].sent) > 4*r.maxLag {
		r.beats = r.beats[1:]
	}
}

const checkSQL = "SELECT pg_is_in_recovery() AND timeline = $1, coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint >= $2, false), at_us FROM heartbeat"

// check is what a replica says of itself.
type check struct {
	follows, replayed bool
	at                int64
}

// errNotStandby says that a server is not, or no more, a replica of the primary.
var errNotStandby = fmt.Errorf("%w: it is no standby of the primary, or has not replayed its first heartbeat", dberr.ErrReadOnly)

// probe looks whether a replica is well.
func (r *Replicas) probe(ctx context.Context, rep *replica) {
	ctx, cancel := context.WithTimeout(ctx, replicaBegin)
	defer cancel()
	need, _ := r.needed()
	var c check
	err := rep.db.pool.QueryRow(ctx, checkSQL, need.timeline, need.lsn).Scan(&c.follows, &c.replayed, &c.at)
	if err == nil && !c.follows {
		err = errNotStandby
	}
	r.set(ctx, rep, err, c.at)
}

// set notes how a replica is.
func (r *Replicas) set(ctx context.Context, rep *replica, err error, at int64) {
	rep.mu.Lock()
	was := rep.well
	rep.well = err == nil
	rep.at = max(rep.at, at)
	rep.mu.Unlock()
	switch {
	case was && err != nil && !errors.Is(context.Cause(ctx), context.Canceled):
		r.log.WarnContext(ctx, "a replica is left out: reads go to the primary", "replica", rep.name, "error", Wrap(err))
	case !was && err == nil:
		r.log.InfoContext(ctx, "a replica answers", "replica", rep.name)
	}
}

// needed returns what a replica must have replayed, if that is known.
func (r *Replicas) needed() (position, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.need, r.known > r.lost
}

// fresh says whether a server that shows a heartbeat has all that was committed
// longer than MaxLag ago.
func (r *Replicas) fresh(at int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.beats) - 1; i >= 0; i-- {
		if b := r.beats[i]; b.at <= at {
			return time.Since(b.sent) <= r.maxLag
		}
	}
	return false
}

// lag is how long ago the first heartbeat was that a replica does not show; 0 when it
// shows the last.
func (r *Replicas) lag(rep *replica) time.Duration {
	rep.mu.Lock()
	at := rep.at
	rep.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.beats {
		if b.at > at {
			return time.Since(b.sent)
		}
	}
	return 0
}

// pick returns the next replica that may be used, or nil.
func (r *Replicas) pick() *replica {
	start := r.turn.Add(1)
	for i := range r.list {
		rep := r.list[(start+uint64(i))%uint64(len(r.list))]
		if r.usable(rep) {
			return rep
		}
	}
	return nil
}

func (r *Replicas) usable(rep *replica) bool {
	rep.mu.Lock()
	well, at := rep.well, rep.at
	rep.mu.Unlock()
	return well && r.fresh(at)
}

// Read runs fn in a read-only transaction of a replica, all of whose queries see the
// same commit, and says whether that gave the answer. If not, whatever fn did is to be
// done again on the primary.
func (r *Replicas) Read(ctx context.Context, fn func(Conn) error) (answered bool) {
	why := noneUsable
	need, known := r.needed()
	if rep := r.pick(); rep != nil && known {
		bound := replicaRead
		if deadline, ok := ctx.Deadline(); ok {
			bound = min(bound, time.Until(deadline)/2)
		}
		attempt, cancel := context.WithTimeout(ctx, bound)
		err := rep.view(attempt, need, fn)
		cancel()
		switch {
		case err == nil:
			r.counts.replica.Add(1)
			return true
		case errors.Is(err, errBehind):
			why = behind
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			why = slow
			r.set(ctx, rep, err, 0)
		default:
			why = failing
			if errors.Is(err, dberr.ErrAway) || errors.Is(err, dberr.ErrReadOnly) || errors.Is(err, dberr.ErrIO) || errors.Is(err, dberr.ErrCorrupt) {
				r.set(ctx, rep, err, 0)
			}
		}
	}
	r.counts.fallbacks[why].Add(1)
	r.counts.primary.Add(1)
	return false
}

// errBehind says that a replica has not replayed what a read needs.
var errBehind = errors.New("the replica is behind")

// view runs fn on the replica.
func (rep *replica) view(ctx context.Context, need position, fn func(Conn) error) error {
	wait, cancel := context.WithTimeout(ctx, replicaAcquire)
	conn, err := rep.db.sql.Conn(wait)
	if err != nil {
		err = rep.db.waitError(ctx, wait, err)
		cancel()
		return err
	}
	cancel()
	// A connection whose transaction has not ended is not given back to the pool.
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("connection is a %T", driver)
		}
		return begin(ctx, c.Conn(), need)
	})
	if err == nil {
		err = fn(Conn{conn})
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "commit")
	}
	return failed(ctx, err, func() bool { return isClosed(conn) })
}

// begin begins a transaction whose snapshot has what is needed. The position is asked
// for before the snapshot is taken, which the first statement after BEGIN does: one
// that the transaction itself asked for could be later than what it sees. Both go in
// one round trip.
func begin(ctx context.Context, c *pgx.Conn, need position) error {
	ctx, cancel := context.WithTimeout(ctx, replicaBegin)
	defer cancel()
	for until := time.Now().Add(replicaWait); ; {
		got, err := checkAndBegin(ctx, c, need)
		if err != nil || got.follows && got.replayed {
			return err
		}
		if _, err := c.Exec(ctx, "rollback"); err != nil {
			return err
		}
		switch {
		case !got.follows:
			return errNotStandby
		case time.Now().After(until):
			return errBehind
		}
		select {
		case <-time.After(replicaPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// checkAndBegin sends the check and BEGIN, and reads the answers to both.
func checkAndBegin(ctx context.Context, c *pgx.Conn, need position) (got check, err error) {
	p := c.PgConn().StartPipeline(ctx)
	defer func() { err = errors.Join(err, p.Close()) }()
	args := [][]byte{strconv.AppendInt(nil, need.timeline, 10), strconv.AppendInt(nil, need.lsn, 10)}
	p.SendQueryParams(checkSQL, args, nil, nil, nil)
	if err := p.Sync(); err != nil {
		return got, err
	}
	p.SendQueryParams("begin isolation level repeatable read read only", nil, nil, nil, nil)
	if err := p.Sync(); err != nil {
		return got, err
	}
	for {
		results, err := p.GetResults()
		if err != nil {
			return got, err
		}
		switch answer := results.(type) {
		case nil:
			return got, nil
		case *pgconn.ResultReader:
			for answer.NextRow() {
				if v := answer.Values(); len(v) == 3 {
					got.follows, got.replayed = string(v[0]) == "t", string(v[1]) == "t"
				}
			}
			if _, err := answer.Close(); err != nil {
				return got, err
			}
		}
	}
}

// Observe reports the reads by target, why reads went to the primary, and the lag of
// each replica, until stop is called.
func (r *Replicas) Observe(mp metric.MeterProvider, name string) (stop func() error, err error) {
	m := mp.Meter("github.com/synapse-analytics/synapse/internal/pgdb")
	reads, err1 := m.Int64ObservableCounter("synapse.db.replica.reads", metric.WithUnit("{read}"),
		metric.WithDescription("Reads that a replica may answer, by the server that did."))
	fallbacks, err2 := m.Int64ObservableCounter("synapse.db.replica.fallbacks", metric.WithUnit("{read}"),
		metric.WithDescription("Reads that went to the primary, by what was wrong with the replicas."))
	lag, err3 := m.Float64ObservableGauge("synapse.db.replica.lag", metric.WithUnit("s"),
		metric.WithDescription("Time since the first heartbeat that the replica has not replayed; 0 when it has all."))
	usable, err4 := m.Int64ObservableGauge("synapse.db.replica.usable", metric.WithUnit("1"),
		metric.WithDescription("1 when reads may go to the replica, else 0."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	pool := attribute.String("db.client.connection.pool.name", name)
	reg, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(reads, r.counts.replica.Load(), metric.WithAttributes(pool, attribute.String("target", "replica")))
		o.ObserveInt64(reads, r.counts.primary.Load(), metric.WithAttributes(pool, attribute.String("target", "primary")))
		for i := range r.counts.fallbacks {
			o.ObserveInt64(fallbacks, r.counts.fallbacks[i].Load(), metric.WithAttributes(pool, attribute.String("reason", reasonNames[i])))
		}
		for _, rep := range r.list {
			one := metric.WithAttributes(pool, attribute.String("server.address", rep.name))
			o.ObserveFloat64(lag, r.lag(rep).Seconds(), one)
			n := int64(0)
			if r.usable(rep) {
				n = 1
			}
			o.ObserveInt64(usable, n, one)
		}
		return nil
	}, reads, fallbacks, lag, usable)
	if err != nil {
		return nil, err
	}
	return reg.Unregister, nil
}

// Reads returns how many reads a replica answered, and how many were left to the
// primary.
func (r *Replicas) Reads() (replica, primary int64) {
	return r.counts.replica.Load(), r.counts.primary.Load()
}
