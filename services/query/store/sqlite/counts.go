package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/record"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
)

// ApplyAccepted implements query.Store.
func (s *Store) ApplyAccepted(ctx context.Context, b query.AcceptedBatch) error {
	err := s.write(ctx, func(c *rawConn) error {
		if err := checkPosition(c, queue.Events, b.After); err != nil {
			return err
		}
		balance := rollup.Balance{}
		for _, n := range b.Counts {
			project, err := s.cache.dims.Project(table{c}, n.Project)
			if err != nil {
				return err
			}
			balance.At(project, n.Hour).Accepted += n.Events
		}
		if err := writeBalance(c, balance); err != nil {
			return err
		}
		return writePosition(c, queue.Events, b.Position)
	})
	if err != nil {
		return fmt.Errorf("count accepted events: %w", err)
	}
	return nil
}

// ApplyDead implements query.Store.
func (s *Store) ApplyDead(ctx context.Context, b query.DeadBatch) (int, error) {
	counted := 0
	err := s.write(ctx, func(c *rawConn) error {
		counted = 0
		if err := checkPosition(c, queue.Dead, b.After); err != nil {
			return err
		}
		balance := rollup.Balance{}
		for i := range b.Letters {
			n, err := s.note(c, &b.Letters[i], balance)
			if err != nil {
				return err
			}
			counted += n
		}
		if err := writeBalance(c, balance); err != nil {
			return err
		}
		return writePosition(c, queue.Dead, b.Position)
	})
	if err != nil {
		return 0, fmt.Errorf("note dead letters: %w", err)
	}
	return counted, nil
}

// note keeps a letter and counts it unless it is known, or its event was stored
// from the same message after all. It returns the number of events counted.
func (s *Store) note(c *rawConn, l *query.Letter, balance rollup.Balance) (int, error) {
	total := int64(0)
	for _, n := range l.Counts {
		total += n.Events
	}
	stored, err := s.storedFrom(c, l)
	if err != nil {
		return 0, err
	}
	if stored {
		total = 0
	}
	isNew := false
	err = c.query("INSERT INTO dead_letters (epoch, sequence, digest, project, event_id, accepted_us, stage, reason, detail, attempts, failed_us, events) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1",
		func([]driver.Value) error { isNew = true; return nil },
		int64(l.Epoch), int64(l.Sequence), l.Digest[:], l.Project, l.EventID, l.AcceptedUS,
		l.Stage, l.Reason, l.Detail, int64(l.Attempts), l.FailedUS, total)
	if err != nil {
		return 0, fmt.Errorf("note dead letter: %w", err)
	}
	s.cache.dead = nil
	if !isNew || stored {
		return 0, nil
	}
	for _, n := range l.Counts {
		project, err := s.cache.dims.Project(table{c}, n.Project)
		if err != nil {
			return 0, err
		}
		balance.At(project, n.Hour).DeadLetter += n.Events
	}
	return int(total), nil
}

// storedFrom says whether the letter's event was stored from the very message
// that the letter tells of: then it was counted already.
func (s *Store) storedFrom(c *rawConn, l *query.Letter) (bool, error) {
	if l.EventID == "" || l.AcceptedUS == 0 {
		return false, nil
	}
	floorUS, err := floor(c)
	if err != nil {
		return false, err
	}
	if l.AcceptedUS < floorUS {
		return true, nil // whatever became of it, it was counted before
	}
	found := false
	err = c.query("SELECT e.accepted_us, e.extra FROM events e JOIN projects p ON p.id = e.project WHERE p.name = ? AND e.id = ?",
		func(row []driver.Value) error {
			e := query.Event{AcceptedUS: asInt(row[0])}
			b, _ := row[1].([]byte)
			if err := record.ReadExtra(b, &e); err != nil {
				return err
			}
			found = e.EventsSequence == l.Sequence && e.AcceptedUS == l.AcceptedUS
			return nil
		}, l.Project, l.EventID)
	if err != nil {
		return false, fmt.Errorf("look for the event of a dead letter: %w", err)
	}
	return found, nil
}

// deadOf returns the digests of the letters about a source's events.
func (s *Store) deadOf(c *rawConn, src *query.Source) (map[[16]byte]struct{}, error) {
	if s.cache.dead == nil {
		some := false
		err := c.query("SELECT 1 FROM dead_letters LIMIT 1", func([]driver.Value) error { some = true; return nil })
		if err != nil {
			return nil, fmt.Errorf("look for dead letters: %w", err)
		}
		s.cache.dead = &some
	}
	if !*s.cache.dead {
		return nil, nil
	}
	var dead map[[16]byte]struct{}
	err := c.query("SELECT digest FROM dead_letters WHERE epoch = ? AND sequence = ? AND event_id <> ''", func(row []driver.Value) error {
		if dead == nil {
			dead = map[[16]byte]struct{}{}
		}
		var d [16]byte
		b, _ := row[0].([]byte)
		copy(d[:], b)
		dead[d] = struct{}{}
		return nil
	}, int64(src.Epoch), int64(src.Sequence))
	if err != nil {
		return nil, fmt.Errorf("look for dead letters: %w", err)
	}
	return dead, nil
}

// Forget implements query.Store.
func (s *Store) Forget(ctx context.Context, beforeUS int64, limit int) (int, error) {
	removed := 0
	err := s.write(ctx, func(c *rawConn) error {
		removed = 0
		count := func([]driver.Value) error { removed++; return nil }
		err := c.query("DELETE FROM applied_sources WHERE (epoch, sequence, queued_us) IN "+
			"(SELECT epoch, sequence, queued_us FROM applied_sources WHERE applied_us < ? ORDER BY applied_us LIMIT ?) RETURNING 1",
			count, beforeUS, int64(limit))
		if err != nil {
			return err
		}
		return c.query("DELETE FROM dead_letters WHERE (epoch, sequence, digest) IN "+
			"(SELECT epoch, sequence, digest FROM dead_letters WHERE failed_us < ? ORDER BY failed_us LIMIT ?) RETURNING 1",
			count, beforeUS, int64(limit-removed))
	})
	if err != nil {
		return 0, fmt.Errorf("forget old notes: %w", err)
	}
	return removed, nil
}
