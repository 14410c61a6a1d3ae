// Package folder keeps objects as files of a folder.
//
// A file is the object and 48 bytes that hold its checksum and size. They are a
// skippable frame of zstd, so tools can still read a compressed object. A file is
// written beside the others, fsynced and renamed.
package folder

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/blob"
)

const (
	trailerBytes = 48
	// skippable is the magic number of a frame that zstd skips.
	skippable = 0x184D2A5B
	// unfinished begins the names of files that are being written; no key does.
	unfinished = ".put-"
	// abandoned is the age at which such a file belongs to a process that died.
	abandoned = 24 * time.Hour
)

// Store implements blob.Store. Several processes may use the same folder.
type Store struct{ dir string }

var _ blob.Store = (*Store)(nil)

// Open opens the folder and makes it if there is none.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, errors.New("blob: no folder; set url")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("blob folder: %w", err)
	}
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("blob folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("blob folder: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		if st, err := e.Info(); err == nil && time.Since(st.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(dir, e.Name())) // it only takes room
		}
	}
	return &Store{dir: dir}, nil
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64, sum blob.Sum) (err error) {
	if err := blob.CheckPut(key, size); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, unfinished) // mode 0600
	if err != nil {
		return unavailable(err)
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	src := &reader{ctx: ctx, r: blob.Verify(r, size, sum)}
	if _, err := io.Copy(f, src); err != nil {
		if src.err != nil {
			return src.err
		}
		return unavailable(err)
	}
	if _, err := f.Write(trailer(size, sum)); err != nil {
		return unavailable(err)
	}
	if err := f.Sync(); err != nil {
		return unavailable(err)
	}
	path := s.path(key)
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return unavailable(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return unavailable(err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return unavailable(err)
	}
	return nil
}

// reader ends with the context and keeps the error of what it reads.
type reader struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (c *reader) Read(p []byte) (int, error) {
	if c.err = c.ctx.Err(); c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, key)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	size, sum, err := readTrailer(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	r := &reader{ctx: ctx, r: blob.Verify(io.NewSectionReader(f, 0, size), size, sum)}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if err := blob.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	w := walk{ctx: ctx, prefix: prefix, after: after, limit: limit}
	if err := w.folder(s.dir, ""); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return w.found, nil
}

var errEnough = errors.New("enough")

type walk struct {
	ctx           context.Context
	prefix, after string
	limit         int
	found         []blob.Info
}

// folder walks the folder whose keys begin with at, in the order of the keys: a
// folder stands where its name with a slash does.
func (w *walk) folder(dir, at string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && at != "" {
		return nil // removed meanwhile; without its own folder the store is away
	}
	if err != nil {
		return unavailable(err)
	}
	keyOf := func(e fs.DirEntry) string {
		if e.IsDir() {
			return at + e.Name() + "/"
		}
		return at + e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(keyOf(a), keyOf(b)) })
	for _, e := range entries {
		key := keyOf(e)
		switch {
		case strings.HasPrefix(e.Name(), "."):
			continue
		case e.IsDir():
			if !strings.HasPrefix(key, w.prefix) && !strings.HasPrefix(w.prefix, key) ||
				key < w.after && !strings.HasPrefix(w.after, key) {
				continue
			}
			if err := w.folder(filepath.Join(dir, e.Name()), key); err != nil {
				return err
			}
			continue
		case key <= w.after, !strings.HasPrefix(key, w.prefix):
			continue
		}
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return unavailable(err)
		}
		w.found = append(w.found, blob.Info{Key: key, Size: max(st.Size()-trailerBytes, 0), Modified: st.ModTime()})
		if len(w.found) == w.limit {
			return errEnough
		}
	}
	return nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := os.Remove(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncFolder(filepath.Dir(s.path(key)))
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Close implements blob.Store.
func (s *Store) Close() error { return nil }

func (s *Store) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

func unavailable(err error) error {
	return fmt.Errorf("%w: %w; look at the folder's disk and rights", blob.ErrUnavailable, err)
}

func trailer(size int64, sum blob.Sum) []byte {
	b := binary.LittleEndian.AppendUint32(nil, skippable)
	b = binary.LittleEndian.AppendUint32(b, trailerBytes-8)
	b = append(b, sum[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(size))
}

func readTrailer(f *os.File) (size int64, sum blob.Sum, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, sum, unavailable(err)
	}
	if st.IsDir() {
		return 0, sum, blob.ErrNotFound
	}
	size = st.Size() - trailerBytes
	b := make([]byte, trailerBytes)
	if size >= 0 {
		if _, err := f.ReadAt(b, size); err != nil {
			return 0, sum, unavailable(err)
		}
	}
	if binary.LittleEndian.Uint32(b) != skippable || binary.LittleEndian.Uint64(b[40:]) != uint64(size) {
		return 0, sum, fmt.Errorf("%w: the file's end is missing", blob.ErrCorrupt)
	}
	return size, blob.Sum(b[8:40]), nil
}

// makeFolder makes a folder, with those above it, to last.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
