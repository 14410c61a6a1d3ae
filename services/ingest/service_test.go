package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// Each event of concurrent calls, good and bad mixed, is in the stream exactly
// once when it was accepted and not at all when it was refused.
func TestAcceptedOnceRefusedNever(t *testing.T) {
	q := openQueue(t, t.TempDir())
	s := newService(t, q, nil)
	var mu sync.Mutex
	accepted, rejected := map[string]bool{}, map[string]bool{}
	var calls sync.WaitGroup
	for caller := range 16 {
		calls.Go(func() {
			p := fmt.Sprintf("project-%d", caller%3)
			for call := range 20 {
				n := 1 + (caller*20+call)*7%90
				events := many(fmt.Sprintf("c%d-%d", caller, call), n, 40)
				for i := 0; i < n; i += 5 {
					events[i].Text = ""
				}
				req := request(events...)
				req.FullResults = true
				resp, err := s.IngestEvents(callerCtx(context.Background(), p), req)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, r := range resp.Results {
					if int(r.Index) != i {
						t.Errorf("result %d has index %d", i, r.Index)
					}
					switch r.Status {
					case ingestv1.IngestResult_ACCEPTED:
						accepted[p+"/"+r.Id] = true
					case ingestv1.IngestResult_REJECTED:
						rejected[p+"/"+r.Id] = true
					default:
						t.Errorf("status %v", r.Status)
					}
				}
				mu.Unlock()
			}
		})
	}
	calls.Wait()
	got := map[string]int{}
	for _, e := range stored(t, q) {
		got[e.Project+"/"+e.Event.Id]++
	}
	require.Len(t, got, len(accepted))
	for id, n := range got {
		require.True(t, accepted[id], id)
		require.False(t, rejected[id], id)
		require.Equal(t, 1, n, id)
	}
	require.NotEmpty(t, rejected)
}

func TestConcurrentCallsArePacked(t *testing.T) {
	release := make(chan struct{})
	q := &memory{before: func(_ context.Context, n int, _ queue.Outgoing) error {
		if n == 1 {
			<-release
		}
		return nil
	}}
	s := newService(t, q, func(d *Deps) { d.Config.Batch.MaxInFlight = 1 })
	var calls sync.WaitGroup
	call := func(id string) {
		calls.Go(func() {
			if _, err := s.IngestEvents(callerCtx(context.Background(), project), request(textEvent(id, "x"))); err != nil {
				t.Error(err)
			}
		})
	}
	call("first")
	require.Eventually(t, func() bool { q.mu.Lock(); defer q.mu.Unlock(); return q.publishes == 1 }, 10*time.Second, time.Millisecond)
	for i := range 50 {
		call(fmt.Sprint("other", i))
	}
	require.Eventually(t, func() bool { s.batcher.mu.Lock(); defer s.batcher.mu.Unlock(); return s.batcher.waitingCount == 50 }, 10*time.Second, time.Millisecond)
	close(release)
	calls.Wait()
	require.Len(t, q.messages, 2, "what waited while one was appended goes out as one")
	require.Len(t, q.events(t), 51)
}

func TestDuplicates(t *testing.T) {
	q := &memory{}
	s := newService(t, q, nil)
	ctx := callerCtx(t.Context(), project)
	ingest := func(ctx context.Context, events ...*typev1.EventInput) *ingestv1.IngestEventsResponse {
		resp, err := s.IngestEvents(ctx, request(events...))
		require.NoError(t, err)
		return resp
	}
	resp := ingest(ctx, textEvent("a", "one"), textEvent("a", "one"), textEvent("a", "two"), textEvent("b", "one"))
	require.EqualValues(t, 2, resp.Accepted)
	require.EqualValues(t, 1, resp.Duplicate)
	require.EqualValues(t, 1, resp.Rejected)
	require.Len(t, resp.Results, 2)
	require.EqualValues(t, 1, resp.Results[0].Index)
	require.Equal(t, ingestv1.IngestResult_DUPLICATE, resp.Results[0].Status)
	require.EqualValues(t, 2, resp.Results[1].Index)
	require.Equal(t, "ID_REPEATED_IN_BATCH", resp.Results[1].Reason)
	require.NotEmpty(t, resp.Results[1].Violations[0].Remedy)
	require.False(t, resp.Results[1].Retryable)
	require.Len(t, q.events(t), 2)

	resp = ingest(ctx, textEvent("a", "one"), textEvent("c", "one"))
	require.EqualValues(t, 1, resp.Duplicate, "known from the call before")
	require.EqualValues(t, 1, resp.Accepted)
	resp = ingest(ctx, textEvent("a", "two"))
	require.EqualValues(t, 1, resp.Accepted, "another text: the store decides")
	resp = ingest(callerCtx(t.Context(), "other"), textEvent("a", "one"))
	require.EqualValues(t, 1, resp.Accepted, "another project")
	resp = ingest(ctx, textEvent("", "same"), textEvent("", "same"))
	require.EqualValues(t, 2, resp.Accepted, "events without an id are never repeats")
	require.Empty(t, resp.Results)
}

