package redisdb_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/redisdb"
	"github.com/synapse-analytics/synapse/internal/redisdb/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, c redisdb.Config) *redisdb.DB {
	t.Helper()
	db, err := redisdb.Open(c, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// answers waits until the server is used.
func answers(t testing.TB, db *redisdb.DB) {
	t.Helper()
	require.Eventually(t, func() bool {
		return db.Set(t.Context(), []redisdb.Entry{{Key: db.Key("k"), Value: []byte("v"), TTL: time.Minute}}) == nil
	}, 20*time.Second, 10*time.Millisecond)
}

func TestConfig(t *testing.T) {
	require.NoError(t, redisdb.DefaultConfig().Validate())
	for _, c := range []struct {
		name   string
		change func(*redisdb.Config)
		want   string // a part of the problem; empty for none
	}{
		{"plain", func(c *redisdb.Config) { c.URL = "redis://cache" }, ""},
		{"TLS", func(c *redisdb.Config) { c.URL, c.CAFile = "rediss://cache:6380/3", "ca.pem" }, ""},
		{"cluster", func(c *redisdb.Config) { c.URL = "redis://a:1,b:2,[::1]:3" }, ""},
		{"user", func(c *redisdb.Config) { c.URL, c.User, c.Password = "redis://cache", "u", "p" }, ""},
		{"another scheme", func(c *redisdb.Config) { c.URL = "http://cache" }, "url: "},
		{"no scheme", func(c *redisdb.Config) { c.URL = "cache:6379" }, "url: "},
		{"no host", func(c *redisdb.Config) { c.URL = "redis://" }, "url: "},
		{"bad port", func(c *redisdb.Config) { c.URL = "redis://cache:70000" }, "url: "},
		{"bad database", func(c *redisdb.Config) { c.URL = "redis://cache/x" }, "url: "},
		{"database of a cluster", func(c *redisdb.Config) { c.URL = "redis://a,b/1" }, "url: must not name a database"},
		{"query", func(c *redisdb.Config) { c.URL = "redis://cache?x=1" }, "url: "},
		{"password in the URL", func(c *redisdb.Config) { c.URL = "redis://u:geheim@cache" }, "url: must not hold a user"},
		{"user without password", func(c *redisdb.Config) { c.URL, c.User = "redis://cache", "u" }, "user: needs password"},
		{"password alone", func(c *redisdb.Config) { c.Password = "geheim" }, "password: needs url"},
		{"authority without TLS", func(c *redisdb.Config) { c.URL, c.CAFile = "redis://cache", "ca.pem" }, "ca_file: needs a url"},
		{"prefix", func(c *redisdb.Config) { c.Prefix = "a:b" }, "prefix: "},
		{"share", func(c *redisdb.Config) { c.Share = 0 }, "share: "},
		{"connections", func(c *redisdb.Config) { c.MaxConns = 0 }, "max_conns: "},
		{"timeout", func(c *redisdb.Config) { c.Timeout = time.Hour }, "timeout: "},
		{"connect timeout", func(c *redisdb.Config) { c.ConnectTimeout = 0 }, "connect_timeout: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := redisdb.DefaultConfig()
			c.change(&cfg)
			err := cfg.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "geheim")
		})
	}
}

// FuzzURL: any text is read or refused.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"redis://a", "rediss://a:1,b:2/0", "redis://[::1]:1", "redis://a@b", ""} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		c := redisdb.DefaultConfig()
		c.URL = s
		_ = c.Validate()
	})
}

