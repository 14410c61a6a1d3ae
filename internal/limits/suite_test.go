package limits_test

import (
	"testing"

	"github.com/synapse-analytics/synapse/internal/limits"
	"github.com/synapse-analytics/synapse/internal/limits/limitstest"
)

func TestSuite(t *testing.T) {
	limitstest.Run(t, func(_ testing.TB, c limits.Config) limitstest.Buckets { return limits.NewBuckets(c) })
}
