// Package storetest is the suite that every engine of the auth service's store
// passes.
package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/services/auth"
)

// Harness is an engine under test.
type Harness struct {
	// Store is open and empty.
	Store auth.Store
	// Reopen closes the store and opens the same data again.
	Reopen func() auth.Store
}

// now is a time with no more than the microseconds that a store keeps.
var now = time.Date(2026, 5, 4, 3, 2, 1, 987654000, time.UTC)

// Run runs the suite; open gives a fresh engine for each test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"first", testFirst}, {"users", testUsers}, {"failures", testFailures},
		{"sessions", testSessions}, {"refresh", testRefresh}, {"refresh race", testRefreshRace},
		{"projects", testProjects}, {"keys", testKeys}, {"list keys", testListKeys},
		{"rotate key", testRotateKey}, {"touch keys", testTouchKeys},
		{"signing keys", testSigningKeys}, {"signing keys race", testSigningKeysRace}, {"secret", testSecret},
		{"changes", testChanges}, {"prune", testPrune}, {"canceled", testCanceled}, {"reopen", testReopen},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, open(t)) })
	}
}

func user(id string) auth.User {
	return auth.User{ID: id, Email: id + "@example.com", PasswordHash: "hash-" + id, CreateTime: now}
}

func project(id string) auth.Project {
	return auth.Project{ID: id, DisplayName: "The " + id, CreateTime: now}
}

func key(id, project string) auth.APIKey {
	k := auth.APIKey{
		ID: id, ProjectID: project, DisplayName: "key " + id, Prefix: "syn_sk_" + id, CreateTime: now,
		Scopes: []typev1.Access_Scope{typev1.Access_INGEST, typev1.Access_MANAGE},
	}
	copy(k.Hash[:], "hash of "+id)
	return k
}

func hash(s string) (h auth.Hash) {
	copy(h[:], s)
	return h
}

// seed makes the user u with the project p.
func seed(t *testing.T, s auth.Store) {
	t.Helper()
	require.NoError(t, s.CreateUser(t.Context(), user("u")))
	require.NoError(t, s.CreateProject(t.Context(), project("p"), "u", 100))
}

func testFirst(t *testing.T, h Harness) {
	s := h.Store
	empty, err := s.Empty(t.Context())
	require.NoError(t, err)
	require.True(t, empty)
	require.NoError(t, s.Ping(t.Context()))
	first := auth.First{Project: project("default"), User: user("admin"), Keys: []auth.APIKey{key("a", "default"), key("b", "default")}}
	require.NoError(t, s.CreateFirst(t.Context(), first))
	require.ErrorIs(t, s.CreateFirst(t.Context(), first), auth.ErrNotEmpty)
	empty, err = s.Empty(t.Context())
	require.NoError(t, err)
	require.False(t, empty)
	owned, err := s.ProjectsOf(t.Context(), "admin")
	require.NoError(t, err)
	require.Equal(t, []string{"default"}, owned)
	got, exists, err := s.KeyByID(t.Context(), "b")
	require.NoError(t, err)
	require.True(t, exists)
	require.Equal(t, first.Keys[1], got)

	// A tombstone is not nothing.
	require.NoError(t, s.DeleteProject(t.Context(), "default", now))
	require.ErrorIs(t, s.CreateFirst(t.Context(), first), auth.ErrNotEmpty)
}

