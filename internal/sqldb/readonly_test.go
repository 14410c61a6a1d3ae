package sqldb

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file is read as its owner left it, with and without a log, and neither it nor its
// log changes.
func TestOpenReadOnly(t *testing.T) {
	db := migrated(t, Options{ApplicationID: 7})
	require.NoError(t, insert(db, "logged", 1)) // is in the log only
	killed, stopped := filepath.Join(t.TempDir(), "x?y.db"), filepath.Join(t.TempDir(), "x.db")
	for _, suffix := range []string{"", "-wal"} { // as after a kill
		b, err := os.ReadFile(db.Path() + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(killed+suffix, b, 0o600))
	}
	require.NoError(t, db.Close())
	b, err := os.ReadFile(db.Path())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(stopped, b, 0o600))
	for name, path := range map[string]string{"killed": killed, "stopped": stopped} {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(path)
			require.NoError(t, err)
			log, _ := os.ReadFile(path + "-wal")
			require.Equal(t, name == "killed", len(log) > 0)
			ro, err := OpenReadOnly(t.Context(), path, Options{ApplicationID: 7, Logger: quiet})
			require.NoError(t, err)
			have, err := ro.Schema(t.Context(), steps)
			require.NoError(t, err)
			require.NoError(t, have.Err())
			require.Equal(t, 1, count(t, ro))
			require.ErrorIs(t, insert(ro, "more", 1), ErrReadOnly)
			state, err := ro.State()
			require.NoError(t, err)
			require.NoError(t, ro.Close())
			same, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, file, same)
			after, _ := os.ReadFile(path + "-wal")
			require.Equal(t, log, after)

			owner, err := Open(t.Context(), path, Options{Logger: quiet})
			require.NoError(t, err)
			require.Equal(t, 1, count(t, owner))
			require.NoError(t, insert(owner, "more", 1))
			require.NoError(t, owner.Close())
			changed, err := ro.State()
			require.NoError(t, err)
			require.NotEqual(t, state, changed)
		})
	}
	_, err = OpenReadOnly(t.Context(), stopped, Options{ApplicationID: 8, Logger: quiet})
	require.ErrorContains(t, err, "belongs to another service")
	_, err = OpenReadOnly(t.Context(), filepath.Join(t.TempDir(), "none"), Options{Logger: quiet})
	require.ErrorIs(t, err, os.ErrNotExist)
}
