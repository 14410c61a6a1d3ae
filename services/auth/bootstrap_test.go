package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlite"
)

func (w *world) bootstrap() (*auth.Credentials, bool, error) {
	return w.svc.Bootstrap(w.Context(), auth.BootstrapInput{DataDir: w.dir, HTTPURL: "http://127.0.0.1:8080", GRPCAddr: "127.0.0.1:9090"})
}

func (w *world) file() string { return filepath.Join(w.dir, auth.CredentialsFile) }

func TestBootstrap(t *testing.T) {
	w := newWorld(t)
	fi, err := os.Stat(w.file())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	b, err := os.ReadFile(w.file())
	require.NoError(t, err)
	var fields map[string]string
	require.NoError(t, json.Unmarshal(b, &fields))
	require.Equal(t, map[string]string{
		"project": "default", "ingestKey": w.creds.IngestKey, "readKey": w.creds.ReadKey, "adminKey": w.creds.AdminKey,
		"adminEmail": "admin@localhost", "adminPassword": w.creds.AdminPassword,
		"httpUrl": "http://127.0.0.1:8080", "grpcAddr": "127.0.0.1:9090",
	}, fields)
	require.Len(t, w.creds.AdminPassword, 24)
	for secret, scopes := range map[string][]typev1.Access_Scope{
		w.creds.IngestKey: {ingest}, w.creds.ReadKey: {read, score}, w.creds.AdminKey: {ingest, read, score, manage},
	} {
		in, err := w.IntrospectApiKey(t.Context(), &authv1.IntrospectApiKeyRequest{ApiKey: secret})
		require.NoError(t, err)
		require.Equal(t, scopes, in.GetScopes())
		require.Equal(t, "default", in.GetProjectId())
	}
	w.signIn()
	for _, s := range []string{fmt.Sprint(w.creds), fmt.Sprintf("%+v", *w.creds), fmt.Sprintf("%#v", w.creds)} {
		require.NotContains(t, s, w.creds.AdminPassword)
		require.NotContains(t, s, w.creds.AdminKey)
	}
}

func TestBootstrapAgain(t *testing.T) {
	w := newWorld(t)
	c, created, err := w.bootstrap()
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, w.creds, c)

	require.NoError(t, os.Chmod(w.file(), 0o644))
	c, created, err = w.svc.Bootstrap(t.Context(), auth.BootstrapInput{DataDir: w.dir, HTTPURL: "http://127.0.0.1:9999", GRPCAddr: "127.0.0.1:9998"})
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, "http://127.0.0.1:9999", c.HTTPURL, "clients on the machine find this start")
	require.Equal(t, w.creds.AdminKey, c.AdminKey)
	fi, err := os.Stat(w.file())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	onDisk, created, err := w.svc.Bootstrap(t.Context(), auth.BootstrapInput{DataDir: w.dir})
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, c, onDisk)

	require.NoError(t, os.WriteFile(w.file(), []byte(`{"adminKey": nonsense`), 0o600))
	_, _, err = w.bootstrap()
	require.ErrorContains(t, err, "not readable as credentials")
	require.NotContains(t, err.Error(), "nonsense")

	require.NoError(t, os.Remove(w.file()))
	c, created, err = w.bootstrap()
	require.NoError(t, err)
	require.False(t, created)
	require.Nil(t, c, "the file was put away by its owner")
}

// TestBootstrapInterrupted stops it after each of its steps.
func TestBootstrapInterrupted(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "auth.db"), sqlite.WithLogger(log))
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	broken := &dyingStore{Store: store}
	run := func(s auth.Store) (*auth.Credentials, bool, error) {
		svc, err := auth.New(auth.Deps{Config: auth.DefaultConfig(), Store: s, Logger: log})
		require.NoError(t, err)
		svc.CountHashes()
		return svc.Bootstrap(t.Context(), auth.BootstrapInput{DataDir: dir, HTTPURL: "http://h", GRPCAddr: "g"})
	}
	pending, final := filepath.Join(dir, auth.PendingFile), filepath.Join(dir, auth.CredentialsFile)

	// Before the commit: the next start begins anew.
	broken.before = true
	_, _, err = run(broken)
	require.ErrorIs(t, err, errDied)
	require.FileExists(t, pending)
	require.NoFileExists(t, final)
	lost, err := os.ReadFile(pending)
	require.NoError(t, err)

	// After the commit and before the file has its name: the next start finishes.
	broken.before, broken.after = false, true
	_, _, err = run(broken)
	require.ErrorIs(t, err, errDied)
	require.NoFileExists(t, final)
	c, created, err := run(store)
	require.NoError(t, err)
	require.True(t, created, "they were never shown")
	require.FileExists(t, final)
	require.NoFileExists(t, pending)
	again, created, err := run(store)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, c, again)

	// A pending file that the store knows nothing of is not taken.
	require.NoError(t, os.WriteFile(pending, lost, 0o600))
	again, created, err = run(store)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, c, again)

	// A change of addresses that was cut short shows nothing again.
	b, err := os.ReadFile(final)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(pending, b, 0o600))
	again, created, err = run(store)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, c, again)
}

var errDied = errors.New("died")

// dyingStore is a real store whose process ends before or after the commit.
// TestBootstrapTwice: of two processes that find the store empty, each with a data
// folder of its own, one fills it, and the other has nothing to show.
func TestBootstrapTwice(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir()}
	log := slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(t.Context(), filepath.Join(dirs[0], "auth.db"), sqlite.WithLogger(log))
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	run := func(s auth.Store, dir string) (*auth.Credentials, bool, error) {
		svc, err := auth.New(auth.Deps{Config: auth.DefaultConfig(), Store: s, Logger: log})
		require.NoError(t, err)
		svc.CountHashes()
		return svc.Bootstrap(t.Context(), auth.BootstrapInput{DataDir: dir})
	}
	late := &lateStore{Store: store, faster: func() {
		_, created, err := run(store, dirs[0])
		require.NoError(t, err)
		require.True(t, created)
	}}
	c, created, err := run(late, dirs[1])
	require.NoError(t, err)
	require.False(t, created)
	require.Nil(t, c)
	left, err := os.ReadDir(dirs[1])
	require.NoError(t, err)
	require.Empty(t, left, "nothing that looks like credentials")
	c, _, err = run(store, dirs[0])
	require.NoError(t, err)
	require.NotNil(t, c)
}

// lateStore lets another process be faster.
type lateStore struct {
	auth.Store
	faster func()
}

func (l *lateStore) CreateFirst(ctx context.Context, f auth.First) error {
	l.faster()
	return l.Store.CreateFirst(ctx, f)
}

type dyingStore struct {
	auth.Store
	before, after bool
}

func (d *dyingStore) CreateFirst(ctx context.Context, f auth.First) error {
	if d.before {
		return errDied
	}
	if err := d.Store.CreateFirst(ctx, f); err != nil {
		return err
	}
	if d.after {
		return errDied
	}
	return nil
}
