package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
	"github.com/synapse-analytics/synapse/internal/blob/s3test"
)

// TestArchive loses the store and the queue, rebuilds the store from the archive, and
// compares: the same events with the same ids, times and scores, the same charts, a
// balance that closes. On a folder and on an S3 server, which is killed under load. The
// rebuild is killed on its way, several times.
func TestArchive(t *testing.T) {
	for _, profile := range harness.Profiles(harness.Embedded, harness.Servers) {
		t.Run(string(profile), func(t *testing.T) {
			t.Run("folder", func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "archive")
				testArchive(t, profile, []string{"blob.url=" + dir}, nil)
			})
			if profile != harness.Embedded {
				return // the same calls of S3
			}
			t.Run("s3", func(t *testing.T) {
				srv, err := s3test.Start()
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, srv.Stop()) })
				c := srv.Config()
				testArchive(t, profile, []string{
					"blob.url=" + c.URL, "blob.endpoint=" + c.Endpoint, "blob.access_key=" + c.AccessKey,
					"blob.secret_key=" + string(c.SecretKey), "blob.path_style=true", "blob.timeout=1s",
				}, srv)
			})
		})
	}
}

func testArchive(t *testing.T, profile harness.Profile, set []string, srv *s3test.Server) {
	set = append(set, "archive.enabled=true", "archive.max_age=500ms", "archive.max_bytes=64KiB")
	if profile != harness.Embedded {
		set = append(set, "query.cache.engine=redis")
	}
	c := harness.Start(t, profile, harness.WithSet(set...))
	at := time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Hour)
	send := func(from, to int) {
		for ; from < to; from += 5 {
			var events []map[string]any
			for i := from; i < from+5; i++ {
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
		_, metrics := page(t, c.Process(c.Role("ingest")[0]).Admin+"/metrics")
		return regexp.MustCompile(`(?m)^synapse_archive_lag_messages(\{.*\})? 0$`).Match(metrics)
	}, time.Minute, 100*time.Millisecond, "the archive does not catch up")

	// Of roles that run apart the others go on.
	var stopped []string
	for _, name := range append(c.Role("scoring"), c.Role("query")...) {
		if !slices.Contains(stopped, name) {
			stopped = append(stopped, name)
		}
	}
	stop := func() {
		for _, name := range stopped {
			require.NoError(t, c.Stop(name))
		}
	}
	args := func(more ...string) []string {
		return append(append([]string{"rebuild", "--output", "jsonl"}, c.ServerArgs(stopped[len(stopped)-1])...), more...)
	}
	rebuild := func(more ...string) (map[string]any, string, int) {
		out, errOut, code := c.CLI(args(more...)...)
		var r map[string]any
		if out != "" {
			require.NoError(t, json.Unmarshal([]byte(out), &r), "%s%s", out, errOut)
		}
		return r, errOut, code
	}
	same := func(live float64) {
		for _, name := range stopped {
			c.StartProcess(name)
		}
		got := c.Settle()
		require.EqualValues(t, n+live, got["stored"])
		require.EqualValues(t, total["accepted"].(float64)+live, got["accepted"])
		require.Equal(t, total["duplicate"], got["duplicate"])
		require.Equal(t, before, snapshot(t, c, n, at))
		out, errOut, code := c.CLI("verify")
		require.Zero(t, code, "%s%s", out, errOut)
		out, errOut, code = c.CLI("balance")
		require.Zero(t, code, "%s%s", out, errOut)
	}

	stop()
	r, errOut, code := rebuild("--dry-run")
	require.Zero(t, code, errOut)
	require.EqualValues(t, total["accepted"], r["events"])
	r, errOut, code = rebuild("--dry-run", "--from", at.Format(time.DateOnly), "--to", at.Format(time.RFC3339))
	require.Zero(t, code, errOut)
	require.EqualValues(t, 0, r["events"])
	for _, bad := range [][]string{
		{"--from", "yesterday"}, {"--to", "1.2.2026"}, {"--from", "2026-02-01", "--to", "2026-02-01"}, {"--set", "blob.url="},
	} {
		_, _, code = rebuild(bad...)
		require.Equal(t, 2, code, "%v", bad)
	}
	_, errOut, code = rebuild()
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "fills an empty one")

	// Store and queue are lost, and the rebuild is killed: when it begins, and with a
	// part of the archive read.
	c.LoseEvents(true)
	checkpoint := filepath.Join(dataOf(args()), "rebuild.json")
	require.NoError(t, os.WriteFile(checkpoint, []byte("{"), 0o600))
	_, errOut, code = rebuild()
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "begin anew")
	require.NoError(t, os.Remove(checkpoint))
	for _, least := range []int64{0, 1, 150} {
		cmd := c.Command(args()...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return published(checkpoint) >= least }, time.Minute, time.Millisecond, "%s", out.String())
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait(), "it ended before: %s", out.String())
	}
	_, errOut, code = rebuild("--from", "2000-01-01")
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "another time range")
	r, errOut, code = rebuild()
	require.Zero(t, code, "%v%s", r, errOut)
	require.Contains(t, errOut, "go on where a rebuild was cut off")
	require.EqualValues(t, n, r["stored"], "%v", r)
	require.EqualValues(t, total["accepted"], r["events"])
	require.EqualValues(t, total["accepted"], r["accepted"])
	same(0)

	// Only the store is lost; what was published again is not archived again.
	stop()
	c.LoseEvents(false)
	again, errOut, code := rebuild()
	require.Zero(t, code, "%v%s", again, errOut)
	require.Equal(t, r["objects"], again["objects"])
	require.Equal(t, r["events"], again["events"])
	same(0)
	require.NoFileExists(t, checkpoint)
	if profile == harness.Embedded {
		return
	}

	// The same while events are accepted: each is counted once, though all are archived.
	stop()
	c.LoseEvents(false)
	ended, live := make(chan struct{}), make(chan float64)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				live <- float64(i)
				return
			default:
				c.Ingest(map[string]any{"id": fmt.Sprintf("live%d", i), "text": "I am glad that it goes on"})
			}
		}
	}()
	again, errOut, code = rebuild()
	close(ended)
	sent := <-live
	require.Zero(t, code, "%v%s", again, errOut)
	same(sent)
}

// dataOf is the data folder among arguments.
func dataOf(args []string) string { return args[slices.Index(args, "--data")+1] }

// published is how many messages a rebuild has published, by its file; -1 without one.
func published(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	var at struct{ Totals struct{ Messages int64 } }
	if json.Unmarshal(text, &at) != nil {
		return -1
	}
	return at.Totals.Messages
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
			if strings.HasPrefix(e["id"].(string), "live") {
				continue
			}
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