// An id is not known before its append was acknowledged.
func TestNoDuplicateOfARefusedEvent(t *testing.T) {
	q := &memory{before: func(_ context.Context, n int, _ queue.Outgoing) error {
		if n == 1 {
			return queue.ErrFull
		}
		return nil
	}}
	s := newService(t, q, nil)
	ctx := callerCtx(t.Context(), project)
	_, err := s.IngestEvents(ctx, request(textEvent("a", "x"), textEvent("a", "x")))
	require.Equal(t, errs.DiskFull, typed(t, err).Reason)
	resp, err := s.IngestEvents(ctx, request(textEvent("a", "x")))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.Accepted)
	require.Len(t, q.events(t), 1)
}

func TestQueueErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		err     error
		info    queue.Info
		reason  errs.Reason
		code    codes.Code
		unknown bool
	}{
		"stream full":  {fmt.Errorf("publish: %w", queue.ErrFull), queue.Info{Bytes: 95, MaxBytes: 100, Messages: 1, First: 1, Last: 1, Consumers: map[string]queue.ConsumerInfo{"scoring": {AckFloor: 1}}}, errs.BacklogFull, codes.ResourceExhausted, false},
		"disk full":    {queue.ErrFull, queue.Info{Bytes: 5, MaxBytes: 100}, errs.DiskFull, codes.ResourceExhausted, false},
		"closed":       {queue.ErrClosed, queue.Info{}, errs.ShuttingDown, codes.Unavailable, false},
		"no answer":    {queue.ErrUnavailable, queue.Info{}, errs.Unavailable, codes.Unavailable, true},
		"other":        {errors.New("boom"), queue.Info{}, errs.Unavailable, codes.Unavailable, true},
		"context over": {context.DeadlineExceeded, queue.Info{}, errs.Unavailable, codes.Unavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			q := &memory{info: tc.info, before: func(context.Context, int, queue.Outgoing) error { return tc.err }}
			s := newService(t, q, func(d *Deps) { d.Config.Batch.PublishTimeout = 100 * time.Millisecond })
			_, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent("a", "x"), textEvent("b", "")))
			e := typed(t, err)
			require.Equal(t, tc.reason, e.Reason)
			require.Equal(t, tc.code, e.Code)
			require.NotEmpty(t, e.Remedy)
			require.Equal(t, tc.unknown, strings.Contains(e.Message, "unknown"), e.Message)
			if tc.unknown {
				require.Contains(t, e.Remedy, "same ids")
			}
			st := errs.ToStatus(err)
			var retry *errdetails.RetryInfo
			var quota *errdetails.QuotaFailure
			for _, d := range st.Details() {
				switch d := d.(type) {
				case *errdetails.RetryInfo:
					retry = d
				case *errdetails.QuotaFailure:
					quota = d
				}
			}
			require.NotNil(t, retry)
			require.Positive(t, retry.RetryDelay.AsDuration())
			require.Equal(t, tc.code == codes.ResourceExhausted, quota != nil)
			require.Empty(t, q.messages)
		})
	}
}

