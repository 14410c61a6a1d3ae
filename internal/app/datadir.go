package app

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	f, err := os.OpenFile(a.cfg.path(name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("the data folder %s is in use by another process; stop it, or give another --data", a.cfg.Data)
		}
		return fmt.Errorf("lock the data folder: %w", err)
	}
	a.lock = f
	return nil
}

func (a *App) unlockData(context.Context) error {
	if a.lock == nil {
		return nil
	}
	return a.lock.Close() // releases the lock
}
