package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// signIn returns a person's access token.
func signIn(t *testing.T, c *harness.Cluster) string {
	t.Helper()
	a := c.Call("POST", "/v1/sessions", "", map[string]any{"email": c.Creds.AdminEmail, "password": c.Creds.AdminPassword})
	require.Equal(t, 200, a.Status, "%s", a.Body)
	return a.JSON()["accessToken"].(string)
}

func testTenants(t *testing.T, c *harness.Cluster) {
	a := c.Call("POST", "/v1/projects?projectId=tenant-b", signIn(t, c), map[string]any{"displayName": "B"})
	require.Equal(t, 200, a.Status, "%s", a.Body)
	token := signIn(t, c) // knows of the new project
	a = c.Call("POST", "/v1/projects/tenant-b/apiKeys", token, map[string]any{"displayName": "b", "scopes": []string{"INGEST", "READ", "SCORE"}})
	require.Equal(t, 200, a.Status, "%s", a.Body)
	keyB := a.JSON()["secret"].(string)

	c.Ingest(map[string]any{"id": "shared-id", "text": "text of A"})
	a = c.Call("POST", "/v1/projects/-/events:ingest", keyB, map[string]any{"events": []any{map[string]any{"id": "shared-id", "text": "text of B"}}})
	require.Equal(t, 200, a.Status)
	require.EqualValues(t, 1, a.JSON()["accepted"], "one id in two projects is two events")
	require.Equal(t, "text of A", c.Event("shared-id")["text"])
	require.Eventually(t, func() bool {
		b := c.Call("GET", "/v1/projects/-/events/shared-id", keyB, nil)
		return b.Status == 200 && b.JSON()["text"] == "text of B"
	}, 20*time.Second, 10*time.Millisecond)

	// a foreign and a missing project give the same answer, everywhere
	for _, path := range []string{
		"GET events", "GET events/shared-id", "GET events/shared-id/trail", "GET timeSeries:query", "GET balance", "GET rollups:verify",
		"GET events:tail", "GET ingestStatus", "GET apiKeys", "POST events:ingest", "POST apiKeys",
	} {
		method, rest, _ := strings.Cut(path, " ")
		var body any
		if method == "POST" {
			if strings.HasSuffix(rest, "ingest") {
				body = map[string]any{"events": []any{map[string]any{"text": "x"}}}
			} else {
				body = map[string]any{"displayName": "x", "scopes": []string{"READ"}}
			}
		}
		foreign := c.Call(method, "/v1/projects/default/"+rest, keyB, body)
		missing := c.Call(method, "/v1/projects/no-such/"+rest, keyB, body)
		require.Equal(t, 403, foreign.Status, "%s: %s", path, foreign.Body)
		f, m := foreign.JSON(), missing.JSON()
		for _, p := range []map[string]any{f, m} {
			delete(p, "traceId")
			delete(p, "instance")
		}
		require.Equal(t, f, m, path)
	}
	b := c.Call("GET", "/v1/projects/-/balance", keyB, nil)
	require.EqualValues(t, 1, b.JSON()["total"].(map[string]any)["accepted"], "%s", b.Body)
}

func testRevocation(t *testing.T, c *harness.Cluster) {
	a := c.Call("POST", "/v1/projects/-/apiKeys", c.Creds.AdminKey, map[string]any{"displayName": "to revoke", "scopes": []string{"INGEST", "READ"}})
	require.Equal(t, 200, a.Status, "%s", a.Body)
	secret := a.JSON()["secret"].(string)
	name := a.JSON()["apiKey"].(map[string]any)["name"].(string)
	tok := c.Call("POST", "/v1/tokens:exchange", "", map[string]any{"apiKey": secret}).JSON()["accessToken"].(string)
	use := func(credential string) int {
		return max(c.Call("GET", "/v1/projects/-/balance", credential, nil).Status,
			c.Call("POST", "/v1/projects/-/events:ingest", credential, map[string]any{"events": []any{map[string]any{"text": "x"}}}).Status)
	}
	require.Equal(t, 200, use(secret))
	require.Equal(t, 200, use(tok))
	require.Equal(t, 200, c.Call("DELETE", "/v1/"+name, c.Creds.AdminKey, nil).Status)
	revoked := time.Now()
	require.Eventually(t, func() bool { return use(secret) == 401 && use(tok) == 401 }, 10*time.Second, time.Millisecond)
	t.Logf("refused everywhere after %s", time.Since(revoked).Round(time.Millisecond))
}

// testLogs looks for what must not be in a log.
func testLogs(t *testing.T, c *harness.Cluster) {
	for _, name := range c.Processes() {
		log := c.Process(name).Log()
		// the first start prints the credentials once, on purpose
		if _, rest, ok := strings.Cut(log, "it is not shown again"); ok {
			log = rest
		}
		for what, s := range map[string]string{"text": secretText, "key": c.Creds.IngestKey, "password": c.Creds.AdminPassword} {
			require.NotContains(t, log, s, "the log of %s holds a %s", name, what)
		}
	}
}

func testRestart(t *testing.T, c *harness.Cluster) {
	id := c.Ingest(map[string]any{"text": "before the restart"})[0]
	if c.Profile == harness.Embedded {
		require.NoError(t, c.Stop("synapse"))
		_, err := os.Stat(c.Dir + "/query.db")
		require.NoError(t, err)
		out, errOut, code := c.CLI("verify", "--data", c.Dir, "--server", "", "--output", "table")
		require.Equal(t, 0, code, "verify reads a stopped folder: %s%s", out, errOut)
		c.StartProcess("synapse")
	} else {
		for _, name := range slices.Backward(c.Processes()) {
			require.NoError(t, c.Stop(name))
		}
		for _, name := range c.Processes() {
			c.StartProcess(name)
		}
	}
	require.Equal(t, "before the restart", c.Event(id)["text"])
	c.Settle()
	a := c.Call("GET", fmt.Sprintf("/v1/projects/-/events/%s", "rest-"+string(c.Profile)+"-1"), c.Creds.ReadKey, nil)
	require.Equal(t, 200, a.Status)
}