// A queue that stores a message but whose answer is lost is asked again with the
// same id: the caller learns the outcome and nothing is stored twice.
func TestLostAnswerIsAskedAgain(t *testing.T) {
	q := &memory{after: func(n int) error {
		if n <= 2 {
			return queue.ErrUnavailable
		}
		return nil
	}}
	s := newService(t, q, nil)
	resp, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent("a", "x")))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.Accepted)
	require.Equal(t, 3, q.publishes)
	require.Len(t, q.events(t), 1)
}

// A later refusal says nothing about an earlier try whose answer was lost.
func TestRefusalAfterALostAnswerIsUnknown(t *testing.T) {
	q := &memory{
		after: func(int) error { return queue.ErrUnavailable },
		before: func(_ context.Context, n int, _ queue.Outgoing) error {
			if n > 1 {
				return queue.ErrFull
			}
			return nil
		},
	}
	s := newService(t, q, nil)
	_, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent("a", "x")))
	require.Contains(t, typed(t, err).Message, "unknown")
	require.Len(t, q.events(t), 1)
}

func TestCallerGivesUp(t *testing.T) {
	release := make(chan struct{})
	q := &memory{before: func(_ context.Context, n int, _ queue.Outgoing) error {
		if n == 1 {
			<-release
		}
		return nil
	}}
	s := newService(t, q, func(d *Deps) { d.Config.Batch.MaxInFlight = 1 })
	publishing := func() bool { q.mu.Lock(); defer q.mu.Unlock(); return q.publishes == 1 }

	inFlight, cancelFlight := context.WithCancel(context.Background())
	waiting, cancelWait := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancelWait()
	result := make(chan error, 1)
	go func() {
		_, err := s.IngestEvents(callerCtx(inFlight, project), request(textEvent("flying", "x")))
		result <- err
	}()
	require.Eventually(t, publishing, 10*time.Second, time.Millisecond)
	_, err := s.IngestEvents(callerCtx(waiting, project), request(textEvent("waiting", "x")))
	e := typed(t, err)
	require.Equal(t, errs.DeadlineExceeded, e.Reason)
	require.Equal(t, codes.DeadlineExceeded, e.Code)
	require.Contains(t, e.Message, "nothing of it was stored")
	cancelFlight()
	e = typed(t, <-result)
	require.Equal(t, errs.Canceled, e.Reason)
	require.Contains(t, e.Message, "unknown")
	close(release)
	resp, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent("last", "x")))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.Accepted)
	var ids []string
	for _, e := range q.events(t) {
		ids = append(ids, e.Event.Id)
	}
	require.Equal(t, []string{"flying", "last"}, ids, "the one that waited was withdrawn")
}

// A call too large for one message is split; what a later part's refusal leaves
// is told event by event.
func TestLargeCall(t *testing.T) {
	events := func() []*typev1.EventInput { return many("big", 60, 65_000) } // 3.9 MB: 4 parts
	t.Run("all stored", func(t *testing.T) {
		q := openQueue(t, t.TempDir())
		s := newService(t, q, nil)
		resp, err := s.IngestEvents(callerCtx(t.Context(), project), request(events()...))
		require.NoError(t, err)
		require.EqualValues(t, 60, resp.Accepted)
		require.Len(t, stored(t, q), 60)
		info, err := q.Info(t.Context(), queue.Events)
		require.NoError(t, err)
		require.EqualValues(t, 4, info.Messages)
	})
	t.Run("one part refused", func(t *testing.T) {
		q := &memory{before: func(_ context.Context, n int, _ queue.Outgoing) error {
			if n == 2 {
				return queue.ErrFull
			}
			return nil
		}}
		s := newService(t, q, nil)
		req := request(events()...)
		req.FullResults = true
		resp, err := s.IngestEvents(callerCtx(t.Context(), project), req)
		require.NoError(t, err)
		require.Positive(t, resp.Rejected)
		require.EqualValues(t, 60, resp.Accepted+resp.Rejected)
		inStream := map[string]bool{}
		for _, e := range q.events(t) {
			inStream[e.Event.Id] = true
		}
		for _, r := range resp.Results {
			require.Equal(t, inStream[r.Id], r.Status == ingestv1.IngestResult_ACCEPTED, r.Id)
			if r.Status == ingestv1.IngestResult_REJECTED {
				require.True(t, r.Retryable)
				require.Equal(t, "DISK_FULL", r.Reason)
			}
		}
	})
	t.Run("all refused", func(t *testing.T) {
		q := &memory{before: func(context.Context, int, queue.Outgoing) error { return queue.ErrFull }}
		s := newService(t, q, nil)
		_, err := s.IngestEvents(callerCtx(t.Context(), project), request(events()...))
		require.Equal(t, errs.DiskFull, typed(t, err).Reason)
	})
	t.Run("one part unknown", func(t *testing.T) {
		q := &memory{before: func(_ context.Context, n int, _ queue.Outgoing) error {
			if n == 2 {
				return errors.New("cut")
			}
			return nil
		}}
		s := newService(t, q, nil)
		_, err := s.IngestEvents(callerCtx(t.Context(), project), request(events()...))
		e := typed(t, err)
		require.Contains(t, e.Message, "unknown")
		require.Contains(t, e.Message, "for certain")
	})
}

