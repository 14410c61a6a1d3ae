package grpcserver_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

// Every RPC of the contracts × every kind of caller × own, foreign and missing
// project. What is expected is worked out here from the declared rule alone, not
// with the server's code. The handlers are as generated, so UNIMPLEMENTED means
// that the call was let through.
func TestAuthorizationMatrix(t *testing.T) {
	s, err := grpcserver.New(grpcserver.Options{Verifier: verifier{}, Validator: validator(), Logger: discardLog()})
	require.NoError(t, err)
	authv1.RegisterAuthServiceServer(s, authv1.UnimplementedAuthServiceServer{})
	ingestv1.RegisterIngestServiceServer(s, ingestv1.UnimplementedIngestServiceServer{})
	queryv1.RegisterQueryServiceServer(s, queryv1.UnimplementedQueryServiceServer{})
	scoringv1.RegisterScoringServiceServer(s, scoringv1.UnimplementedScoringServiceServer{})
	conn := serve(t, s)

	cells := 0
	for _, m := range contractMethods(t) {
		access := proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access)
		for _, credential := range []string{"", "unknown", ingestKey, readKey, person, loner} {
			for _, project := range []string{"demo", "other", "missing"} {
				req, names := request(m, project)
				got := invoke(t, conn, m, credential, req)
				want := []codes.Code{codes.PermissionDenied}
				switch p := principals[credential]; {
				case access.GetPublic():
					want = allowedCodes
				case p == nil:
					want = []codes.Code{codes.Unauthenticated}
				case access.GetAuthenticated(), access.GetUser() && p.Kind == authn.KindUser:
					want = allowedCodes
				case access.GetScope() != 0 && names && p.Can(project, access.GetScope()):
					want = allowedCodes
				case access.GetScope() != 0 && !names && (p.Can("demo", access.GetScope()) || p.Can("other", access.GetScope())):
					want = allowedCodes
				}
				require.Contains(t, want, got, "%s as %q in %s", m.FullName(), credential, project)
				cells++
			}
		}
	}
	require.Greater(t, cells, 400)
}

// allowedCodes are what a call that was let through ends with here: the rest of
// the request is not filled in.
var allowedCodes = []codes.Code{codes.Unimplemented, codes.InvalidArgument}

// request makes a request of the method that names the project, where it can.
func request(m protoreflect.MethodDescriptor, project string) (req *dynamicpb.Message, names bool) {
	req = dynamicpb.NewMessage(m.Input())
	set := func(msg protoreflect.Message, field protoreflect.Name) bool {
		fd := msg.Descriptor().Fields().ByName(field)
		if fd == nil || fd.Kind() != protoreflect.StringKind || strings.HasPrefix(string(m.Input().Name()), "GetModel") {
			return false
		}
		msg.Set(fd, protoreflect.ValueOfString("projects/"+project))
		return true
	}
	if set(req, "parent") || set(req, "name") {
		return req, true
	}
	if fd := m.Input().Fields().ByName("project"); fd != nil && fd.Message() != nil {
		return req, set(req.Mutable(fd).Message(), "name")
	}
	return req, false
}

func invoke(t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, credential string, req proto.Message) codes.Code {
	t.Helper()
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	desc := &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}
	ss, err := conn.NewStream(as(t, credential), desc, method)
	require.NoError(t, err)
	if err := ss.SendMsg(req); err != nil {
		require.ErrorIs(t, err, io.EOF) // refused already; RecvMsg says why
	}
	require.NoError(t, ss.CloseSend())
	return status.Code(ss.RecvMsg(dynamicpb.NewMessage(m.Output())))
}

func TestLargeHeadersAreRefused(t *testing.T) {
	f := start(t, nil)
	f.getEvent = noop
	ctx := appendAuthorization(as(t, readKey), "Bearer "+strings.Repeat("x", 40<<10))
	_, err := f.query.GetEvent(ctx, &queryv1.GetEventRequest{Name: event})
	require.Error(t, err)
}

func TestNewNeedsAVerifier(t *testing.T) {
	_, err := grpcserver.New(grpcserver.Options{})
	require.ErrorContains(t, err, "Verifier")
}
