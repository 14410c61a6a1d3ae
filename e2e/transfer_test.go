package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/e2e/harness"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
)

// TestTransfer: a start-up moves from SQLite to PostgreSQL in a night. Everything is
// there afterwards, keys, sessions, page tokens and tail cursors hold, the queue is
// gone on with, and what was acknowledged before the stop and not yet stored is
// stored on the other side.
func TestTransfer(t *testing.T) {
	c := harness.Start(t, harness.Embedded)
	server, err := pgtest.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) }) // before the cluster: its stop needs no database
	var stores []string
	for _, role := range []string{"auth", "query"} {
		url, err := server.NewDatabase()
		require.NoError(t, err)
		stores = append(stores, "--set", "stores."+role+".url="+url)
	}
	transfer := func(args ...string) (string, string, int) {
		return c.CLI(append(append([]string{"transfer", "--from", "sqlite", "--to", "postgres", "--data", c.Dir}, stores...), args...)...)
	}

	session := c.Call("POST", "/v1/sessions", "", map[string]any{"email": c.Creds.AdminEmail, "password": c.Creds.AdminPassword})
	require.Equal(t, 200, session.Status, "%s", session.Body)
	ch, cancel := tail(t, c, "?filter=source%3D%22tail%22", "")
	first := c.Ingest(map[string]any{"text": "first on the tail", "source": "tail"})[0]
	m := next(t, ch)
	require.Equal(t, first, m.eventID())
	cancel()
	l := newLedger(c)
	for w := range 6 {
		l.wg.Go(func() { l.write(w) })
	}
	missed := c.Ingest(map[string]any{"text": "nobody listened", "source": "tail", "attributes": map[string]any{"plan": "a \"b\" ü"}})[0]
	want := c.Event(missed)
	time.Sleep(2 * time.Second)
	_, errOut, code := transfer()
	require.Equal(t, 1, code, "a running server is not moved")
	require.Contains(t, errOut, "in use by another process")
	require.Contains(t, errOut, "try: stop the server first")
	page := c.Call("GET", "/v1/projects/-/events?pageSize=10", c.Creds.ReadKey, nil).JSON()
	c.Kill("synapse") // in the middle of the load: not all that was acknowledged is stored yet

	_, errOut, code = c.CLI(append([]string{"serve", "--data", c.Dir, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, stores...)...)
	require.Equal(t, 1, code, "it would begin anew")
	require.Contains(t, errOut, "move it by `synapse transfer")
	out, errOut, code := transfer("--output", "json")
	require.Equal(t, 0, code, "%s%s", out, errOut)
	var report struct {
		Moved []struct {
			Role   string           `json:"role"`
			Tables map[string]int64 `json:"tables"`
		} `json:"moved"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Len(t, report.Moved, 2)
	require.EqualValues(t, 1, report.Moved[0].Tables["users"])
	require.Positive(t, report.Moved[1].Tables["events"])
	require.Equal(t, report.Moved[1].Tables["events"], report.Moved[1].Tables["event_ids"])
	t.Logf("%s", out)
	out, errOut, code = transfer("--output", "table")
	require.Equal(t, 0, code, "%s%s", out, errOut)
	require.Contains(t, out, "was moved before")
	require.Contains(t, out, "stores:\n  auth: { url: ")

	for i := 1; i < len(stores); i += 2 {
		field, value, _ := strings.Cut(stores[i], "=")
		c.Set(field, value)
	}
	c.StartProcess("synapse")
	require.Equal(t, want, c.Event(missed), "an event is shown as before")
	a := c.Call("POST", "/v1/sessions:refresh", "", map[string]any{"refreshToken": session.JSON()["refreshToken"]})
	require.Equal(t, 200, a.Status, "the session goes on: %s", a.Body)
	a = c.Call("GET", "/v1/projects", session.JSON()["accessToken"].(string), nil)
	require.Equal(t, 200, a.Status, "a token that was signed before holds: %s", a.Body)
	a = c.Call("GET", fmt.Sprintf("/v1/projects/-/events?pageSize=10&pageToken=%s", page["nextPageToken"]), c.Creds.ReadKey, nil)
	require.Equal(t, 200, a.Status, "a page token holds: %s", a.Body)
	ch, _ = tail(t, c, "?filter=source%3D%22tail%22", m.id)
	require.Equal(t, missed, next(t, ch).eventID(), "a cursor holds")
	after := c.Ingest(map[string]any{"text": "after the move", "source": "tail"})[0]
	require.Equal(t, after, next(t, ch).eventID())

	time.Sleep(time.Second) // the writers have gone on
	l.mu.Lock()
	for _, id := range []string{first, missed, after} {
		l.acked[id], l.open[id] = true, true
	}
	l.mu.Unlock()
	l.check(t, 1000)
}
