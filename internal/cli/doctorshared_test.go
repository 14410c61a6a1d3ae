package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/blob/s3test"
	"github.com/synapse-analytics/synapse/internal/redisdb/redistest"
)

func TestDoctorLooksAtRedis(t *testing.T) {
	redis := redistest.Start(t, "--maxmemory", "50mb", "--maxmemory-policy", "noeviction")
	look := func() (found []map[string]any) {
		out, _, _ := command(t, "", "doctor", "--output", "json", "--data", t.TempDir(), "--set", "redis.url=redis://"+redis.Addr(), "--set", "redis.timeout=1s")
		for _, f := range objects(t, out) {
			if f["check"] == "redis" {
				found = append(found, f)
			}
		}
		return found
	}
	found := look()
	require.Len(t, found, 2)
	require.Equal(t, true, found[0]["ok"])
	require.Contains(t, found[0]["detail"], "version 7")
	require.Equal(t, false, found[1]["ok"])
	require.Contains(t, found[1]["try"], "allkeys-lru")
	_, err := redis.Command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	require.NoError(t, err)
	require.Len(t, look(), 1)
	require.NoError(t, redis.Kill())
	found = look()
	require.Len(t, found, 1)
	require.Equal(t, false, found[0]["ok"])
	require.Contains(t, found[0]["try"], "start Redis")
}

func TestDoctorLooksAtBlob(t *testing.T) {
	look := func(set ...string) map[string]any {
		args := []string{"doctor", "--output", "json", "--data", t.TempDir()}
		for _, s := range set {
			args = append(args, "--set", s)
		}
		out, _, _ := command(t, "", args...)
		for _, f := range objects(t, out) {
			if f["check"] == "blob" {
				return f
			}
		}
		return nil
	}
	require.Nil(t, look())
	require.Equal(t, true, look("blob.url=" + t.TempDir())["ok"])
	srv, err := s3test.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, srv.Stop()) }()
	c := srv.Config()
	set := []string{"blob.url=" + c.URL, "blob.endpoint=" + c.Endpoint, "blob.access_key=" + c.AccessKey, "blob.secret_key=" + string(c.SecretKey), "blob.path_style=true", "blob.region=" + c.Region}
	found := look(set...)
	require.Equal(t, true, found["ok"], "%v", found)
	require.NoError(t, srv.Kill())
	found = look(append(set, "blob.timeout=1s")...)
	require.Equal(t, false, found["ok"])
	require.NotEmpty(t, found["try"])
}
