package jetstream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

func TestConfigValidate(t *testing.T) {
	embedded := DefaultConfig()
	embedded.Dir = "data"
	remote := DefaultConfig()
	remote.URL = "nats://a:4222, tls://b:4222"
	require.NoError(t, embedded.Validate())
	require.NoError(t, remote.Validate())
	require.True(t, embedded.embedded())
	require.False(t, remote.embedded())
	require.Equal(t, []string{"nats://a:4222", "tls://b:4222"}, remote.servers())
	for _, s := range queue.Streams() {
		require.Positive(t, embedded.maxBytes(s))
	}

	for _, c := range []struct {
		field string
		spoil func(*Config)
	}{
		{"dir", func(c *Config) { c.URL = "nats://a:4222" }},
		{"sync", func(c *Config) { c.Sync = "never" }},
		{"sync_interval", func(c *Config) { c.SyncInterval = 0 }},
		{"events_max_bytes", func(c *Config) { c.EventsMaxBytes = minStreamBytes - 1 }},
		{"scored_max_bytes", func(c *Config) { c.ScoredMaxBytes = 0 }},
		{"dead_max_bytes", func(c *Config) { c.DeadMaxBytes = -1 }},
		{"free_floor_bytes", func(c *Config) { c.FreeFloorBytes = -1 }},
		{"recovery_window", func(c *Config) { c.RecoveryWindow = 0 }},
		{"dedup_window", func(c *Config) { c.DedupWindow = 2 * time.Hour }},
		{"replicas", func(c *Config) { c.Replicas = 0 }},
		{"replicas", func(c *Config) { c.Replicas = 3 }},
		{"publish_timeout", func(c *Config) { c.PublishTimeout = time.Hour }},
		{"watchdog", func(c *Config) { c.Watchdog = time.Millisecond }},
		{"open_timeout", func(c *Config) { c.OpenTimeout = 0 }},
		{"cert_file", func(c *Config) { c.CertFile = "a" }},
		{"password", func(c *Config) { c.Password = "secret" }},
		{"monitor_url", func(c *Config) { c.MonitorURL = "http://a:8222" }},
		{"monitor_url", func(c *Config) { c.Dir, c.URL, c.MonitorURL = "", "nats://a:4222", "http://a:8222,a:8222" }},
		{"creds_file", func(c *Config) { c.CredsFile, c.NKeyFile = "a", "b" }},
		{"url", func(c *Config) { c.Dir, c.URL = "", "a:b:c" }},
		{"url", func(c *Config) { c.Dir, c.URL = "", "nats://me:secret@a:4222" }},
	} {
		cfg := embedded
		c.spoil(&cfg)
		err := cfg.Validate()
		require.ErrorContains(t, err, c.field+": ")
		require.Contains(t, err.Error(), "; ", "a remedy")
		require.NotContains(t, err.Error(), "secret")
		_, err = Open(t.Context(), cfg, quiet())
		require.ErrorContains(t, err, c.field+": ")
	}
}

func TestOpenNeedsAPlace(t *testing.T) {
	_, err := Open(t.Context(), DefaultConfig(), quiet())
	require.ErrorContains(t, err, "neither dir nor url")
}
