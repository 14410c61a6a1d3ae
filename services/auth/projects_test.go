package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

func TestCreateProject(t *testing.T) {
	w := newWorld(t)
	s := w.signIn()
	p, err := w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{
		ProjectId: "team-1", Project: &authv1.Project{DisplayName: "Team one", Name: "projects/ignored"},
	})
	require.NoError(t, err)
	require.Equal(t, "projects/team-1", p.GetName())
	require.Equal(t, "team-1", p.GetProjectId())
	require.Equal(t, "Team one", p.GetDisplayName())
	require.Equal(t, w.clock.now(), p.GetCreateTime().AsTime())
	require.Len(t, p.GetScopes(), 4)

	// The token at hand does not know of it; the next one does.
	_, err = w.GetProject(w.as(s.GetAccessToken()), &authv1.GetProjectRequest{Name: "projects/team-1"})
	refused(t, err, codes.PermissionDenied, errs.PermissionDenied)
	s, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	require.NoError(t, err)
	_, err = w.GetProject(w.as(s.GetAccessToken()), &authv1.GetProjectRequest{Name: "projects/team-1"})
	require.NoError(t, err)
	list, err := w.ListProjects(w.as(s.GetAccessToken()), &authv1.ListProjectsRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetProjects(), 2)
	require.Equal(t, "default", list.GetProjects()[0].GetProjectId())
	_, err = w.GetProject(w.as(s.GetAccessToken()), &authv1.GetProjectRequest{Name: "projects/-"})
	refused(t, err, codes.InvalidArgument, errs.AmbiguousProject)

	for _, id := range []string{"", "A", "1a", "-a", "a-", "a_b", "a.b", "a%2Fb", "../x", fmt.Sprintf("a%063d", 1)} {
		_, err = w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: id})
		violated(t, err, "project_id")
	}
	_, err = w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: "team-1"})
	refused(t, err, codes.AlreadyExists, errs.AlreadyExists)
	_, err = w.CreateProject(w.as(w.creds.AdminKey), &authv1.CreateProjectRequest{ProjectId: "x"})
	refused(t, err, codes.PermissionDenied, errs.PermissionDenied)
}

func TestProjectsPerPersonAreBounded(t *testing.T) {
	w := newWorld(t)
	s := w.signIn()
	for i := range 99 {
		_, err := w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: fmt.Sprintf("p%062d", i)})
		require.NoError(t, err)
	}
	_, err := w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: "one-too-many"})
	refused(t, err, codes.ResourceExhausted, errs.RateLimited)
	s, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	require.NoError(t, err, "a token with the most and longest projects can be made")
	list, err := w.ListProjects(w.as(s.GetAccessToken()), &authv1.ListProjectsRequest{})
	require.NoError(t, err, "and used")
	require.Len(t, list.GetProjects(), 100)
}

func TestUpdateProject(t *testing.T) {
	w := newWorld(t)
	update := func(credential, name, display string, paths ...string) (*authv1.Project, error) {
		req := &authv1.UpdateProjectRequest{Project: &authv1.Project{Name: name, DisplayName: display}}
		if len(paths) > 0 {
			req.UpdateMask = &fieldmaskpb.FieldMask{Paths: paths}
		}
		return w.UpdateProject(w.as(credential), req)
	}
	p, err := update(w.creds.AdminKey, "projects/-", "Renamed", "display_name")
	require.NoError(t, err)
	require.Equal(t, "Renamed", p.GetDisplayName())
	p, err = update(w.creds.AdminKey, "projects/default", "")
	require.NoError(t, err)
	require.Equal(t, "Renamed", p.GetDisplayName(), "nothing named, nothing set: nothing changed")
	p, err = update(w.creds.AdminKey, "projects/default", "", "display_name")
	require.NoError(t, err)
	require.Empty(t, p.GetDisplayName())
	_, err = update(w.creds.AdminKey, "projects/default", "x", "create_time")
	violated(t, err, "update_mask")
	_, err = update(w.creds.ReadKey, "projects/default", "x")
	refused(t, err, codes.PermissionDenied, errs.PermissionDenied)
	require.Empty(t, w.notices.take(), "a name concerns no verifier")
}

