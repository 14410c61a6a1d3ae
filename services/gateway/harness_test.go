package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const goodKey = "Bearer good"

// backend implements the services with as little as the gateway can see. Each
// method needs the credential goodKey, as the real ones do.
type backend struct {
	authv1.UnimplementedAuthServiceServer
	ingestv1.UnimplementedIngestServiceServer
	scoringv1.UnimplementedScoringServiceServer
	queryv1.UnimplementedQueryServiceServer

	mu    sync.Mutex
	md    metadata.MD                     // of the last call
	calls []*ingestv1.IngestEventsRequest // to IngestEvents
	last  any                             // the last request

	ingest  func(*ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error)
	tail    func(*queryv1.TailEventsRequest, grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error
	balance func(context.Context) (*queryv1.Balance, error)
	tails   atomic.Int64
}

func (b *backend) note(ctx context.Context, req any) error {
	md, _ := metadata.FromIncomingContext(ctx)
	b.mu.Lock()
	b.md, b.last = md, req
	b.mu.Unlock()
	switch v := md.Get("authorization"); {
	case len(v) == 0:
		return errs.Unauthenticated(errs.CredentialMissing, "the call carries no credential", "send one")
	case len(v) > 1 || v[0] != goodKey:
		return errs.Unauthenticated(errs.CredentialUnknown, "no such key", "use another")
	}
	return nil
}

func (b *backend) seen() (metadata.MD, any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.md, b.last
}

func (b *backend) ingested() []*ingestv1.IngestEventsRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

func (b *backend) IngestEvents(ctx context.Context, req *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
	if err := b.note(ctx, req); err != nil {
		return nil, err
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("ratelimit", `"key";r=9;t=1`, "ratelimit-policy", `"key";q=10;w=1`, "secret", "x"))
	b.mu.Lock()
	b.calls = append(b.calls, req)
	b.mu.Unlock()
	if b.ingest != nil {
		return b.ingest(req)
	}
	return judge(req), nil
}

// judge accepts the events that have a text, unless their id says otherwise.
func judge(req *ingestv1.IngestEventsRequest) *ingestv1.IngestEventsResponse {
	out := &ingestv1.IngestEventsResponse{}
	for i, e := range req.GetEvents() {
		r := &ingestv1.IngestResult{Index: int32(i), Id: e.GetId(), Status: ingestv1.IngestResult_ACCEPTED}
		switch {
		case strings.HasPrefix(e.GetId(), "dup"):
			r.Status = ingestv1.IngestResult_DUPLICATE
			out.Duplicate++
		case e.GetText() == "":
			r.Status, r.Reason = ingestv1.IngestResult_REJECTED, string(errs.InvalidField)
			r.Violations = []*typev1.FieldViolation{{Field: "text", Rule: "must not be empty", Remedy: "send a text"}}
			out.Rejected++
		default:
			out.Accepted++
			if !req.GetFullResults() {
				continue
			}
		}
		out.Results = append(out.Results, r)
	}
	return out
}

func (b *backend) GetIngestStatus(ctx context.Context, req *ingestv1.GetIngestStatusRequest) (*ingestv1.IngestStatus, error) {
	if err := b.note(ctx, req); err != nil {
		return nil, err
	}
	return &ingestv1.IngestStatus{Name: req.GetName(), Accepting: true}, nil
}

func (b *backend) ScoreText(ctx context.Context, req *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
	if err := b.note(ctx, req); err != nil {
		return nil, err
	}
	return &scoringv1.ScoredText{Sentiment: &typev1.Sentiment{Label: typev1.Sentiment_NEUTRAL, Probabilities: &typev1.Probabilities{Neutral: 1}}, Language: "en"}, nil
}

func (b *backend) BatchScoreTexts(ctx context.Context, req *scoringv1.BatchScoreTextsRequest) (*scoringv1.BatchScoreTextsResponse, error) {
	return &scoringv1.BatchScoreTextsResponse{}, b.note(ctx, req)
}

func (b *backend) GetBalance(ctx context.Context, req *queryv1.GetBalanceRequest) (*queryv1.Balance, error) {
	if err := b.note(ctx, req); err != nil {
		return nil, err
	}
	if b.balance != nil {
		return b.balance(ctx)
	}
	return &queryv1.Balance{Name: req.GetName(), Total: &queryv1.BalanceCounts{}}, nil
}

func (b *backend) GetEvent(ctx context.Context, req *queryv1.GetEventRequest) (*typev1.Event, error) {
	if err := b.note(ctx, req); err != nil {
		return nil, err
	}
	return &typev1.Event{Name: req.GetName(), Id: "e", Text: "<b>hi</b>", Sentiment: &typev1.Sentiment{}}, nil
}

func (b *backend) ListEvents(ctx context.Context, req *queryv1.ListEventsRequest) (*queryv1.ListEventsResponse, error) {
	return &queryv1.ListEventsResponse{}, b.note(ctx, req)
}

func (b *backend) QueryTimeSeries(ctx context.Context, req *queryv1.QueryTimeSeriesRequest) (*queryv1.QueryTimeSeriesResponse, error) {
	if err := b.note(ctx, req); err != nil {
		return nil, err
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("etag", `"v1"`))
	return &queryv1.QueryTimeSeriesResponse{Points: []*queryv1.TimeSeriesPoint{{StartTime: timestamppb.New(time.Unix(0, 0))}}}, nil
}

func (b *backend) TailEvents(req *queryv1.TailEventsRequest, s grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error {
	b.tails.Add(1)
	defer b.tails.Add(-1)
	if err := b.note(s.Context(), req); err != nil {
		return err
	}
	return b.tail(req, s)
}

var sessionEnd = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

func (b *backend) SignIn(ctx context.Context, req *authv1.SignInRequest) (*authv1.Session, error) {
	_ = b.note(ctx, req)
	if req.GetPassword() != "right" {
		return nil, errs.Unauthenticated(errs.CredentialUnknown, "wrong e-mail or password", "try again")
	}
	return session("access-1", "refresh-1"), nil
}

func session(access, refresh string) *authv1.Session {
	return &authv1.Session{
		AccessToken: access, ExpireTime: timestamppb.New(sessionEnd), RefreshToken: refresh,
		RefreshExpireTime: timestamppb.New(sessionEnd), User: &authv1.User{Name: "users/u", Email: "u@example.com"},
	}
}

func (b *backend) RefreshSession(ctx context.Context, req *authv1.RefreshSessionRequest) (*authv1.Session, error) {
	_ = b.note(ctx, req)
	if req.GetRefreshToken() != "refresh-1" {
		return nil, errs.Unauthenticated(errs.CredentialExpired, "the session has ended", "sign in")
	}
	return session("access-2", "refresh-2"), nil
}

func (b *backend) SignOut(ctx context.Context, req *authv1.SignOutRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, b.note(ctx, req)
}

func (b *backend) CreateProject(ctx context.Context, req *authv1.CreateProjectRequest) (*authv1.Project, error) {
	if err := b.note(ctx, req); err != nil {
		return nil, err
	}
	return &authv1.Project{ProjectId: req.GetProjectId(), DisplayName: req.GetProject().GetDisplayName()}, nil
}

func (b *backend) UpdateProject(ctx context.Context, req *authv1.UpdateProjectRequest) (*authv1.Project, error) {
	return req.GetProject(), b.note(ctx, req)
}

func (b *backend) GetJwks(context.Context, *authv1.GetJwksRequest) (*authv1.Jwks, error) {
	return &authv1.Jwks{Keys: []*authv1.Jwk{{Kty: "OKP"}}}, nil
}

// connect serves b over an in-memory connection.
func connect(t testing.TB, b *backend) grpc.ClientConnInterface {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpc.MaxRecvMsgSize(8 << 20))
	authv1.RegisterAuthServiceServer(srv, b)
	ingestv1.RegisterIngestServiceServer(srv, b)
	scoringv1.RegisterScoringServiceServer(srv, b)
	queryv1.RegisterQueryServiceServer(srv, b)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(lis) }()
	conn, err := grpcclient.InProcess(lis, grpcclient.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(); srv.Stop(); <-done })
	return conn
}

