package blob_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/blob"
)

func TestConfig(t *testing.T) {
	s3 := func(c *blob.Config) { c.URL, c.AccessKey, c.SecretKey = "s3://bucket/some/prefix", "k", "s" }
	for name, c := range map[string]struct {
		change func(*blob.Config)
		want   string
	}{
		"none":        {func(*blob.Config) {}, ""},
		"folder":      {func(c *blob.Config) { c.URL = "/var/lib/archive" }, ""},
		"s3":          {s3, ""},
		"scheme":      {func(c *blob.Config) { c.URL = "gs://bucket" }, "url: must be"},
		"no bucket":   {func(c *blob.Config) { s3(c); c.URL = "s3://" }, "url: the bucket"},
		"bad prefix":  {func(c *blob.Config) { s3(c); c.URL = "s3://bucket/../x" }, "url: the prefix"},
		"endpoint":    {func(c *blob.Config) { s3(c); c.Endpoint = "host:9000" }, "endpoint: must be"},
		"region":      {func(c *blob.Config) { s3(c); c.Region = "" }, "region: must not"},
		"half a key":  {func(c *blob.Config) { s3(c); c.SecretKey = "" }, "access_key: must be set together"},
		"lost secret": {func(c *blob.Config) { c.SecretKey = "s" }, "secret_key: needs"},
		"timeout":     {func(c *blob.Config) { c.Timeout = 0 }, "timeout: must be"},
	} {
		cfg := blob.DefaultConfig()
		c.change(&cfg)
		if c.want == "" {
			require.NoError(t, cfg.Validate(), name)
		} else {
			require.ErrorContains(t, cfg.Validate(), c.want, name)
		}
	}
	cfg := blob.Config{URL: "s3://bucket/some/prefix/"}
	bucket, prefix, ok := cfg.Bucket()
	require.True(t, ok)
	require.Equal(t, []string{"bucket", "some/prefix/"}, []string{bucket, prefix})
}
