package redisdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/metric"
)

const (
	// failuresInRow open the breaker, and so does a share of half of at least
	// failuresOf calls in failuresIn.
	failuresInRow = 5
	failuresOf    = 20
	failuresIn    = 10 * time.Second
	// lookEvery is the time between two looks at the server, also while the breaker
	// is open.
	lookEvery = 500 * time.Millisecond
)

// ErrAway says that the server does not answer, is too slow, or takes no writes; also
// while it is not asked since it did not a moment ago.
var ErrAway = errors.New("redis: away")

// DB is the connection. Safe for concurrent use.
type DB struct {
	cfg     Config
	log     *slog.Logger
	client  redis.UniversalClient
	breaker *gobreaker.CircuitBreaker[struct{}]
	metrics *metrics

	stop    context.CancelFunc
	ctx     context.Context // ends with Close
	looking sync.WaitGroup
	close   sync.Once
}

// Open prepares the connection; a server that is away is no error, since a process
// can do without. Errors are of the configuration and do not hold the password.
func Open(c Config, mp metric.MeterProvider, log *slog.Logger) (*DB, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open Redis: %w", err)
	}
	t, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("open Redis: %w", err)
	}
	opts := &redis.UniversalOptions{
		Addrs: t.addrs, DB: t.db, IsClusterMode: len(t.addrs) > 1, Username: c.User, Password: string(c.Password),
		Protocol: 2, DisableIdentity: true, ClientName: c.Prefix,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: c.ConnectTimeout, ContextTimeoutEnabled: true,
		ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		PoolSize: c.MaxConns, MaxActiveConns: c.MaxConns, ConnMaxIdleTime: 5 * time.Minute,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if opts.IsClusterMode {
		opts.MaxRetries, opts.MaxRedirects = 0, 3 // only for keys that moved to another node
	}
	if t.tls {
		if opts.TLSConfig, err = tlsConfig(c.CAFile); err != nil {
			return nil, fmt.Errorf("open Redis: %w", err)
		}
	}
	quietClient()
	db := &DB{cfg: c, log: log, client: redis.NewUniversalClient(opts)}
	db.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: failuresIn, Timeout: lookEvery / 2, MaxRequests: 1,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.ConsecutiveFailures >= failuresInRow || n.Requests >= failuresOf && n.TotalFailures*2 >= n.Requests
		},
		IsSuccessful: func(err error) bool { return !isAway(err) },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
	})
	if db.metrics, err = newMetrics(mp, db); err != nil {
		return nil, errors.Join(fmt.Errorf("open Redis: %w", err), db.client.Close())
	}
	db.ctx, db.stop = context.WithCancel(context.Background())
	db.looking.Go(db.lookOn)
	return db, nil
}

func tlsConfig(caFile string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM; name the file of the authority", caFile)
	}
	return cfg, nil
}

// quietClient keeps the client from writing to the standard error by itself: what
// fails is told by the breaker's state and the metrics.
var quietClient = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// Close ends the connections. Calls after it are refused.
func (db *DB) Close() error {
	var err error
	db.close.Do(func() {
		db.stop()
		db.looking.Wait()
		err = errors.Join(db.metrics.close(), db.client.Close())
	})
	return err
}

// lookOn looks at the server until Close, so that the breaker knows of it also when
// nobody calls.
func (db *DB) lookOn() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	was := gobreaker.StateClosed
	for {
		_, err := db.breaker.Execute(func() (struct{}, error) { return struct{}{}, db.look(db.ctx) })
		if is := db.breaker.State(); (is == gobreaker.StateClosed) != (was == gobreaker.StateClosed) {
			if was = is; is == gobreaker.StateClosed {
				db.log.Info("Redis answers again")
			} else {
				db.log.Warn("Redis is away: limits are kept in parts by each process, caches are empty", "error", err)
			}
		}
		select {
		case <-db.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look finds out whether the server takes a write: a replica, or one whose memory or
// disk is full, answers a PING.
func (db *DB) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	return db.client.Set(ctx, db.Key("look"), 1, 10*lookEvery).Err()
}

// Up says whether calls are let through at the moment.
func (db *DB) Up() bool { return db.breaker.State() == gobreaker.StateClosed }

// do runs a call in its bounds. Every error is an ErrAway or ctx's own, or says that
// the command itself was wrong.
func (db *DB) do(ctx context.Context, operation string, f func(context.Context) error) error {
	// While the breaker is half open only the look goes through.
	if db.breaker.State() != gobreaker.StateClosed {
		db.metrics.refuse(ctx)
		return ErrAway
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	_, err := db.breaker.Execute(func() (struct{}, error) {
		err := f(bounded)
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		if err != nil && ended(ctx) != nil { // the caller's end is no fault of the server
			err = context.Canceled
		}
		return struct{}{}, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests):
		db.metrics.refuse(ctx)
		return ErrAway
	case err == nil:
	case ended(ctx) != nil:
		err = ended(ctx)
	case isAway(err):
		err = fmt.Errorf("%w: %s: %w", ErrAway, operation, err)
	default:
		err = fmt.Errorf("redis: %s: %w", operation, err)
	}
	db.metrics.done(ctx, operation, time.Since(began), err)
	return err
}

// ended returns why a context has ended, or nil. A socket's deadline is that of the
// context, and can be noticed before the context's own timer has run.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return nil
}

// isAway says whether an error is of the connection or the state of the server,
// rather than of the command.
func isAway(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	var reply redis.Error
	if !errors.As(err, &reply) {
		return true // of the connection
	}
	code, _, _ := strings.Cut(reply.Error(), " ")
	switch code {
	case "ERR", "WRONGTYPE", "NOSCRIPT", "CROSSSLOT":
		return false
	}
	return true // LOADING, READONLY, OOM, MISCONF, NOAUTH, CLUSTERDOWN, …
}

// Key makes a key of the installation.
func (db *DB) Key(parts ...string) string { return db.cfg.Prefix + ":" + strings.Join(parts, ":") }
