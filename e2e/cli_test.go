package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

func testCLI(t *testing.T, c *harness.Cluster) {
	ok := func(args ...string) string {
		t.Helper()
		out, errOut, code := c.CLI(args...)
		require.Equal(t, 0, code, "synapse %s: %s%s", strings.Join(args, " "), out, errOut)
		return out
	}
	fails := func(code int, args ...string) string {
		t.Helper()
		out, errOut, got := c.CLI(args...)
		require.Equal(t, code, got, "synapse %s: %s%s", strings.Join(args, " "), out, errOut)
		require.Contains(t, errOut, "try: ")
		return errOut
	}
	var ev map[string]any
	require.NoError(t, json.Unmarshal([]byte(ok("send", "I am so happy with it", "--source", "cli", "--wait", "--output", "json")), &ev))
	require.Equal(t, "POSITIVE", ev["sentiment"].(map[string]any)["label"])
	id := ev["id"].(string)

	require.Contains(t, ok("events", "get", id, "--output", "table"), "POSITIVE")
	explained := ok("events", "explain", id, "--output", "table")
	for _, word := range []string{"happy", "accepted", "queued", "scored", "stored", "counted"} {
		require.Contains(t, explained, word)
	}
	require.Contains(t, ok("events", "list", "--filter", `source = "cli"`), id)
	require.Contains(t, ok("query", "timeseries", "--last", "1h", "--step", "1m", "--group-by", "source", "--output", "table"), "source=cli")
	require.Contains(t, ok("send", "traced", "--trace", "--output", "table"), "trace ")
	c.Settle()
	require.Contains(t, ok("balance", "--output", "table"), "difference 0")
	require.Contains(t, ok("verify", "--output", "table"), "0 differences")
	require.Contains(t, ok("doctor", "--output", "table", "--data", c.Dir), "ok")
	require.Contains(t, ok("version"), "synapse")
	require.Contains(t, ok("completion", "bash"), "synapse")
	require.Contains(t, ok("models", "show", "--output", "table"), "vader")
	require.Contains(t, ok("config", "print"), "max_events")
	require.Contains(t, ok("config", "diff", "--set", "ingest.batch.max_events=7"), "max_events: 7")
	ok("config", "check")

	t.Run("score offline", func(t *testing.T) {
		in := filepath.Join(t.TempDir(), "in.jsonl")
		require.NoError(t, os.WriteFile(in, []byte(`{"id":"a","text":"I hate it"}`+"\n"+`{"id":"b","text":"I love it","source":"tweet"}`+"\n"), 0o600))
		lines := strings.Split(strings.TrimSpace(ok("score", "--input", in, "--output", "jsonl")), "\n")
		require.Len(t, lines, 2)
		var a, b map[string]any
		require.NoError(t, json.Unmarshal([]byte(lines[0]), &a))
		require.NoError(t, json.Unmarshal([]byte(lines[1]), &b))
		require.Equal(t, "a", a["id"])
		require.Equal(t, "NEGATIVE", a["label"])
		require.Equal(t, "POSITIVE", b["label"])
		require.Contains(t, ok("models", "--output", "table"), a["modelVersion"])
		require.Len(t, a["emotions"], 28)
	})
	t.Run("keys", func(t *testing.T) {
		var made map[string]any
		require.NoError(t, json.Unmarshal([]byte(ok("key", "create", "test key", "--scope", "ingest", "--output", "json")), &made))
		secret := made["secret"].(string)
		name := made["apiKey"].(map[string]any)["name"].(string)
		kid := name[strings.LastIndex(name, "/")+1:]
		require.Contains(t, ok("key", "list", "--output", "table"), "test key")
		ok("send", "by the new key", "--key", secret)
		var rotated map[string]any
		require.NoError(t, json.Unmarshal([]byte(ok("key", "rotate", kid, "--output", "json")), &rotated))
		ok("send", "by the rotated key", "--key", rotated["secret"].(string))
		ok("key", "revoke", rotated["apiKey"].(map[string]any)["name"].(string)[strings.LastIndex(name, "/")+1:])
	})
	t.Run("projects", func(t *testing.T) {
		ok("project", "create", "shop", "--name", "The shop")
		require.Contains(t, ok("project", "list", "--output", "table"), "The shop")
	})
	t.Run("import", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "r.csv")
		require.NoError(t, os.WriteFile(file, []byte("id,text,source,stars\nimp-1,good one,file,5\nimp-2,bad one,file,1\nimp-3,,file,3\nimp-4\n"), 0o600))
		out := ok("import", file, "--output", "jsonl")
		require.Contains(t, out, `"accepted":2`)
		require.Contains(t, out, `"rejected":2`)
		b, err := os.ReadFile(filepath.Join(c.Dir, "r.csv.errors.jsonl"))
		require.NoError(t, err)
		require.Contains(t, string(b), `"line":4`)
		require.Contains(t, string(b), `"line":5`)
		require.Equal(t, "5", c.Event("imp-1")["attributes"].(map[string]any)["stars"])
	})
	t.Run("exit codes", func(t *testing.T) {
		fails(2, "send")
		fails(2, "nonsense")
		fails(2, "send", "x", "--bogus")
		fails(2, "config", "check", "--set", "ingest.batch.max_evnts=7")
		fails(2, "query", "timeseries", "--start", "yesterday")
		fails(3, "events", "get", "no-such-event")
		fails(4, "balance", "--key", "nonsense")
		fails(4, "balance", "--project", "foreign")
		fails(5, "balance", "--server", "127.0.0.1:1")
	})
}