func TestWaitingIsBounded(t *testing.T) {
	release := make(chan struct{})
	q := &memory{before: func(ctx context.Context, _ int, _ queue.Outgoing) error { <-release; return nil }}
	s := newService(t, q, func(d *Deps) {
		d.Config.Batch.MaxInFlight = 1
		d.Config.Batch.MaxWaitingBytes = 1 << 20
		d.Config.Batch.MaxWait = time.Minute
	})
	var calls sync.WaitGroup
	var mu sync.Mutex
	accepted, refused := 0, 0
	for i := range 40 {
		calls.Go(func() {
			_, err := s.IngestEvents(callerCtx(context.Background(), project), request(many(fmt.Sprint("w", i), 1, 60_000)...))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted++
				return
			}
			refused++
			if e := typed(t, err); e.Reason != errs.BacklogFull || e.RetryAfter <= 0 || e.Quota == nil {
				t.Error(e)
			}
		})
	}
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return refused > 0 }, 10*time.Second, time.Millisecond)
	close(release)
	calls.Wait()
	require.Equal(t, 40, accepted+refused)
	require.Len(t, q.events(t), accepted)
}

func TestNewCallsAreRefusedWhenTheOldestWaitsLong(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free() // also when the test fails: the publisher waits for it
	underway := make(chan struct{}, 8)
	q := &memory{before: func(context.Context, int, queue.Outgoing) error { underway <- struct{}{}; <-release; return nil }}
	s := newService(t, q, func(d *Deps) { d.Config.Batch.MaxInFlight, d.Config.Batch.MaxWait = 1, time.Millisecond })
	var calls sync.WaitGroup
	send := func(id string) {
		calls.Go(func() { _, _ = s.IngestEvents(callerCtx(context.Background(), project), request(textEvent(id, "x"))) })
	}
	send("first")
	<-underway // otherwise both could share a message, and none would wait
	send("second")
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := s.IngestEvents(callerCtx(ctx, project), request(textEvent("x", "x")))
		return errs.ReasonOf(err) == errs.BacklogFull
	}, 10*time.Second, time.Millisecond)
	free()
	calls.Wait()
}

