package grpcserver_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"google.golang.org/protobuf/proto"
)

// Paths as gRPC clients do not send them (CVE-2026-33186 and its kin). None may
// reach a handler, with a good credential or without; the real path must, which
// shows that the test would see it.
func TestOddPaths(t *testing.T) {
	f := start(t, nil)
	called := 0
	f.getEvent = func(context.Context, *queryv1.GetEventRequest) (*typev1.Event, error) {
		called++
		return &typev1.Event{}, nil
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(lis) }()
	t.Cleanup(func() {
		require.NoError(t, f.server.Stop(as(t, "")))
		require.NoError(t, <-served)
	})
	const good = "/synapse.query.v1.QueryService/GetEvent"
	for _, path := range []string{
		good[1:], "/" + good, good + "/", "//synapse.query.v1.QueryService//GetEvent",
		"/synapse.query.v1.QueryService//GetEvent", "/synapse.query.v1.QueryService%2fGetEvent",
		strings.ToUpper(good), strings.ToLower(good), good + "?x=1", good + "#", good + "%00", "/x/.." + good, "/./" + good,
		" " + good, good + " ", "/", "//", "GetEvent", "/GetEvent", "*",
		"/synapse.query.v1.QueryService.GetEvent", "http://host" + good, `\synapse.query.v1.QueryService\GetEvent`,
	} {
		for _, credential := range []string{"", "Bearer " + readKey} {
			status := rawCall(t, lis.Addr().String(), path, credential)
			require.Contains(t, []string{"7", "refused"}, status, "%q", path)
		}
	}
	require.Zero(t, called)
	require.Equal(t, "0", rawCall(t, lis.Addr().String(), good, "Bearer "+readKey))
	require.Equal(t, "16", rawCall(t, lis.Addr().String(), good, ""))
	require.Equal(t, 1, called)
}

// rawCall sends one call with exactly the path, and returns its grpc-status, or
// "refused" when the stream or the connection was ended without one.
func rawCall(t *testing.T, addr, path, credential string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Write([]byte(http2.ClientPreface))
	require.NoError(t, err)
	fr := http2.NewFramer(conn, conn)
	require.NoError(t, fr.WriteSettings())

	var headers bytes.Buffer
	enc := hpack.NewEncoder(&headers)
	field := func(name, value string) {
		require.NoError(t, enc.WriteField(hpack.HeaderField{Name: name, Value: value}))
	}
	field(":method", "POST")
	field(":scheme", "http")
	field(":path", path)
	field(":authority", "synapse")
	field("content-type", "application/grpc")
	field("te", "trailers")
	if credential != "" {
		field("authorization", credential)
	}
	require.NoError(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes(), EndHeaders: true}))
	msg, err := proto.Marshal(&queryv1.GetEventRequest{Name: event})
	require.NoError(t, err)
	frame := append([]byte{0, 0, 0, 0, byte(len(msg))}, msg...)
	require.NoError(t, fr.WriteData(1, true, frame))

	status := "refused"
	dec := hpack.NewDecoder(4096, func(h hpack.HeaderField) {
		if h.Name == "grpc-status" {
			status = h.Value
		}
	})
	for {
		got, err := fr.ReadFrame()
		if err != nil {
			return status
		}
		switch got := got.(type) {
		case *http2.HeadersFrame:
			_, err := dec.Write(got.HeaderBlockFragment())
			require.NoError(t, err)
			if got.StreamEnded() {
				return status
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return status
		}
	}
}
