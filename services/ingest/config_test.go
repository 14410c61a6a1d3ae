package ingest

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func noLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{}.Validate()
	require.Error(t, err)
	for _, field := range []string{"batch.max_events", "batch.max_bytes", "stream.window_bytes", "limits.max_keys", "max_backlog_bytes", "recent_ids_ttl"} {
		require.Contains(t, err.Error(), field+": must be")
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		require.Contains(t, line, ";", "a remedy after the rule")
	}
	_, err = New(Deps{Config: DefaultConfig()})
	require.Error(t, err)
	_, err = New(Deps{})
	require.Error(t, err)
}