func TestDeleteProject(t *testing.T) {
	w := newWorld(t)
	s := w.signIn()
	_, err := w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: "doomed"})
	require.NoError(t, err)
	s, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	require.NoError(t, err)
	made, err := w.CreateApiKey(w.as(s.GetAccessToken()), &authv1.CreateApiKeyRequest{
		Parent: "projects/doomed", ApiKey: &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}},
	})
	require.NoError(t, err)
	ex, err := w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: made.GetSecret()})
	require.NoError(t, err)
	_, err = w.GetProject(w.as(made.GetSecret()), &authv1.GetProjectRequest{Name: "projects/-"})
	require.NoError(t, err)
	w.notices.take()

	_, err = w.DeleteProject(w.as(w.creds.AdminKey), &authv1.DeleteProjectRequest{Name: "projects/-"})
	violated(t, err, "name")
	_, err = w.DeleteProject(w.as(s.GetAccessToken()), &authv1.DeleteProjectRequest{Name: "projects/doomed"})
	require.NoError(t, err)
	require.Equal(t, []string{"project doomed"}, w.notices.take())
	for _, c := range []string{made.GetSecret(), ex.GetAccessToken()} {
		_, err = w.GetProject(w.as(c), &authv1.GetProjectRequest{Name: "projects/-"})
		require.Equal(t, codes.Unauthenticated, errs.FromError(err).Code, "%v", err)
	}
	_, err = w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: made.GetSecret()})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)

	w.clock.add(time.Second)
	s, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	require.NoError(t, err)
	_, err = w.GetProject(w.as(s.GetAccessToken()), &authv1.GetProjectRequest{Name: "projects/doomed"})
	refused(t, err, codes.PermissionDenied, errs.PermissionDenied)
	_, err = w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: "doomed"})
	refused(t, err, codes.AlreadyExists, errs.AlreadyExists)
	list, err := w.ListProjects(w.as(s.GetAccessToken()), &authv1.ListProjectsRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetProjects(), 1)
}

// TestForeignAndMissingProjects: every RPC that names a project gives the same
// answer for a project of somebody else and for one that does not exist.
func TestForeignAndMissingProjects(t *testing.T) {
	w := newWorld(t)
	s := w.signIn()
	_, err := w.CreateProject(w.as(s.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: "foreign"})
	require.NoError(t, err)
	ctx := w.as(w.creds.AdminKey) // all scopes, but of `default` only
	for name, call := range map[string]func(project string) error{
		"GetProject": func(p string) error { _, err := w.GetProject(ctx, &authv1.GetProjectRequest{Name: p}); return err },
		"UpdateProject": func(p string) error {
			_, err := w.UpdateProject(ctx, &authv1.UpdateProjectRequest{Project: &authv1.Project{Name: p}})
			return err
		},
		"DeleteProject": func(p string) error {
			_, err := w.DeleteProject(ctx, &authv1.DeleteProjectRequest{Name: p})
			return err
		},
		"CreateApiKey": func(p string) error {
			_, err := w.CreateApiKey(ctx, &authv1.CreateApiKeyRequest{Parent: p, ApiKey: &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}}})
			return err
		},
		"ListApiKeys": func(p string) error { _, err := w.ListApiKeys(ctx, &authv1.ListApiKeysRequest{Parent: p}); return err },
		"RevokeApiKey": func(p string) error {
			_, err := w.RevokeApiKey(ctx, &authv1.RevokeApiKeyRequest{Name: p + "/apiKeys/x"})
			return err
		},
		"RotateApiKey": func(p string) error {
			_, err := w.RotateApiKey(ctx, &authv1.RotateApiKeyRequest{Name: p + "/apiKeys/x"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			foreign := refused(t, call("projects/foreign"), codes.PermissionDenied, errs.PermissionDenied)
			missing := refused(t, call("projects/missing"), codes.PermissionDenied, errs.PermissionDenied)
			require.Equal(t, foreign, missing)
		})
	}
}
