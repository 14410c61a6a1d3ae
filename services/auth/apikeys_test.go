package auth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	ingest = typev1.Access_INGEST
	read   = typev1.Access_READ
	score  = typev1.Access_SCORE
	manage = typev1.Access_MANAGE
)

func TestCreateApiKey(t *testing.T) {
	w := newWorld(t)
	end := w.clock.now().Add(time.Hour)
	made, err := w.CreateApiKey(w.as(w.creds.AdminKey), &authv1.CreateApiKeyRequest{
		Parent: "projects/-", ApiKey: &authv1.ApiKey{
			DisplayName: "mobile", Scopes: []typev1.Access_Scope{read, ingest}, ExpireTime: timestamppb.New(end),
			// Output only: ignored.
			Name: "projects/x/apiKeys/mine", Prefix: "mine", RevokeTime: timestamppb.New(end), CreateTime: timestamppb.New(end),
		},
	})
	require.NoError(t, err)
	k := made.GetApiKey()
	parsed, err := authn.ParseKey(made.GetSecret())
	require.NoError(t, err)
	require.Equal(t, "projects/default/apiKeys/"+parsed.ID, k.GetName())
	require.Equal(t, authn.Prefix(made.GetSecret()), k.GetPrefix())
	require.Equal(t, []typev1.Access_Scope{ingest, read}, k.GetScopes())
	require.Equal(t, end, k.GetExpireTime().AsTime())
	require.Equal(t, w.clock.now(), k.GetCreateTime().AsTime())
	require.Nil(t, k.GetRevokeTime())
	require.Nil(t, k.GetLastUseTime())

	in, err := w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: made.GetSecret()})
	require.NoError(t, err)
	require.Equal(t, parsed.ID, in.GetKeyId())
	require.Equal(t, "default", in.GetProjectId())
	require.Equal(t, []typev1.Access_Scope{ingest, read}, in.GetScopes())
	require.Equal(t, end, in.GetExpireTime().AsTime())

	w.clock.add(time.Hour)
	_, err = w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: made.GetSecret()})
	refused(t, err, codes.Unauthenticated, errs.CredentialExpired)
	_, err = w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: made.GetSecret()})
	refused(t, err, codes.Unauthenticated, errs.CredentialExpired)
	require.NotContains(t, w.logs.String(), made.GetSecret())
}

func TestCreateApiKeyRefused(t *testing.T) {
	w := newWorld(t)
	manager := w.createKey(w.creds.AdminKey, manage).GetSecret()
	for name, tc := range map[string]struct {
		credential string
		key        *authv1.ApiKey
		code       codes.Code
		field      string
	}{
		"no scope":            {w.creds.AdminKey, &authv1.ApiKey{}, codes.InvalidArgument, "api_key.scopes"},
		"unknown scope":       {w.creds.AdminKey, &authv1.ApiKey{Scopes: []typev1.Access_Scope{77}}, codes.InvalidArgument, "api_key.scopes[0]"},
		"long name":           {w.creds.AdminKey, &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}, DisplayName: strings.Repeat("x", 101)}, codes.InvalidArgument, "api_key.display_name"},
		"ended already":       {w.creds.AdminKey, &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}, ExpireTime: timestamppb.New(w.clock.now())}, codes.InvalidArgument, "api_key.expire_time"},
		"no time":             {w.creds.AdminKey, &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}, ExpireTime: &timestamppb.Timestamp{Nanos: -1}}, codes.InvalidArgument, "api_key.expire_time"},
		"more than one has":   {manager, &authv1.ApiKey{Scopes: []typev1.Access_Scope{manage, read}}, codes.PermissionDenied, ""},
		"without the right":   {w.creds.ReadKey, &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}}, codes.PermissionDenied, ""},
		"what the caller has": {manager, &authv1.ApiKey{Scopes: []typev1.Access_Scope{manage}}, codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.CreateApiKey(w.as(tc.credential), &authv1.CreateApiKeyRequest{Parent: "projects/default", ApiKey: tc.key})
			switch tc.code {
			case codes.OK:
				require.NoError(t, err)
			case codes.InvalidArgument:
				violated(t, err, tc.field)
			default:
				refused(t, err, tc.code, errs.PermissionDenied)
			}
		})
	}
}

