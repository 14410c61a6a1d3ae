package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/record"
	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

// ApplyAccepted implements query.Store.
func (s *Store) ApplyAccepted(ctx context.Context, b query.AcceptedBatch) error {
	_, err := s.apply(ctx, queue.Events, b.After, b.Position, func(w *work) (any, error) {
		if err := w.lock(nil); err != nil {
			return nil, err
		}
		for _, n := range b.Counts {
			project, err := w.project(n.Project)
			if err != nil {
				return nil, err
			}
			w.balance.At(project, n.Hour).Accepted += n.Events
		}
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("count accepted events: %w", err)
	}
	return nil
}

// ApplyDead implements query.Store.
func (s *Store) ApplyDead(ctx context.Context, b query.DeadBatch) (int, error) {
	counted, err := s.apply(ctx, queue.Dead, b.After, b.Position, func(w *work) (any, error) {
		if err := w.lock(nil); err != nil {
			return 0, err
		}
		counted := 0
		for i := range b.Letters {
			n, err := w.note(&b.Letters[i])
			if err != nil {
				return 0, err
			}
			counted += n
		}
		return counted, nil
	})
	if err != nil {
		return 0, fmt.Errorf("note dead letters: %w", err)
	}
	return counted.(int), nil //nolint:forcetypeassert // given above
}

// note keeps a letter and counts it unless it is known, or its event was stored
// from the same message after all. It returns the number of events counted.
func (w *work) note(l *query.Letter) (int, error) {
	total := int64(0)
	for _, n := range l.Counts {
		total += n.Events
	}
	stored, err := w.storedFrom(l)
	if err != nil {
		return 0, err
	}
	if stored {
		total = 0
	}
	tag, err := w.tx.Exec(w.ctx, "INSERT INTO dead_letters (epoch, sequence, digest, project, event_id, accepted_us, stage, reason, detail, attempts, failed_us, events) "+
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
		int64(l.Epoch), int64(l.Sequence), l.Digest[:], l.Project, l.EventID, l.AcceptedUS,
		l.Stage, l.Reason, l.Detail, int64(l.Attempts), l.FailedUS, total)
	if err != nil {
		return 0, fmt.Errorf("note dead letter: %w", err)
	}
	if tag.RowsAffected() == 0 || stored {
		return 0, nil
	}
	for _, n := range l.Counts {
		project, err := w.project(n.Project)
		if err != nil {
			return 0, err
		}
		w.balance.At(project, n.Hour).DeadLetter += n.Events
	}
	return int(total), nil
}

// storedFrom says whether the letter's event was stored from the very message
// that the letter tells of: then it was counted already.
func (w *work) storedFrom(l *query.Letter) (bool, error) {
	if l.EventID == "" || l.AcceptedUS == 0 {
		return false, nil
	}
	if l.AcceptedUS < w.floorUS {
		return true, nil // whatever became of it, it was counted before
	}
	var e query.Event
	var extra []byte
	err := w.tx.QueryRow(w.ctx, "SELECT e.accepted_us, e.extra FROM projects p JOIN event_ids i ON i.project = p.id "+
		"JOIN events e ON e.accepted_us = i.accepted_us AND e.seq = i.seq WHERE p.name = $1 AND i.id = $2", l.Project, l.EventID).Scan(&e.AcceptedUS, &extra)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err == nil {
		err = record.ReadExtra(extra, &e)
	}
	if err != nil {
		return false, fmt.Errorf("look for the event of a dead letter: %w", err)
	}
	return e.EventsSequence == l.Sequence && e.AcceptedUS == l.AcceptedUS, nil
}

// Forget implements query.Store.
func (s *Store) Forget(ctx context.Context, beforeUS int64, limit int) (removed int, err error) {
	err = s.write.WithTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM applied_sources WHERE (epoch, sequence, queued_us) IN "+
			"(SELECT epoch, sequence, queued_us FROM applied_sources WHERE applied_us < $1 ORDER BY applied_us LIMIT $2)", beforeUS, limit)
		if err != nil {
			return err
		}
		removed = int(tag.RowsAffected())
		tag, err = tx.Exec(ctx, "DELETE FROM dead_letters WHERE (epoch, sequence, digest) IN "+
			"(SELECT epoch, sequence, digest FROM dead_letters WHERE failed_us < $1 ORDER BY failed_us LIMIT $2)", beforeUS, limit-removed)
		removed += int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget old notes: %w", sqlread.PortError(ctx, outside(err)))
	}
	return removed, nil
}
