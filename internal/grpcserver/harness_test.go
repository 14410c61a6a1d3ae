package grpcserver_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
	"github.com/synapse-analytics/synapse/internal/validation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// validator is shared: it costs some 10 ms to make.
var validator = sync.OnceValue(func() protovalidate.Validator {
	v, err := validation.New()
	if err != nil {
		panic(err)
	}
	return v
})

// Credentials that the tests' verifier knows.
const (
	ingestKey = "ingest-key" // project demo: INGEST
	readKey   = "read-key"   // project demo: READ
	person    = "person"     // projects demo and other: all scopes
	loner     = "loner"      // a person without projects
	downKey   = "down-key"   // cannot be checked
)

var everyScope = []typev1.Access_Scope{
	typev1.Access_INGEST, typev1.Access_READ, typev1.Access_SCORE, typev1.Access_MANAGE,
}

var principals = map[string]*authn.Principal{
	ingestKey: {Kind: authn.KindAPIKey, ID: "k1", Projects: map[string][]typev1.Access_Scope{"demo": {typev1.Access_INGEST}}},
	readKey:   {Kind: authn.KindAPIKey, ID: "k2", Projects: map[string][]typev1.Access_Scope{"demo": {typev1.Access_READ}}},
	person:    {Kind: authn.KindUser, ID: "u1", SessionID: "s1", Projects: map[string][]typev1.Access_Scope{"demo": everyScope, "other": everyScope}},
	loner:     {Kind: authn.KindUser, ID: "u2", SessionID: "s2"},
}

type verifier struct{}

func (verifier) Verify(_ context.Context, credential string) (*authn.Principal, error) {
	switch p := principals[credential]; {
	case p != nil:
		return p, nil
	case credential == "":
		return nil, errs.Unauthenticated(errs.CredentialMissing, "the call carries no credential", "send one")
	case credential == downKey:
		return nil, errs.Down("the auth service does not answer", time.Second, io.ErrUnexpectedEOF)
	default:
		return nil, errs.Unauthenticated(errs.CredentialUnknown, "no such key", "check it")
	}
}

// services answer by functions that a test sets; what is not set is as generated.
type services struct {
	authv1.UnimplementedAuthServiceServer
	ingestv1.UnimplementedIngestServiceServer
	queryv1.UnimplementedQueryServiceServer
	scoringv1.UnimplementedScoringServiceServer

	getEvent      func(context.Context, *queryv1.GetEventRequest) (*typev1.Event, error)
	tail          func(*queryv1.TailEventsRequest, grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error
	stream        func(grpc.BidiStreamingServer[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse]) error
	ingest        func(context.Context, *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error)
	score         func(context.Context, *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error)
	signIn        func(context.Context, *authv1.SignInRequest) (*authv1.Session, error)
	getSession    func(context.Context, *authv1.GetSessionRequest) (*authv1.SessionInfo, error)
	updateProject func(context.Context, *authv1.UpdateProjectRequest) (*authv1.Project, error)
	listModels    func(context.Context, *scoringv1.ListModelsRequest) (*scoringv1.ListModelsResponse, error)
}

func (s *services) GetEvent(ctx context.Context, r *queryv1.GetEventRequest) (*typev1.Event, error) {
	return s.getEvent(ctx, r)
}

func (s *services) TailEvents(r *queryv1.TailEventsRequest, ss grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error {
	return s.tail(r, ss)
}

func (s *services) StreamEvents(ss grpc.BidiStreamingServer[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse]) error {
	return s.stream(ss)
}

func (s *services) IngestEvents(ctx context.Context, r *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
	return s.ingest(ctx, r)
}

func (s *services) ScoreText(ctx context.Context, r *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
	return s.score(ctx, r)
}

func (s *services) SignIn(ctx context.Context, r *authv1.SignInRequest) (*authv1.Session, error) {
	return s.signIn(ctx, r)
}

func (s *services) GetSession(ctx context.Context, r *authv1.GetSessionRequest) (*authv1.SessionInfo, error) {
	return s.getSession(ctx, r)
}

func (s *services) UpdateProject(ctx context.Context, r *authv1.UpdateProjectRequest) (*authv1.Project, error) {
	return s.updateProject(ctx, r)
}

func (s *services) ListModels(ctx context.Context, r *scoringv1.ListModelsRequest) (*scoringv1.ListModelsResponse, error) {
	return s.listModels(ctx, r)
}

// fixture is a server with all services on an in-memory listener.
type fixture struct {
	*services
	server *grpcserver.Server
	lis    *bufconn.Listener
	conn   *grpc.ClientConn

	query   queryv1.QueryServiceClient
	ingests ingestv1.IngestServiceClient
	scoring scoringv1.ScoringServiceClient
	auth    authv1.AuthServiceClient
}

func start(t testing.TB, change func(*grpcserver.Options)) *fixture {
	t.Helper()
	o := grpcserver.Options{Verifier: verifier{}, Validator: validator(), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	s, err := grpcserver.New(o)
	require.NoError(t, err)
	f := &fixture{services: &services{}, server: s, lis: bufconn.Listen(1 << 20)}
	authv1.RegisterAuthServiceServer(s, f.services)
	ingestv1.RegisterIngestServiceServer(s, f.services)
	queryv1.RegisterQueryServiceServer(s, f.services)
	scoringv1.RegisterScoringServiceServer(s, f.services)
	served := make(chan error, 1)
	go func() { served <- s.Serve(f.lis) }()
	f.conn, err = grpcclient.InProcess(f.lis, grpcclient.Options{NoRetry: true})
	require.NoError(t, err)
	f.query = queryv1.NewQueryServiceClient(f.conn)
	f.ingests = ingestv1.NewIngestServiceClient(f.conn)
	f.scoring = scoringv1.NewScoringServiceClient(f.conn)
	f.auth = authv1.NewAuthServiceClient(f.conn)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
		require.NoError(t, f.conn.Close())
		require.NoError(t, <-served)
	})
	return f
}

// as returns a context whose calls carry the credential.
func as(t testing.TB, credential string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	if credential == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+credential)
}

// requireError checks the reason of a call's error and returns it.
func requireError(t testing.TB, err error, reason errs.Reason) *errs.Error {
	t.Helper()
	require.Error(t, err)
	e := errs.FromError(err)
	require.Equal(t, reason, e.Reason, "%v", err)
	return e
}
