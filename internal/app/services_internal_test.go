package app

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/scoring"
)

// whole is a role that answers calls when it is ready, and halting one that does so when
// it is not.
type (
	whole   struct{ service }
	halting struct{ whole }
)

var errHalted = errors.New("halted")

func (whole) Ready(context.Context) error     { return errHalted }
func (halting) Serving(context.Context) error { return nil }

// TestServing: a role that is not ready is taken out of service only if its calls are not
// answered.
func TestServing(t *testing.T) {
	require.ErrorIs(t, serving(t.Context(), whole{}), errHalted)
	require.NoError(t, serving(t.Context(), halting{}))
	for _, s := range []service{&query.Service{}, &scoring.Service{}} {
		require.Implements(t, (*partly)(nil), s)
	}
}