func TestCredentialErrors(t *testing.T) {
	w := newWorld(t)
	good := w.createKey(w.creds.AdminKey, read).GetSecret()
	_, foreign, err := authn.GenerateKey()
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		key    string
		reason errs.Reason
	}{
		"no key":                                {"hello", errs.CredentialMalformed},
		"mistyped":                              {good[:20] + "-" + good[21:], errs.CredentialMalformed},
		"too short":                             {good[:len(good)-1], errs.CredentialMalformed},
		"unknown":                               {foreign, errs.CredentialUnknown},
		"an id that exists with another secret": {sameID(good), errs.CredentialUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: tc.key})
			refused(t, err, codes.Unauthenticated, tc.reason)
			require.NotContains(t, err.Error(), tc.key)
			_, err = w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: tc.key})
			refused(t, err, codes.Unauthenticated, tc.reason)
		})
	}
}

func TestRevokeApiKey(t *testing.T) {
	w := newWorld(t)
	made := w.createKey(w.creds.AdminKey, read)
	get := func(credential string) error {
		_, err := w.GetProject(w.as(credential), &authv1.GetProjectRequest{Name: "projects/-"})
		return err
	}
	ex, err := w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: made.GetSecret()})
	require.NoError(t, err)
	require.Equal(t, "Bearer", ex.GetTokenType())
	require.NoError(t, get(made.GetSecret()))
	require.NoError(t, get(ex.GetAccessToken()))

	name := made.GetApiKey().GetName()
	_, err = w.RevokeApiKey(w.as(w.creds.AdminKey), &authv1.RevokeApiKeyRequest{Name: name})
	require.NoError(t, err)
	require.Equal(t, []string{"key " + keyID(name)}, w.notices.take())
	refused(t, get(made.GetSecret()), codes.Unauthenticated, errs.CredentialRevoked)
	refused(t, get(ex.GetAccessToken()), codes.Unauthenticated, errs.CredentialRevoked)
	_, err = w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: made.GetSecret()})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)

	revoked := w.clock.now()
	w.clock.add(time.Minute)
	_, err = w.RevokeApiKey(w.as(w.creds.AdminKey), &authv1.RevokeApiKeyRequest{Name: name})
	require.NoError(t, err, "again is harmless")
	list, err := w.ListApiKeys(w.as(w.creds.AdminKey), &authv1.ListApiKeysRequest{Parent: "projects/-"})
	require.NoError(t, err)
	require.Equal(t, name, list.GetApiKeys()[0].GetName())
	require.Equal(t, revoked, list.GetApiKeys()[0].GetRevokeTime().AsTime())

	_, err = w.RevokeApiKey(w.as(w.creds.AdminKey), &authv1.RevokeApiKeyRequest{Name: "projects/default/apiKeys/none"})
	refused(t, err, codes.NotFound, errs.NotFound)
}

func TestKeyOfAnotherProjectIsNotFound(t *testing.T) {
	w := newWorld(t)
	person := w.signIn()
	_, err := w.CreateProject(w.as(person.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: "other"})
	require.NoError(t, err)
	person, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: person.GetRefreshToken()})
	require.NoError(t, err)
	made, err := w.CreateApiKey(w.as(person.GetAccessToken()), &authv1.CreateApiKeyRequest{
		Parent: "projects/other", ApiKey: &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}},
	})
	require.NoError(t, err)
	name := "projects/default/apiKeys/" + keyID(made.GetApiKey().GetName())
	_, err = w.RevokeApiKey(w.as(person.GetAccessToken()), &authv1.RevokeApiKeyRequest{Name: name})
	refused(t, err, codes.NotFound, errs.NotFound)
	_, err = w.RotateApiKey(w.as(person.GetAccessToken()), &authv1.RotateApiKeyRequest{Name: name})
	refused(t, err, codes.NotFound, errs.NotFound)
	_, err = w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: made.GetSecret()})
	require.NoError(t, err)
}

