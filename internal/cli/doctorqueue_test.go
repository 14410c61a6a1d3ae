package cli

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// doctor looks at the NATS servers, and says plainly when they acknowledge what
// is not on disk yet, or when nobody can tell.
func TestDoctorLooksAtQueue(t *testing.T) {
	for _, c := range []struct {
		sync    string
		monitor bool
		want    []string // substrings of the findings about the queue, in order
		ok      []bool
	}{
		{sync: "always", monitor: true, want: []string{"n1 (2.15.2, sync always)"}, ok: []bool{true}},
		{sync: "2m", monitor: true, want: []string{"sync 2m0s", "acknowledges before it fsyncs"}, ok: []bool{true, false}},
		{sync: "2m", want: []string{"sync unknown", "is unknown"}, ok: []bool{true, true}},
	} {
		servers, err := natstest.Start(natstest.Options{Sync: c.sync, User: "u", Password: "secret"})
		require.NoError(t, err)
		args := []string{"doctor", "--output", "json", "--data", t.TempDir(), "--set", "queue.url=" + servers.URL(),
			"--set", "queue.user=u", "--set", "queue.password=secret"}
		if c.monitor {
			args = append(args, "--set", "queue.monitor_url="+servers.MonitorURL())
		}
		out, _, code := command(t, "", args...)
		require.NotZero(t, code, "no synapse runs")
		require.NotContains(t, out, "secret")
		var found []map[string]any
		for _, f := range objects(t, out) {
			if f["check"] == "queue" {
				found = append(found, f)
			}
		}
		require.Len(t, found, len(c.want), fmt.Sprint(found))
		for i, f := range found {
			require.Contains(t, f["detail"], c.want[i])
			require.Equal(t, c.ok[i], f["ok"], f["detail"])
		}
		if len(found) > 1 {
			require.NotEmpty(t, found[1]["try"])
		}
		require.NoError(t, servers.Stop())
	}
	out, _, _ := command(t, "", "doctor", "--output", "json", "--data", t.TempDir(), "--set", "queue.url=nats://127.0.0.1:1")
	for _, f := range objects(t, out) {
		if f["check"] == "queue" {
			require.Equal(t, false, f["ok"])
			require.Contains(t, f["try"], "correct url")
		}
	}
}
