package authn_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that stands still.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(t0.UnixMilli())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// authService is the auth service as a verifier sees it, over real gRPC.
type authService struct {
	authv1.UnimplementedAuthServiceServer
	introspections, fetches atomic.Int64

	mu      sync.Mutex
	keys    map[string]*authv1.IntrospectApiKeyResponse // by secret
	revoked map[string]bool
	jwks    map[string]ed25519.PublicKey
	down    error
	during  func() // runs while a question is open
}

func (a *authService) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *authService) IntrospectApiKey(_ context.Context, r *authv1.IntrospectApiKeyRequest) (*authv1.IntrospectApiKeyResponse, error) {
	a.introspections.Add(1)
	a.mu.Lock()
	resp, revoked, down, during := a.keys[r.GetApiKey()], a.revoked[r.GetApiKey()], a.down, a.during
	a.mu.Unlock()
	if during != nil {
		during()
	}
	switch {
	case down != nil:
		return nil, down
	case revoked:
		return nil, errs.Unauthenticated(errs.CredentialRevoked, "the key was revoked", "make a new one")
	case resp == nil:
		return nil, errs.Unauthenticated(errs.CredentialUnknown, "no such key", "check it")
	}
	return proto.CloneOf(resp), nil
}

func (a *authService) GetJwks(context.Context, *authv1.GetJwksRequest) (*authv1.Jwks, error) {
	a.fetches.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down != nil {
		return nil, a.down
	}
	set := &authv1.Jwks{}
	for kid, k := range a.jwks {
		set.Keys = append(set.Keys, &authv1.Jwk{Kty: "OKP", Crv: "Ed25519", Kid: kid, Alg: "EdDSA", Use: "sig", X: base64.RawURLEncoding.EncodeToString(k)})
	}
	return set, nil
}

// newKey makes a key that the service knows.
func (a *authService) newKey(t testing.TB, project string) (id, secret string) {
	t.Helper()
	key, secret, err := authn.GenerateKey()
	require.NoError(t, err)
	a.set(func() {
		a.keys[secret] = &authv1.IntrospectApiKeyResponse{
			KeyId: key.ID, ProjectId: project, Scopes: []typev1.Access_Scope{typev1.Access_INGEST},
		}
	})
	return key.ID, secret
}

type world struct {
	*authService
	*clock
	v *authn.CachingVerifier
}

func newWorld(t testing.TB, change func(*authn.VerifierConfig)) *world {
	t.Helper()
	w := &world{clock: newClock(), authService: &authService{
		keys: map[string]*authv1.IntrospectApiKeyResponse{}, revoked: map[string]bool{}, jwks: map[string]ed25519.PublicKey{},
	}}
	lis := bufconn.Listen(1 << 16)
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	authv1.RegisterAuthServiceServer(g, w.authService)
	var served sync.WaitGroup
	served.Go(func() { _ = g.Serve(lis) })
	conn, err := grpc.NewClient("passthrough:///auth", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	require.NoError(t, err)
	c := authn.VerifierConfig{Now: w.now}
	if change != nil {
		change(&c)
	}
	w.v = authn.NewVerifier(c, authv1.NewAuthServiceClient(conn), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	served.Go(func() { _ = w.v.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		require.NoError(t, conn.Close())
		g.Stop()
		served.Wait()
	})
	return w
}

func (w *world) verify(credential string) (*authn.Principal, error) {
	return w.v.Verify(context.Background(), credential)
}

func (w *world) notice(t testing.TB, n *pipelinev1.ControlNotice) {
	t.Helper()
	b, err := proto.Marshal(n)
	require.NoError(t, err)
	require.NoError(t, w.v.HandleNotice(b))
}

func keyChanged(id string) *pipelinev1.ControlNotice {
	return &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_ApiKeyChanged{ApiKeyChanged: id}}
}

func projectChanged(id string) *pipelinev1.ControlNotice {
	return &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_ProjectChanged{ProjectChanged: id}}
}

func requireReason(t testing.TB, err error, reason errs.Reason) {
	t.Helper()
	require.Error(t, err)
	e := errs.As(err)
	require.NotNil(t, e, "%T is no *errs.Error", err)
	require.Equal(t, reason, e.Reason, "%v", err)
}

var errDown = status.Error(codes.Unavailable, "away")