func TestValues(t *testing.T) {
	for name, start := range map[string]func(*testing.T) redisdb.Config{
		"one server": func(t *testing.T) redisdb.Config { return redistest.Start(t).Config() },
		"password": func(t *testing.T) redisdb.Config {
			c := redistest.Start(t, "--requirepass", "geheim").Config()
			c.Password = "geheim"
			return c
		},
		"access list": func(t *testing.T) redisdb.Config { // as docs/operations.md has it
			c := redistest.Start(t, "--user", "synapse", "on", ">geheim", "~synapse:*", "&synapse:notices",
				"+@read", "+@write", "+@scripting", "+publish", "+subscribe", "+ping", "+client|setname", "-@dangerous").Config()
			c.User, c.Password = "synapse", "geheim"
			return c
		},
		"TLS":     withTLS,
		"cluster": cluster,
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, start(t))
			answers(t, db)
			var entries []redisdb.Entry
			var keys []string
			for i := range 20 { // of several nodes
				k := db.Key("values", strconv.Itoa(i))
				keys = append(keys, k)
				entries = append(entries, redisdb.Entry{Key: k, Value: []byte{byte(i), 0, '\r'}, TTL: time.Minute})
			}
			require.NoError(t, db.Set(t.Context(), entries))
			got, err := db.Get(t.Context(), append([]string{db.Key("none")}, keys...))
			require.NoError(t, err)
			require.Nil(t, got[0])
			for i := range keys {
				require.Equal(t, entries[i].Value, got[i+1])
			}
			require.NoError(t, db.Delete(t.Context(), keys[:1]))
			got, err = db.Get(t.Context(), keys[:2])
			require.NoError(t, err)
			require.Nil(t, got[0])
			require.NotNil(t, got[1])

			s := redisdb.NewScript("return {redis.call('INCRBY', KEYS[1], ARGV[1])}")
			for i := range 2 {
				out, err := db.Run(t.Context(), s, db.Key("n"), 2)
				require.NoError(t, err)
				require.Equal(t, []any{int64(2 * (i + 1))}, out)
			}
			_, err = db.Run(t.Context(), s, db.Key("n"), "x")
			require.Error(t, err)
			require.NotErrorIs(t, err, redisdb.ErrAway, "a command that is wrong says nothing of the server")

			heard := make(chan string, 1)
			stop := db.Listen(func(b []byte) {
				select {
				case heard <- string(b):
				default:
				}
			})
			defer stop()
			require.Eventually(t, func() bool {
				require.NoError(t, db.Notify(t.Context(), []byte("x\x00y")))
				select {
				case s := <-heard:
					return s == "x\x00y"
				case <-time.After(50 * time.Millisecond):
					return false
				}
			}, 10*time.Second, time.Millisecond)
		})
	}
}

