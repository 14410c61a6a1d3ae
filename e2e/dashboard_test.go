package e2e

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// testDashboard drives the dashboard in headless Chromium (dashboard.mjs, with
// the dashboard's own test tools in web/node_modules).
func testDashboard(t *testing.T, c *harness.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "dashboard.mjs")
	cmd.Env = append(cmd.Environ(), "URL="+c.URL, "EMAIL="+c.Creds.AdminEmail, "PASSWORD="+c.Creds.AdminPassword, "INGEST_KEY="+c.Creds.IngestKey,
		"ARTIFACTS=artifacts/"+string(c.Profile))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "node and web/node_modules are needed (`make setup`)\n%s", out)
	t.Logf("%s", out)
}
