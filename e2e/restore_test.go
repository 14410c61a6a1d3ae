package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/e2e/harness"
)

// TestRestore: an online backup is made under load, the load goes on, everything is
// killed, and the backup restored into a new place with the same queue. Every
// acknowledged event is stored and counted once.
func TestRestore(t *testing.T) {
	for _, profile := range harness.Profiles(harness.Embedded, harness.Servers) {
		t.Run(string(profile), func(t *testing.T) {
			c := harness.Start(t, profile)
			l := newLedger(c)
			for w := range 4 {
				l.wg.Go(func() { l.write(w) })
			}
			time.Sleep(2 * time.Second)
			before := l.count()
			dir := backUp(t, c)
			require.Eventually(t, func() bool { return l.count() > before+1000 }, time.Minute, 10*time.Millisecond, "the load does not go on")
			time.Sleep(2 * time.Second)
			t.Logf("%d events before the backup, %d at the kill", before, l.count())
			c.KillAll()
			start := time.Now()
			putBack(t, c, dir, false)
			t.Logf("ready %s after the kill", time.Since(start).Round(time.Millisecond))
			again := l.count()
			require.Eventually(t, func() bool { return l.count() > again+1000 }, time.Minute, 10*time.Millisecond, "nothing is accepted after the restore")
			l.check(t, 3000)
		})
	}
}

// TestRestoreWithoutQueue: the queue is gone too. What was stored at the backup is
// there; what was accepted later, or was on its way then, is lost and nothing else. New
// events, and old ones that are sent again, are stored and counted once. The balance
// keeps what was on its way as its difference, which is negative when more events were
// stored than their acceptance was counted.
func TestRestoreWithoutQueue(t *testing.T) {
	for _, profile := range harness.Profiles(harness.Embedded, harness.Servers) {
		t.Run(string(profile), func(t *testing.T) {
			c := harness.Start(t, profile)
			kept := c.Ingest(numbered("kept", 500)...)
			c.Settle()
			l := newLedger(c)
			for w := range 3 {
				l.wg.Go(func() { l.write(w) })
			}
			time.Sleep(time.Second)
			dir := backUp(t, c)
			lost := c.Ingest(numbered("lost", 500)...)
			c.KillAll()
			close(l.stop)
			l.wg.Wait()
			putBack(t, c, dir, true)

			asked := func() (total map[string]any, difference float64) {
				t.Helper()
				require.Eventually(t, func() bool {
					b := c.Call("GET", "/v1/projects/-/balance", c.Creds.ReadKey, nil).JSON()
					total, _ = b["total"].(map[string]any)
					difference, _ = b["difference"].(float64)
					return total != nil && total["inFlight"] == 0.0
				}, time.Minute, 50*time.Millisecond)
				return total, difference
			}
			had, difference := asked()
			told := regexp.MustCompile(`(?m)^synapse_query_positions_lost.* [1-9]`)
			require.Eventually(t, func() bool { // by the process that moves the streams, when it has the lease
				for _, name := range c.Role("query") {
					_, metrics := page(t, c.Process(name).Admin+"/metrics")
					if strings.Contains(c.Process(name).Log(), "the stream was created anew") && told.Match(metrics) {
						return true
					}
				}
				return false
			}, time.Minute, 50*time.Millisecond, "nobody is told that the streams are new")
			again := c.Ingest(append(numbered("kept", 500), numbered("new", 500)...)...)
			require.Eventually(t, func() bool {
				total, _ := asked()
				return total["stored"] == had["stored"].(float64)+500
			}, time.Minute, 50*time.Millisecond)
			total, still := asked()
			t.Logf("stored at the backup %v, difference %v", had["stored"], difference)
			require.Equal(t, difference, still, "what was sent later adds nothing to it")
			require.EqualValues(t, had["accepted"].(float64)+1000, total["accepted"])
			require.EqualValues(t, had["duplicate"].(float64)+500, total["duplicate"])
			stored := l.storedIDs(t)
			require.EqualValues(t, total["stored"], len(stored))
			for id, n := range stored {
				require.Equal(t, 1, n, id)
			}
			for _, id := range append(kept, again...) {
				require.Equal(t, 1, stored[id], id)
			}
			for _, id := range lost {
				require.Zero(t, stored[id], id)
			}
			out, errOut, code := c.CLI("verify")
			require.Equal(t, 0, code, "%s%s", out, errOut)
			for _, name := range c.Processes() {
				require.NotContains(t, c.Process(name).Log(), "panic", name)
			}
		})
	}
}

func numbered(name string, n int) []map[string]any {
	out := make([]map[string]any, n)
	for i := range out {
		id := fmt.Sprintf("%s-%d", name, i)
		out[i] = map[string]any{"id": id, "text": "I like " + id}
	}
	return out
}

// backUp makes a backup of a running cluster and checks what it says of itself.
func backUp(t *testing.T, c *harness.Cluster) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	args := append([]string{"backup", "--to", dir, "--output", "json"}, c.StoreArgs()...)
	out, errOut, code := c.CLI(args...)
	require.Equal(t, 0, code, "%s%s", out, errOut)
	var m struct {
		Stores []struct {
			Role      string
			Schema    []string
			Positions map[string]struct{ Sequence float64 }
		}
		Files []struct{ Name string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &m))
	require.Len(t, m.Stores, 2)
	require.Len(t, m.Files, 3)
	require.Equal(t, "query", m.Stores[0].Role)
	require.Positive(t, m.Stores[0].Positions["SCORED"].Sequence)
	_, errOut, code = c.CLI(args...)
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "name a new one")
	return dir
}

// putBack restores a backup into a new place and starts everything there. A damaged
// backup and a place that is not empty are refused before.
func putBack(t *testing.T, c *harness.Cluster, dir string, freshQueue bool) {
	t.Helper()
	restore := append([]string{"restore", "--from", dir, "--output", "table"}, c.StoreArgs()...)
	_, errOut, code := c.CLI(restore...)
	require.Equal(t, 1, code)
	require.Regexp(t, "already", errOut, "the place is not empty")
	c.Move(freshQueue)
	restore = append([]string{"restore", "--from", dir, "--output", "table"}, c.StoreArgs()...)

	bad := filepath.Join(t.TempDir(), "bad")
	require.NoError(t, os.CopyFS(bad, os.DirFS(dir)))
	for _, name := range []string{"query.db", "query.dump"} {
		if f, err := os.OpenFile(filepath.Join(bad, name), os.O_WRONLY, 0); err == nil {
			_, err = f.WriteAt([]byte("?"), 5000)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
	}
	for _, verify := range [][]string{nil, {"--verify"}} {
		_, errOut, code = c.CLI(append(append([]string{"restore", "--from", bad}, c.StoreArgs()...), verify...)...)
		require.Equal(t, 1, code)
		require.Regexp(t, `query\.(db|dump) is damaged`, errOut)
	}
	out, errOut, code := c.CLI("restore", "--from", dir, "--verify")
	require.Equal(t, 0, code, "%s%s", out, errOut)

	out, errOut, code = c.CLI(restore...)
	require.Equal(t, 0, code, "%s%s", out, errOut)
	require.Contains(t, out, "give the server the queue that it had")
	c.StartAll()
}
