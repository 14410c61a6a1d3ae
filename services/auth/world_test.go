package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// notices takes the service's notices, and hands them to the verifier as the
// control subject would.
type notices struct {
	mu      sync.Mutex
	got     []string
	down    bool
	forward func([]byte) error
}

func (n *notices) Notify(_ context.Context, b []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return errors.New("the queue is away")
	}
	var msg pipelinev1.ControlNotice
	if err := proto.Unmarshal(b, &msg); err != nil {
		return err
	}
	switch w := msg.GetNotice().(type) {
	case *pipelinev1.ControlNotice_ApiKeyChanged:
		n.got = append(n.got, "key "+w.ApiKeyChanged)
	case *pipelinev1.ControlNotice_SessionEnded:
		n.got = append(n.got, "session "+w.SessionEnded)
	case *pipelinev1.ControlNotice_ProjectChanged:
		n.got = append(n.got, "project "+w.ProjectChanged)
	case *pipelinev1.ControlNotice_SigningKeysChanged:
		n.got = append(n.got, "signing keys")
	}
	return n.forward(b)
}

// take returns what came since the last take.
func (n *notices) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got
	n.got = nil
	return got
}

func (n *notices) setDown(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// world is the service with its real store behind a real server with every
// interceptor and the real verifier.
type world struct {
	*testing.T
	authv1.AuthServiceClient
	clock    *clock
	store    *sqlite.Store
	svc      *auth.Service
	notices  *notices
	verifier *authn.CachingVerifier
	logs     *safeBuffer
	dir      string
	creds    *auth.Credentials
	cfg      auth.Config
}

// newWorld starts a bootstrapped service. Its background tasks run every real
// second, but see a clock that stands still; tests run them by hand.
func newWorld(t *testing.T, change ...func(*auth.Config)) *world {
	t.Helper()
	w := &world{
		T: t, clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		notices: &notices{}, logs: &safeBuffer{}, dir: t.TempDir(), cfg: auth.DefaultConfig(),
	}
	for _, f := range change {
		f(&w.cfg)
	}
	log := slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	w.store, err = sqlite.Open(t.Context(), filepath.Join(w.dir, "auth.db"), sqlite.WithLogger(log))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	w.svc, err = auth.New(auth.Deps{Config: w.cfg, Store: w.store, Notifier: w.notices, Logger: log, Now: w.clock.now})
	require.NoError(t, err)
	w.svc.CountHashes()

	lis := bufconn.Listen(1 << 20)
	conn, err := grpcclient.InProcess(lis, grpcclient.Options{})
	require.NoError(t, err)
	w.AuthServiceClient = authv1.NewAuthServiceClient(conn)
	w.verifier = authn.NewVerifier(authn.VerifierConfig{Now: w.clock.now}, w.AuthServiceClient, log)
	w.notices.forward = w.verifier.HandleNotice
	srv, err := grpcserver.New(grpcserver.Options{Logger: log, Verifier: w.verifier})
	require.NoError(t, err)
	w.svc.Register(srv)

	var created bool
	w.creds, created, err = w.svc.Bootstrap(t.Context(), auth.BootstrapInput{DataDir: w.dir, HTTPURL: "http://127.0.0.1:8080", GRPCAddr: "127.0.0.1:9090"})
	require.NoError(t, err)
	require.True(t, created)
	require.Error(t, w.svc.Ready(t.Context()), "not before Start")
	require.NoError(t, w.svc.Start(t.Context()))
	require.NoError(t, w.svc.Ready(t.Context()))

	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		ctx := context.Background()
		require.NoError(t, conn.Close())
		require.NoError(t, srv.Stop(ctx))
		require.NoError(t, <-served)
		require.NoError(t, w.svc.Stop(ctx))
		// Whatever a test did: no secret is in any log.
		logs := w.logs.String()
		for _, secret := range []string{w.creds.AdminPassword, w.creds.AdminKey, w.creds.IngestKey, w.creds.ReadKey, "eyJ", "syn_rt_", "PRIVATE"} {
			require.NotContains(t, logs, secret)
		}
	})
	w.notices.take()
	w.clock.add(time.Second) // so that what tests make is newer
	return w
}

// as returns a context with the credential.
func (w *world) as(credential string) context.Context {
	return metadata.AppendToOutgoingContext(w.Context(), "authorization", "Bearer "+credential)
}

func (w *world) signIn() *authv1.Session {
	w.Helper()
	s, err := w.SignIn(w.Context(), &authv1.SignInRequest{Email: w.creds.AdminEmail, Password: w.creds.AdminPassword})
	require.NoError(w, err)
	return s
}

func (w *world) createKey(credential string, scopes ...typev1.Access_Scope) *authv1.ApiKeyWithSecret {
	w.Helper()
	k, err := w.CreateApiKey(w.as(credential), &authv1.CreateApiKeyRequest{
		Parent: "projects/-", ApiKey: &authv1.ApiKey{DisplayName: "test", Scopes: scopes},
	})
	require.NoError(w, err)
	return k
}

func keyID(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// refused asserts an error's code and reason, and returns it.
func refused(t *testing.T, err error, code codes.Code, reason errs.Reason) *errs.Error {
	t.Helper()
	require.Error(t, err)
	e := errs.FromError(err)
	require.Equal(t, code, e.Code, "%v", err)
	require.Equal(t, reason, e.Reason, "%v", err)
	return e
}

// violated asserts that the error is about the field.
func violated(t *testing.T, err error, field string) {
	t.Helper()
	e := refused(t, err, codes.InvalidArgument, errs.InvalidField)
	require.True(t, slices.ContainsFunc(e.Violations, func(v errs.Violation) bool { return v.Field == field }), "%+v", e.Violations)
}
