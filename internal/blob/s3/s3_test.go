package s3_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
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
	blobtest.Put(t, s, "k", data[:10])
	require.Equal(t, data[:10], blobtest.Get(t, s, "k"))
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
}
