package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"
)

// Answer is an HTTP answer, read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON decodes the body.
func (a Answer) JSON() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(a.Body, &m)
	return m
}

// Call makes a REST call with a key; body may be nil, a string, bytes, or a value
// that is sent as JSON. Headers come in pairs.
func (c *Cluster) Call(method, path, key string, body any, headers ...string) Answer {
	c.t.Helper()
	var enc []byte
	switch b := body.(type) {
	case nil:
	case string:
		enc = []byte(b)
	case []byte:
		enc = b
	default:
		var err error
		enc, err = json.Marshal(b)
		require.NoError(c.t, err)
	}
	var res *http.Response
	var err error
	for _, url := range c.URLs { // one gateway may be away
		var req *http.Request
		req, err = http.NewRequest(method, url+path, bytes.NewReader(enc))
		require.NoError(c.t, err)
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		if res, err = http.DefaultClient.Do(req); err == nil {
			break
		}
	}
	require.NoError(c.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: b}
}

// Ingest sends events by REST and requires that all are accepted; it returns
// their ids.
func (c *Cluster) Ingest(events ...map[string]any) []string {
	c.t.Helper()
	a := c.Call("POST", "/v1/projects/-/events:ingest", c.Creds.IngestKey, map[string]any{"events": events, "fullResults": true})
	require.Equal(c.t, 200, a.Status, "%s", a.Body)
	require.EqualValues(c.t, len(events), a.JSON()["accepted"], "%s", a.Body)
	var ids []string
	for _, r := range a.JSON()["results"].([]any) {
		ids = append(ids, r.(map[string]any)["id"].(string))
	}
	return ids
}

// Event waits until an event is stored and returns it.
func (c *Cluster) Event(id string) map[string]any {
	c.t.Helper()
	var a Answer
	require.Eventually(c.t, func() bool {
		a = c.Call("GET", "/v1/projects/-/events/"+id, c.Creds.ReadKey, nil)
		return a.Status == 200
	}, 20*time.Second, 5*time.Millisecond, "event %s is not stored", id)
	return a.JSON()
}

// Stored returns how many events are stored, if that can be told now.
func (c *Cluster) Stored() (n float64, ok bool) {
	c.t.Helper()
	a := c.Call("GET", "/v1/projects/-/balance", c.Creds.ReadKey, nil)
	if a.Status != 200 {
		return 0, false
	}
	total, _ := a.JSON()["total"].(map[string]any)
	n, ok = total["stored"].(float64)
	return n, ok
}

// Settle waits until nothing is in flight and requires that the balance closes.
func (c *Cluster) Settle() map[string]any {
	c.t.Helper()
	var total map[string]any
	var last []byte
	require.Eventually(c.t, func() bool {
		a := c.Call("GET", "/v1/projects/-/balance", c.Creds.ReadKey, nil)
		last = a.Body
		if a.Status != 200 {
			return false
		}
		b := a.JSON()
		total = b["total"].(map[string]any)
		return total["inFlight"] == 0.0 && b["difference"] == 0.0
	}, 120*time.Second, 50*time.Millisecond, "the balance does not close: %s", func() string { return string(last) }())
	return total
}
