package auth

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// What the tests look at from outside: the background tasks, which they run when
// their clock says so, and the count of password hashes.

var (
	ParseHash     = parseHash
	CheckPassword = checkPassword
)

const PendingFile = pendingFile

func (s *Service) Rotate(ctx context.Context) error { return s.rotate(ctx) }
func (s *Service) Flush(ctx context.Context) error  { return s.uses.flush(ctx) }
func (s *Service) Look(ctx context.Context) error   { return s.announce.look(ctx) }
func (s *Service) Prune(ctx context.Context) error  { return s.prune(ctx) }

// SignIns is the number of sign-ins under way.
func (s *Service) SignIns() int { return len(s.throttle.places) }

// HashCall is one run of argon2id.
type HashCall struct {
	Password          string
	Passes, MemoryKiB uint32
	Lanes             uint8
}

// WatchHashes calls seen at each run, with quick parameters in place of the
// given ones.
func (s *Service) WatchHashes(seen func(HashCall)) {
	s.hasher.run = func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, size uint32) []byte {
		seen(HashCall{string(password), passes, memoryKiB, lanes})
		return argon2.IDKey(password, salt, 1, 8, 1, size)
	}
}

// CountHashes is WatchHashes that only counts.
func (s *Service) CountHashes() *atomic.Int64 {
	var n atomic.Int64
	s.WatchHashes(func(HashCall) { n.Add(1) })
	return &n
}

// RealHashes undoes WatchHashes.
func (s *Service) RealHashes() { s.hasher.run = argon2.IDKey }

func EncodePage(key []byte, project string, c KeyCursor) string {
	return pageTokens{key: key}.encode(project, c)
}

func DecodePage(key []byte, project, token string) (KeyCursor, error) {
	return pageTokens{key: key}.decode(project, token)
}

// Wait is the throttle's wait after n failures.
func Wait(c Config, n int) time.Duration { return newThrottle(c, nil, nil).wait(n) }
