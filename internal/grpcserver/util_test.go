package grpcserver_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/synapse-analytics/synapse/internal/grpcclient"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func appendAuthorization(ctx context.Context, value string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", value)
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

func ignoreEOF(err error) error {
	if isEOF(err) {
		return nil
	}
	return err
}

// serve serves on an in-memory listener until the test ends.
func serve(t testing.TB, s *grpcserver.Server) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	conn, err := grpcclient.InProcess(lis, grpcclient.Options{NoRetry: true})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
		require.NoError(t, conn.Close())
		require.NoError(t, <-served)
	})
	return conn
}

// dialWithoutDefaults connects without the defaults of package grpcclient.
func dialWithoutDefaults(t testing.TB, f *fixture) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return f.lis.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func dialTCP(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpcclient.Dial(addr, grpcclient.Options{NoRetry: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// rawCodec sends bytes as they are.
var rawCodec = grpc.ForceCodec(bytesCodec{})

type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (bytesCodec) Unmarshal(data []byte, v any) error {
	*(v.(*[]byte)) = data
	return nil
}

func (bytesCodec) Name() string { return "proto" }
