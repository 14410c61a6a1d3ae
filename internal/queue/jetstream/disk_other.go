//go:build !(linux || darwin || freebsd)

package jetstream

import "math"

// freeBytes is unknown on this system: there is no floor.
func freeBytes(string) (uint64, error) { return math.MaxUint64, nil }

// lockDir does nothing on this system.
func lockDir(string) (func() error, error) { return func() error { return nil }, nil }