// withTLS starts a server that takes only TLS.
func withTLS(t *testing.T) redisdb.Config {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	crt, pk := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(crt, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(pk, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	c := redistest.Start(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", crt, "--tls-key-file", pk, "--tls-ca-cert-file", crt, "--tls-auth-clients", "no").Config()
	c.URL, c.CAFile = fmt.Sprintf("rediss://127.0.0.1:%d/1", port), crt

	other := c
	other.CAFile = ""
	db := open(t, other)
	require.ErrorIs(t, db.Notify(t.Context(), nil), redisdb.ErrAway, "a server of an unknown authority is not trusted")
	return c
}

// cluster starts a cluster of three nodes and names two of them.
func cluster(t *testing.T) redisdb.Config {
	var nodes []*redistest.Server
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		bus := l.Addr().(*net.TCPAddr).Port
		require.NoError(t, l.Close())
		s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus))
		first, last := i*16384/3, (i+1)*16384/3-1
		_, err = s.Command("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		require.NoError(t, err)
		_, err = s.Command("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		require.NoError(t, err)
		if i > 0 {
			_, err = nodes[0].Command("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(s.Port), strconv.Itoa(bus))
			require.NoError(t, err)
		}
		nodes = append(nodes, s)
	}
	for _, s := range nodes {
		require.Eventually(t, func() bool {
			out, err := s.Command("CLUSTER", "INFO")
			return err == nil && strings.Contains(out, "cluster_state:ok") && strings.Contains(out, "cluster_known_nodes:3")
		}, 30*time.Second, 50*time.Millisecond)
	}
	c := nodes[0].Config()
	c.URL = "redis://" + nodes[0].Addr() + "," + nodes[1].Addr()
	c.Timeout = time.Second // the first call asks for the nodes
	return c
}

// While the server is away or hangs, callers wait at most for a call, then for
// nothing; when it is back it is used again.
func TestBreaker(t *testing.T) {
	for name, f := range map[string]struct {
		fault, amend func(*redistest.Server) error
	}{
		"killed": {(*redistest.Server).Kill, (*redistest.Server).Run},
		"paused": {(*redistest.Server).Pause, (*redistest.Server).Resume},
		"loading": {func(s *redistest.Server) error { // takes no writes
			_, err := s.Command("REPLICAOF", "127.0.0.1", "1")
			return err
		}, func(s *redistest.Server) error {
			_, err := s.Command("REPLICAOF", "NO", "ONE")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			db := open(t, server.Config())
			answers(t, db)
			require.NoError(t, f.fault(server))
			call := func() (time.Duration, error) {
				began := time.Now()
				err := db.Set(context.Background(), []redisdb.Entry{{Key: db.Key("k"), Value: []byte("v"), TTL: time.Minute}})
				return time.Since(began), err
			}
			slow, calls := time.Duration(0), 0
			for db.Up() {
				took, err := call()
				require.ErrorIs(t, err, redisdb.ErrAway)
				slow, calls = max(slow, took), calls+1
			}
			require.LessOrEqual(t, calls, 5)
			require.Less(t, slow, server.Config().Timeout+500*time.Millisecond)
			// From now on nobody waits: also not while the server is looked at.
			var took []time.Duration
			for until := time.Now().Add(1500 * time.Millisecond); time.Now().Before(until); {
				d, err := call()
				require.ErrorIs(t, err, redisdb.ErrAway)
				took = append(took, d)
				time.Sleep(time.Millisecond)
			}
			slices.Sort(took)
			require.Less(t, took[len(took)*99/100], 5*time.Millisecond)
			require.NoError(t, f.amend(server))
			answers(t, db)
		})
	}
}

// A server that answers now and then is away too, when half of twenty calls have failed.
func TestBreakerOfHalf(t *testing.T) {
	server := redistest.Start(t)
	c := server.Config()
	c.Timeout = 100 * time.Millisecond // many calls between two looks
	db := open(t, c)
	answers(t, db)
	var calls, inRow, most int
	call := func() bool {
		calls++
		err := db.Set(t.Context(), []redisdb.Entry{{Key: db.Key("k"), Value: []byte("v"), TTL: time.Minute}})
		if err == nil {
			inRow = 0
			return true
		}
		require.ErrorIs(t, err, redisdb.ErrAway)
		inRow++
		most = max(most, inRow)
		return false
	}
	// Again, should a slow machine have made five fail in a row after all.
	for most = 5; most >= 4; answers(t, db) {
		calls, inRow, most = 0, 0, 0
		for until := time.Now().Add(time.Minute); db.Up(); {
			require.True(t, time.Now().Before(until), "half of %d calls failed, and it is asked on", calls)
			require.NoError(t, server.Pause())
			call()
			call() // twice: the looks, which count too, may come while it answers
			require.NoError(t, server.Resume())
			for db.Up() && !call() {
			}
		}
		t.Logf("away after %d calls, at most %d failures in a row", calls, most)
	}
}

// A caller that gives up says nothing of the server, and gets its own error.
func TestCallerGivesUp(t *testing.T) {
	server := redistest.Start(t)
	db := open(t, server.Config())
	answers(t, db)
	require.NoError(t, server.Pause())
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := db.Get(ctx, []string{db.Key("k")})
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, redisdb.ErrAway)
	}
	require.NoError(t, server.Resume())
	require.Eventually(t, db.Up, 10*time.Second, time.Millisecond)
}

// A server that is away when the process starts is found when it comes.
func TestStartsWithoutServer(t *testing.T) {
	server := redistest.Start(t)
	require.NoError(t, server.Kill())
	db := open(t, server.Config())
	var mu sync.Mutex
	var heard []string
	stop := db.Listen(func(b []byte) { mu.Lock(); heard = append(heard, string(b)); mu.Unlock() })
	defer stop()
	require.Eventually(t, func() bool { return !db.Up() }, 20*time.Second, time.Millisecond, "found away without a call")
	require.NoError(t, server.Run())
	require.Eventually(t, func() bool {
		_ = db.Notify(t.Context(), []byte("n"))
		mu.Lock()
		defer mu.Unlock()
		return len(heard) > 0
	}, 20*time.Second, 20*time.Millisecond)
}

func TestWrongPasswordIsAway(t *testing.T) {
	c := redistest.Start(t, "--requirepass", "geheim").Config()
	c.Password = "falsch"
	var out bytes.Buffer
	var mu sync.Mutex
	db, err := redisdb.Open(c, nil, slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return out.Write(p) }), nil)))
	require.NoError(t, err)
	require.ErrorIs(t, db.Notify(t.Context(), nil), redisdb.ErrAway)
	require.Eventually(t, func() bool { return !db.Up() }, 20*time.Second, time.Millisecond)
	require.NoError(t, db.Close())
	require.NotContains(t, out.String(), "falsch")
	require.Contains(t, out.String(), "WRONGPASS", "says why")
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestClosed(t *testing.T) {
	db := open(t, redistest.Start(t).Config())
	answers(t, db)
	require.NoError(t, db.Close())
	require.Error(t, db.Notify(t.Context(), nil))
	require.Error(t, db.Notify(t.Context(), make([]byte, 1<<20)))
}

func TestMetrics(t *testing.T) {
	server := redistest.Start(t)
	reader := metric.NewManualReader()
	db, err := redisdb.Open(server.Config(), metric.NewMeterProvider(metric.WithReader(reader)), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	answers(t, db)
	require.NoError(t, server.Kill())
	require.Eventually(t, func() bool { return errors.Is(db.Notify(t.Context(), nil), redisdb.ErrAway) && !db.Up() }, 20*time.Second, time.Millisecond)
	_ = db.Notify(t.Context(), nil)
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	seen := map[string]string{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		seen[m.Name] = fmt.Sprintf("%+v", m.Data)
	}
	require.Contains(t, seen["db.client.operation.duration"], "PUBLISH")
	require.Contains(t, seen["db.client.operation.duration"], "away")
	require.Regexp(t, `Value:[12]\b`, seen["synapse.redis.breaker.state"])
	require.Regexp(t, `Value:[1-9]`, seen["synapse.redis.refused"])
	require.Contains(t, seen["db.client.connection.max"], "Value:16")
	require.Contains(t, seen, "db.client.connection.count")
}
