package transfer

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/transfer"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/postgres"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m.Run)) }

var (
	quiet = slog.New(slog.DiscardHandler)
	now   = time.Date(2026, 5, 4, 3, 2, 1, 987654000, time.UTC)
)

func database(t *testing.T) string {
	t.Helper()
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	return url
}

func hash(s string) (h auth.Hash) {
	copy(h[:], s)
	return h
}

func openFile(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.WithLogger(quiet))
	require.NoError(t, err)
	return s
}

// source makes a file with something in each table: ended, replaced, revoked and
// deleted things too.
func source(t *testing.T) string {
	t.Helper()
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "auth.db")
	s := openFile(t, path)
	for i := range 30 {
		user, project, key := fmt.Sprint("u", i), fmt.Sprint("p", i), fmt.Sprint("k", i)
		require.NoError(t, s.CreateUser(ctx, auth.User{ID: user, Email: user + "'\"\\ü@example.com", PasswordHash: "$argon2id$\\N", CreateTime: now}))
		require.NoError(t, s.CreateProject(ctx, auth.Project{ID: project, DisplayName: "The \"" + project + "\"\t\U0001F600", CreateTime: now}, user, 9))
		require.NoError(t, s.CreateKey(ctx, auth.APIKey{
			ID: key, ProjectID: project, Prefix: "syn_sk_" + key, Hash: hash("hash of " + key), CreateTime: now, ExpireTime: now.Add(time.Hour),
			Scopes: []typev1.Access_Scope{typev1.Access_INGEST, typev1.Access_MANAGE},
		}, 9))
		require.NoError(t, s.TouchKeys(ctx, map[string]time.Time{key: now.Add(time.Minute)}))
		_, err := s.CreateSession(ctx, auth.Session{ID: "s" + user, UserID: user, CreateTime: now, ExpireTime: now.Add(time.Hour)}, hash("refresh"+user), 9)
		require.NoError(t, err)
		_, err = s.AddFailure(ctx, hash(user), now, time.Hour)
		require.NoError(t, err)
		_, err = s.Secret(ctx, "secret "+user, []byte(user))
		require.NoError(t, err)
	}
	_, err := s.Secret(ctx, "empty", []byte{})
	require.NoError(t, err)
	require.NoError(t, s.RevokeKey(ctx, "p1", "k1", now))
	require.NoError(t, s.RotateKey(ctx, "p2", "k2", auth.APIKey{ID: "next", ProjectID: "p2", Prefix: "x", Hash: hash("next"), CreateTime: now}, now, now.Add(time.Minute)))
	require.NoError(t, s.DeleteProject(ctx, "p3", now))
	require.NoError(t, s.EndSession(ctx, "su4", now))
	_, err = s.RotateRefresh(ctx, hash("refreshu5"), hash("second"), now, func(auth.Session) time.Time { return now.Add(2 * time.Hour) })
	require.NoError(t, err)
	_, err = s.UpdateSigningKeys(ctx, func([]auth.SigningKey) ([]auth.SigningKey, []string) {
		return []auth.SigningKey{{ID: "a", Seed: []byte{0, 1, 255}, CreateTime: now, ActivateTime: now}, {ID: "b", Seed: []byte("b"), CreateTime: now, ActivateTime: now.Add(1)}}, nil
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return path
}

// same requires that two stores answer every read method alike, and do the same next.
func same(t *testing.T, want, got auth.Store) {
	t.Helper()
	ctx := t.Context()
	ask := func(f func(s auth.Store) (any, error)) {
		t.Helper()
		a, wantErr := f(want)
		b, gotErr := f(got)
		require.Equal(t, a, b)
		require.Equal(t, fmt.Sprint(wantErr), fmt.Sprint(gotErr))
	}
	for i := range 31 { // one that is not there
		user, project, key := fmt.Sprint("u", i), fmt.Sprint("p", i), fmt.Sprint("k", i)
		ask(func(s auth.Store) (any, error) { return s.UserByID(ctx, user) })
		ask(func(s auth.Store) (any, error) { return s.UserByEmail(ctx, user+"'\"\\ü@example.com") })
		ask(func(s auth.Store) (any, error) { return s.Failures(ctx, hash(user)) })
		ask(func(s auth.Store) (any, error) { return s.SessionByID(ctx, "s"+user) })
		ask(func(s auth.Store) (any, error) { return s.ProjectsOf(ctx, user) })
		ask(func(s auth.Store) (any, error) { return s.ProjectsByID(ctx, []string{project}) })
		ask(func(s auth.Store) (any, error) { return s.ListKeys(ctx, project, auth.KeyCursor{}, 9) })
		ask(func(s auth.Store) (any, error) {
			k, exists, err := s.KeyByID(ctx, key)
			return []any{k, exists}, err
		})
		ask(func(s auth.Store) (any, error) { return s.Secret(ctx, "secret "+user, []byte("fresh")) })
		ask(func(s auth.Store) (any, error) {
			return s.RotateRefresh(ctx, hash("refresh"+user), hash("again"+user), now, func(auth.Session) time.Time { return now.Add(3 * time.Hour) })
		})
	}
	ask(func(s auth.Store) (any, error) {
		b, err := s.Secret(ctx, "empty", []byte("fresh"))
		return string(b), err // one driver says nil
	})
	ask(func(s auth.Store) (any, error) { return s.Changes(ctx, now.Add(-time.Hour), now.Add(time.Hour)) })
	ask(func(s auth.Store) (any, error) {
		return s.UpdateSigningKeys(ctx, func([]auth.SigningKey) ([]auth.SigningKey, []string) { return nil, nil })
	})
	for _, s := range []auth.Store{want, got} {
		require.ErrorIs(t, s.CreateProject(ctx, auth.Project{ID: "p3", CreateTime: now}, "u1", 9), auth.ErrExists, "its id was used")
	}
}

func TestRun(t *testing.T) {
	path, url := source(t), database(t)
	// Cut off in each table in turn, and gone on with.
	o := transfer.Options{Rows: 7, Progress: func(transfer.Progress) {}}
	for _, table := range plan().Tables {
		ctx, cancel := context.WithCancel(t.Context())
		cut := o
		cut.Progress = func(p transfer.Progress) {
			if p.Table == table.Name && p.Rows > p.Total/2 {
				cancel()
			}
		}
		_, err := Run(ctx, path, pgtest.Config(url), quiet, cut)
		cancel()
		if err == nil { // it had come to the end of the last table
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		_, err = postgres.Open(t.Context(), pgtest.Config(url), quiet)
		require.ErrorIs(t, err, transfer.ErrUnfinished)
	}
	r, err := Run(t.Context(), path, pgtest.Config(url), quiet, o)
	require.NoError(t, err)
	for _, table := range r.Tables {
		require.Positive(t, table.Rows, "%s has nothing to test with", table.Name)
	}
	a := openFile(t, path)
	defer func() { require.NoError(t, a.Close()) }()
	b, err := postgres.Open(t.Context(), pgtest.Config(url), quiet)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	same(t, a, b)
}

func TestRefuses(t *testing.T) {
	path, url := source(t), database(t)
	s, err := postgres.Open(t.Context(), pgtest.Config(url), quiet)
	require.NoError(t, err)
	require.NoError(t, s.CreateUser(t.Context(), auth.User{ID: "u", Email: "u", PasswordHash: "h", CreateTime: now}))
	require.NoError(t, s.Close())
	_, err = Run(t.Context(), path, pgtest.Config(url), quiet, transfer.Options{})
	require.ErrorIs(t, err, transfer.ErrNotEmpty)
	require.ErrorContains(t, err, "table users has rows")
}

// TestDamaged: what became different after it was copied is noticed, and not opened.
func TestDamaged(t *testing.T) {
	path := source(t)
	for table, damage := range map[string]string{
		"users":        "UPDATE users SET password_hash = 'x' WHERE id = 'u3'",
		"api_keys":     "UPDATE api_keys SET revoke_us = 0 WHERE id = 'k1'",
		"signing_keys": "UPDATE signing_keys SET seed = '\\x0001' WHERE id = 'a'",
		"members":      "DELETE FROM members WHERE user_id = 'u1'",
	} {
		t.Run(table, func(t *testing.T) {
			url := database(t)
			o := transfer.Options{Progress: func(p transfer.Progress) {
				if p.Table == "secrets" && p.Rows == p.Total && !p.Compare { // all is copied
					conn, err := pgx.Connect(t.Context(), url)
					require.NoError(t, err)
					_, err = conn.Exec(t.Context(), damage)
					require.NoError(t, err)
					require.NoError(t, conn.Close(t.Context()))
				}
			}}
			_, err := Run(t.Context(), path, pgtest.Config(url), quiet, o)
			require.ErrorIs(t, err, transfer.ErrDiffers)
			require.ErrorContains(t, err, "table "+table+" ")
			_, err = postgres.Open(t.Context(), pgtest.Config(url), quiet)
			require.ErrorIs(t, err, transfer.ErrUnfinished)
		})
	}
}

// TestPlan fails when a migration of either engine has a table or a column that the
// plan does not move.
func TestPlan(t *testing.T) {
	src, err := sqlite.OpenFile(t.Context(), source(t), quiet)
	require.NoError(t, err)
	defer func() { require.NoError(t, src.Close()) }()
	dst, err := pgdb.Open(t.Context(), pgtest.Config(database(t)), "test", quiet)
	require.NoError(t, err)
	defer func() { require.NoError(t, dst.Close()) }()
	require.NoError(t, dst.Migrate(t.Context(), postgres.Migrations()))
	p := plan()
	require.NoError(t, p.Check(t.Context(), src, dst))
	for i := range p.Tables { // the check itself: each of them is missed
		less := plan()
		less.Tables = append(less.Tables[:i:i], less.Tables[i+1:]...)
		require.ErrorContains(t, less.Check(t.Context(), src, dst), p.Tables[i].Name)
	}
}
