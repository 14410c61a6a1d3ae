package sqldb

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// crashPath names the environment variable that makes this test binary a writer
// which is killed.
const crashPath = "SQLDB_TEST_CRASH_PATH"

// TestKilledWriterLosesNothing kills a process that commits without pause, and
// looks for every commit that it had reported.
func TestKilledWriterLosesNothing(t *testing.T) {
	if path := os.Getenv(crashPath); path != "" {
		commitForEver(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "crash.db")
	total := 0
	for round := range 3 {
		reported := killAfter(t, path, 20+50*round)
		total += reported
		db, err := Open(t.Context(), path, Options{Logger: quiet})
		require.NoError(t, err)
		require.NoError(t, db.Check(t.Context()))
		found := count(t, db)
		require.GreaterOrEqual(t, found, total, "a commit that was reported is gone")
		require.LessOrEqual(t, found, total+1, "more than the one commit that could not be reported any more")
		total = found
		require.NoError(t, db.Close())
	}
}

// killAfter runs a writer, kills it after it has reported at least n commits, and
// returns how many it reported.
func killAfter(t *testing.T, path string, n int) (reported int) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestKilledWriterLosesNothing$")
	cmd.Env = append(os.Environ(), crashPath+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() != "committed" {
			continue
		}
		if reported++; reported == n {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait(), "it was killed")
	require.GreaterOrEqual(t, reported, n)
	return reported
}

func commitForEver(t *testing.T, path string) {
	db, err := Open(context.Background(), path, Options{Logger: quiet, AutoCheckpointPages: 16})
	require.NoError(t, err)
	require.NoError(t, db.Migrate(context.Background(), steps))
	for i := 0; ; i++ {
		require.NoError(t, insert(db, fmt.Sprintf("%d-%d", os.Getpid(), i), i))
		fmt.Println("committed")
	}
}
