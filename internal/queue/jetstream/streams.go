package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// subjects is where each stream's messages are published.
var subjects = map[queue.Stream]string{
	queue.Events: "synapse.events",
	queue.Scored: "synapse.scored",
	queue.Dead:   "synapse.dead",
}

// controlSubject carries notices; no stream keeps them.
const controlSubject = "synapse.control"

const (
	// ensureTimeout bounds one try to make a stream, which three servers do
	// together.
	ensureTimeout = 3 * time.Second
	// ensureRetry is the pause between two tries.
	ensureRetry = 250 * time.Millisecond
)

// streamConfig is what a stream must be. Limits without an age and DiscardNew:
// what nobody has acknowledged is never discarded, a full stream refuses.
func (q *Queue) streamConfig(s queue.Stream) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:         string(s),
		Description:  "Synapse",
		Subjects:     []string{subjects[s]},
		Retention:    jetstream.LimitsPolicy,
		Discard:      jetstream.DiscardNew,
		MaxConsumers: -1,
		MaxMsgs:      -1,
		MaxBytes:     q.cfg.maxBytes(s),
		Storage:      jetstream.FileStorage,
		Replicas:     q.cfg.Replicas,
		Duplicates:   q.cfg.DedupWindow,
		PersistMode:  jetstream.DefaultPersistMode,
	}
}

// ensureStream makes the stream or brings it to the configuration. Several
// processes may do so at the same time. It tries until ctx ends while the
// server is not ready for it.
func (q *Queue) ensureStream(ctx context.Context, s queue.Stream) error {
	for logged := false; ; logged = true {
		err := q.tryEnsureStream(ctx, s)
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("the server does not answer; a cluster may have no leader yet")
		}
		var api *jetstream.APIError
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errUnfit), errors.As(err, &api) && api.Code < 500 && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
			return fmt.Errorf("stream %s: %w", s, err)
		}
		if !logged {
			q.log.Warn("queue: stream not ready, trying again", "stream", s, "err", err)
		}
		select {
		case <-time.After(ensureRetry):
		case <-ctx.Done():
			return fmt.Errorf("%w: stream %s: %w; check that JetStream is enabled on the NATS server", queue.ErrUnavailable, s, err)
		}
	}
}

// errUnfit: a stream of that name exists and cannot be used.
var errUnfit = errors.New("unfit")

func (q *Queue) tryEnsureStream(ctx context.Context, s queue.Stream) error {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	want := q.streamConfig(s)
	st, err := q.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		st, err = q.js.CreateStream(ctx, want)
	}
	if err != nil {
		return err
	}
	info := st.CachedInfo()
	if !fits(info.Config, want) {
		if info, err = q.updateStream(ctx, info, want); err != nil {
			return err
		}
	}
	q.epochs[s].Store(epochOf(info))
	return nil
}

// fits says whether have does what want asks.
func fits(have, want jetstream.StreamConfig) bool {
	return have.Discard == want.Discard && have.MaxBytes == want.MaxBytes && have.MaxAge == 0 && have.MaxMsgs <= 0 &&
		have.Replicas == want.Replicas && have.Duplicates == want.Duplicates &&
		have.Retention == want.Retention && have.PersistMode == want.PersistMode && have.Storage == want.Storage &&
		len(have.Subjects) == 1 && have.Subjects[0] == want.Subjects[0]
}

// updateStream changes what may be changed and refuses what may not.
func (q *Queue) updateStream(ctx context.Context, info *jetstream.StreamInfo, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	have := info.Config
	switch {
	case have.Retention != want.Retention:
		return nil, fmt.Errorf("%w: it has retention %s, which removes what a replay needs; rename or delete that stream", errUnfit, have.Retention)
	case have.PersistMode != want.PersistMode:
		return nil, fmt.Errorf("%w: it has persist_mode async, which loses acknowledged messages; rename or delete that stream", errUnfit)
	case have.Storage != want.Storage:
		return nil, fmt.Errorf("%w: it is kept in memory; rename or delete that stream", errUnfit)
	}
	q.log.Info("queue: stream changes", "stream", want.Name, "max_bytes_before", have.MaxBytes, "max_bytes", want.MaxBytes, "replicas", want.Replicas)
	st, err := q.js.UpdateStream(ctx, want)
	if err != nil {
		return nil, err
	}
	return st.CachedInfo(), nil
}

// epochOf returns the stream's epoch: its time of creation, which the server
// keeps with the stream's configuration.
func epochOf(info *jetstream.StreamInfo) uint64 {
	return uint64(info.Created.UnixNano())
}

// stream asks the server for a stream and its state.
func (q *Queue) stream(ctx context.Context, s queue.Stream) (jetstream.Stream, *jetstream.StreamInfo, error) {
	if subjects[s] == "" {
		return nil, nil, fmt.Errorf("queue: no stream %q", s)
	}
	st, err := q.js.Stream(ctx, string(s))
	if err != nil {
		return nil, nil, apiError(ctx, err)
	}
	info := st.CachedInfo()
	q.epochs[s].Store(epochOf(info))
	return st, info, nil
}

// apiError maps an error of a management call.
func apiError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
}
