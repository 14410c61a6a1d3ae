// Package e2e runs the product's binaries as a user would and checks it from
// outside: the same suite for each profile of the harness.
package e2e

import (
	"testing"

	"github.com/synapse-analytics/synapse/e2e/harness"
)

func TestSuite(t *testing.T) {
	for _, profile := range harness.Profiles(harness.Embedded, harness.Servers, harness.Clustered) {
		t.Run(string(profile), func(t *testing.T) {
			col := startCollector(t)
			c := harness.Start(t, profile, harness.WithEnv(
				"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://"+col.addr, "OTEL_EXPORTER_OTLP_TRACES_INSECURE=true", "OTEL_BSP_SCHEDULE_DELAY=100"))
			t.Run("REST", func(t *testing.T) { testREST(t, c) })
			t.Run("explanation", func(t *testing.T) { testExplanation(t, c) })
			t.Run("BadInput", func(t *testing.T) { testBadInput(t, c) })
			t.Run("GRPC", func(t *testing.T) { testGRPC(t, c) })
			t.Run("Grpcurl", func(t *testing.T) { testGrpcurl(t, c) })
			t.Run("SSE", func(t *testing.T) { testSSE(t, c) })
			t.Run("CLI", func(t *testing.T) { testCLI(t, c) })
			t.Run("Tenants", func(t *testing.T) { testTenants(t, c) })
			t.Run("Revocation", func(t *testing.T) { testRevocation(t, c) })
			t.Run("OneTrace", func(t *testing.T) { testOneTrace(t, c, col) })
			t.Run("Dashboard", func(t *testing.T) { testDashboard(t, c) })
			t.Run("Logs", func(t *testing.T) { testLogs(t, c) })
			t.Run("Restart", func(t *testing.T) { testRestart(t, c) })
		})
	}
}
