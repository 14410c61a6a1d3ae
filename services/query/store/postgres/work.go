package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/internal/dberr"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/dims"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

// cache is what the writer remembers of the database, as of the transaction whose
// token it has.
type cache struct {
	batch   []byte
	dims    dims.Cache
	days    map[int64]struct{}
	careful int
}

// unknown is a transaction of which is not known whether it was kept.
type unknown struct {
	stream   queue.Stream
	position query.StoredPosition
	token    []byte
	result   any
}

// work is a write transaction.
type work struct {
	ctx     context.Context //nolint:containedctx // lives as long as one call
	tx      pgx.Tx
	cache   *cache
	stream  queue.Stream
	after   *queue.Position
	next    int64 // Seq to give next
	floorUS int64 // all that was queued before it was applied
	balance rollup.Balance
}

// apply runs f in a transaction that moves the stream from one position, if that is
// given, to the next. Of one that may have been kept without an answer it finds out
// first.
func (s *Store) apply(ctx context.Context, stream queue.Stream, after *queue.Position, at query.StoredPosition, f func(w *work) (any, error)) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const tries = 3
	var err error
	for range tries {
		if u := s.unknown[stream]; u != nil {
			kept, err := s.kept(ctx, u)
			if err != nil {
				return nil, sqlread.PortError(ctx, outside(err))
			}
			delete(s.unknown, stream)
			if kept && u.position == at {
				s.replicas.Note(ctx)
				return u.result, nil
			}
		}
		u := &unknown{stream: stream, position: at, token: token()}
		err = s.transact(ctx, u.token, func(w *work) (err error) {
			w.stream, w.after = stream, after
			if u.result, err = f(w); err != nil {
				return err
			}
			return w.finish(u)
		})
		if err == nil {
			s.replicas.Note(ctx)
		}
		if !errors.Is(err, dberr.ErrUnknown) {
			return u.result, sqlread.PortError(ctx, outside(err))
		}
		s.unknown[stream] = u
	}
	return nil, fmt.Errorf("%w: %w", query.ErrBusy, err)
}

// transact runs f in a transaction that has the writer's lock from its first
// statement that needs it: f calls w.lock before it uses anything else of w.
func (s *Store) transact(ctx context.Context, token []byte, f func(w *work) error) error {
	err := s.write.WithTx(ctx, func(tx pgx.Tx) error {
		return f(&work{ctx: ctx, tx: tx, cache: &s.cache, balance: rollup.Balance{}})
	})
	if err != nil {
		s.cache = cache{}
		return err
	}
	s.cache.batch = token
	return nil
}

// token is a name for a transaction that no other has.
func token() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return b
}

// kept tells whether the transaction was committed. It waits for the lock, so what
// is left of that transaction on the server has ended.
func (s *Store) kept(ctx context.Context, u *unknown) (kept bool, err error) {
	err = s.write.WithTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM writer FOR UPDATE"); err != nil {
			return err
		}
		var batch []byte
		err := tx.QueryRow(ctx, "SELECT batch FROM positions WHERE stream = $1", string(u.stream)).Scan(&batch)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		kept = bytes.Equal(batch, u.token)
		return err
	})
	return kept, err
}

// lock takes the writer's lock and looks where the stream is, with further queries
// in the same round trip.
func (w *work) lock(more func(*pgx.Batch)) error {
	b := &pgx.Batch{}
	b.Queue("SELECT next_seq, batch FROM writer FOR UPDATE").QueryRow(func(row pgx.Row) error {
		var batch []byte
		if err := row.Scan(&w.next, &batch); err != nil {
			return err
		}
		if !bytes.Equal(batch, w.cache.batch) { // another process wrote, or this is another server
			*w.cache = cache{}
		}
		return nil
	})
	var at queue.Position
	b.Queue("SELECT epoch, sequence FROM positions WHERE stream = $1", string(w.stream)).Query(func(rows pgx.Rows) error {
		var epoch, sequence int64
		_, err := pgx.ForEachRow(rows, []any{&epoch, &sequence}, func() error {
			at = queue.Position{Epoch: uint64(epoch), Sequence: uint64(sequence)}
			return nil
		})
		return err
	})
	b.Queue("SELECT floor_us FROM retention").QueryRow(func(row pgx.Row) error { return row.Scan(&w.floorUS) })
	if more != nil {
		more(b)
	}
	if err := w.tx.SendBatch(w.ctx, b).Close(); err != nil {
		return err
	}
	if w.after != nil && *w.after != at {
		return fmt.Errorf("%w: %s is at %d of epoch %d, the batch follows %d of epoch %d", query.ErrMoved,
			w.stream, at.Sequence, at.Epoch, w.after.Sequence, w.after.Epoch)
	}
	return nil
}

// finish writes what the transaction counted and where it has come to.
func (w *work) finish(u *unknown) error {
	b := &pgx.Batch{}
	w.queueBalance(b)
	b.Queue("INSERT INTO positions (stream, epoch, sequence, time_us, batch) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (stream) DO UPDATE SET "+
		"epoch = excluded.epoch, sequence = excluded.sequence, time_us = excluded.time_us, batch = excluded.batch",
		string(u.stream), int64(u.position.Epoch), int64(u.position.Sequence), u.position.TimeUS, u.token)
	b.Queue("UPDATE writer SET next_seq = $1, batch = $2", w.next, u.token)
	if err := w.tx.SendBatch(w.ctx, b).Close(); err != nil {
		return fmt.Errorf("note position of %s: %w", u.stream, err)
	}
	return nil
}

func (w *work) queueBalance(b *pgx.Batch) {
	if len(w.balance) == 0 {
		return
	}
	var columns [7][]int64
	for k, n := range w.balance {
		for i, v := range [...]int64{k.Project, k.Hour, n.Accepted, n.Stored, n.Duplicate, n.Conflict, n.DeadLetter} {
			columns[i] = append(columns[i], v)
		}
	}
	b.Queue("INSERT INTO balance (project, hour, accepted, stored, duplicate, conflict, dead_letter, erased) "+
		"SELECT *, 0 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) "+
		"ON CONFLICT (project, hour) DO UPDATE SET accepted = balance.accepted + excluded.accepted, stored = balance.stored + excluded.stored, "+
		"duplicate = balance.duplicate + excluded.duplicate, conflict = balance.conflict + excluded.conflict, "+
		"dead_letter = balance.dead_letter + excluded.dead_letter",
		columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6])
}

// project returns the number of a project.
func (w *work) project(name string) (int64, error) {
	id, err := w.cache.dims.Project(table{w.ctx, w.tx}, name)
	if err != nil {
		return 0, fmt.Errorf("find project: %w", err)
	}
	return id, nil
}
