package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Queue implements queue.Queue on JetStream. It is safe for concurrent use.
type Queue struct {
	cfg   Config
	log   *slog.Logger
	srv   *embedded // nil by URL
	nc    *nats.Conn
	js    jetstream.JetStream
	pub   *publisher
	floor *diskFloor // nil by URL
	stats counters

	epochs map[queue.Stream]*atomic.Uint64
	given  map[queue.Stream]*given

	surveyed  atomic.Pointer[Survey] // by URL
	watching  sync.WaitGroup         // watchServers
	stopWatch context.CancelFunc

	mu        sync.Mutex
	closed    bool
	consumers map[*consumer]struct{}
	closeOnce sync.Once
	closeErr  error
}

var _ queue.Queue = (*Queue)(nil)

// Open starts the embedded engine on cfg.Dir or connects to cfg.URL, and makes
// the streams or brings them to cfg. It waits for the store to be read and, by
// URL, for the server to come up, until ctx or cfg.OpenTimeout ends. Its errors
// name the field and the remedy.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Queue, error) {
	if cfg.Dir == "" && cfg.URL == "" {
		return nil, errors.New("queue: neither dir nor url is set; set dir for the embedded engine or url for a NATS server")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("queue config: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.OpenTimeout)
	defer cancel()
	var srv *embedded
	if cfg.embedded() {
		var err error
		if srv, err = startEmbedded(ctx, cfg, log); err != nil {
			return nil, fmt.Errorf("open queue: %w", err)
		}
	}
	q, err := open(ctx, cfg, log, srv)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", errors.Join(err, srv.stop()))
	}
	return q, nil
}

// open connects to srv, or to cfg.URL when it is nil. On an error it leaves
// nothing behind but srv.
func open(ctx context.Context, cfg Config, log *slog.Logger, srv *embedded) (*Queue, error) {
	q := newQueue(cfg, log, srv)
	var err error
	if q.nc, err = q.connect(ctx); err != nil {
		return nil, err
	}
	fail := func(err error) (*Queue, error) {
		q.markClosed()
		q.nc.Close()
		return nil, err
	}
	if q.js, err = jetstream.New(q.nc, jetstream.WithDefaultTimeout(cfg.PublishTimeout)); err != nil {
		return fail(fmt.Errorf("jetstream client: %w", err))
	}
	for _, s := range queue.Streams() {
		if err := q.ensureStream(ctx, s); err != nil {
			return fail(err)
		}
	}
	if err := q.pub.start(q.nc); err != nil {
		return fail(err)
	}
	if !cfg.embedded() {
		q.note(q.survey(ctx))
		watch, stop := context.WithCancel(context.WithoutCancel(ctx))
		q.stopWatch = stop
		q.watching.Go(func() { q.watchServers(watch) })
	}
	return q, nil
}

func newQueue(cfg Config, log *slog.Logger, srv *embedded) *Queue {
	q := &Queue{
		cfg: cfg, log: log, srv: srv, floor: newDiskFloor(cfg),
		epochs:    make(map[queue.Stream]*atomic.Uint64),
		given:     make(map[queue.Stream]*given),
		consumers: make(map[*consumer]struct{}),
		pub:       newPublisher(cfg.PublishTimeout),
	}
	for _, s := range queue.Streams() {
		q.epochs[s], q.given[s] = new(atomic.Uint64), new(given)
	}
	return q
}

// drainTimeout bounds each step of Close but the server's own stop.
const drainTimeout = 5 * time.Second

// Close refuses new calls, waits for the publishes in flight, gives back what
// consumers hold, and stops the embedded server. It is bounded: at most
// publish_timeout and 40 seconds. More calls return what the first did.
func (q *Queue) Close() error {
	q.closeOnce.Do(func() { q.closeErr = q.close() })
	return q.closeErr
}

func (q *Queue) close() error {
	consumers := q.markClosed()
	if q.stopWatch != nil {
		q.stopWatch()
		q.watching.Wait()
	}
	q.pub.close(q.cfg.PublishTimeout)
	var wg sync.WaitGroup
	for _, c := range consumers {
		wg.Go(func() { _ = c.Close() })
	}
	wg.Wait()
	// Acknowledgements do not wait: this sends what is still buffered.
	if q.nc.IsConnected() {
		if err := q.nc.FlushTimeout(drainTimeout); err != nil {
			q.log.Warn("queue: flush before close failed; messages may be delivered again", "err", err)
		}
	}
	q.nc.Close()
	if err := q.srv.stop(); err != nil {
		return fmt.Errorf("close queue: %w", err)
	}
	return nil
}

// markClosed refuses new calls and returns the open consumers.
func (q *Queue) markClosed() []*consumer {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return slices.Collect(maps.Keys(q.consumers))
}

// isClosed says whether Close was called.
func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Ready implements queue.Queue. It asks the server for every stream.
func (q *Queue) Ready(ctx context.Context) error {
	if q.isClosed() {
		return queue.ErrClosed
	}
	if err := q.srv.ready(); err != nil {
		return err
	}
	if !q.nc.IsConnected() {
		return fmt.Errorf("%w: no connection to the NATS server (%s); check that it runs and that url is right", queue.ErrUnavailable, q.nc.Status())
	}
	if err := q.floor.check(time.Now()); err != nil {
		return err
	}
	for _, s := range queue.Streams() {
		_, info, err := q.stream(ctx, s)
		if err != nil {
			return fmt.Errorf("stream %s: %w; check the NATS server", s, err)
		}
		if c := info.Cluster; c != nil && c.Leader == "" {
			return fmt.Errorf("%w: stream %s has no leader; check the nodes of the NATS cluster", queue.ErrUnavailable, s)
		}
		if held, most := info.State.Bytes, info.Config.MaxBytes; most > 0 && held+queue.MaxMessageBytes > uint64(most) {
			return fmt.Errorf("%w: stream %s holds %s of %s; find the consumer that lags or raise its max bytes", queue.ErrFull, s, mib(held), mib(uint64(most)))
		}
	}
	return nil
}
