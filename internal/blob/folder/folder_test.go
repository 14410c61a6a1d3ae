package folder_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/blob/blobtest"
	"github.com/synapse-analytics/synapse/internal/blob/folder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *folder.Store {
	s, err := folder.Open(dir)
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	dir := ""
	blobtest.Run(t, blobtest.Harness{
		Open: func(t *testing.T) blob.Store {
			dir = filepath.Join(t.TempDir(), "deep", "objects")
			return open(t, dir)
		},
		Corrupt: func(t *testing.T, _ blob.Store, key string) {
			path := filepath.Join(dir, key)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			b[1000] ^= 1
			require.NoError(t, os.WriteFile(path, b, 0o600))
		},
	})
}

// TestShortened: a file that lost its end, or is another's, is no object.
func TestShortened(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	blobtest.Put(t, s, "k", blobtest.Bytes(1, 1000))
	whole, err := os.ReadFile(filepath.Join(dir, "k"))
	require.NoError(t, err)
	for n := range whole {
		if n%37 != 0 {
			continue
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "k"), whole[:n], 0o600))
		_, err := s.Get(t.Context(), "k")
		require.ErrorIs(t, err, blob.ErrCorrupt, "%d bytes left", n)
		page, err := s.List(t.Context(), "", "", 1)
		require.NoError(t, err)
		require.Equal(t, max(int64(n)-48, 0), page[0].Size)
	}
}

// TestZstd: tools read a compressed object from its file.
func TestZstd(t *testing.T) {
	dir := t.TempDir()
	zip, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	blobtest.Put(t, open(t, dir), "k", zip.EncodeAll([]byte("text"), nil))
	file, err := os.ReadFile(filepath.Join(dir, "k"))
	require.NoError(t, err)
	unzip, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer unzip.Close()
	text, err := unzip.DecodeAll(file, nil)
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
}

// TestFolderGone: a folder that is lost, as that of a disk which is not mounted, is not
// an empty store.
func TestFolderGone(t *testing.T) {
	_, err := folder.Open("")
	require.ErrorContains(t, err, "set url")
	dir := filepath.Join(t.TempDir(), "objects")
	s := open(t, dir)
	require.NoError(t, os.Remove(dir))
	_, err = s.List(t.Context(), "", "", 10)
	require.ErrorIs(t, err, blob.ErrUnavailable)
	require.ErrorIs(t, s.Put(t.Context(), "k", strings.NewReader(""), 0, sha256.Sum256(nil)), blob.ErrUnavailable)
}

// TestFiles: only the owner may read, and what a killed process began is removed
// once it is old.
func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "objects")
	s := open(t, dir)
	blobtest.Put(t, s, "a/b", []byte("x"))
	for path, mode := range map[string]os.FileMode{".": 0o700, "a": 0o700, "a/b": 0o600} {
		st, err := os.Stat(filepath.Join(dir, path))
		require.NoError(t, err)
		require.Equal(t, mode, st.Mode().Perm(), path)
	}
	require.ErrorIs(t, s.Put(t.Context(), "a/b", strings.NewReader("other"), 9, sha256.Sum256(nil)), blob.ErrCorrupt)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a Put that fails leaves nothing")
	blobtest.Put(t, s, "object", []byte("x"))
	old, young, object := filepath.Join(dir, ".put-1"), filepath.Join(dir, ".put-2"), filepath.Join(dir, "object")
	for _, p := range []string{old, young} {
		require.NoError(t, os.WriteFile(p, nil, 0o600))
	}
	for p, age := range map[string]time.Duration{old: 25 * time.Hour, young: 23 * time.Hour, object: 1000 * time.Hour} {
		require.NoError(t, os.Chtimes(p, time.Time{}, time.Now().Add(-age)))
	}
	s = open(t, dir)
	require.NoFileExists(t, old)
	require.FileExists(t, young)
	page, err := s.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Len(t, page, 2)
}