func TestVerifyKey(t *testing.T) {
	w := newWorld(t, nil)
	id, secret := w.newKey(t, "demo")
	p, err := w.verify(secret)
	require.NoError(t, err)
	require.Equal(t, &authn.Principal{
		Kind: authn.KindAPIKey, ID: id, Projects: map[string][]typev1.Access_Scope{"demo": {typev1.Access_INGEST}},
	}, p)
	for range 10 {
		_, err = w.verify(secret)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, w.introspections.Load(), "the answer is cached")
	w.advance(authn.MaxKeyTTL)
	_, err = w.verify(secret)
	require.NoError(t, err)
	require.EqualValues(t, 2, w.introspections.Load(), "for its time only")
}

func TestRefusedCredentials(t *testing.T) {
	w := newWorld(t, nil)
	_, unknown, err := authn.GenerateKey()
	require.NoError(t, err)
	for credential, reason := range map[string]errs.Reason{
		"":                          errs.CredentialMissing,
		"syn_sk_wrong":              errs.CredentialMalformed,
		"something":                 errs.CredentialMalformed,
		"a.b.c":                     errs.CredentialMalformed,
		strings.Repeat("a.", 20000): errs.CredentialMalformed,
		unknown:                     errs.CredentialUnknown,
	} {
		for range 3 {
			_, err := w.verify(credential)
			requireReason(t, err, reason)
		}
	}
	require.EqualValues(t, 1, w.introspections.Load(), "malformed ones are not asked about, a refusal is remembered")
	w.advance(6 * time.Second)
	_, err = w.verify(unknown)
	requireReason(t, err, errs.CredentialUnknown)
	require.EqualValues(t, 2, w.introspections.Load())
}

// A wrong secret with the id of a good key neither gets in nor pushes it out.
func TestSameIDAnotherSecret(t *testing.T) {
	w := newWorld(t, nil)
	_, secret := w.newKey(t, "demo")
	_, other, err := authn.GenerateKey()
	require.NoError(t, err)
	_, err = w.verify(secret)
	require.NoError(t, err)
	mixed := withCheck(secret[:20] + other[20:len(other)-6])
	_, err = authn.ParseKey(mixed)
	require.NoError(t, err, "it is well formed")
	_, err = w.verify(mixed)
	requireReason(t, err, errs.CredentialUnknown)
	n := w.introspections.Load()
	_, err = w.verify(secret)
	require.NoError(t, err)
	require.Equal(t, n, w.introspections.Load())
}

func TestKeyExpires(t *testing.T) {
	w := newWorld(t, nil)
	_, secret := w.newKey(t, "demo")
	w.set(func() { w.keys[secret].ExpireTime = timestamppb.New(w.now().Add(10 * time.Second)) })
	_, err := w.verify(secret)
	require.NoError(t, err)
	w.advance(10 * time.Second)
	_, err = w.verify(secret)
	requireReason(t, err, errs.CredentialExpired)
}

func TestAuthIsDown(t *testing.T) {
	w := newWorld(t, nil)
	_, secret := w.newKey(t, "demo")
	_, err := w.verify(secret)
	require.NoError(t, err)
	w.set(func() { w.down = errDown })
	_, err = w.verify(secret)
	require.NoError(t, err, "cached answers hold for their time")
	w.advance(31 * time.Second)
	_, err = w.verify(secret)
	requireReason(t, err, errs.Unavailable)
	w.set(func() { w.down = nil })
	_, err = w.verify(secret)
	require.NoError(t, err, "that it was down is not remembered")
	w.set(func() { w.down = status.Error(codes.Internal, "secret"); clear(w.keys) })
	w.advance(31 * time.Second)
	_, err = w.verify(secret)
	requireReason(t, err, errs.Unavailable)
	require.NotContains(t, errs.ToStatus(err).Message(), "secret")

	busy := errs.ToStatus(errs.Exhausted(errs.StoreBusy, "taken", "raise stores.auth.max_conns", time.Second, nil)).Err()
	w.set(func() { w.down = busy })
	_, err = w.verify(secret)
	requireReason(t, err, errs.StoreBusy)
	require.True(t, errs.FromError(err).Retryable())
	require.Equal(t, "raise stores.auth.max_conns", errs.FromError(err).Remedy)
	id, secret := w.newKey(t, "demo")
	w.set(func() { w.down = nil })
	p, err := w.verify(secret)
	require.NoError(t, err, "that it was busy is not remembered")
	require.Equal(t, id, p.ID)
}

func TestCallerGivesUp(t *testing.T) {
	w := newWorld(t, nil)
	_, secret := w.newKey(t, "demo")
	entered, leave := make(chan struct{}), make(chan struct{})
	w.set(func() { w.during = func() { close(entered); <-leave } })
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() { _, err := w.v.Verify(ctx, secret); first <- err }()
	<-entered
	second := make(chan error, 1)
	go func() { _, err := w.verify(secret); second <- err }()
	cancel()
	requireReason(t, <-first, errs.Canceled)
	close(leave)
	require.NoError(t, <-second, "the question goes on for the others")
}

