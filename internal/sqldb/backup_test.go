package sqldb

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// rowsOf counts what is in the two tables of a file: they are written together.
func rowsOf(t *testing.T, path string) (a, b int) {
	t.Helper()
	require.NoError(t, ReadFile(t.Context(), path, func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM c)").Scan(&a, &b)
	}))
	return a, b
}

// A copy from outside, while a writer goes on, holds whole transactions; neither side
// waits for the other's end.
func TestBackupFileUnderLoad(t *testing.T) {
	db := migrated(t, Options{ApplicationID: 9})
	stop := make(chan struct{})
	var written atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			id := fmt.Sprint(i)
			err := db.WithTx(t.Context(), func(tx *sql.Tx) error {
				if _, err := tx.Exec("INSERT INTO t (id, n) VALUES (?, 1)", id); err != nil {
					return err
				}
				_, err := tx.Exec("INSERT INTO c (t) VALUES (?)", id)
				return err
			})
			if err != nil {
				t.Errorf("write %d: %v", i, err)
				return
			}
			written.Add(1)
		}
	})
	for i := range 5 {
		for from := written.Load(); written.Load() < from+20; {
			require.False(t, t.Failed())
		}
		least := int(written.Load())
		to := filepath.Join(t.TempDir(), fmt.Sprint(i))
		require.NoError(t, BackupFile(t.Context(), db.Path(), to))
		require.ErrorIs(t, BackupFile(t.Context(), db.Path(), to), fs.ErrExist)
		a, b := rowsOf(t, to)
		require.Equal(t, a, b)
		require.GreaterOrEqual(t, a, least)
		restored, err := Open(t.Context(), to, Options{ApplicationID: 9, Logger: quiet})
		require.NoError(t, err)
		require.NoError(t, restored.Check(t.Context()))
		require.NoError(t, restored.Close())
	}
	close(stop)
	writer.Wait()
}

// Files are read as a process left them: closed in good order, or killed with its log
// beside it. What does not exist is not made.
func TestReadFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.db")
	s, err := FileSchema(t.Context(), missing, steps)
	require.NoError(t, err)
	require.Equal(t, []string{"0001_init", "0002_child"}, s.Missing)
	require.ErrorIs(t, BackupFile(t.Context(), missing, missing+"2"), fs.ErrNotExist)
	require.NoFileExists(t, missing)

	db := migrated(t, Options{})
	require.NoError(t, insert(db, "a", 1))
	killed := filepath.Join(t.TempDir(), "killed.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(db.Path() + suffix)
		require.NoError(t, err)
		require.NotEmpty(t, b)
		require.NoError(t, os.WriteFile(killed+suffix, b, 0o600))
	}
	require.NoError(t, db.Close())
	for name, path := range map[string]string{"closed": db.Path(), "killed": killed} {
		to := filepath.Join(t.TempDir(), name)
		require.NoError(t, BackupFile(t.Context(), path, to), name)
		a, _ := rowsOf(t, to)
		require.Equal(t, 1, a, name)
		s, err := FileSchema(t.Context(), path, steps)
		require.NoError(t, err, name)
		require.Len(t, s.Applied, 2, name)
	}
	err = ReadFile(t.Context(), db.Path(), func(tx *sql.Tx) error { _, err := tx.Exec("DELETE FROM t"); return err })
	require.ErrorIs(t, err, ErrReadOnly)
}
