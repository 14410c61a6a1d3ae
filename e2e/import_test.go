package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// TestImport imports files, cut off in the middle by kill -9 of the importer and
// of the server, and checks that every row is stored once. IMPORT_LINES sets the
// length of the made file (100,000; the full size is 1,000,000).
func TestImport(t *testing.T) {
	c := harness.Start(t, harness.Embedded)
	t.Run("made NDJSON", func(t *testing.T) {
		n := envInt("IMPORT_LINES", 100_000)
		file := filepath.Join(t.TempDir(), "made.ndjson")
		f, err := os.Create(file)
		require.NoError(t, err)
		w := bufio.NewWriter(f)
		at := time.Now().Add(-24 * time.Hour)
		for i := range n {
			fmt.Fprintf(w, `{"text":"The %d. time I say that it is %s","source":"made","occurredAt":%q}`+"\n", i, []string{"good", "bad", "there"}[i%3],
				at.Add(time.Duration(i)*time.Second/20).UTC().Format(time.RFC3339))
		}
		require.NoError(t, w.Flush())
		require.NoError(t, f.Close())
		importCutOff(t, c, file, n)
	})
	t.Run("tweets", func(t *testing.T) {
		dir := os.Getenv("SYNAPSE_DATASETS")
		if dir == "" {
			dir = "../../shared/data/sentiment"
		}
		file, err := filepath.Abs(filepath.Join(dir, "tweeteval_sentiment_train.tsv.gz"))
		require.NoError(t, err)
		if _, err := os.Stat(file); err != nil {
			t.Skipf("SKIPPED: the data set is not here: %v", err)
		}
		importCutOff(t, c, file, 47_000)
	})
}

// importCutOff imports a file of at least n rows, killing first the importer and
// then the server on the way.
func importCutOff(t *testing.T, c *harness.Cluster, file string, n int) {
	before := c.Settle()
	run := func() *exec.Cmd {
		cmd := exec.Command(harness.Bin(t, "synapse"), "import", file, "--output", "jsonl")
		cmd.Env = append(os.Environ(), "SYNAPSE_SERVER="+c.GRPC, "SYNAPSE_KEY="+c.Creds.IngestKey, "HOME="+c.Dir, "XDG_CACHE_HOME="+filepath.Join(c.Dir, "cache"))
		cmd.Dir = c.Dir
		return cmd
	}
	cut := run()
	require.NoError(t, cut.Start())
	time.Sleep(400 * time.Millisecond)
	require.NoError(t, cut.Process.Kill())
	_ = cut.Wait()

	again := run()
	done := make(chan error, 1)
	var out []byte
	go func() {
		var err error
		out, err = again.CombinedOutput()
		done <- err
	}()
	time.Sleep(300 * time.Millisecond)
	c.Kill("synapse")
	c.StartProcess("synapse")
	select {
	case err := <-done:
		require.NoError(t, err, "%s", out)
	case <-time.After(5 * time.Minute):
		t.Fatal("the import did not end")
	}
	after := c.Settle()
	got := int(after["stored"].(float64) - before["stored"].(float64))
	require.GreaterOrEqual(t, got, n, "%s", out)
	t.Logf("%d rows stored, %v sent twice; %s", got, after["duplicate"].(float64)-before["duplicate"].(float64), out)
	o, e, code := c.CLI("verify", "--output", "table")
	require.Equal(t, 0, code, "%s%s", o, e)
	if file[len(file)-6:] == "ndjson" {
		require.Equal(t, n, got, "every row is stored exactly once")
	}
}
