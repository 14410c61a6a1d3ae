package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
)

// raw sends bytes over a socket and returns the answer's status line and all of
// it.
func raw(t *testing.T, base, request string) (string, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	rd := bufio.NewReader(conn)
	resp, err := http.ReadResponse(rd, nil)
	require.NoError(t, err)
	body, _ := io.ReadAll(resp.Body)
	return resp.Status, string(body)
}

func TestSlowAndCutBodies(t *testing.T) {
	e := newEdge(t, &backend{}, func(d *Deps) {
		d.Config.BodyReadTimeout, d.Config.ReadHeaderTimeout = 100*time.Millisecond, 100*time.Millisecond
	})
	base := e.serve(t)
	head := "POST /v1/projects/p/events:ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\n"
	status, body := raw(t, base, head+"Content-Length: 1000\r\n\r\n{\"events\":[")
	require.Equal(t, "408 Request Timeout", status)
	require.Contains(t, body, "DEADLINE_EXCEEDED")
	status, body = raw(t, base, head+"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
	require.Equal(t, "400 Bad Request", status)
	require.Contains(t, body, "MALFORMED_REQUEST")
	status, _ = raw(t, base, head+"Content-Length: 99999999999\r\n\r\n{")
	require.Equal(t, "413 Request Entity Too Large", status)

	// A body that ends early.
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, head+"Content-Length: 1000\r\n\r\n{\"events\":[")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, 400, resp.StatusCode)
	_ = resp.Body.Close()
	_ = conn.Close()

	// A header that does not come.
	conn, err = net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = io.ReadAll(conn)
	require.NoError(t, err, "the server closes it")
	_ = conn.Close()

	status, _ = raw(t, base, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 40<<10)+"\r\n\r\n")
	require.Equal(t, "431 Request Header Fields Too Large", status)
	require.Empty(t, e.backend.ingested())
}

// TestBodyDeadlineDoesNotEndTheRequest: the deadline for the body must not end a
// request whose service takes longer.
func TestBodyDeadlineDoesNotEndTheRequest(t *testing.T) {
	b := &backend{balance: func(context.Context) (*queryv1.Balance, error) { return &queryv1.Balance{}, nil }}
	e := newEdge(t, b, func(d *Deps) { d.Config.BodyReadTimeout = 100 * time.Millisecond })
	b.balance = nil
	base := e.serve(t)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for i := range 3 { // on one connection, with pauses longer than the deadline
		r, err := http.NewRequestWithContext(t.Context(), "POST", base+"/v1/projects/p/events:ingest", strings.NewReader(fmt.Sprintf(`{"events":[{"text":"%d"}]}`, i)))
		require.NoError(t, err)
		r.Header.Set("Authorization", goodKey)
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		require.Equal(t, 200, resp.StatusCode)
		time.Sleep(150 * time.Millisecond)
	}
}

func TestStopIsBounded(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{})
	e := newEdge(t, &backend{balance: func(context.Context) (*queryv1.Balance, error) {
		close(entered)
		<-hold
		return &queryv1.Balance{}, nil
	}})
	base := e.serve(t)
	done := make(chan error)
	go func() {
		r, _ := http.NewRequestWithContext(context.Background(), "GET", base+"/v1/projects/p/balance", nil)
		r.Header.Set("Authorization", goodKey)
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, e.Stop(ctx), "requests were cut")
	require.Error(t, <-done)
	close(hold)
	require.ErrorContains(t, e.Start(context.Background(), nil), "twice")
}
