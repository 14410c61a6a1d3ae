package query_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
)

// faulty fails its writes as told.
type faulty struct {
	query.Store
	fail  atomic.Pointer[error]
	calls atomic.Int32
}

func (f *faulty) error() error {
	f.calls.Add(1)
	if err := f.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *faulty) Apply(ctx context.Context, b *query.Batch) (query.Outcome, error) {
	if err := f.error(); err != nil {
		return query.Outcome{}, err
	}
	return f.Store.Apply(ctx, b)
}

func (f *faulty) ApplyAccepted(ctx context.Context, b query.AcceptedBatch) error {
	if err := f.error(); err != nil {
		return err
	}
	return f.Store.ApplyAccepted(ctx, b)
}

func (f *faulty) ApplyDead(ctx context.Context, b query.DeadBatch) (int, error) {
	if err := f.error(); err != nil {
		return 0, err
	}
	return f.Store.ApplyDead(ctx, b)
}

func TestStoreFaults(t *testing.T) {
	w := newWorld(t)
	w.log = quiet
	f := &faulty{}
	w.wrap = func(s query.Store) query.Store { f.Store = s; return f }
	died := make(chan error, 9)
	w.deps = func(d *query.Deps) { d.Fatal = func(err error) { died <- err } }
	full := fmt.Errorf("write: %w", query.ErrFull)
	f.fail.Store(&full)
	w.start()
	defer w.scorer()()
	w.ingest(queued("p", "a", "x"), queued("p", "b", "poison"))
	require.Eventually(t, func() bool { return errors.Is(w.svc.Ready(t.Context()), query.ErrFull) && f.calls.Load() > 6 }, patience, time.Millisecond)
	f.fail.Store(nil)
	b := w.settled("p")
	require.Eventually(t, func() bool { b = w.settled("p"); return b.Total.Accepted == 2 }, patience, time.Millisecond)
	require.Equal(t, []float64{1, 1, 0}, []float64{b.Total.Stored, b.Total.DeadLetter, b.Difference})
	require.Eventually(t, func() bool { return w.svc.Ready(t.Context()) == nil }, patience, time.Millisecond)

	broken := fmt.Errorf("fsync: %w", query.ErrBroken)
	f.fail.Store(&broken)
	w.ingest(queued("p", "c", "x"))
	require.ErrorIs(t, <-died, query.ErrBroken)
	require.ErrorIs(t, w.svc.Ready(t.Context()), query.ErrBroken)
}

// TestTrim: what is stored leaves SCORED after the recovery window.
func TestTrim(t *testing.T) {
	w := newWorld(t)
	var skew atomic.Int64
	w.deps = func(d *query.Deps) { d.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) } }
	w.cfg.RecoveryWindow, w.cfg.TrimInterval = time.Minute, 100*time.Millisecond
	skew.Store(int64(time.Hour)) // everything is old
	w.start()
	for i := range uint64(3) {
		w.publishScored(&pipelinev1.ScoredBatch{SourceSequence: i + 1, SourceEpoch: 1, Events: []*pipelinev1.ScoredEvent{scored(queued("p", fmt.Sprint(i), "x"))}})
	}
	require.Eventually(t, func() bool {
		i, err := w.queue.Info(t.Context(), queue.Scored)
		require.NoError(t, err)
		return i.First == 4
	}, patience, time.Millisecond)
	require.Equal(t, 3.0, w.balance("p").Total.Stored)
	w.stop()
	w.start()
	w.publishScored(&pipelinev1.ScoredBatch{SourceSequence: 9, SourceEpoch: 1, Events: []*pipelinev1.ScoredEvent{scored(queued("p", "b", "x"))}})
	w.stored("p", 4)
	w.ready() // a trimmed stream is not a loss
}

// GetEvent fails as told.
func (f *faulty) GetEvent(ctx context.Context, project, id string) (*query.Event, error) {
	if err := f.error(); err != nil {
		return nil, err
	}
	return f.Store.GetEvent(ctx, project, id)
}

// A caller learns whether to ask for less or to come again.
func TestStoreBusy(t *testing.T) {
	w := newWorld(t)
	f := &faulty{}
	w.wrap = func(s query.Store) query.Store { f.Store = s; return f }
	w.start()
	for want, fault := range map[errs.Reason]error{errs.StoreBusy: query.ErrExhausted, errs.Unavailable: query.ErrBusy} {
		fault = fmt.Errorf("read: %w", fault)
		f.fail.Store(&fault)
		_, err := w.api.GetEvent(as(t.Context(), "p"), &queryv1.GetEventRequest{Name: "projects/p/events/a"})
		require.Equal(t, want, reason(t, err))
	}
	f.fail.Store(nil)
}
