//go:build linux || darwin || freebsd

package jetstream

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// freeBytes returns the bytes that this process may still write on the disk of
// dir.
func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil //nolint:unconvert // the types differ by system
}

// lockDir takes the folder for this process: two servers on one folder would
// destroy it. The lock goes with the process.
func lockDir(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, "queue.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("dir: %s is in use by another process; stop that process or set another dir: %w", dir, err)
	}
	return f.Close, nil
}
