package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/synapse-analytics/synapse/internal/dberr"
)

// minVersion is the oldest server that the SQL is written for.
const minVersion = 150000

// DB is a pool of connections to one database. Safe for concurrent use.
type DB struct {
	cfg    Config
	log    *slog.Logger
	pool   *pgxpool.Pool
	sql    *sql.DB
	close  sync.Once
	closed atomic.Bool

	refused atomic.Int64
}

// Open connects to the database and checks that its server is new enough, keeps what
// it commits and has UTF-8. Migrate must be called before the tables are used. The
// application names the connections in pg_stat_activity. Errors do not hold the
// password.
func Open(ctx context.Context, c Config, application string, log *slog.Logger) (*DB, error) {
	db, err := newDB(ctx, c, application, log)
	if err != nil {
		return nil, err
	}
	if err := db.check(ctx); err != nil {
		cfg := db.pool.Config().ConnConfig
		return nil, errors.Join(fmt.Errorf("open PostgreSQL database %s at %s: %w", cfg.Database, cfg.Host, err), db.Close())
	}
	return db, nil
}

// newDB makes the pool; it does not connect.
func newDB(ctx context.Context, c Config, application string, log *slog.Logger) (*DB, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, errors.New("open PostgreSQL: url can not be read: want postgres://user@host:port/database")
	}
	cfg.MaxConns = int32(c.MaxConns)
	cfg.MaxConnLifetimeJitter = time.Minute
	cfg.ConnConfig.ConnectTimeout = c.ConnectTimeout
	cfg.ConnConfig.DialFunc = boundSilence(cfg.ConnConfig.DialFunc, c.StatementTimeout+answerGrace)
	// Several connections to a server that is gone are found out in one wait for one.
	cfg.PingTimeout = max(c.AcquireTimeout/4, time.Second)
	if c.Password != "" {
		cfg.ConnConfig.Password = string(c.Password)
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = application
	}
	if c.Pooler {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	} else {
		cfg.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(c.StatementTimeout)
		cfg.ConnConfig.RuntimeParams["lock_timeout"] = milliseconds(c.LockTimeout)
		// A transaction that its client forgot keeps rows from being cleaned up.
		cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(2 * c.StatementTimeout)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", Wrap(err))
	}
	db := &DB{cfg: c, log: log, pool: pool}
	db.sql = stdlib.OpenDBFromPool(pool)
	db.sql.SetMaxOpenConns(c.MaxConns)
	return db, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// check refuses a server on which the store's promises would not hold.
func (db *DB) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.cfg.ConnectTimeout)
	defer cancel()
	var version int
	var encoding, fsync, commit string
	err := db.pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), "+
		"current_setting('fsync'), current_setting('synchronous_commit')").Scan(&version, &encoding, &fsync, &commit)
	switch {
	case err != nil:
		return Wrap(err)
	case version < minVersion:
		return fmt.Errorf("the server's version is %d: it must be 15 or later", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s: create it with ENCODING 'UTF8'", encoding)
	case fsync == "off":
		return errors.New("the server's fsync is off: a crash would lose what was acknowledged; set it to on")
	case commit == "off":
		return errors.New("synchronous_commit is off: a crash would lose what was acknowledged; set it to on for this role")
	}
	return nil
}

// SQL returns the pool for package database/sql. Its errors go through Wrap.
func (db *DB) SQL() *sql.DB { return db.sql }

// Pool returns the pool. Its errors go through Wrap.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Close waits for the transactions in flight and closes the connections.
func (db *DB) Close() error {
	var err error
	db.close.Do(func() {
		db.closed.Store(true)
		err = db.sql.Close()
		db.pool.Close()
	})
	return err
}

// Stats are numbers for metrics.
type Stats struct {
	// Max, InUse and Idle are connections.
	Max, InUse, Idle int
	// Waits counts the transactions that had to wait for a connection, and
	// Waited is how long they did in all.
	Waits  int64
	Waited time.Duration
	// Refused counts those that waited in vain.
	Refused int64
}

// Stats returns current numbers.
func (db *DB) Stats() Stats {
	s, q := db.pool.Stat(), db.sql.Stats()
	return Stats{
		Max: int(s.MaxConns()), InUse: int(s.AcquiredConns()), Idle: int(s.IdleConns()),
		Waits: s.EmptyAcquireCount() + q.WaitCount, Waited: s.EmptyAcquireWaitTime() + q.WaitDuration, Refused: db.refused.Load(),
	}
}

// acquire gets a connection within the acquire timeout.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, db.cfg.AcquireTimeout)
	defer cancel()
	conn, err := db.pool.Acquire(wait)
	if err != nil {
		return nil, db.waitError(ctx, wait, err)
	}
	return conn, nil
}

// waitError says why a wait for a connection ended.
func (db *DB) waitError(ctx, wait context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case db.closed.Load():
		return dberr.ErrClosed
	case wait.Err() == nil:
		return Wrap(err)
	case db.pool.Stat().AcquiredConns() >= db.pool.Config().MaxConns:
		db.refused.Add(1)
		return fmt.Errorf("%w: none of %d within %v", dberr.ErrExhausted, db.cfg.MaxConns, db.cfg.AcquireTimeout)
	default:
		return fmt.Errorf("%w: no connection within %v", dberr.ErrAway, db.cfg.AcquireTimeout)
	}
}

// Health is what a look at the server finds.
type Health struct {
	// Version of the server, such as 15.20.
	Version string
	// Answer is how long a query took.
	Answer time.Duration
	// Clock is the server's clock less this one's, to about Answer.
	Clock time.Duration
	// Standby says that it is a replica, which can not be written to.
	Standby bool
	// Used and Max are connections of all clients.
	Used, Max int
}

// Look asks the server.
func (db *DB) Look(ctx context.Context) (h Health, err error) {
	conn, err := db.acquire(ctx)
	if err != nil {
		return Health{}, err
	}
	defer conn.Release()
	const ask = "SELECT current_setting('server_version'), clock_timestamp(), pg_is_in_recovery(), " +
		"(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int, current_setting('max_connections')::int"
	for range 2 { // the first prepares
		var clock time.Time
		start := time.Now()
		if err := conn.QueryRow(ctx, ask).Scan(&h.Version, &clock, &h.Standby, &h.Used, &h.Max); err != nil {
			return Health{}, withContext(ctx, err)
		}
		h.Answer = time.Since(start)
		h.Clock = clock.Sub(start.Add(h.Answer / 2))
	}
	h.Version, _, _ = strings.Cut(h.Version, " ")
	return h, nil
}
