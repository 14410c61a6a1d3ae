package grpcclient

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
)

func TestServiceConfig(t *testing.T) {
	var c config
	require.NoError(t, json.Unmarshal([]byte(serviceConfig(true)), &c))
	require.Equal(t, []map[string]struct{}{{"round_robin": {}}}, c.LoadBalancing)
	require.Equal(t, []string{"UNAVAILABLE"}, c.Methods[0].Retry.Codes)
	require.NotNil(t, c.Throttling)
	names := c.Methods[0].Names
	require.Contains(t, names, methodName{"synapse.query.v1.QueryService", "GetEvent"})
	require.Contains(t, names, methodName{"synapse.auth.v1.AuthService", "IntrospectApiKey"})
	require.Contains(t, names, methodName{"synapse.scoring.v1.ScoringService", "ScoreText"})
	for _, n := range names { // what changes something, and streams
		require.NotContains(t, []string{"IngestEvents", "StreamEvents", "SignIn", "RefreshSession", "CreateProject", "TailEvents", "ExchangeApiKey"}, n.Method)
		require.NotEmpty(t, n.Method, "an empty one would mean all of the service")
	}
	require.NotContains(t, serviceConfig(false), "retry")
}
