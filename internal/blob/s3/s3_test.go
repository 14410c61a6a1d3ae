package s3_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/blob/blobtest"
	"github.com/synapse-analytics/synapse/internal/blob/s3"
	"github.com/synapse-analytics/synapse/internal/blob/s3test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *s3test.Server {
	srv, err := s3test.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Stop()) })
	return srv
}

func open(t *testing.T, cfg blob.Config) *s3.Store {
	require.NoError(t, cfg.Validate())
	s, err := s3.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStore(t *testing.T) {
	srv := start(t)
	n := 0
	blobtest.Run(t, blobtest.Harness{
		Open: func(t *testing.T) blob.Store {
			n++
			cfg := srv.Config()
			cfg.URL = fmt.Sprintf("s3://synapse/store-%d", n)
			return open(t, cfg)
		},
		Corrupt: func(t *testing.T, _ blob.Store, key string) {
			path := filepath.Join(srv.Dir, fmt.Sprintf("store-%d", n), key)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			b[1000] ^= 1
			require.NoError(t, os.WriteFile(path, b, 0o600))
		},
	})
}

// TestServerAway: while the server is killed or does not answer, every call fails
// in time with ErrUnavailable; then it works again, with what was put before.
func TestServerAway(t *testing.T) {
	srv := start(t)
	cfg := srv.Config()
	cfg.Timeout = time.Second
	s := open(t, cfg)
	data := blobtest.Bytes(1, 1<<20)
	blobtest.Put(t, s, "k", data)
	// A call that was given up may be done later, so none of these is of k.
	fail := func() {
		for name, call := range map[string]func() error{
			"put": func() error {
				return s.Put(t.Context(), "n", bytes.NewReader(data), int64(len(data)), sha256.Sum256(data))
			},
			"get":    func() error { _, err := s.Get(t.Context(), "k"); return err },
			"list":   func() error { _, err := s.List(t.Context(), "", "", 10); return err },
			"delete": func() error { return s.Delete(t.Context(), "other") },
		} {
			began := time.Now()
			require.ErrorIs(t, call(), blob.ErrUnavailable, name)
			require.Less(t, time.Since(began), 20*time.Second, "%s is bounded", name)
		}
	}
	require.NoError(t, srv.Kill())
	fail()
	require.NoError(t, srv.Run())
	require.Equal(t, data, blobtest.Get(t, s, "k"))
	require.NoError(t, srv.Pause())
	fail()
	require.NoError(t, srv.Resume())
	// A reader that takes its time does not hold up the server; a server that stops on
	// the way does.
	large := blobtest.Bytes(2, 32<<20)
	blobtest.Put(t, s, "large", large)
	part := make([]byte, 1000)
	o, err := s.Get(t.Context(), "large")
	require.NoError(t, err)
	_, err = io.ReadFull(o, part)
	require.NoError(t, err)
	time.Sleep(2 * cfg.Timeout)
	_, err = io.Copy(io.Discard, o)
	require.NoError(t, err)
	require.NoError(t, o.Close())
	o, err = s.Get(t.Context(), "large")
	require.NoError(t, err)
	_, err = io.ReadFull(o, part)
	require.NoError(t, err)
	require.NoError(t, srv.Pause())
	_, err = io.Copy(io.Discard, o)
	require.ErrorIs(t, err, blob.ErrUnavailable)
	require.NoError(t, o.Close())
	require.NoError(t, srv.Resume())
	blobtest.Put(t, s, "k", data[:10])
	require.Equal(t, data[:10], blobtest.Get(t, s, "k"))
}

// TestTriedAgain: what a server refuses for the moment is sent again from the start, over
// TLS too; when it goes on to refuse, or the bytes can not be had again, the error says
// that it may succeed later.
func TestTriedAgain(t *testing.T) {
	srv := start(t)
	var refuse, status atomic.Int64
	proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Add(-1) >= 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(int(status.Load()))
			return
		}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: srv.Addr})
			p.Out.Host = p.In.Host // it is signed
		}}).ServeHTTP(w, r)
	}))
	defer proxy.Close()
	cfg := srv.Config()
	cfg.Endpoint, cfg.CAFile = proxy.URL, filepath.Join(t.TempDir(), "ca.pem")
	_, err := s3.Open(cfg)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(cfg.CAFile, []byte("no PEM"), 0o600))
	_, err = s3.Open(cfg)
	require.ErrorContains(t, err, "holds no certificate")
	require.NoError(t, os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600))
	s := open(t, cfg)
	data := blobtest.Bytes(3, 1<<20)
	for _, code := range []int64{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		status.Store(code)
		refuse.Store(2)
		blobtest.Put(t, s, "k", data)
		refuse.Store(2)
		require.Equal(t, data, blobtest.Get(t, s, "k"))
		refuse.Store(1)
		require.ErrorIs(t, s.Put(t.Context(), "k", io.MultiReader(bytes.NewReader(data)), int64(len(data)), sha256.Sum256(data)), blob.ErrUnavailable)
		refuse.Store(100)
		_, err = s.List(t.Context(), "", "", 1)
		require.ErrorIs(t, err, blob.ErrUnavailable)
		refuse.Store(0)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections() // the proxy's
}

