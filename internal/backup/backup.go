// Package backup keeps copies of stores in a folder with a manifest: the folder
// appears as a whole or not at all, and its manifest has the SHA-256 of each file and
// of itself.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ManifestFile is the name of the manifest in the folder.
const ManifestFile = "manifest.json"

// Format is the version of the folder's format that this program writes and reads.
const Format = 1

// maxManifest bounds what is read as a manifest.
const maxManifest = 1 << 20

// Manifest says what a backup holds.
type Manifest struct {
	Format int `json:"format"`
	// Version of the program that made it.
	Version string `json:"version"`
	// Start and End bound the time at which the stores were as they are here.
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Stores are the copies of stores, in the order in which they were made.
	Stores []Store `json:"stores"`
	// Files are all files of the folder but for the manifest.
	Files []File `json:"files"`
	// SHA256 of the manifest with this field empty, in hexadecimal.
	SHA256 string `json:"sha256"`
}

// Store is the copy of a role's store.
type Store struct {
	Role string `json:"role"`
	// Engine is sqlite or postgres.
	Engine string `json:"engine"`
	File   string `json:"file"`
	// Schema names the steps of the schema that it has.
	Schema []string `json:"schema"`
	// Namespace is the PostgreSQL schema that the tables are in.
	Namespace string `json:"namespace,omitempty"`
	// Positions says how far each stream of the queue was stored.
	Positions map[string]Position `json:"positions,omitempty"`
}

// Position is a place in a stream of the queue.
type Position struct {
	Epoch    uint64 `json:"epoch,string"`
	Sequence uint64 `json:"sequence"`
}

// File is a file of the folder.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Create makes the folder dir, which must not exist while its parent must: fill writes
// files into the folder that it is given, and says in m what they are. Files and
// folder are on disk, and the folder complete, when Create returns nil; otherwise
// nothing is left.
func Create(dir string, m Manifest, fill func(folder string, m *Manifest) error) (_ Manifest, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return m, err
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return m, fmt.Errorf("backup folder %s: %w; name a new one", dir, err)
	}
	parent := filepath.Dir(dir)
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".unfinished-*")
	if err != nil {
		return m, fmt.Errorf("backup folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	m.Format = Format
	if err := fill(tmp, &m); err != nil {
		return m, err
	}
	if err := list(tmp, &m); err != nil {
		return m, err
	}
	if err := writeManifest(filepath.Join(tmp, ManifestFile), &m); err != nil {
		return m, err
	}
	if err := errors.Join(Sync(tmp), os.Rename(tmp, dir)); err != nil {
		return m, err
	}
	return m, Sync(parent)
}

// list notes every file and syncs it.
func list(folder string, m *Manifest) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if err := Sync(path); err != nil {
			return fmt.Errorf("sync %s: %w", path, err)
		}
		sum, n, err := digest(context.Background(), path, io.Discard)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, File{Name: e.Name(), Bytes: n, SHA256: sum})
	}
	return nil
}

func writeManifest(path string, m *Manifest) (err error) {
	if m.SHA256, err = m.sum(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return Sync(path)
}

// sum is the checksum of the manifest's content.
func (m Manifest) sum() (string, error) {
	m.SHA256 = ""
	b, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), nil
}

// Open reads the manifest of a folder. It does not look at the files: Verify does.
func Open(dir string) (Manifest, error) {
	path := filepath.Join(dir, ManifestFile)
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, fmt.Errorf("no backup in %s: %w", dir, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return Manifest{}, fmt.Errorf("read %s: %w", path, err)
	}
	m, err := parse(b)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func parse(b []byte) (m Manifest, err error) {
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, fmt.Errorf("is damaged: %w", err)
	}
	if m.Format != Format {
		return Manifest{}, fmt.Errorf("has format %d, this program reads %d; use the version that made it", m.Format, Format)
	}
	want := m.SHA256
	got, err := m.sum()
	if err != nil {
		return Manifest{}, err
	}
	if got != want {
		return Manifest{}, errors.New("is damaged: its checksum differs")
	}
	var names []string
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) || f.Name == "." || f.Name == ".." || f.Name == string(filepath.Separator) {
			return Manifest{}, fmt.Errorf("names a file outside of its folder: %q", f.Name)
		}
		names = append(names, f.Name)
	}
	for _, s := range m.Stores {
		if !slices.Contains(names, s.File) {
			return Manifest{}, fmt.Errorf("names no file for the store of %s", s.Role)
		}
	}
	return m, nil
}

// Verify reads every file of the folder and returns an error that names each one that
// is missing or not as it was written.
func (m Manifest) Verify(ctx context.Context, dir string) error {
	var errs []error
	for _, f := range m.Files {
		errs = append(errs, f.check(ctx, dir, io.Discard))
	}
	return errors.Join(errs...)
}

func (f File) check(ctx context.Context, dir string, to io.Writer) error {
	path := filepath.Join(dir, f.Name)
	sum, n, err := digest(ctx, path, to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing", path)
	case err != nil:
		return err
	case n != f.Bytes:
		return fmt.Errorf("%s is damaged: it has %d bytes instead of %d", path, n, f.Bytes)
	case sum != f.SHA256:
		return fmt.Errorf("%s is damaged: its SHA-256 is %s instead of %s", path, sum, f.SHA256)
	}
	return nil
}

// Copy writes a file of the folder to path, which must not exist, with mode 0600, and
// syncs it. The copy is checked: a file that is damaged leaves nothing.
func (m Manifest) Copy(ctx context.Context, dir, name, path string) (err error) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return fmt.Errorf("the backup has no file %s", name)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = m.Files[i].check(ctx, dir, out)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// digest copies a file to w and returns its SHA-256 and length.
func digest(ctx context.Context, path string, w io.Writer) (sum string, n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err = io.CopyBuffer(io.MultiWriter(h, w), reader{ctx, f}, make([]byte, 1<<20))
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// reader ends with its context.
type reader struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// Sync puts a file, or the entries of a folder, on disk.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
