package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServer(t *testing.T) {
	parts := map[string]error{"queue": nil}
	s := New(Handlers{Ready: func(context.Context) map[string]error { return parts }})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(lis) }()
	get := func(path string) (int, string) {
		res, err := http.Get("http://" + lis.Addr().String() + path)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	code, body := get("/readyz")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"status":"ready","parts":{"queue":"ok"}}`, body)
	parts = map[string]error{"queue": nil, "store": errors.New("disk is full; free some space")}
	code, body = get("/readyz")
	require.Equal(t, 503, code)
	require.Contains(t, body, "disk is full; free some space")
	code, _ = get("/healthz")
	require.Equal(t, 200, code)
	code, _ = get("/debug/pprof/")
	require.Equal(t, 200, code)
	require.NoError(t, s.Stop(context.Background()))
	require.NoError(t, <-done)
}
