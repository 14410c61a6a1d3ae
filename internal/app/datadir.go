package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockData makes the data folder and keeps other processes with embedded
// engines out of it.
func (a *App) lockData(context.Context) error {
	if onlyGateway(a.roles) {
		return nil
	}
	if err := os.MkdirAll(a.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	name := "lock"
	if a.cfg.Queue.URL != "" { // the roles share the folder, each with a file of its own
		name = "lock-" + a.name()
	}
	f, err := lockFolder(a.cfg.Data, name)
	a.lock = f
	return err
}

// lockFolder takes the lock of a name in a data folder, until the file is closed.
func lockFolder(dir, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data folder %s is in use by another process; stop it, or give another --data", dir)
		}
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return f, nil
}

// LockData keeps every role out of an existing data folder until unlock is called. It
// fails when one of them runs on it.
func LockData(dir string) (unlock func(), err error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	roles, err := filepath.Glob(filepath.Join(dir, "lock-*"))
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	var held []*os.File
	unlock = func() {
		for _, f := range held {
			_ = f.Close()
		}
	}
	for _, path := range append(roles, filepath.Join(dir, "lock")) {
		f, err := lockFolder(dir, filepath.Base(path))
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, f)
	}
	return unlock, nil
}

func (a *App) unlockData(context.Context) error {
	if a.lock == nil {
		return nil
	}
	return a.lock.Close() // releases the lock
}
