package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBackupAndRestore(t *testing.T) {
	from, to, dir := t.TempDir(), filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "backup")
	run := func(want int, says string, args ...string) {
		t.Helper()
		out, errOut, code := command(t, "", args...)
		require.Equal(t, want, code, "%v: %s%s", args, out, errOut)
		require.Contains(t, out+errOut, says, args)
	}
	run(exitUsage, "try: --to DIR", "backup")
	run(exitUsage, "try: --from DIR", "restore")
	run(exitUsage, `role "stores" is not known`, "backup", "--to", dir, "stores")
	run(exitFailed, "give the --data of the server", "backup", "--to", dir, "--data", from)
	run(exitFailed, "no backup in", "restore", "--from", dir, "--verify")
	require.NoDirExists(t, dir)

	run(exitOK, "  applied  0001_init", "migrate", "up", "--data", from, "--output", "table")
	run(exitOK, "schema up to 0003_retention", "backup", "--to", dir, "--data", from, "--output", "table")
	run(exitFailed, "name a new one", "backup", "--to", dir, "--data", from)
	run(exitOK, "is undamaged", "restore", "--from", dir, "--verify", "--output", "table")
	run(exitOK, "next:", "restore", "--from", dir, "--data", to, "--output", "table")
	run(exitFailed, "exists already", "restore", "--from", dir, "--data", to)
	run(exitOK, `"missing":[]`, "migrate", "status", "--data", to, "--output", "json")

	require.NoError(t, os.Truncate(filepath.Join(dir, "auth.db"), 100))
	run(exitFailed, "auth.db is damaged: it has 100 bytes", "restore", "--from", dir, "--data", filepath.Join(t.TempDir(), "x"))

	one := filepath.Join(t.TempDir(), "one")
	run(exitOK, `"role":"query"`, "backup", "--to", one, "--data", from, "--output", "json", "query")
	require.NoFileExists(t, filepath.Join(one, "auth.db"))
}
