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
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

type oneKey struct{}

func (oneKey) Verify(context.Context, string) (*authn.Principal, error) {
	return &authn.Principal{
		Kind: authn.KindAPIKey, ID: "key1", Projects: map[string][]typev1.Access_Scope{project: {typev1.Access_INGEST}},
	}, nil
}

// serve runs the service in the server that it runs in in operation.
func serve(t *testing.T, s *Service) (ingestv1.IngestServiceClient, *grpcserver.Server) {
	t.Helper()
	srv, err := grpcserver.New(grpcserver.Options{Logger: slog.New(slog.DiscardHandler), Verifier: oneKey{}})
	require.NoError(t, err)
	s.Register(srv)
	lis := bufconn.Listen(1 << 20)
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(lis) })
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = srv.Stop(ctx)
		serving.Wait()
	})
	return ingestv1.NewIngestServiceClient(conn), srv
}

func keyed(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer key")
}

func TestServer(t *testing.T) {
	q := openQueue(t, t.TempDir())
	client, _ := serve(t, newService(t, q, nil))
	resp, err := client.IngestEvents(keyed(t.Context()), request(textEvent("a", "good"), textEvent("b", "")))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.Accepted)
	require.EqualValues(t, 1, resp.Rejected, "an event's fault is not the call's")
	st, err := client.GetIngestStatus(keyed(t.Context()), &ingestv1.GetIngestStatusRequest{Name: "projects/-/ingestStatus"})
	require.NoError(t, err)
	require.True(t, st.Accepting)
	require.Len(t, stored(t, q), 1)
}

// Streams that end by an error of the handler while their reader is about to
// receive.
func TestServerEndsManyStreams(t *testing.T) {
	client, _ := serve(t, newService(t, &memory{}, nil))
	var streams sync.WaitGroup
	for range 8 {
		streams.Go(func() {
			for range 50 {
				stream, err := client.StreamEvents(keyed(context.Background()))
				if err != nil {
					t.Error(err)
					return
				}
				_ = stream.Send(batch(1, 1))
				_ = stream.Send(batch(3, 1))
				last, _, err := drain(stream)
				if status.Code(err) != codes.InvalidArgument || last.AcknowledgedSequence != 1 {
					t.Error(fmt.Sprint(err, last))
				}
			}
		})
	}
	streams.Wait()
}

// The server's own stop ends a stream as the service's does.
func TestServerStop(t *testing.T) {
	q := openQueue(t, t.TempDir())
	client, srv := serve(t, newService(t, q, nil))
	stream, err := client.StreamEvents(keyed(t.Context()))
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
	go func() { stopped <- srv.Stop(context.Background()) }()
	last, _, err := drain(stream)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, "SHUTTING_DOWN", reasonOf(t, err))
	require.NoError(t, <-stopped)
	<-sent
	acked := max(first.AcknowledgedSequence, last.AcknowledgedSequence)
	require.Len(t, stored(t, q), int(acked)*10)
}
