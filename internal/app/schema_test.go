package app

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/backup"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/schema"
	"github.com/synapse-analytics/synapse/internal/sqldb"
	authpostgres "github.com/synapse-analytics/synapse/services/auth/store/postgres"
	authsqlite "github.com/synapse-analytics/synapse/services/auth/store/sqlite"
	querypostgres "github.com/synapse-analytics/synapse/services/query/store/postgres"
	querysqlite "github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m.Run)) }

// exceptions are the steps that not every engine of a store has, and why.
var exceptions = map[Role]map[string]string{
	Query: {
		"0002_extras":    "PostgreSQL came after it: its 0001_init has it",
		"0004_heartbeat": "SQLite has no replicas",
		"0005_lease":     "one process at a time has a SQLite file",
	},
}

// A store's engines follow one numbered list of steps. What one engine need not do is
// an empty step there, or an exception that says why.
func TestEnginesKnowTheSameSteps(t *testing.T) {
	for role, engines := range map[Role]map[string]fs.FS{
		Auth:  {"sqlite": authsqlite.Migrations(), "postgres": authpostgres.Migrations()},
		Query: {"sqlite": querysqlite.Migrations(), "postgres": querypostgres.Migrations()},
	} {
		lists := map[string][]string{}
		var all []string
		for engine, files := range engines {
			steps, err := schema.Steps(files)
			require.NoError(t, err)
			require.NotEmpty(t, steps)
			lists[engine] = steps
			all = append(all, steps...)
		}
		for _, step := range all {
			for engine, steps := range lists {
				if !slices.Contains(steps, step) && exceptions[role][step] == "" {
					t.Errorf("the %s store of %s has no step %s, which another engine has: add it under the same number and name", engine, role, step)
				}
			}
		}
		for step := range exceptions[role] {
			require.Contains(t, all, step, "an exception for nothing")
		}
	}
}

func TestStoresValidate(t *testing.T) {
	c := DefaultConfig().Stores
	require.NoError(t, c.Validate())
	c.Migrate = "never"
	require.ErrorContains(t, c.Validate(), "migrate: must be auto or check")
}

// What can not be restored is refused before anything is written.
func TestRestoreRefuses(t *testing.T) {
	made := func(t *testing.T, cfg Config) string {
		require.NoError(t, Migrate(t.Context(), cfg, AllRoles(), quiet))
		dir := filepath.Join(t.TempDir(), "backup")
		m, err := Backup(t.Context(), cfg, AllRoles(), dir, "")
		require.NoError(t, err)
		require.Len(t, m.Stores, 2)
		require.Equal(t, string(Query), m.Stores[0].Role, "what is referred to is copied last")
		return dir
	}
	folder := func(t *testing.T) Config {
		cfg := DefaultConfig()
		cfg.Data = t.TempDir()
		return cfg
	}
	databases := func(t *testing.T) Config {
		cfg := folder(t)
		var err error
		for _, s := range []*string{&cfg.Stores.Auth.URL, &cfg.Stores.Query.URL} {
			*s, err = pgtest.Shared(t).NewDatabase()
			require.NoError(t, err)
		}
		return cfg
	}
	untouched := func(t *testing.T, cfg Config) {
		left, err := filepath.Glob(filepath.Join(cfg.Data, "*.*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
	t.Run("another engine", func(t *testing.T) {
		dir, to := made(t, folder(t)), databases(t)
		_, err := Restore(t.Context(), to, dir, "")
		require.ErrorContains(t, err, "is one of sqlite, the configuration names postgres")
		untouched(t, to)
	})
	t.Run("one of two places is taken", func(t *testing.T) {
		dir, to := made(t, databases(t)), databases(t)
		require.NoError(t, Migrate(t.Context(), to, []Role{Auth}, quiet))
		_, err := Restore(t.Context(), to, dir, "")
		require.ErrorContains(t, err, "auth: schema \"public\" of the database has")
		states, err := Schemas(t.Context(), to, []Role{Query})
		require.NoError(t, err)
		require.Empty(t, states[0].Applied, "the other was filled")
		untouched(t, to)
	})
	t.Run("a server runs", func(t *testing.T) {
		dir, to := made(t, folder(t)), folder(t)
		lock, err := lockFolder(to.Data, "lock")
		require.NoError(t, err)
		_, err = Restore(t.Context(), to, dir, "")
		require.ErrorContains(t, err, "in use by another process")
		require.NoError(t, lock.Close())
		_, err = Restore(t.Context(), to, dir, "")
		require.NoError(t, err)
		states, err := Schemas(t.Context(), to, AllRoles())
		require.NoError(t, err)
		for _, s := range states {
			require.Empty(t, s.Missing)
		}
	})
	t.Run("a later version", func(t *testing.T) {
		from := folder(t)
		dir := made(t, from)
		m, err := backup.Open(dir)
		require.NoError(t, err)
		later := filepath.Join(t.TempDir(), "later")
		_, err = backup.Create(later, backup.Manifest{Version: "v9"}, func(folder string, n *backup.Manifest) error {
			n.Stores = m.Stores
			n.Stores[0].Schema = append(n.Stores[0].Schema, "0099_new")
			return errors.Join(os.CopyFS(folder, os.DirFS(dir)), os.Remove(filepath.Join(folder, backup.ManifestFile)))
		})
		require.NoError(t, err)
		to := folder(t)
		_, err = Restore(t.Context(), to, later, "")
		require.ErrorContains(t, err, "0099_new, which this version does not know: restore with version v9")
		untouched(t, to)

		db, err := sqldb.Open(t.Context(), from.path("query.db"), sqldb.Options{Logger: quiet})
		require.NoError(t, err)
		_, err = db.Writer().ExecContext(t.Context(), "INSERT INTO schema_version (version_id, is_applied) VALUES (99, 1)")
		require.NoError(t, errors.Join(err, db.Close()))
		_, err = Backup(t.Context(), from, AllRoles(), dir+"2", "")
		require.ErrorContains(t, err, "steps of a later version")
		states, err := Schemas(t.Context(), from, []Role{Query})
		require.NoError(t, err)
		require.Equal(t, 1, states[0].Later)
	})
	t.Run("nothing to back up", func(t *testing.T) {
		cfg := folder(t)
		dir := filepath.Join(t.TempDir(), "backup")
		_, err := Backup(t.Context(), cfg, AllRoles(), dir, "")
		require.ErrorContains(t, err, "there is no "+filepath.Join(cfg.Data, "query.db"))
		require.NoDirExists(t, dir)
		_, err = Backup(t.Context(), databases(t), AllRoles(), dir, "")
		require.ErrorContains(t, err, "it never ran")
	})
}
