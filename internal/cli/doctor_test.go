package cli

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m.Run)) }

// doctor looks at the databases that are configured, and says what to do.
func TestDoctorLooksAtStores(t *testing.T) {
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	out, _, code := command(t, "", "doctor", "--output", "json", "--data", t.TempDir(),
		"--set", "stores.auth.url="+url, "--set", "stores.query.url=postgres://u@127.0.0.1:1/x")
	require.NotZero(t, code)
	found := map[string]map[string]any{}
	for _, f := range objects(t, out) {
		found[f["check"].(string)] = f
	}
	require.Equal(t, true, found["store auth"]["ok"])
	require.Regexp(t, `^PostgreSQL \d+\.\d+ answers in [\d.]+ ms, clocks \d+ ms apart, \d+ of 100 connections used$`, found["store auth"]["detail"])
	require.Equal(t, false, found["store query"]["ok"])
	require.Contains(t, found["store query"]["try"], "correct url")
	require.Equal(t, "lacks 0001_init; serve applies them", found["schema auth"]["detail"])
	require.Equal(t, true, found["schema auth"]["ok"])
	require.Nil(t, found["schema query"])

	data := t.TempDir()
	out, _, _ = command(t, "", "doctor", "--output", "json", "--data", data, "--set", "stores.migrate=check")
	require.Contains(t, out, `"check":"schema query","ok":false,"detail":"lacks 0001_init, 0002_extras, 0003_retention","try":"synapse migrate up"`)
	_, errOut, code := command(t, "", "migrate", "up", "--output", "json", "--data", data)
	require.Zero(t, code, errOut)
	out, _, _ = command(t, "", "doctor", "--output", "json", "--data", data, "--set", "stores.migrate=check")
	require.Contains(t, out, `"check":"schema query","ok":true,"detail":"all 3 steps are applied"`)

	out, _, _ = command(t, "", "doctor", "--output", "json", "--data", t.TempDir(),
		"--set", "stores.auth.max_conns=200", "--set", "stores.auth.url="+url)
	for _, f := range objects(t, out) {
		if f["check"] == "store auth" {
			require.Contains(t, f["try"], "max_connections")
		}
	}

	replica, err := pgtest.Shared(t).Standby()
	require.NoError(t, err)
	defer func() { require.NoError(t, replica.Stop()) }()
	out, _, code = command(t, "", "doctor", "--output", "json", "--data", t.TempDir(), "--set", "stores.auth.url="+replica.URL("postgres"))
	require.NotZero(t, code)
	for _, f := range objects(t, out) {
		if f["check"] == "store auth" {
			require.Contains(t, f["try"], "this is a replica")
		}
	}
}