func TestRotateAtOnce(t *testing.T) {
	w := newWorld(t)
	old := w.createKey(w.creds.AdminKey, read, score)
	next, err := w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{Name: old.GetApiKey().GetName()})
	require.NoError(t, err)
	require.NotEqual(t, old.GetSecret(), next.GetSecret())
	require.Equal(t, old.GetApiKey().GetScopes(), next.GetApiKey().GetScopes())
	require.Equal(t, old.GetApiKey().GetDisplayName(), next.GetApiKey().GetDisplayName())
	require.Equal(t, []string{"key " + keyID(old.GetApiKey().GetName())}, w.notices.take())
	_, err = w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: old.GetSecret()})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
	_, err = w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: next.GetSecret()})
	require.NoError(t, err)
	_, err = w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{Name: old.GetApiKey().GetName()})
	violated(t, err, "name")
}

func TestRotateWithOverlap(t *testing.T) {
	w := newWorld(t)
	old := w.createKey(w.creds.AdminKey, read)
	use := func(credential string) error {
		_, err := w.GetProject(w.as(credential), &authv1.GetProjectRequest{Name: "projects/-"})
		return err
	}
	ex, err := w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: old.GetSecret()})
	require.NoError(t, err)
	require.NoError(t, use(old.GetSecret()))
	next, err := w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{
		Name: old.GetApiKey().GetName(), Overlap: durationpb.New(2 * time.Minute),
	})
	require.NoError(t, err)
	require.Empty(t, w.notices.take(), "nothing has ended yet")
	for _, c := range []string{old.GetSecret(), ex.GetAccessToken(), next.GetSecret()} {
		require.NoError(t, use(c))
	}
	short, err := w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: old.GetSecret()})
	require.NoError(t, err)
	require.Equal(t, w.clock.now().Add(2*time.Minute), short.GetExpireTime().AsTime(), "a token does not outlive its key")

	w.clock.add(2 * time.Minute)
	refused(t, use(old.GetSecret()), codes.Unauthenticated, errs.CredentialExpired)
	require.NoError(t, w.svc.Look(t.Context()))
	require.Contains(t, w.notices.take(), "key "+keyID(old.GetApiKey().GetName()), "its tokens are called back at its end")
	refused(t, use(ex.GetAccessToken()), codes.Unauthenticated, errs.CredentialRevoked)
	require.NoError(t, use(next.GetSecret()))
	_, err = w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{Name: old.GetApiKey().GetName()})
	violated(t, err, "name")
}

func TestRotateKeepsTheLifetime(t *testing.T) {
	w := newWorld(t)
	made, err := w.CreateApiKey(w.as(w.creds.AdminKey), &authv1.CreateApiKeyRequest{
		Parent: "projects/-", ApiKey: &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}, ExpireTime: timestamppb.New(w.clock.now().Add(10 * time.Hour))},
	})
	require.NoError(t, err)
	w.clock.add(9 * time.Hour)
	next, err := w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{Name: made.GetApiKey().GetName(), Overlap: durationpb.New(5 * time.Hour)})
	require.NoError(t, err)
	require.Equal(t, w.clock.now().Add(10*time.Hour), next.GetApiKey().GetExpireTime().AsTime())
	w.clock.add(time.Hour)
	_, err = w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: made.GetSecret()})
	refused(t, err, codes.Unauthenticated, errs.CredentialExpired)
}

