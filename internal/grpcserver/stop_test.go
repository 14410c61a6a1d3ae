package grpcserver_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

type tailServer = grpc.ServerStreamingServer[queryv1.TailEventsResponse]

func hold(_ *queryv1.TailEventsRequest, ss tailServer) error {
	if err := ss.Send(&queryv1.TailEventsResponse{Cursor: "open"}); err != nil {
		return err
	}
	<-ss.Context().Done()
	return ss.Context().Err()
}

func readEvents(ss grpc.BidiStreamingServer[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse]) error {
	for {
		m, err := ss.Recv() // not waiting on the context: Stop must end the wait
		if err != nil {
			return ignoreEOF(err)
		}
		if err := ss.Send(&ingestv1.StreamEventsResponse{AcknowledgedSequence: m.GetSequence()}); err != nil {
			return err
		}
	}
}

// 100 tails that wait on their context, 50 ingest streams that wait in Recv, 20
// that never sent their first message and a health watch: all end with the
// typed status, long before the bound.
func TestStopEndsStreams(t *testing.T) {
	f := start(t, nil)
	f.tail, f.stream = hold, readEvents
	type result struct {
		what string
		err  error
	}
	results := make(chan result, 200)
	wait := func(what string, recv func() error) {
		go func() {
			for {
				if err := recv(); err != nil {
					results <- result{what, err}
					return
				}
			}
		}()
	}
	for range 100 {
		ss, err := f.query.TailEvents(as(t, readKey), &queryv1.TailEventsRequest{Parent: "projects/demo"})
		require.NoError(t, err)
		_, err = ss.Recv()
		require.NoError(t, err)
		wait("tail", func() error { _, err := ss.Recv(); return err })
	}
	for i := range 70 {
		ss, err := f.ingests.StreamEvents(as(t, ingestKey))
		require.NoError(t, err)
		if i < 50 {
			require.NoError(t, ss.Send(&ingestv1.StreamEventsRequest{
				Parent: "projects/demo", Sequence: 1, Events: []*typev1.EventInput{{Text: "x"}},
			}))
			_, err = ss.Recv()
			require.NoError(t, err)
		}
		wait("ingest", func() error { _, err := ss.Recv(); return err })
	}
	watch, err := grpc_health_v1.NewHealthClient(f.conn).Watch(as(t, ""), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = watch.Recv()
	require.NoError(t, err)
	wait("watch", func() error { _, err := watch.Recv(); return err })

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, f.server.Stop(ctx), "nothing had to be cut off")
	for range 171 {
		r := <-results
		e := errs.FromError(r.err)
		require.Equal(t, errs.ShuttingDown, e.Reason, "%s: %v", r.what, r.err)
		require.True(t, e.Retryable())
		require.Equal(t, errs.ShutdownRetryAfter, e.RetryAfter)
	}
	require.NoError(t, f.server.Stop(ctx), "again")
}

func TestStopWaitsForUnaryCalls(t *testing.T) {
	f := start(t, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	f.score = func(context.Context, *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
		close(entered)
		<-leave
		return &scoringv1.ScoredText{Language: "en"}, nil
	}
	got := make(chan error, 1)
	go func() {
		_, err := f.scoring.ScoreText(as(t, person), &scoringv1.ScoreTextRequest{Text: "x"})
		got <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- f.server.Stop(as(t, "")) }()
	close(leave)
	require.NoError(t, <-got)
	require.NoError(t, <-stopped)
}

func TestStopIsBounded(t *testing.T) {
	f := start(t, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	f.score = func(context.Context, *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
		close(entered)
		<-leave // heeds no context
		return nil, errors.New("late")
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := f.scoring.ScoreText(as(t, person), &scoringv1.ScoreTextRequest{Text: "x"})
		requireErrorAny(t, err)
	})
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, f.server.Stop(ctx), context.Canceled)
	close(leave)
	wg.Wait()
}

func requireErrorAny(t *testing.T, err error) {
	if err == nil {
		t.Error("the call was cut off, yet it succeeded")
	}
}

func TestStreamAfterStopIsRefused(t *testing.T) {
	f := start(t, nil)
	f.tail = hold
	require.NoError(t, f.server.Stop(as(t, "")))
	ss, err := f.query.TailEvents(as(t, readKey), &queryv1.TailEventsRequest{Parent: "projects/demo"})
	if err == nil {
		_, err = ss.Recv()
	}
	requireError(t, err, errs.Unavailable) // the listener is gone
}

