package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
	"github.com/synapse-analytics/synapse/internal/blob/s3test"
)

// TestArchive loses the store and the queue, rebuilds the store from the archive, and
// compares: the same events with the same ids, times and scores, the same charts, a
// balance that closes. On a folder and on an S3 server, which is killed under load.
func TestArchive(t *testing.T) {
	t.Run("folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "archive")
		testArchive(t, []string{"blob.url=" + dir}, nil)
	})
	t.Run("s3", func(t *testing.T) {
		srv, err := s3test.Start()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, srv.Stop()) })
		c := srv.Config()
		testArchive(t, []string{
			"blob.url=" + c.URL, "blob.endpoint=" + c.Endpoint, "blob.access_key=" + c.AccessKey,
			"blob.secret_key=" + string(c.SecretKey), "blob.path_style=true", "blob.timeout=1s",
		}, srv)
	})
}

func testArchive(t *testing.T, set []string, srv *s3test.Server) {
	set = append(set, "archive.enabled=true", "archive.max_age=500ms")
	c := harness.Start(t, harness.Embedded, harness.WithSet(set...))
	at := time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Hour)
	send := func(from, to int) {
		for ; from < to; from += 50 {
			var events []map[string]any
			for i := from; i < from+50; i++ {
				events = append(events, map[string]any{
					"id": fmt.Sprintf("e%d", i), "text": fmt.Sprintf("The %d. time I say that it is %s", i, []string{"good", "bad", "there"}[i%3]),
					"source": fmt.Sprintf("s%d", i%2), "occurredAt": at.Add(time.Duration(i) * time.Minute).Format(time.RFC3339),
				})
			}
			a := c.Call("POST", "/v1/projects/-/events:ingest", c.Creds.IngestKey, map[string]any{"events": events})
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		}
	}
	const n = 1500
	send(0, 500)
	if srv != nil { // events are accepted while the archive's server is away
		time.Sleep(time.Second)
		require.NoError(t, srv.Kill())
		send(500, 1000)
		time.Sleep(time.Second)
		admin := c.Process("synapse").Admin
		status, body := page(t, admin+"/readyz")
		require.Equal(t, http.StatusOK, status, "the archive is not what it waits for: %s", body)
		require.Eventually(t, func() bool {
			_, metrics := page(t, admin+"/metrics")
			return regexp.MustCompile(`(?m)^synapse_archive_failures.* [1-9]`).Match(metrics) &&
				regexp.MustCompile(`(?m)^synapse_archive_lag_messages(\{.*\})? [1-9]`).Match(metrics)
		}, time.Minute, 100*time.Millisecond, "nobody is told")
		require.NoError(t, srv.Run())
	}
	send(500, n) // some of them again
	var total map[string]any
	for began := time.Now(); total["stored"] != float64(n); total = c.Settle() { // what was just accepted is not yet counted
		require.Less(t, time.Since(began), time.Minute, "%v", total)
	}
	before := snapshot(t, c, n, at)
	require.Eventually(t, func() bool {
		_, metrics := page(t, c.Process("synapse").Admin+"/metrics")
		return regexp.MustCompile(`(?m)^synapse_archive_lag_messages(\{.*\})? 0$`).Match(metrics)
	}, time.Minute, 100*time.Millisecond, "the archive does not catch up")
	require.NoError(t, c.Stop("synapse"))

	lose := func(names ...string) {
		for _, name := range names {
			paths, err := filepath.Glob(filepath.Join(c.Dir, name))
			require.NoError(t, err)
			require.NotEmpty(t, paths, name)
			for _, p := range paths {
				require.NoError(t, os.RemoveAll(p))
			}
		}
	}
	rebuild := func(more ...string) (map[string]any, string, int) {
		args := append([]string{"rebuild", "--data", c.Dir, "--output", "jsonl", "--set", "queue.free_floor_bytes=0"}, more...)
		for _, s := range set {
			args = append(args, "--set", s)
		}
		out, errOut, code := c.CLI(args...)
		var r map[string]any
		if out != "" {
			require.NoError(t, json.Unmarshal([]byte(out), &r), "%s%s", out, errOut)
		}
		return r, errOut, code
	}
	same := func() {
		c.StartProcess("synapse")
		got := c.Settle()
		require.EqualValues(t, n, got["stored"])
		require.Equal(t, total["accepted"], got["accepted"])
		require.Equal(t, total["duplicate"], got["duplicate"])
		require.Equal(t, before, snapshot(t, c, n, at))
		out, errOut, code := c.CLI("verify")
		require.Zero(t, code, "%s%s", out, errOut)
		out, errOut, code = c.CLI("balance")
		require.Zero(t, code, "%s%s", out, errOut)
	}

	r, errOut, code := rebuild("--dry-run")
	require.Zero(t, code, errOut)
	require.EqualValues(t, total["accepted"], r["events"])
	_, errOut, code = rebuild()
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "fills an empty one")

	// Store and queue are lost.
	lose("query.db*", "queue")
	r, errOut, code = rebuild()
	require.Zero(t, code, "%v%s", r, errOut)
	require.EqualValues(t, n, r["stored"], "%v", r)
	require.EqualValues(t, total["accepted"], r["events"])
	same()

	// Only the store is lost; what was published again is not archived again.
	require.NoError(t, c.Stop("synapse"))
	lose("query.db*")
	again, errOut, code := rebuild()
	require.Zero(t, code, "%v%s", again, errOut)
	require.Equal(t, r["objects"], again["objects"])
	require.Equal(t, r["events"], again["events"])
	same()
	require.NoFileExists(t, filepath.Join(c.Dir, "rebuild.json"))
}

// snapshot is what a reader sees: every event and the charts, without the times at
// which it was stored.
func snapshot(t *testing.T, c *harness.Cluster, n int, at time.Time) string {
	var out strings.Builder
	token, events := "", 0
	for {
		a := c.Call("GET", "/v1/projects/-/events?pageSize=1000&pageToken="+token, c.Creds.ReadKey, nil)
		require.Equal(t, 200, a.Status, "%s", a.Body)
		var page struct {
			Events []map[string]any `json:"events"`
			Next   string           `json:"nextPageToken"`
		}
		require.NoError(t, json.Unmarshal(a.Body, &page))
		for _, e := range page.Events {
			events++
			for _, name := range []string{"storedAt", "scoredAt", "queuedAt"} {
				delete(e, name)
			}
			require.NotEmpty(t, e["sentiment"], "%v", e)
			require.NotEmpty(t, e["acceptedAt"], "%v", e)
			b, err := json.Marshal(e)
			require.NoError(t, err)
			out.Write(append(b, '\n'))
		}
		if token = page.Next; token == "" {
			break
		}
	}
	require.Equal(t, n, events)
	a := c.Call("GET", fmt.Sprintf("/v1/projects/-/timeSeries:query?startTime=%s&endTime=%s&step=3600s&groupBy=source",
		at.Format(time.RFC3339), at.Add(26*time.Hour).Format(time.RFC3339)), c.Creds.ReadKey, nil)
	require.Equal(t, 200, a.Status, "%s", a.Body)
	series := a.JSON()["series"]
	require.Len(t, series, 2)
	b, err := json.Marshal(series)
	require.NoError(t, err)
	out.Write(b)
	return out.String()
}