// TestSlow: an object may take longer than the timeout as long as it moves.
func TestSlow(t *testing.T) {
	cfg := start(t).Config()
	cfg.Timeout = time.Second
	s := open(t, cfg)
	data := blobtest.Bytes(4, 5*256<<10)
	var r []io.Reader
	for part := range slices.Chunk(data, 256<<10) {
		r = append(r, bytes.NewReader(part), pause(800*time.Millisecond))
	}
	require.NoError(t, s.Put(t.Context(), "k", io.MultiReader(r...), int64(len(data)), sha256.Sum256(data)))
	require.Equal(t, data, blobtest.Get(t, s, "k"))
}

// pause is a reader of nothing that takes its time.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	time.Sleep(time.Duration(p))
	return 0, io.EOF
}

// TestRefused: what an operator must put right is named.
func TestRefused(t *testing.T) {
	srv := start(t)
	for name, c := range map[string]struct {
		change func(*blob.Config)
		want   string
	}{
		"secret": {func(c *blob.Config) { c.SecretKey = "other" }, "check access_key, secret_key"},
		"bucket": {func(c *blob.Config) { c.URL = "s3://nobucket" }, "there is no bucket nobucket"},
	} {
		cfg := srv.Config()
		c.change(&cfg)
		s := open(t, cfg)
		err := s.Put(t.Context(), "k", bytes.NewReader([]byte("x")), 1, sha256.Sum256([]byte("x")))
		require.ErrorContains(t, err, c.want, name)
		_, err = s.List(t.Context(), "", "", 1)
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, err.Error(), "test-secret")
	}
	// An object that someone else put has no checksum of ours.
	s := open(t, srv.Config())
	require.NoError(t, os.MkdirAll(filepath.Join(srv.Dir, "some/prefix"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(srv.Dir, "some/prefix/foreign"), []byte("x"), 0o600))
	_, err := s.Get(t.Context(), "foreign")
	require.ErrorIs(t, err, blob.ErrCorrupt)
	// Nor is one whose key is none, and a page is full without it.
	for _, name := range []string{"a b", ".hidden", "a é"} {
		require.NoError(t, os.WriteFile(filepath.Join(srv.Dir, "some/prefix", name), []byte("x"), 0o600))
	}
	blobtest.Put(t, s, "z", []byte("x"))
	for _, limit := range []int{2, 10} {
		page, err := s.List(t.Context(), "", "", limit)
		require.NoError(t, err)
		require.Len(t, page, 2)
		require.Equal(t, []string{"foreign", "z"}, []string{page[0].Key, page[1].Key})
	}
}
