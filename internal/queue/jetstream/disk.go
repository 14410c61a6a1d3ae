package jetstream

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// floorEvery is how long one look at the disk counts.
const floorEvery = 250 * time.Millisecond

// diskFloor refuses while a disk has too little free space. The server's own
// answer to a full disk is to switch JetStream off, so this must come first.
type diskFloor struct {
	dir   string
	floor uint64
	free  func(dir string) (uint64, error)

	next    atomic.Int64 // when to look again, Unix nanoseconds
	refusal atomic.Pointer[error]
}

// newDiskFloor returns nil (never refuses) when there is nothing to guard.
func newDiskFloor(cfg Config) *diskFloor {
	if !cfg.embedded() || cfg.FreeFloorBytes == 0 {
		return nil
	}
	return &diskFloor{dir: cfg.Dir, floor: uint64(cfg.FreeFloorBytes), free: freeBytes}
}

// check returns the refusal in force, nil if none. One caller in floorEvery
// looks at the disk, the others take its finding.
func (d *diskFloor) check(now time.Time) error {
	if d == nil {
		return nil
	}
	at := d.next.Load()
	if n := now.UnixNano(); n >= at && d.next.CompareAndSwap(at, n+int64(floorEvery)) {
		d.look()
	}
	if p := d.refusal.Load(); p != nil {
		return *p
	}
	return nil
}

// look asks the system and stores what follows from it.
func (d *diskFloor) look() {
	free, err := d.free(d.dir)
	switch {
	case err != nil:
		// Not knowing is not a reason to refuse: a write that fails is refused
		// by the server.
		d.refusal.Store(nil)
	case free < d.floor:
		refusal := fmt.Errorf("%w: the disk of %s has %s free, fewer than free_floor_bytes %s; free some space, move dir to a larger disk or lower free_floor_bytes",
			queue.ErrFull, d.dir, mib(free), config.Bytes(d.floor))
		d.refusal.Store(&refusal)
	default:
		d.refusal.Store(nil)
	}
}

// mib writes a size for people.
func mib(n uint64) string { return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20)) }
