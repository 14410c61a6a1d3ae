package backup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func made(t testing.TB) (dir string, m Manifest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	m, err := Create(dir, Manifest{Version: "v1"}, func(folder string, m *Manifest) error {
		m.Stores = []Store{{Role: "query", Engine: "sqlite", File: "query.db", Schema: []string{"0001_init"},
			Positions: map[string]Position{"SCORED": {Epoch: 1 << 63, Sequence: 9}}}}
		return errors.Join(os.WriteFile(filepath.Join(folder, "query.db"), []byte("rows"), 0o600),
			os.WriteFile(filepath.Join(folder, "credentials.json"), []byte("{}"), 0o600))
	})
	require.NoError(t, err)
	return dir, m
}

func TestCreate(t *testing.T) {
	dir, m := made(t)
	require.Len(t, m.Files, 2)
	got, err := Open(dir)
	require.NoError(t, err)
	require.Equal(t, m, got)
	require.NoError(t, got.Verify(t.Context(), dir))

	_, err = Create(dir, Manifest{}, func(string, *Manifest) error { t.Error("called"); return nil })
	require.ErrorIs(t, err, fs.ErrExist, "a backup is never overwritten")

	broken := errors.New("disk is full")
	_, err = Create(dir+"2", Manifest{}, func(folder string, _ *Manifest) error {
		require.NoError(t, os.WriteFile(filepath.Join(folder, "half"), nil, 0o600))
		return broken
	})
	require.ErrorIs(t, err, broken)
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, left, 1, "a failed backup leaves nothing")

	to := filepath.Join(t.TempDir(), "query.db")
	require.NoError(t, got.Copy(t.Context(), dir, "query.db", to))
	b, err := os.ReadFile(to)
	require.NoError(t, err)
	require.Equal(t, "rows", string(b))
	require.ErrorIs(t, got.Copy(t.Context(), dir, "query.db", to), fs.ErrExist)
}

// Whatever is changed in the folder is found, and named.
func TestDamage(t *testing.T) {
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
	}
	for says, harm := range map[string]func(*testing.T, string){
		"query.db is damaged: its SHA-256":  write("query.db", "Rows"),
		"query.db is damaged: it has 5":     write("query.db", "rows "),
		"credentials.json is missing":       func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "credentials.json"))) },
		"manifest.json: is damaged":         write(ManifestFile, "{"),
		"no backup in":                      func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, ManifestFile))) },
		"its checksum differs":              edit(func(m *Manifest) { m.Stores[0].Positions["SCORED"] = Position{Epoch: 1, Sequence: 8} }, false),
		"has format 2, this program":        edit(func(m *Manifest) { m.Format = 2 }, true),
		"names a file outside":              edit(func(m *Manifest) { m.Files[0].Name = "../x" }, true),
		"names no file for the store of qu": edit(func(m *Manifest) { m.Stores[0].File = "other" }, true),
	} {
		t.Run(says, func(t *testing.T) {
			dir, _ := made(t)
			harm(t, dir)
			m, err := Open(dir)
			if err == nil {
				err = m.Verify(t.Context(), dir)
			}
			require.ErrorContains(t, err, says)
		})
	}
	dir, m := made(t)
	write("query.db", "Rows")(t, dir)
	to := filepath.Join(t.TempDir(), "query.db")
	require.ErrorContains(t, m.Copy(t.Context(), dir, "query.db", to), "is damaged")
	require.NoFileExists(t, to)
}

func edit(change func(*Manifest), sign bool) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, ManifestFile)
		m, err := Open(dir)
		require.NoError(t, err)
		change(&m)
		if sign {
			require.NoError(t, writeManifest(path, &m))
			return
		}
		b, err := json.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
}

func FuzzManifest(f *testing.F) {
	dir, _ := made(f)
	b, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"format":1,"files":[{"name":".."}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		for _, x := range m.Files {
			if filepath.Dir(filepath.Join("/a", x.Name)) != "/a" {
				t.Errorf("%q leads out of the folder", x.Name)
			}
		}
	})
}
