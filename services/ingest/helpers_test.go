package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNow is the clock of tests that need a fixed one.
var testNow = time.Date(2026, 5, 4, 3, 2, 1, 987_654_321, time.UTC)

const project = "default"

// callerCtx is the context of a call that the server has authorised.
func callerCtx(ctx context.Context, project string) context.Context {
	return authn.NewContext(ctx, &authn.Principal{Kind: authn.KindAPIKey, ID: "key1"}, project)
}

// openQueue opens the real engine in a folder of its own.
func openQueue(t testing.TB, dir string) *jetstream.Queue {
	t.Helper()
	cfg := jetstream.DefaultConfig()
	cfg.Dir = dir
	cfg.FreeFloorBytes = 0
	q, err := jetstream.Open(context.Background(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

// newService makes and starts a service, and stops it at the end.
func newService(t testing.TB, q Queue, change func(*Deps)) *Service {
	t.Helper()
	d := Deps{Config: DefaultConfig(), Queue: q}
	if change != nil {
		change(&d)
	}
	s, err := New(d)
	require.NoError(t, err)
	require.NoError(t, s.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, s.Stop(ctx))
	})
	return s
}

// dial serves the service over an in-memory connection.
func dial(t testing.TB, s *Service) ingestv1.IngestServiceClient {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(
		grpc.MaxRecvMsgSize(16<<20),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(callerCtx(ctx, project), req)
		}),
		grpc.StreamInterceptor(func(srv any, st grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, authorised{st})
		}),
	)
	s.Register(srv)
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(lis) })
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		srv.Stop()
		serving.Wait()
	})
	return ingestv1.NewIngestServiceClient(conn)
}

type authorised struct{ grpc.ServerStream }

func (a authorised) Context() context.Context { return callerCtx(a.ServerStream.Context(), project) }

// stored reads all events of EVENTS, in order.
func stored(t testing.TB, q queue.Queue) []*pipelinev1.QueuedEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	info, err := q.Info(ctx, queue.Events)
	require.NoError(t, err)
	var out []*pipelinev1.QueuedEvent
	if info.Messages == 0 {
		return nil
	}
	c, err := q.Consume(ctx, queue.ConsumerConfig{Stream: queue.Events, Name: "reader", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	defer c.Close()
	for last := uint64(0); last < info.Last; {
		msgs, err := c.Fetch(ctx, 100)
		require.NoError(t, err)
		for _, m := range msgs {
			out = append(out, decode(t, m.Data, m.Header)...)
			last = m.Position.Sequence
			require.NoError(t, m.Ack())
		}
	}
	return out
}

// decode reads a message and checks its counts against its events.
func decode(t testing.TB, data []byte, header map[string]string) []*pipelinev1.QueuedEvent {
	t.Helper()
	batch := &pipelinev1.EventBatch{}
	require.NoError(t, proto.Unmarshal(data, batch))
	counts, err := queue.ParseCounts(header[queue.CountsHeader])
	require.NoError(t, err)
	want := map[string]uint32{}
	for _, e := range batch.Events {
		want[fmt.Sprint(e.Project, e.AcceptedAtUs/3_600_000_000)]++
	}
	got := map[string]uint32{}
	for _, c := range counts {
		got[fmt.Sprint(c.Project, c.Hour)] += c.Count
	}
	require.Equal(t, want, got)
	return batch.Events
}

// memory is a queue in memory whose answers can be forced.
type memory struct {
	mu       sync.Mutex
	messages []queue.Outgoing // what is stored
	info     queue.Info
	infoErr  error
	// before is asked for every publish: an error refuses it.
	before func(ctx context.Context, n int, msg queue.Outgoing) error
	// after is asked once a message is stored: an error hides that.
	after     func(n int) error
	publishes int
	known     map[string]bool
}

func (m *memory) Publish(ctx context.Context, _ queue.Stream, msg queue.Outgoing) (queue.Position, bool, error) {
	m.mu.Lock()
	m.publishes++
	n, before, after := m.publishes, m.before, m.after
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, n, msg); err != nil {
			return queue.Position{}, false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]bool{}
	}
	duplicate := m.known[msg.ID]
	if !duplicate {
		m.known[msg.ID] = true
		msg.Data = append([]byte(nil), msg.Data...)
		m.messages = append(m.messages, msg)
	}
	if after != nil {
		if err := after(n); err != nil {
			return queue.Position{}, false, err
		}
	}
	return queue.Position{Epoch: 1, Sequence: uint64(len(m.messages))}, duplicate, nil
}

func (m *memory) Info(context.Context, queue.Stream) (queue.Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info, m.infoErr
}

func (m *memory) events(t testing.TB) []*pipelinev1.QueuedEvent {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*pipelinev1.QueuedEvent
	for _, msg := range m.messages {
		out = append(out, decode(t, msg.Data, msg.Header)...)
	}
	return out
}

// discardQueue takes everything and keeps nothing.
type discardQueue struct{}

func (discardQueue) Publish(context.Context, queue.Stream, queue.Outgoing) (queue.Position, bool, error) {
	return queue.Position{Epoch: 1, Sequence: 1}, false, nil
}

func (discardQueue) Info(context.Context, queue.Stream) (queue.Info, error) { return queue.Info{}, nil }

// fullEvent is an event with every field set.
func fullEvent(id string) *typev1.EventInput {
	return &typev1.EventInput{
		Id: id, Text: "I love this phone, the battery lasts for days and the camera is great. Would buy again!",
		Source: "app-store", UserId: "user-1234", OccurredAt: timestamppb.New(testNow.Add(-time.Minute)), Language: "en",
		Attributes: map[string]string{"plan": "pro", "region": "eu"}, Targets: []string{"battery", "camera"},
	}
}

func textEvent(id, text string) *typev1.EventInput { return &typev1.EventInput{Id: id, Text: text} }

func request(events ...*typev1.EventInput) *ingestv1.IngestEventsRequest {
	return &ingestv1.IngestEventsRequest{Parent: "projects/-", Events: events}
}

// many returns n events with ids prefix-0 and so on.
func many(prefix string, n, textBytes int) []*typev1.EventInput {
	text := make([]byte, textBytes)
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	out := make([]*typev1.EventInput, n)
	for i := range out {
		out[i] = textEvent(fmt.Sprintf("%s-%d", prefix, i), string(text))
	}
	return out
}

func typed(t testing.TB, err error) *errs.Error {
	t.Helper()
	require.Error(t, err)
	var e *errs.Error
	require.ErrorAs(t, err, &e)
	return e
}
