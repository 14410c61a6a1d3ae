package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/e2e/harness"
)

// TestMigrateByCommand: with stores.migrate: check a process applies nothing. It lives,
// is not ready, says which step is missing and what to do, answers no call, and goes on
// by itself when `synapse migrate up` was there.
func TestMigrateByCommand(t *testing.T) {
	for _, profile := range harness.Profiles(harness.Embedded, harness.Servers) {
		t.Run(string(profile), func(t *testing.T) {
			c := harness.Start(t, profile)
			c.KillAll()
			c.Move(true)
			c.Set("stores.migrate", "check")
			c.StartNATS()
			procs, roles := map[string]*harness.Process{}, map[string][]string{}
			for _, role := range []string{"auth", "query"} {
				for _, name := range c.Role(role) {
					if procs[name] == nil {
						procs[name] = c.SpawnProcess(name)
					}
					roles[name] = append(roles[name], role)
				}
			}
			for name, p := range procs {
				var says struct {
					Status string
					Parts  map[string]string
				}
				require.Eventually(t, func() bool {
					status, body := page(t, p.Admin+"/readyz")
					says.Parts = nil
					return status == http.StatusServiceUnavailable && json.Unmarshal(body, &says) == nil && len(says.Parts) == len(roles[name])+1
				}, 20*time.Second, 20*time.Millisecond, "%s: %s", name, p.Log())
				for _, role := range roles[name] {
					require.Contains(t, says.Parts[role], "the schema lacks 0001_init", name)
					require.Contains(t, says.Parts[role], "run `synapse migrate up`", name)
				}
				status, _ := page(t, p.Admin+"/healthz")
				require.Equal(t, http.StatusOK, status, "it lives: a restart would not help")
			}
			_, err := net.DialTimeout("tcp", c.GRPC, time.Second)
			require.Error(t, err, "calls are answered from a store without a schema")
			migrate := func(do string) (map[string][]any, int) {
				out, errOut, code := c.CLI(append([]string{"migrate", do}, c.StoreArgs()...)...)
				missing := map[string][]any{}
				for _, s := range jsonLines(t, out) {
					missing[s["role"].(string)] = s["missing"].([]any)
				}
				require.Len(t, missing, 2, "%s%s", out, errOut)
				return missing, code
			}
			missing, code := migrate("status")
			require.Equal(t, 1, code)
			require.Equal(t, "0001_init", missing["auth"][0])
			require.Equal(t, "0001_init", missing["query"][0])
			missing, code = migrate("up")
			require.Zero(t, code)
			require.Equal(t, map[string][]any{"auth": {}, "query": {}}, missing)
			for _, p := range procs {
				c.WaitReady(p)
			}
			_, code = migrate("status")
			require.Zero(t, code)
		})
	}
}

func page(t *testing.T, url string) (int, []byte) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		return 0, nil // not up yet
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, b
}

func jsonLines(t *testing.T, text string) (out []map[string]any) {
	t.Helper()
	for dec := json.NewDecoder(strings.NewReader(text)); dec.More(); {
		var m map[string]any
		require.NoError(t, dec.Decode(&m))
		out = append(out, m)
	}
	return out
}