func TestHealth(t *testing.T) {
	f := start(t, nil)
	check := func(service string) grpc_health_v1.HealthCheckResponse_ServingStatus {
		r, err := grpc_health_v1.NewHealthClient(f.conn).Check(as(t, ""), &grpc_health_v1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		return r.GetStatus()
	}
	const serving, not = grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING
	const query, ingest = "synapse.query.v1.QueryService", "synapse.ingest.v1.IngestService"
	require.Equal(t, not, check(""))
	require.Equal(t, not, check(query))
	f.server.SetServing(query, true)
	require.Equal(t, serving, check(query))
	require.Equal(t, not, check(ingest))
	require.Equal(t, not, check(""), "not all are")
	f.server.SetServing("", true)
	require.Equal(t, serving, check(""))
	require.Equal(t, serving, check(ingest))
	f.server.SetServing(ingest, false)
	require.Equal(t, not, check(""))
	require.Equal(t, serving, check(query))
}

func TestStreamLimit(t *testing.T) {
	f := start(t, func(o *grpcserver.Options) { o.MaxStreamsPerProject = 2 })
	f.tail = hold
	open := func(credential, parent string) (grpc.ServerStreamingClient[queryv1.TailEventsResponse], context.CancelFunc, error) {
		ctx, cancel := context.WithCancel(as(t, credential))
		ss, err := f.query.TailEvents(ctx, &queryv1.TailEventsRequest{Parent: parent})
		require.NoError(t, err)
		_, err = ss.Recv()
		return ss, cancel, err
	}
	_, cancel, err := open(readKey, "projects/demo")
	require.NoError(t, err)
	_, _, err = open(person, "projects/demo")
	require.NoError(t, err)
	_, _, err = open(readKey, "projects/demo")
	e := requireError(t, err, errs.TooManyStreams)
	require.Equal(t, "project:demo", e.Quota.Subject)
	require.Positive(t, e.RetryAfter)
	_, _, err = open(person, "projects/other")
	require.NoError(t, err, "another project has its own")
	cancel()
	require.Eventually(t, func() bool { _, _, err := open(readKey, "projects/demo"); return err == nil }, 5*time.Second, 5*time.Millisecond)
}

func TestFirstMessageTimeout(t *testing.T) {
	f := start(t, func(o *grpcserver.Options) { o.FirstMessageTimeout = 10 * time.Millisecond })
	f.stream = readEvents
	ss, err := f.ingests.StreamEvents(as(t, ingestKey))
	require.NoError(t, err)
	_, err = ss.Recv()
	require.Contains(t, requireError(t, err, errs.DeadlineExceeded).Message, "first message")
}

// The network has bounds that connections in one process have not.
func TestNetworkAndInProcess(t *testing.T) {
	f := start(t, func(o *grpcserver.Options) { o.MaxConcurrentStreams = 1 })
	f.tail = hold
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(lis) }()
	for range 10 {
		ss, err := f.query.TailEvents(as(t, readKey), &queryv1.TailEventsRequest{Parent: "projects/demo"})
		require.NoError(t, err)
		_, err = ss.Recv()
		require.NoError(t, err)
	}
	conn := dialTCP(t, lis.Addr().String())
	client := queryv1.NewQueryServiceClient(conn)
	ss, err := client.TailEvents(as(t, readKey), &queryv1.TailEventsRequest{Parent: "projects/demo"})
	require.NoError(t, err)
	_, err = ss.Recv()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(as(t, readKey), 50*time.Millisecond)
	defer cancel()
	_, err = client.TailEvents(ctx, &queryv1.TailEventsRequest{Parent: "projects/demo"})
	requireError(t, err, errs.DeadlineExceeded) // gRPC's client waits for a free stream
	require.NoError(t, f.server.Stop(as(t, "")))
	require.NoError(t, <-served)
}

// TestReceiverOutlivesHandler: a handler that returns while a goroutine of its
// own goes on receiving must not end the process.
func TestReceiverOutlivesHandler(t *testing.T) {
	f := start(t, nil)
	var receivers sync.WaitGroup
	f.stream = func(ss grpc.BidiStreamingServer[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse]) error {
		receivers.Go(func() {
			for {
				if _, err := ss.Recv(); err != nil {
					return
				}
			}
		})
		return errs.Malformed("refused while messages come")
	}
	for range 50 {
		ss, err := f.ingests.StreamEvents(as(t, ingestKey))
		require.NoError(t, err)
		for seq := int64(1); seq < 20; seq++ {
			if ss.Send(&ingestv1.StreamEventsRequest{Parent: "projects/demo", Sequence: seq, Events: []*typev1.EventInput{{Text: "x"}}}) != nil {
				break
			}
		}
		_, err = ss.Recv()
		requireError(t, err, errs.MalformedRequest)
	}
	receivers.Wait()
}