func TestOneQuestionForMany(t *testing.T) {
	w := newWorld(t, nil)
	_, secret := w.newKey(t, "demo")
	leave := make(chan struct{})
	w.set(func() { w.during = func() { <-leave } })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := w.verify(secret); err != nil {
				t.Error(err)
			}
		})
	}
	close(leave)
	wg.Wait()
	require.LessOrEqual(t, w.introspections.Load(), int64(2))
}

func TestRevocationTakesEffectAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	id, secret := w.newKey(t, "demo")
	_, err := w.verify(secret)
	require.NoError(t, err)
	w.set(func() { w.revoked[secret] = true })
	_, err = w.verify(secret)
	require.NoError(t, err, "no notice yet")
	w.notice(t, keyChanged(id))
	_, err = w.verify(secret)
	requireReason(t, err, errs.CredentialRevoked)
}

// The notice comes while the question is open, after the auth service has read
// its old state: the old answer must be neither used nor kept.
func TestNoticeDuringQuestion(t *testing.T) {
	w := newWorld(t, nil)
	id, secret := w.newKey(t, "demo")
	var once sync.Once
	w.set(func() {
		w.during = func() {
			once.Do(func() {
				w.set(func() { w.revoked[secret] = true })
				w.notice(t, keyChanged(id))
			})
		}
	})
	_, err := w.verify(secret)
	requireReason(t, err, errs.CredentialRevoked)
	_, err = w.verify(secret)
	requireReason(t, err, errs.CredentialRevoked)
}

func TestProjectNotice(t *testing.T) {
	w := newWorld(t, nil)
	_, a := w.newKey(t, "a")
	_, b := w.newKey(t, "b")
	for _, s := range []string{a, b} {
		_, err := w.verify(s)
		require.NoError(t, err)
	}
	w.set(func() { w.revoked[a], w.revoked[b] = true, true })
	w.notice(t, projectChanged("a"))
	_, err := w.verify(a)
	requireReason(t, err, errs.CredentialRevoked)
	_, err = w.verify(b)
	require.NoError(t, err, "the other project's keys are still cached")
}

func TestUnknownNotice(t *testing.T) {
	w := newWorld(t, nil)
	_, secret := w.newKey(t, "demo")
	_, err := w.verify(secret)
	require.NoError(t, err)
	w.notice(t, &pipelinev1.ControlNotice{}) // as one of a later release reads
	_, err = w.verify(secret)
	require.NoError(t, err)
	require.EqualValues(t, 2, w.introspections.Load(), "everything is asked anew")
	require.Error(t, w.v.HandleNotice([]byte("\xff")))
}

// However keys are used, revoked, given back and time passes: a Verify after a
// notice about a key tells the auth service's truth of then.
func TestNoCachedAnswerAfterNotice(t *testing.T) {
	w := newWorld(t, func(c *authn.VerifierConfig) { c.MaxKeys, c.MaxNegative = 3, 3 })
	const n = 5
	ids, secrets := make([]string, n), make([]string, n)
	for i := range n {
		ids[i], secrets[i] = w.newKey(t, fmt.Sprintf("p%d", i%2))
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			i := rapid.IntRange(0, n-1).Draw(rt, "key")
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				_, _ = w.verify(secrets[i])
			case 1:
				w.advance(time.Duration(rapid.IntRange(0, 20).Draw(rt, "seconds")) * time.Second)
			default:
				w.set(func() { w.revoked[secrets[i]] = !w.revoked[secrets[i]] })
				if rapid.Bool().Draw(rt, "by project") {
					w.notice(t, projectChanged(fmt.Sprintf("p%d", i%2)))
				} else {
					w.notice(t, keyChanged(ids[i]))
				}
				_, err := w.verify(secrets[i])
				if w.revoked[secrets[i]] != (err != nil) {
					rt.Fatalf("revoked %v, yet %v", w.revoked[secrets[i]], err)
				}
			}
		}
	})
}

func BenchmarkVerifyCachedKey(b *testing.B) {
	w := newWorld(b, func(c *authn.VerifierConfig) { c.Now = time.Now })
	_, secret := w.newKey(b, "demo")
	ctx := context.Background()
	_, err := w.v.Verify(ctx, secret)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		_, _ = w.v.Verify(ctx, secret)
	}
}
