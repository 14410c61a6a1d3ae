package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// sseMessage is one message of a stream of server-sent events.
type sseMessage struct {
	id, event string
	data      map[string]any
}

// eventID is the id of the event that it carries.
func (m sseMessage) eventID() string {
	ev, _ := m.data["event"].(map[string]any)
	if ev == nil {
		ev = m.data
	}
	id, _ := ev["id"].(string)
	return id
}

// tail opens the live tail; the channel is closed when it ends.
func tail(t *testing.T, c *harness.Cluster, query, lastID string) (<-chan sseMessage, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", c.URL+"/v1/projects/-/events:tail"+query, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+c.Creds.ReadKey)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, res.Header.Get("Content-Type"), "text/event-stream")
	out := make(chan sseMessage, 1000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		sc := bufio.NewScanner(res.Body)
		sc.Buffer(nil, 1<<20)
		var m sseMessage
		for sc.Scan() {
			line := sc.Text()
			switch {
			case line == "" && m.event != "":
				out <- m
				m = sseMessage{}
			case strings.HasPrefix(line, "id:"):
				m.id = strings.TrimSpace(line[3:])
			case strings.HasPrefix(line, "event:"):
				m.event = strings.TrimSpace(line[6:])
			case strings.HasPrefix(line, "data:"):
				_ = json.Unmarshal([]byte(line[5:]), &m.data)
			}
		}
	}()
	t.Cleanup(cancel)
	return out, cancel
}

func next(t *testing.T, ch <-chan sseMessage) sseMessage {
	t.Helper()
	for {
		select {
		case m, ok := <-ch:
			require.True(t, ok, "the tail ended")
			if m.event == "event" {
				return m
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no event on the tail within 20 s")
		}
	}
}

func testSSE(t *testing.T, c *harness.Cluster) {
	ch, cancel := tail(t, c, "?filter=source%3D%22sse%22", "")
	// the tail is open once an event sent after it arrives
	send := func(i int) {
		c.Ingest(map[string]any{"id": fmt.Sprintf("sse-%s-%d", c.Profile, i), "text": "tail me", "source": "sse"},
			map[string]any{"text": "not for this filter", "source": "other"})
	}
	send(0)
	m := next(t, ch)
	require.Equal(t, fmt.Sprintf("sse-%s-0", c.Profile), m.eventID())
	require.NotEmpty(t, m.id)
	cancel()

	// what comes while nobody listens is there after the cursor, once
	for i := 1; i <= 20; i++ {
		send(i)
	}
	c.Settle()
	ch, _ = tail(t, c, "?filter=source%3D%22sse%22", m.id)
	for i := 21; i <= 25; i++ {
		send(i)
	}
	seen := map[string]bool{} // in the order of scoring, which is parallel
	for range 25 {
		id := next(t, ch).eventID()
		require.False(t, seen[id], "%s came twice", id)
		seen[id] = true
	}
	for i := 1; i <= 25; i++ {
		require.True(t, seen[fmt.Sprintf("sse-%s-%d", c.Profile, i)], "event %d is missing", i)
	}
	a := c.Call("GET", "/v1/projects/-/events:tail", c.Creds.IngestKey, nil)
	require.Equal(t, 403, a.Status, "%s", a.Body)
	a = c.Call("GET", "/v1/projects/-/events:tail?filter=bogus%3D1", c.Creds.ReadKey, nil)
	require.Equal(t, 400, a.Status, "%s", a.Body)
}