func TestRotateRefused(t *testing.T) {
	w := newWorld(t)
	manager := w.createKey(w.creds.AdminKey, manage).GetSecret()
	victim := w.createKey(w.creds.AdminKey, read)
	name := victim.GetApiKey().GetName()
	_, err := w.RotateApiKey(w.as(manager), &authv1.RotateApiKeyRequest{Name: name})
	refused(t, err, codes.PermissionDenied, errs.PermissionDenied)
	_, err = w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{Name: name, Overlap: durationpb.New(8 * 24 * time.Hour)})
	violated(t, err, "overlap")
	_, err = w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{Name: "projects/default/apiKeys/none"})
	refused(t, err, codes.NotFound, errs.NotFound)
	_, err = w.RevokeApiKey(w.as(w.creds.AdminKey), &authv1.RevokeApiKeyRequest{Name: name})
	require.NoError(t, err)
	_, err = w.RotateApiKey(w.as(w.creds.AdminKey), &authv1.RotateApiKeyRequest{Name: name})
	violated(t, err, "name")
}

func TestListApiKeys(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 5 {
		w.clock.add(time.Duration(i%2) * time.Second) // some share their time
		want = append([]string{w.createKey(w.creds.AdminKey, read).GetApiKey().GetName()}, want...)
	}
	list := func(ctx context.Context, size int32, token string) (*authv1.ListApiKeysResponse, error) {
		return w.ListApiKeys(ctx, &authv1.ListApiKeysRequest{Parent: "projects/-", PageSize: size, PageToken: token})
	}
	admin := w.as(w.creds.AdminKey)
	all, err := list(admin, 0, "")
	require.NoError(t, err)
	require.Len(t, all.GetApiKeys(), 8, "with the three of the bootstrap")
	require.Empty(t, all.GetNextPageToken())
	var got []string
	for token, pages := "", 0; ; pages++ {
		page, err := list(admin, 3, token)
		require.NoError(t, err)
		for _, k := range page.GetApiKeys() {
			got = append(got, k.GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			require.Equal(t, 2, pages)
			break
		}
	}
	require.Len(t, got, 8)
	require.ElementsMatch(t, want, got[:5])
	require.NotContains(t, fmt.Sprint(all), "hash")

	page, err := list(admin, 3, "")
	require.NoError(t, err)
	token := page.GetNextPageToken()
	flipped := "A" + token[1:]
	if token[0] == 'A' {
		flipped = "B" + token[1:]
	}
	for _, bad := range []string{"x", "!!!", token + "A", token[:len(token)-2], flipped, strings.Repeat("A", 60)} {
		_, err = list(admin, 3, bad)
		refused(t, err, codes.InvalidArgument, errs.InvalidPageToken)
	}
	_, err = list(admin, 1001, "")
	violated(t, err, "page_size")
	_, err = list(admin, -1, "")
	violated(t, err, "page_size")

	// A token of one project is nothing in another.
	person := w.signIn()
	_, err = w.CreateProject(w.as(person.GetAccessToken()), &authv1.CreateProjectRequest{ProjectId: "other"})
	require.NoError(t, err)
	person, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: person.GetRefreshToken()})
	require.NoError(t, err)
	_, err = w.ListApiKeys(w.as(person.GetAccessToken()), &authv1.ListApiKeysRequest{Parent: "projects/other", PageToken: token})
	refused(t, err, codes.InvalidArgument, errs.InvalidPageToken)
}

func TestLastUse(t *testing.T) {
	w := newWorld(t)
	made := w.createKey(w.creds.AdminKey, read)
	w.clock.add(90 * time.Second)
	used := func() *timestamppb.Timestamp {
		list, err := w.ListApiKeys(w.as(w.creds.AdminKey), &authv1.ListApiKeysRequest{Parent: "projects/-", PageSize: 1})
		require.NoError(t, err)
		return list.GetApiKeys()[0].GetLastUseTime()
	}
	for range 3 {
		_, err := w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: made.GetSecret()})
		require.NoError(t, err)
	}
	require.NoError(t, w.svc.Flush(t.Context()))
	require.Equal(t, w.clock.now().Truncate(time.Minute), used().AsTime())
	w.clock.add(time.Hour)
	_, err := w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: made.GetSecret()})
	require.NoError(t, err)
	require.NoError(t, w.svc.Stop(context.Background()), "a stop writes what is noted")
	require.Equal(t, w.clock.now().Truncate(time.Minute), used().AsTime())
}