func testUsers(t *testing.T, h Harness) {
	s := h.Store
	require.NoError(t, s.CreateUser(t.Context(), user("u")))
	same := user("other")
	same.Email = "u@example.com"
	require.ErrorIs(t, s.CreateUser(t.Context(), same), auth.ErrExists)
	require.ErrorIs(t, s.CreateUser(t.Context(), user("u")), auth.ErrExists)

	got, err := s.UserByEmail(t.Context(), "u@example.com")
	require.NoError(t, err)
	require.Equal(t, user("u"), got)
	got, err = s.UserByID(t.Context(), "u")
	require.NoError(t, err)
	require.Equal(t, user("u"), got)
	_, err = s.UserByEmail(t.Context(), "none@example.com")
	require.ErrorIs(t, err, auth.ErrNotFound)
	_, err = s.UserByID(t.Context(), "none")
	require.ErrorIs(t, err, auth.ErrNotFound)

	require.NoError(t, s.UpgradePassword(t.Context(), "u", "not the old one", "x"))
	require.NoError(t, s.UpgradePassword(t.Context(), "u", "hash-u", "renewed"))
	got, err = s.UserByID(t.Context(), "u")
	require.NoError(t, err)
	require.Equal(t, "renewed", got.PasswordHash)

	_, err = s.CreateSession(t.Context(), auth.Session{ID: "s1", UserID: "u", CreateTime: now, ExpireTime: now.Add(time.Hour)}, hash("r1"), 9)
	require.NoError(t, err)
	ended, err := s.SetPassword(t.Context(), "u", "new", now)
	require.NoError(t, err)
	require.Equal(t, []string{"s1"}, ended)
	ended, err = s.SetPassword(t.Context(), "u", "newer", now)
	require.NoError(t, err)
	require.Empty(t, ended)
	_, err = s.SetPassword(t.Context(), "none", "x", now)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

func testFailures(t *testing.T, h Harness) {
	s := h.Store
	f, err := s.Failures(t.Context(), hash("a"))
	require.NoError(t, err)
	require.Zero(t, f)
	for i := 1; i <= 3; i++ {
		n, err := s.AddFailure(t.Context(), hash("a"), now.Add(time.Duration(i)*time.Second), time.Hour)
		require.NoError(t, err)
		require.Equal(t, i, n)
	}
	n, err := s.AddFailure(t.Context(), hash("b"), now, time.Hour)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	f, err = s.Failures(t.Context(), hash("a"))
	require.NoError(t, err)
	require.Equal(t, auth.Failures{Count: 3, Last: now.Add(3 * time.Second)}, f)

	n, err = s.AddFailure(t.Context(), hash("a"), now.Add(2*time.Hour), time.Hour)
	require.NoError(t, err)
	require.Equal(t, 1, n, "old failures are forgotten")
	require.NoError(t, s.ClearFailures(t.Context(), hash("a")))
	require.NoError(t, s.ClearFailures(t.Context(), hash("a")))
	f, err = s.Failures(t.Context(), hash("a"))
	require.NoError(t, err)
	require.Zero(t, f)
}

func testProjects(t *testing.T, h Harness) {
	s := h.Store
	seed(t, s)
	require.NoError(t, s.CreateUser(t.Context(), user("v")))
	require.ErrorIs(t, s.CreateProject(t.Context(), project("p"), "v", 100), auth.ErrExists)
	require.NoError(t, s.CreateProject(t.Context(), project("a"), "u", 100))
	require.ErrorIs(t, s.CreateProject(t.Context(), project("b"), "u", 2), auth.ErrLimit)

	got, err := s.ProjectsByID(t.Context(), []string{"p", "none", "a"})
	require.NoError(t, err)
	require.Equal(t, []auth.Project{project("a"), project("p")}, got)
	got, err = s.ProjectsByID(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, got)

	changed, err := s.UpdateProject(t.Context(), "a", "Renamed")
	require.NoError(t, err)
	require.Equal(t, auth.Project{ID: "a", DisplayName: "Renamed", CreateTime: now}, changed)
	_, err = s.UpdateProject(t.Context(), "none", "x")
	require.ErrorIs(t, err, auth.ErrNotFound)

	require.NoError(t, s.DeleteProject(t.Context(), "a", now))
	require.ErrorIs(t, s.DeleteProject(t.Context(), "a", now), auth.ErrNotFound)
	require.ErrorIs(t, s.CreateProject(t.Context(), project("a"), "u", 100), auth.ErrExists, "an id is never given again")
	_, err = s.UpdateProject(t.Context(), "a", "x")
	require.ErrorIs(t, err, auth.ErrNotFound)
	owned, err := s.ProjectsOf(t.Context(), "u")
	require.NoError(t, err)
	require.Equal(t, []string{"p"}, owned)
	require.NoError(t, s.CreateProject(t.Context(), project("b"), "u", 2), "a deleted project does not count")
}

func testSigningKeys(t *testing.T, h Harness) {
	s := h.Store
	k := func(id string, activate time.Time) auth.SigningKey {
		return auth.SigningKey{ID: id, Seed: []byte("seed of " + id), CreateTime: now, ActivateTime: activate}
	}
	var seen []auth.SigningKey
	got, err := s.UpdateSigningKeys(t.Context(), func(have []auth.SigningKey) ([]auth.SigningKey, []string) {
		seen = have
		return []auth.SigningKey{k("b", now.Add(time.Hour)), k("a", now)}, nil
	})
	require.NoError(t, err)
	require.Empty(t, seen)
	require.Equal(t, []auth.SigningKey{k("a", now), k("b", now.Add(time.Hour))}, got)
	got, err = s.UpdateSigningKeys(t.Context(), func(have []auth.SigningKey) ([]auth.SigningKey, []string) {
		require.Len(t, have, 2)
		return nil, []string{"a"}
	})
	require.NoError(t, err)
	require.Equal(t, []auth.SigningKey{k("b", now.Add(time.Hour))}, got)
	same, err := s.UpdateSigningKeys(t.Context(), func([]auth.SigningKey) ([]auth.SigningKey, []string) { return nil, nil })
	require.NoError(t, err)
	require.Equal(t, got, same)
}

func testSecret(t *testing.T, h Harness) {
	got, err := h.Store.Secret(t.Context(), "x", []byte("one"))
	require.NoError(t, err)
	require.Equal(t, []byte("one"), got)
	got, err = h.Store.Secret(t.Context(), "x", []byte("two"))
	require.NoError(t, err)
	require.Equal(t, []byte("one"), got, "the first one stays")
	got, err = h.Store.Secret(t.Context(), "y", []byte("two"))
	require.NoError(t, err)
	require.Equal(t, []byte("two"), got)
}
