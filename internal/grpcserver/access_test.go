package grpcserver_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

func TestScopeAndProject(t *testing.T) {
	f := start(t, nil)
	var seen string
	f.getEvent = func(ctx context.Context, _ *queryv1.GetEventRequest) (*typev1.Event, error) {
		seen = authn.ProjectFrom(ctx) + " " + authn.FromContext(ctx).ID
		return &typev1.Event{}, nil
	}
	for _, tc := range []struct {
		name, credential, event string
		reason                  errs.Reason
		seen                    string
	}{
		{"own project", readKey, "projects/demo/events/a", "", "demo k2"},
		{"only project", readKey, "projects/-/events/a", "", "demo k2"},
		{"a person's second project", person, "projects/other/events/a", "", "other u1"},
		{"only project of two", person, "projects/-/events/a", errs.AmbiguousProject, ""},
		{"scope missing", ingestKey, "projects/demo/events/a", errs.PermissionDenied, ""},
		{"foreign", readKey, "projects/other/events/a", errs.PermissionDenied, ""},
		{"missing", readKey, "projects/nothing/events/a", errs.PermissionDenied, ""},
		{"no projects at all", loner, "projects/demo/events/a", errs.PermissionDenied, ""},
		{"no name", readKey, "", errs.InvalidField, ""},
		{"not a project", readKey, "users/demo", errs.InvalidField, ""},
		{"upper case", readKey, "projects/DEMO/events/a", errs.InvalidField, ""},
		{"encoded slash", readKey, "projects/demo%2Fother/events/a", errs.InvalidField, ""},
		{"dots", readKey, "projects/../events/a", errs.InvalidField, ""},
		{"no credential", "", "projects/demo/events/a", errs.CredentialMissing, ""},
		{"unknown credential", "nope", "projects/demo/events/a", errs.CredentialUnknown, ""},
		{"cannot be checked", downKey, "projects/demo/events/a", errs.Unavailable, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen = ""
			_, err := f.query.GetEvent(as(t, tc.credential), &queryv1.GetEventRequest{Name: tc.event})
			if tc.reason == "" {
				require.NoError(t, err)
			} else {
				requireError(t, err, tc.reason)
			}
			require.Equal(t, tc.seen, seen)
		})
	}
}

// A stranger must not learn which projects exist: the bytes of the status are
// the same for a foreign one, a missing one and a missing right, also before
// validation has looked at the rest of the request.
func TestForeignIsMissing(t *testing.T) {
	f := start(t, nil)
	status := func(credential, name string) []byte {
		_, err := f.query.GetEvent(as(t, credential), &queryv1.GetEventRequest{Name: name})
		requireError(t, err, errs.PermissionDenied)
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(errs.ToStatus(err).Proto())
		require.NoError(t, err)
		return b
	}
	foreign := status(readKey, "projects/other/events/a")
	require.Equal(t, foreign, status(readKey, "projects/missing/events/a"))
	require.Equal(t, foreign, status(ingestKey, "projects/demo/events/a"))
	require.Equal(t, foreign, status(readKey, "projects/other/events/!!! not an id"))
}