// logs is where the gateway of a test logs.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

type edge struct {
	*Gateway
	backend *backend
	log     *logs
}

// newEdge makes a gateway in front of b.
func newEdge(t testing.TB, b *backend, change ...func(*Deps)) *edge {
	t.Helper()
	conn := connect(t, b)
	l := &logs{}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	t.Cleanup(func() { _ = tp.Shutdown(context.Background()) })
	d := Deps{
		Config: DefaultConfig(), Auth: conn, Ingest: conn, Scoring: conn, Query: conn, TracerProvider: tp,
		Logger: slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&d)
	}
	g, err := New(d)
	require.NoError(t, err)
	return &edge{Gateway: g, backend: b, log: l}
}

// serve starts the gateway on a socket and returns its address.
func (e *edge) serve(t testing.TB) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background(), lis))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = e.Stop(ctx)
		http.DefaultClient.CloseIdleConnections()
	})
	return "http://" + lis.Addr().String()
}

type option func(*http.Request)

func with(key, value string) option { return func(r *http.Request) { r.Header.Set(key, value) } }

func anonymous(r *http.Request) { r.Header.Del("Authorization") }

// do sends a request straight to the handler, with the good key.
func (e *edge) do(t testing.TB, method, target, body string, opts ...option) *httptest.ResponseRecorder {
	t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, rd)
	r.Header.Set("Authorization", goodKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, o := range opts {
		o(r)
	}
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, r)
	return w
}

func problem(t testing.TB, w *httptest.ResponseRecorder) Problem {
	t.Helper()
	require.Equal(t, problemJSON, w.Header().Get("Content-Type"), "%d %s", w.Code, w.Body)
	var p Problem
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&p))
	require.Equal(t, w.Code, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	require.NotEmpty(t, p.Code)
	require.NotEmpty(t, p.Reason)
	require.Len(t, p.TraceID, 32)
	return p
}

func decoded(t testing.TB, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	var out map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	return out
}
