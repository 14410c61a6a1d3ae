package pgdb_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
)

func tools(t *testing.T) pgdb.Tools {
	t.Helper()
	found, err := pgdb.FindTools("")
	require.NoError(t, err)
	return found
}

// A dump holds what its transaction saw, of its own namespace only; it is restored
// into an empty place of the same name, whole or not at all.
func TestDumpAndRestore(t *testing.T) {
	for _, namespace := range []string{"public", "own space"} {
		t.Run(namespace, func(t *testing.T) {
			place := func() *pgdb.DB {
				url := database(t)
				if namespace != "public" {
					exec(t, open(t, pgtest.Config(url)), `CREATE SCHEMA "`+namespace+`"; CREATE TABLE public.others (n int)`)
					url += "&search_path=" + strings.ReplaceAll(`"`+namespace+`"`, " ", "%20") + "&pool_max_conn_idle_time=1m"
				}
				return open(t, pgtest.Config(url))
			}
			db := place()
			require.NoError(t, db.Migrate(t.Context(), files()))
			path := filepath.Join(t.TempDir(), "dump")
			err := db.Dump(t.Context(), tools(t), path, func(ctx context.Context, tx *sql.Tx, where string) error {
				require.Equal(t, namespace, where)
				exec(t, db, "INSERT INTO a VALUES (2)") // another's, after the snapshot
				var n int
				require.NoError(t, tx.QueryRowContext(ctx, "SELECT count(*) FROM a").Scan(&n))
				require.Equal(t, 1, n)
				return nil
			})
			require.NoError(t, err)
			fi, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())

			require.ErrorContains(t, db.Restore(t.Context(), tools(t), path, namespace), "tables already")
			other := place()
			require.ErrorContains(t, other.Restore(t.Context(), tools(t), path, "elsewhere"), "search_path=elsewhere")
			require.NoError(t, other.Restore(t.Context(), tools(t), path, namespace))
			var n int
			require.NoError(t, other.Pool().QueryRow(t.Context(), "SELECT sum(n) FROM a").Scan(&n))
			require.Equal(t, 1, n)
			s, err := other.Schema(t.Context(), files("ALTER TABLE a ADD b int;"))
			require.NoError(t, err)
			require.Equal(t, []string{"0001_a"}, s.Applied)
			require.Equal(t, []string{"0002_more"}, s.Missing)

			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, raw[:len(raw)/2], 0o600))
			third := place()
			require.ErrorContains(t, third.Restore(t.Context(), tools(t), path, namespace), "pg_restore")
			require.NoError(t, third.CheckEmpty(t.Context(), namespace), "a restore that failed leaves nothing")
		})
	}
}

// The password reaches the programs, and no error holds it.
func TestDumpByPassword(t *testing.T) {
	url := database(t)
	exec(t, open(t, pgtest.Config(url)), "CREATE TABLE a (n int)")
	c := pgtest.Config(url)
	c.Password = "a secret"
	db := open(t, c)
	program := filepath.Join(t.TempDir(), "pg_dump")
	said := filepath.Join(t.TempDir(), "said")
	script := "#!/bin/sh\necho \"$PGPASSWORD|$*\" > " + said + "\necho no >&2\nexit 3\n"
	for _, p := range []string{program, filepath.Join(filepath.Dir(program), "pg_restore")} {
		require.NoError(t, os.WriteFile(p, []byte(script), 0o700))
	}
	own, err := pgdb.FindTools(filepath.Dir(program))
	require.NoError(t, err)
	err = db.Dump(t.Context(), own, filepath.Join(t.TempDir(), "dump"), func(context.Context, *sql.Tx, string) error { return nil })
	require.ErrorContains(t, err, "pg_dump: exit status 3: no")
	require.NotContains(t, err.Error(), "secret")
	b, err := os.ReadFile(said)
	require.NoError(t, err)
	password, args, _ := strings.Cut(string(b), "|")
	require.Equal(t, "a secret", password)
	require.NotContains(t, args, "secret")

	c.Pooler = true
	require.ErrorContains(t, open(t, c).Dump(t.Context(), own, "x", nil), "url of the server itself")
	_, err = pgdb.FindTools(t.TempDir())
	require.ErrorContains(t, err, "name their folder")
}
