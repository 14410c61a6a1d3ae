package grpcserver

import (
	"context"
	"net"
	"strings"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/tap"

	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	// maxHeaderBytes bounds the headers of a call: a token has at most 16 KiB.
	maxHeaderBytes = 32 << 10
	// connectionTimeout bounds the handshakes of a new connection.
	connectionTimeout = 10 * time.Second
	// maxConnectionIdle is when a connection without calls is closed.
	maxConnectionIdle = 15 * time.Minute
	// A client that has been silent for keepaliveTime is asked for a sign of life
	// and left after keepaliveTimeout.
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second

	inProcessWindow = 1 << 20
)

func (s *Server) commonOptions() []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.o.MaxMessageBytes), grpc.MaxSendMsgSize(s.o.MaxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.InTapHandle(refuseOddPaths),
		// so that unknown methods pass the chain, are logged and are refused there
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return errUndeclared }),
	}
	return append(opts, chainOptions(s.chain)...)
}

func (s *Server) networkOptions() []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.MaxConcurrentStreams(s.o.MaxConcurrentStreams),
		grpc.ConnectionTimeout(connectionTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: KeepaliveMinTime, PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxConnectionIdle,
			MaxConnectionAge:  max(s.o.MaxConnectionAge, 0), MaxConnectionAgeGrace: s.o.MaxConnectionAgeGrace,
			Time: keepaliveTime, Timeout: keepaliveTimeout,
		}),
	}
	if s.o.TLS != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(s.o.TLS)))
	}
	return opts
}

func inProcessOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InitialWindowSize(inProcessWindow), grpc.InitialConnWindowSize(inProcessWindow),
	}
}

// isInProcess recognizes a *bufconn.Listener, also a wrapped one.
func isInProcess(lis net.Listener) bool { return lis.Addr().Network() == "bufconn" }

// limitConnections makes connections beyond the bound wait to be accepted.
func limitConnections(lis net.Listener, n int) net.Listener {
	if n <= 0 {
		return lis
	}
	return netutil.LimitListener(lis, n)
}

// refuseOddPaths refuses a path that is not /service/method before anything
// reads it; such paths have passed rules in other servers (CVE-2026-33186). It
// runs in the connection's reader, so it must be quick.
func refuseOddPaths(ctx context.Context, info *tap.Info) (context.Context, error) {
	service, method, ok := strings.Cut(strings.TrimPrefix(info.FullMethodName, "/"), "/")
	if !ok || service == "" || method == "" || info.FullMethodName[0] != '/' {
		return ctx, errUndeclared
	}
	return ctx, nil
}

// errUndeclared refuses every method that has no access rule, known or not.
var errUndeclared = errs.Denied("a right to call this method, if it exists")
