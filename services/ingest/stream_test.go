package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
)

func batch(seq int64, n int) *ingestv1.StreamEventsRequest {
	return &ingestv1.StreamEventsRequest{Parent: "projects/-", Sequence: seq, Events: many(fmt.Sprint("s", seq), n, 30)}
}

// drain reads the answers to the end of the stream.
func drain(stream ingestv1.IngestService_StreamEventsClient) (last *ingestv1.StreamEventsResponse, results []*ingestv1.StreamResult, err error) {
	last = &ingestv1.StreamEventsResponse{}
	for {
		resp, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return last, results, err
		}
		last = resp
		results = append(results, resp.Results...)
	}
}

func reasonOf(t *testing.T, err error) string {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i.Reason
		}
	}
	return ""
}

func TestStream(t *testing.T) {
	q := openQueue(t, t.TempDir())
	s := newService(t, q, nil)
	stream, err := dial(t, s).StreamEvents(t.Context())
	require.NoError(t, err)
	const batches = 200
	go func() {
		for i := int64(1); i <= batches; i++ {
			b := batch(i, 20)
			if i > 1 {
				b.Parent = ""
			}
			if i%10 == 0 {
				b.Events[3].Text = ""
				b.Events[5] = textEvent(b.Events[4].Id, b.Events[4].Text)
			}
			if stream.Send(b) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	}()
	last, results, err := drain(stream)
	require.NoError(t, err)
	require.EqualValues(t, batches, last.AcknowledgedSequence)
	require.EqualValues(t, batches*20-40, last.Accepted)
	require.EqualValues(t, 20, last.Rejected)
	require.EqualValues(t, 20, last.Duplicate)
	require.Len(t, results, 40)
	require.EqualValues(t, 10, results[0].Sequence)
	require.EqualValues(t, 3, results[0].Result.Index)
	require.Len(t, stored(t, q), batches*20-40)
}

func TestStreamEnds(t *testing.T) {
	other := batch(2, 1)
	other.Parent = "projects/other"
	nameless := batch(1, 1)
	nameless.Parent = ""
	empty := batch(2, 0)
	for name, tc := range map[string]struct {
		send  []*ingestv1.StreamEventsRequest
		acked int64
		text  string
	}{
		"gap":           {[]*ingestv1.StreamEventsRequest{batch(1, 5), batch(3, 5)}, 1, "must be 2, one more than that of the batch before; got 3"},
		"repeat":        {[]*ingestv1.StreamEventsRequest{batch(1, 5), batch(1, 5)}, 1, "must be 2, one more than that of the batch before; got 1"},
		"not from 1":    {[]*ingestv1.StreamEventsRequest{batch(2, 5)}, 0, "must be 1"},
		"other project": {[]*ingestv1.StreamEventsRequest{batch(1, 5), other}, 1, "the same on all messages"},
		"no project":    {[]*ingestv1.StreamEventsRequest{nameless}, 0, "first message"},
		"no events":     {[]*ingestv1.StreamEventsRequest{batch(1, 1), empty}, 1, "1 to 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			q := &memory{}
			stream, err := dial(t, newService(t, q, nil)).StreamEvents(t.Context())
			require.NoError(t, err)
			for _, b := range tc.send {
				require.NoError(t, stream.Send(b))
			}
			last, _, err := drain(stream)
			require.Equal(t, codes.InvalidArgument, status.Code(err))
			require.Contains(t, err.Error(), tc.text)
			require.Equal(t, tc.acked, last.AcknowledgedSequence, "what is durable is acknowledged first")
			require.Len(t, q.events(t), int(last.Accepted))
		})
	}
}

