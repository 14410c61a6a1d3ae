package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// What the server says when it can not make as many copies: no server for
	// one, or no cluster at all.
	codeNoPeers   jetstream.ErrorCode = 10005
	codeNoCluster jetstream.ErrorCode = 10074
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
		case errors.As(err, &api) && api.ErrorCode == codeNoPeers:
			// Servers that have not joined yet, or are not there at all.
			err = fmt.Errorf("the cluster has fewer servers than replicas says (%d), or no room: %w", q.cfg.Replicas, err)
		case errors.As(err, &api) && api.ErrorCode == codeNoCluster:
			return fmt.Errorf("stream %s: the NATS server is alone and can not keep %d copies; set queue.replicas to 1, or url to a cluster: %w", s, q.cfg.Replicas, err)
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
	if err := unfitOf(info.Config, want); err != nil {
		return err
	}
	if drift := driftOf(info.Config, want); drift != "" {
		if info, err = q.updateStream(ctx, info, want, drift); err != nil {
			return err
		}
	}
	q.epochs[s].Store(epochOf(info))
	return nil
}

// driftOf says in which of the settings that this package decides a stream
// differs; empty for none. Others, such as placement and compression, are the
// operator's.
func driftOf(have, want jetstream.StreamConfig) string {
	var all []string
	differs := func(is bool, name string, have, want any) {
		if is {
			all = append(all, fmt.Sprintf("%s is %v, wanted %v", name, have, want))
		}
	}
	differs(have.Retention != want.Retention, "retention", have.Retention, want.Retention)
	differs(have.Storage != want.Storage, "storage", have.Storage, want.Storage)
	differs(have.PersistMode != want.PersistMode, "persist_mode", have.PersistMode, want.PersistMode)
	differs(have.Discard != want.Discard, "discard", have.Discard, want.Discard)
	differs(have.MaxBytes != want.MaxBytes, "max_bytes", have.MaxBytes, want.MaxBytes)
	differs(have.MaxAge != 0, "max_age", have.MaxAge, "none")
	differs(have.MaxMsgs > 0, "max_msgs", have.MaxMsgs, "none")
	differs(have.MaxMsgsPerSubject > 0, "max_msgs_per_subject", have.MaxMsgsPerSubject, "none")
	differs(have.MaxMsgSize > 0, "max_msg_size", have.MaxMsgSize, "none")
	differs(have.MaxConsumers > 0, "max_consumers", have.MaxConsumers, "none")
	differs(have.NoAck, "no_ack", true, false)
	differs(have.Replicas != want.Replicas, "replicas", have.Replicas, want.Replicas)
	differs(have.Duplicates != want.Duplicates, "duplicate_window", have.Duplicates, want.Duplicates)
	differs(!slices.Equal(have.Subjects, want.Subjects), "subjects", have.Subjects, want.Subjects)
	return strings.Join(all, ", ")
}

// unfitOf says why a stream can not be used and must not be changed into one that
// can; nil if neither.
func unfitOf(have, want jetstream.StreamConfig) error {
	switch {
	case have.Retention != want.Retention:
		return fmt.Errorf("%w: it has retention %s, which removes what a replay needs; rename or delete that stream", errUnfit, have.Retention)
	case have.PersistMode != want.PersistMode:
		return fmt.Errorf("%w: it has persist_mode async, which loses acknowledged messages; rename or delete that stream", errUnfit)
	case have.Storage != want.Storage:
		return fmt.Errorf("%w: it is kept in memory; rename or delete that stream", errUnfit)
	case have.Sealed, have.DenyPurge, have.Mirror != nil, len(have.Sources) > 0:
		return fmt.Errorf("%w: it is sealed, denies purge, or copies another stream; rename or delete that stream", errUnfit)
	case have.Replicas > want.Replicas:
		// A process that was not told of the cluster must not take copies away.
		return fmt.Errorf("%w: it has %d copies and replicas is %d; set queue.replicas to %d, or take copies away by `nats stream edit %s --replicas=%d`",
			errUnfit, have.Replicas, want.Replicas, have.Replicas, have.Name, want.Replicas)
	}
	return nil
}

// updateStream changes what may be changed and refuses what may not.
func (q *Queue) updateStream(ctx context.Context, info *jetstream.StreamInfo, want jetstream.StreamConfig, drift string) (*jetstream.StreamInfo, error) {
	q.log.Warn("queue: stream is brought to the configuration", "stream", want.Name, "drift", drift)
	cfg := info.Config
	cfg.Discard, cfg.MaxBytes, cfg.MaxAge, cfg.MaxMsgs, cfg.MaxMsgsPerSubject, cfg.MaxMsgSize = want.Discard, want.MaxBytes, 0, -1, -1, -1
	cfg.MaxConsumers, cfg.NoAck, cfg.Replicas, cfg.Duplicates, cfg.Subjects = -1, false, want.Replicas, want.Duplicates, want.Subjects
	cfg.DiscardNewPerSubject = false
	st, err := q.js.UpdateStream(ctx, cfg)
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
	return unavailable(err)
}