func TestRuleKinds(t *testing.T) {
	f := start(t, nil)
	f.signIn = func(ctx context.Context, _ *authv1.SignInRequest) (*authv1.Session, error) {
		require.Nil(t, authn.FromContext(ctx))
		return &authv1.Session{}, nil
	}
	f.getSession = func(context.Context, *authv1.GetSessionRequest) (*authv1.SessionInfo, error) {
		return &authv1.SessionInfo{}, nil
	}
	f.listModels = func(ctx context.Context, _ *scoringv1.ListModelsRequest) (*scoringv1.ListModelsResponse, error) {
		require.NotNil(t, authn.FromContext(ctx))
		return &scoringv1.ListModelsResponse{}, nil
	}
	f.score = func(ctx context.Context, _ *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
		require.Empty(t, authn.ProjectFrom(ctx))
		return &scoringv1.ScoredText{}, nil
	}
	f.updateProject = func(ctx context.Context, _ *authv1.UpdateProjectRequest) (*authv1.Project, error) {
		return &authv1.Project{ProjectId: authn.ProjectFrom(ctx)}, nil
	}
	signIn := func(c string) error {
		_, err := f.auth.SignIn(as(t, c), &authv1.SignInRequest{Email: "a@b.c", Password: "x"})
		return err
	}
	require.NoError(t, signIn(""), "public")
	require.NoError(t, signIn("stale"), "a public method's credential is not looked at")

	getSession := func(c string) error {
		_, err := f.auth.GetSession(as(t, c), &authv1.GetSessionRequest{})
		return err
	}
	require.NoError(t, getSession(loner))
	requireError(t, getSession(readKey), errs.PermissionDenied)
	requireError(t, getSession(""), errs.CredentialMissing)

	listModels := func(c string) error {
		_, err := f.scoring.ListModels(as(t, c), &scoringv1.ListModelsRequest{})
		return err
	}
	require.NoError(t, listModels(readKey))
	require.NoError(t, listModels(loner))
	requireError(t, listModels(""), errs.CredentialMissing)

	score := func(c string) error { // a scope without a project
		_, err := f.scoring.ScoreText(as(t, c), &scoringv1.ScoreTextRequest{Text: "x"})
		return err
	}
	require.NoError(t, score(person))
	requireError(t, score(readKey), errs.PermissionDenied)

	update := func(c, name string) (*authv1.Project, error) { // project.name
		return f.auth.UpdateProject(as(t, c), &authv1.UpdateProjectRequest{Project: &authv1.Project{Name: name}})
	}
	p, err := update(person, "projects/other")
	require.NoError(t, err)
	require.Equal(t, "other", p.GetProjectId())
	_, err = update(person, "projects/foreign")
	requireError(t, err, errs.PermissionDenied)
	_, err = update(person, "projects/-")
	require.Equal(t, "project.name", requireError(t, err, errs.AmbiguousProject).Violations[0].Field)
	_, err = f.auth.UpdateProject(as(t, person), &authv1.UpdateProjectRequest{})
	requireError(t, err, errs.InvalidField)
}

func TestCredentialHeader(t *testing.T) {
	f := start(t, nil)
	f.listModels = func(context.Context, *scoringv1.ListModelsRequest) (*scoringv1.ListModelsResponse, error) {
		return &scoringv1.ListModelsResponse{}, nil
	}
	for _, tc := range []struct {
		name   string
		values []string
		reason errs.Reason
	}{
		{"lower case", []string{"bearer " + readKey}, ""},
		{"spaces", []string{"Bearer   " + readKey + " "}, ""},
		{"another scheme", []string{"Basic " + readKey}, errs.CredentialMalformed},
		{"no scheme", []string{readKey}, errs.CredentialMalformed},
		{"empty", []string{""}, errs.CredentialMalformed},
		{"only the word", []string{"Bearer "}, errs.CredentialMissing},
		{"two", []string{"Bearer " + readKey, "Bearer " + person}, errs.CredentialMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := as(t, "")
			for _, v := range tc.values {
				ctx = appendAuthorization(ctx, v)
			}
			_, err := f.scoring.ListModels(ctx, &scoringv1.ListModelsRequest{})
			if tc.reason == "" {
				require.NoError(t, err)
				return
			}
			requireError(t, err, tc.reason)
		})
	}
}