func TestStreamWindowIsBounded(t *testing.T) {
	release := make(chan struct{})
	var began atomic.Int64 // events
	q := &memory{before: func(_ context.Context, _ int, msg queue.Outgoing) error {
		began.Add(int64(len(decode(t, msg.Data, msg.Header))))
		<-release
		return nil
	}}
	s := newService(t, q, func(d *Deps) {
		d.Config.Stream.WindowBatches = 4
		d.Config.Stream.MaxWait = time.Minute
		d.Config.Batch.MaxWait = time.Minute
	})
	stream, err := dial(t, s).StreamEvents(t.Context())
	require.NoError(t, err)
	const batches = 100
	go func() {
		for i := int64(1); i <= batches; i++ {
			if stream.Send(batch(i, 10)) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	}()
	taken := func() int { // batches that wait or are being appended
		s.batcher.mu.Lock()
		defer s.batcher.mu.Unlock()
		return s.batcher.waitingCount + int(began.Load())/10
	}
	require.Eventually(t, func() bool { return taken() == 4 }, 10*time.Second, time.Millisecond)
	time.Sleep(50 * time.Millisecond) // more would have come by now
	require.Equal(t, 4, taken())
	close(release)
	last, _, err := drain(stream)
	require.NoError(t, err)
	require.EqualValues(t, batches, last.AcknowledgedSequence)
	require.Len(t, q.events(t), batches*10)
}

func TestStreamOverload(t *testing.T) {
	t.Run("passes", func(t *testing.T) {
		s := newService(t, &memory{}, func(d *Deps) { d.Config.Limits.KeyRate, d.Config.Limits.KeyBurst = 1000, 10 })
		stream, err := dial(t, s).StreamEvents(t.Context())
		require.NoError(t, err)
		for i := range int64(6) {
			require.NoError(t, stream.Send(batch(i+1, 10)))
		}
		require.NoError(t, stream.CloseSend())
		last, _, err := drain(stream)
		require.NoError(t, err, "held back, not refused")
		require.EqualValues(t, 60, last.Accepted)
	})
	t.Run("lasts", func(t *testing.T) {
		s := newService(t, &memory{}, func(d *Deps) {
			d.Config.Limits.KeyRate, d.Config.Limits.KeyBurst = 0.001, 10
			d.Config.Stream.MaxWait = 5 * time.Millisecond
		})
		stream, err := dial(t, s).StreamEvents(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.Send(batch(1, 10)))
		require.NoError(t, stream.Send(batch(2, 10)))
		last, _, err := drain(stream)
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		require.Equal(t, "RATE_LIMITED", reasonOf(t, err))
		require.EqualValues(t, 1, last.AcknowledgedSequence)
	})
	t.Run("batch never passes", func(t *testing.T) {
		s := newService(t, &memory{}, func(d *Deps) { d.Config.Limits.KeyRate, d.Config.Limits.KeyBurst = 1, 10 })
		stream, err := dial(t, s).StreamEvents(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.Send(batch(1, 11)))
		_, _, err = drain(stream)
		require.Equal(t, codes.InvalidArgument, status.Code(err))
	})
	t.Run("queue full", func(t *testing.T) {
		q := &memory{before: func(_ context.Context, n int, _ queue.Outgoing) error {
			if n > 1 {
				return queue.ErrFull
			}
			return nil
		}}
		s := newService(t, q, nil)
		stream, err := dial(t, s).StreamEvents(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.Send(batch(1, 10)))
		_, err = stream.Recv()
		require.NoError(t, err)
		require.NoError(t, stream.Send(batch(2, 10)))
		_, _, err = drain(stream)
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		require.Equal(t, "DISK_FULL", reasonOf(t, err))
		require.Len(t, q.events(t), 10)
	})
}

func TestStreamShutdown(t *testing.T) {
	q := openQueue(t, t.TempDir())
	d := Deps{Config: DefaultConfig(), Queue: q}
	s, err := New(d)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	client := dial(t, s)
	stream, err := client.StreamEvents(t.Context())
	require.NoError(t, err)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := int64(1); stream.Send(batch(i, 10)) == nil; i++ {
		}
	}()
	first, err := stream.Recv()
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	last, _, err := drain(stream)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, "SHUTTING_DOWN", reasonOf(t, err))
	require.NoError(t, <-stopped)
	<-sent
	acked := max(first.AcknowledgedSequence, last.AcknowledgedSequence)
	require.Len(t, stored(t, q), int(acked)*10, "everything durable was acknowledged, and nothing else")
	again, err := client.StreamEvents(t.Context())
	require.NoError(t, err)
	_, err = again.Recv()
	require.Equal(t, string(errs.ShuttingDown), reasonOf(t, err))
}

func TestStreamCallerGone(t *testing.T) {
	release := make(chan struct{})
	q := &memory{before: func(context.Context, int, queue.Outgoing) error { <-release; return nil }}
	s := newService(t, q, nil)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := dial(t, s).StreamEvents(ctx)
	require.NoError(t, err)
	for i := range int64(5) {
		require.NoError(t, stream.Send(batch(i+1, 10)))
	}
	require.Eventually(t, func() bool { q.mu.Lock(); defer q.mu.Unlock(); return q.publishes > 0 }, 10*time.Second, time.Millisecond)
	cancel()
	_, _, err = drain(stream)
	require.Equal(t, codes.Canceled, status.Code(err))
	s.streams.Wait()
	close(release)
}