func TestStopAppendsWhatWaitsAndRefusesTheRest(t *testing.T) {
	release := make(chan struct{})
	q := &memory{before: func(context.Context, int, queue.Outgoing) error { <-release; return nil }}
	s := newService(t, q, func(d *Deps) { d.Config.Batch.MaxInFlight = 1 })
	free := sync.OnceFunc(func() { close(release) })
	defer free() // also when the test fails: the publisher waits for it
	var calls sync.WaitGroup
	send := func(i int) {
		calls.Go(func() {
			if _, err := s.IngestEvents(callerCtx(context.Background(), project), request(textEvent(fmt.Sprint(i), "x"))); err != nil {
				t.Error(err)
			}
		})
	}
	state := func(inFlight, waiting int) func() bool {
		return func() bool {
			s.batcher.mu.Lock()
			defer s.batcher.mu.Unlock()
			return s.batcher.inFlight == inFlight && s.batcher.waitingCount == waiting
		}
	}
	send(0)
	require.Eventually(t, state(1, 0), 10*time.Second, time.Millisecond)
	for i := 1; i < 10; i++ {
		send(i)
	}
	require.Eventually(t, state(1, 9), 10*time.Second, time.Millisecond)
	calls.Go(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	require.Eventually(t, func() bool { return s.Ready(context.Background()) != nil }, 10*time.Second, time.Millisecond)
	free()
	calls.Wait()
	require.Len(t, q.events(t), 10)
	_, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent("late", "x")))
	require.Equal(t, errs.ShuttingDown, typed(t, err).Reason)
}

func TestStopIsBounded(t *testing.T) {
	q := &memory{before: func(ctx context.Context, _ int, _ queue.Outgoing) error { <-ctx.Done(); return ctx.Err() }}
	d := Deps{Config: DefaultConfig(), Queue: q}
	s, err := New(d)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	result := make(chan error, 1)
	go func() {
		_, err := s.IngestEvents(callerCtx(context.Background(), project), request(textEvent("a", "x")))
		result <- err
	}()
	require.Eventually(t, func() bool { q.mu.Lock(); defer q.mu.Unlock(); return q.publishes == 1 }, 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Stop(ctx), context.DeadlineExceeded)
	require.Contains(t, typed(t, <-result).Message, "unknown")
}

func TestCallsOutsideTheRules(t *testing.T) {
	s := newService(t, &memory{}, nil)
	_, err := s.IngestEvents(callerCtx(t.Context(), project), request())
	require.Equal(t, errs.InvalidField, typed(t, err).Reason)
	_, err = s.IngestEvents(callerCtx(t.Context(), project), request(many("x", 1001, 1)...))
	require.Equal(t, errs.InvalidField, typed(t, err).Reason)
	_, err = s.IngestEvents(t.Context(), request(textEvent("a", "x")))
	require.Equal(t, errs.PermissionDenied, typed(t, err).Reason)
	resp, err := s.IngestEvents(callerCtx(t.Context(), project), request(nil, textEvent("a", "x")))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.Rejected)
	require.EqualValues(t, 1, resp.Accepted)
}

// However bad the events are, the answer fits in a message.
func TestAnswerIsBounded(t *testing.T) {
	s := newService(t, &memory{}, nil)
	events := make([]*typev1.EventInput, 1000)
	for i := range events {
		events[i] = textEvent("", "")
		events[i].Attributes = map[string]string{}
		for j := range 40 {
			events[i].Attributes[fmt.Sprintf("%d-%s", j, strings.Repeat("k", 100))] = "a\x00b"
		}
	}
	resp, err := s.IngestEvents(callerCtx(t.Context(), project), request(events...))
	require.NoError(t, err)
	require.EqualValues(t, 1000, resp.Rejected)
	for _, r := range resp.Results {
		require.NotEmpty(t, r.Violations)
	}
	require.Less(t, proto.Size(resp), 2<<20)
}

func TestOverGRPC(t *testing.T) {
	q := openQueue(t, t.TempDir())
	s := newService(t, q, func(d *Deps) {
		d.Config.Limits.ProjectRate, d.Config.Limits.ProjectBurst = 0.001, 3
	})
	client := dial(t, s)
	resp, err := client.IngestEvents(t.Context(), request(fullEvent(""), textEvent("b", "x")))
	require.NoError(t, err)
	require.EqualValues(t, 2, resp.Accepted)
	_, err = client.IngestEvents(t.Context(), request(many("x", 2, 1)...))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	st, err := client.GetIngestStatus(t.Context(), &ingestv1.GetIngestStatusRequest{Name: "projects/-/ingestStatus"})
	require.NoError(t, err)
	require.Equal(t, "projects/default/ingestStatus", st.Name)
	require.True(t, st.Accepting)
	require.Len(t, st.Limits, 1)
	require.Equal(t, "project", st.Limits[0].Scope)
}