// What the contracts do not declare is refused: unknown services and methods,
// and a service that is registered but in no contract.
func TestUndeclaredIsRefused(t *testing.T) {
	called := false
	undeclared := &grpc.ServiceDesc{
		ServiceName: "synapse.secret.v1.SecretService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Leak", Handler: func(srv any, ctx context.Context, dec func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
			in := new(emptypb.Empty)
			if err := dec(in); err != nil {
				return nil, err
			}
			return i(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/synapse.secret.v1.SecretService/Leak"},
				func(context.Context, any) (any, error) { called = true; return in, nil })
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Drip", ServerStreams: true, Handler: func(any, grpc.ServerStream) error { called = true; return nil }}},
	}
	s, err := grpcserver.New(grpcserver.Options{Verifier: verifier{}, Validator: validator(), Logger: discardLog()})
	require.NoError(t, err)
	s.RegisterService(undeclared, nil)
	conn := serve(t, s)
	for _, method := range []string{
		"/synapse.secret.v1.SecretService/Leak",
		"/synapse.secret.v1.SecretService/Drip",
		"/synapse.secret.v1.SecretService/Nothing",
		"/synapse.query.v1.QueryService/GetEvent", // declared, but not registered here
		"/grpc.channelz.v1.Channelz/GetServers",
		"/a/b/c",
	} {
		for _, credential := range []string{"", person} {
			err := conn.Invoke(as(t, credential), method, &emptypb.Empty{}, &emptypb.Empty{})
			requireError(t, err, errs.PermissionDenied)
		}
	}
	require.False(t, called)
}

func TestStreamIsAuthorizedByItsFirstMessage(t *testing.T) {
	f := start(t, nil)
	ran := 0
	f.stream = func(ss grpc.BidiStreamingServer[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse]) error {
		ran++
		require.Equal(t, "demo", authn.ProjectFrom(ss.Context()), "known before the first Recv")
		for {
			m, err := ss.Recv()
			if err != nil {
				return ignoreEOF(err)
			}
			if err := ss.Send(&ingestv1.StreamEventsResponse{AcknowledgedSequence: m.GetSequence()}); err != nil {
				return err
			}
		}
	}
	batch := func(parent string, seq int64) *ingestv1.StreamEventsRequest {
		return &ingestv1.StreamEventsRequest{Parent: parent, Sequence: seq, Events: []*typev1.EventInput{{Text: "x"}}}
	}
	open := func(credential string) grpc.BidiStreamingClient[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse] {
		ss, err := f.ingests.StreamEvents(as(t, credential))
		require.NoError(t, err)
		return ss
	}
	t.Run("good", func(t *testing.T) {
		ss := open(ingestKey)
		for i, parent := range []string{"projects/demo", "", "projects/-", "projects/demo"} {
			require.NoError(t, ss.Send(batch(parent, int64(i+1))))
			m, err := ss.Recv()
			require.NoError(t, err)
			require.EqualValues(t, i+1, m.GetAcknowledgedSequence())
		}
		require.NoError(t, ss.CloseSend())
		_, err := ss.Recv()
		require.True(t, isEOF(err), "%v", err)
	})
	t.Run("another project later", func(t *testing.T) {
		ss := open(ingestKey)
		require.NoError(t, ss.Send(batch("projects/demo", 1)))
		_, err := ss.Recv()
		require.NoError(t, err)
		require.NoError(t, ss.Send(batch("projects/other", 2)))
		_, err = ss.Recv()
		require.Equal(t, "parent", requireError(t, err, errs.InvalidField).Violations[0].Field)
	})
	t.Run("nothing asked", func(t *testing.T) {
		ss := open(ingestKey)
		require.NoError(t, ss.CloseSend())
		_, err := ss.Recv()
		require.True(t, isEOF(err), "%v", err)
	})
	before := ran
	for _, tc := range []struct {
		name, credential, parent string
		reason                   errs.Reason
	}{
		{"foreign", ingestKey, "projects/other", errs.PermissionDenied},
		{"no scope", readKey, "projects/demo", errs.PermissionDenied},
		{"no project", ingestKey, "", errs.InvalidField},
		{"ambiguous", person, "projects/-", errs.AmbiguousProject},
		{"stranger", "", "projects/demo", errs.CredentialMissing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ss := open(tc.credential)
			_ = ss.Send(batch(tc.parent, 1)) // may fail: the server may have refused already
			_, err := ss.Recv()
			requireError(t, err, tc.reason)
		})
	}
	require.Equal(t, before, ran, "the handler never ran for a refused stream")
}
