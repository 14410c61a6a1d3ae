package auth

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// maxPendingUses bounds the keys whose last use is not written yet; a use beyond
// is not noted.
const maxPendingUses = 10000

// useLog gathers when keys were used, to the minute, and writes it in batches.
type useLog struct {
	store Keys

	mu      sync.Mutex
	pending map[string]time.Time
	written map[string]time.Time
}

func newUseLog(store Keys) *useLog {
	return &useLog{store: store, pending: map[string]time.Time{}, written: map[string]time.Time{}}
}

// note notes a use; a second one in a minute costs a look into a map.
func (u *useLog) note(id string, at time.Time) {
	at = at.Truncate(time.Minute)
	u.mu.Lock()
	defer u.mu.Unlock()
	if !at.After(u.written[id]) || !at.After(u.pending[id]) {
		return
	}
	if _, known := u.pending[id]; known || len(u.pending) < maxPendingUses {
		u.pending[id] = at
	}
}

// flush writes what was noted. What could not be written is tried again by the
// next flush.
func (u *useLog) flush(ctx context.Context) error {
	u.mu.Lock()
	batch := u.pending
	u.pending = map[string]time.Time{}
	u.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := u.store.TouchKeys(ctx, batch)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		for id, at := range batch {
			if at.After(u.pending[id]) && len(u.pending) < maxPendingUses {
				u.pending[id] = at
			}
		}
		return fmt.Errorf("note last uses of keys: %w", err)
	}
	u.written = batch // only to save repeats; the store never goes back in time
	return nil
}
