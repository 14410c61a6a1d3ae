package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/services/ingest/archive"
)

// TestRebuildProblem: what a rebuilt store must be, and what can not be said of it while
// events come.
func TestRebuildProblem(t *testing.T) {
	whole := app.RebuildReport{Totals: archive.Totals{Events: 10}, Accepted: 10, Stored: 4, Duplicate: 3, DeadLetter: 2, Erased: 1, Rollups: 5}
	require.Empty(t, whole.Problem())
	for want, change := range map[string]func(*app.RebuildReport){
		"1 rollups differ":          func(r *app.RebuildReport) { r.Differences = 1 },
		"11 events were counted":    func(r *app.RebuildReport) { r.Accepted++ },
		"10 events were counted":    func(r *app.RebuildReport) { r.Stored++ },
		"the archive held 11":       func(r *app.RebuildReport) { r.Events++ },
		"the archive held 12":       func(r *app.RebuildReport) { r.Events, r.InFlight = 12, true },
		"10 events were counted as": func(r *app.RebuildReport) { r.DeadLetter = 0 },
	} {
		r := whole
		change(&r)
		require.Contains(t, r.Problem(), want)
	}
	moving := whole
	moving.Accepted, moving.InFlight = 12, true
	require.Empty(t, moving.Problem())
}
