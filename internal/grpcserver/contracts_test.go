package grpcserver_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// contractMethods returns every RPC of the contracts.
func contractMethods(t *testing.T) []protoreflect.MethodDescriptor {
	t.Helper()
	var out []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(f.Package()), "synapse.") {
			for i := range f.Services().Len() {
				for j := range f.Services().Get(i).Methods().Len() {
					out = append(out, f.Services().Get(i).Methods().Get(j))
				}
			}
		}
		return true
	})
	require.Greater(t, len(out), 25, "the walk must see the contracts")
	return out
}

// An RPC without an access rule would be refused; that is a mistake to find
// here, not in production.
func TestEveryMethodDeclaresItsAccess(t *testing.T) {
	for _, m := range contractMethods(t) {
		require.True(t, proto.HasExtension(m.Options(), typev1.E_Access), "%s declares no access rule", m.FullName())
		access := proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access)
		switch rule := access.GetRule().(type) {
		case *typev1.Access_Public:
			require.True(t, rule.Public, "%s", m.FullName())
		case *typev1.Access_Authenticated:
			require.True(t, rule.Authenticated, "%s", m.FullName())
		case *typev1.Access_User:
			require.True(t, rule.User, "%s", m.FullName())
		case *typev1.Access_Scope_:
			require.NotEqual(t, typev1.Access_SCOPE_UNSPECIFIED, rule.Scope, "%s", m.FullName())
		default:
			t.Errorf("%s declares an empty access rule", m.FullName())
		}
	}
}

// These are the RPCs that a stranger may call. A new one needs a reason.
func TestPublicMethods(t *testing.T) {
	var public []string
	for _, m := range contractMethods(t) {
		if proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access).GetPublic() {
			public = append(public, string(m.FullName()))
		}
	}
	slices.Sort(public)
	require.Equal(t, []string{
		"synapse.auth.v1.AuthService.ExchangeApiKey",
		"synapse.auth.v1.AuthService.GetJwks",
		"synapse.auth.v1.AuthService.IntrospectApiKey",
		"synapse.auth.v1.AuthService.RefreshSession",
		"synapse.auth.v1.AuthService.SignIn",
	}, public)
}

// A project-bound RPC must name its project where the server looks for it. An
// RPC with a scope and no project runs for a caller with that scope anywhere:
// those are listed.
func TestScopedMethodsNameTheirProject(t *testing.T) {
	var anywhere []string
	for _, m := range contractMethods(t) {
		if proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access).GetScope() == 0 {
			continue
		}
		in := m.Input().Fields()
		named := in.ByName("parent") != nil || in.ByName("name") != nil || in.ByName("project") != nil
		if !named {
			anywhere = append(anywhere, string(m.FullName()))
		}
	}
	slices.Sort(anywhere)
	require.Equal(t, []string{
		"synapse.scoring.v1.ScoringService.BatchScoreTexts",
		"synapse.scoring.v1.ScoringService.ScoreText",
	}, anywhere)
}

// Messages that nest without end, or hold messages of any type, let a small
// request cost the server much.
func TestRequestsAreFlat(t *testing.T) {
	var walk func(m protoreflect.MessageDescriptor, path []protoreflect.FullName)
	walk = func(m protoreflect.MessageDescriptor, path []protoreflect.FullName) {
		require.NotContains(t, path, m.FullName(), "recursive: %v", path)
		require.NotContains(t, []protoreflect.FullName{
			"google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue",
		}, m.FullName(), "in %v", path)
		require.Less(t, len(path), 8, "too deep: %v", path)
		for i := range m.Fields().Len() {
			if sub := m.Fields().Get(i).Message(); sub != nil {
				walk(sub, append(slices.Clone(path), m.FullName()))
			}
		}
		require.Empty(t, m.ExtensionRanges().Len(), "%s takes extensions", m.FullName())
	}
	for _, m := range contractMethods(t) {
		walk(m.Input(), nil)
	}
	// what is read from the queue
	for _, name := range []protoreflect.FullName{
		"synapse.pipeline.v1.EventBatch", "synapse.pipeline.v1.ScoredBatch", "synapse.pipeline.v1.DeadLetter", "synapse.pipeline.v1.ControlNotice",
	} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		require.NoError(t, err)
		walk(d.(protoreflect.MessageDescriptor), nil)
	}
}
