package query

import (
	"context"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const deadMessages = 256

// dead counts the dead letters of DEAD.
type dead struct {
	store     Store
	positions *positions
	follower  *follower
	metrics   *metrics
	now       func() time.Time
}

// session implements follower.session.
func (d *dead) session(ctx context.Context, c queue.Consumer, after uint64, stored queue.Position) error {
	last := after
	for {
		messages, err := c.Fetch(ctx, deadMessages)
		if err != nil {
			return err
		}
		b := DeadBatch{After: &stored}
		var ack func() error
		for i := range messages {
			m := &messages[i]
			if m.Position.Sequence <= last {
				continue // delivered again
			}
			last, ack = m.Position.Sequence, m.Ack
			b.Position = StoredPosition{Position: m.Position, TimeUS: m.Time.UnixMicro()}
			b.Letters = append(b.Letters, letterOf(m, d.now().UnixMicro()))
		}
		if ack == nil {
			continue
		}
		counted := 0
		err = retry(ctx, &d.follower.health, d.follower.log, func() error {
			var err error
			counted, err = d.store.ApplyDead(context.WithoutCancel(ctx), b)
			return err
		})
		if err != nil {
			return err
		}
		stored = b.Position.Position
		d.positions.set(queue.Dead, b.Position)
		d.metrics.dead(ctx, counted)
		if err := ack(); err != nil {
			d.follower.log.DebugContext(ctx, "acknowledgement failed", "error", err)
		}
	}
}
