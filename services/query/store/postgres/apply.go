package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/internal/dberr"
	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/dims"
	"github.com/synapse-analytics/synapse/services/query/store/record"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
)

// sourceKey is the identity of a message of EVENTS.
type sourceKey struct{ epoch, sequence, queuedUS int64 }

func keyOf(src *query.Source) sourceKey {
	return sourceKey{int64(src.Epoch), int64(src.Sequence), src.QueuedUS}
}

// letterKey is a message and an event of it that has a dead letter.
type letterKey struct {
	epoch, sequence int64
	digest          [16]byte
}

// row is an event on its way into the table.
type row struct {
	e             *query.Event
	project, dims int64
	fold          int64
}

// applier carries a batch through its transaction.
type applier struct {
	*work
	b     *query.Batch
	out   query.Outcome
	fresh map[sourceKey]struct{}
	dead  map[letterKey]struct{}
	rows  []row
}

// Apply implements query.Store.
func (s *Store) Apply(ctx context.Context, b *query.Batch) (query.Outcome, error) {
	out, err := s.apply(ctx, queue.Scored, b.After, b.Position, func(w *work) (any, error) {
		a := applier{work: w, b: b, fresh: map[sourceKey]struct{}{}, dead: map[letterKey]struct{}{}}
		err := a.run()
		return a.out, err
	})
	if err != nil {
		return query.Outcome{}, fmt.Errorf("apply a batch of %d events: %w", b.Rows(), err)
	}
	return out.(query.Outcome), nil //nolint:forcetypeassert // given above
}

func (a *applier) run() error {
	if err := a.begin(); err != nil {
		return err
	}
	for i := range a.b.Sources {
		if err := a.source(&a.b.Sources[i]); err != nil {
			return err
		}
	}
	if len(a.rows) == 0 {
		return nil
	}
	isNew, err := a.claim()
	if err != nil {
		return fmt.Errorf("claim ids: %w", err)
	}
	if err := a.insert(isNew); err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	conflicts, err := a.conflicts(isNew)
	if err != nil {
		return fmt.Errorf("compare repeated events: %w", err)
	}
	return a.count(isNew, conflicts)
}

// begin takes the lock, notes the sources and asks for dead letters of theirs.
func (a *applier) begin() error {
	n := len(a.b.Sources)
	epochs, sequences, queued := make([]int64, n), make([]int64, n), make([]int64, n)
	for i := range a.b.Sources {
		k := keyOf(&a.b.Sources[i])
		epochs[i], sequences[i], queued[i] = k.epoch, k.sequence, k.queuedUS
	}
	err := a.lock(func(b *pgx.Batch) {
		// COPY into a partition locks that first and events after it: the other way round
		// than a migration or an operator, which it would meet in a deadlock.
		b.Queue("LOCK TABLE ONLY events IN ROW EXCLUSIVE MODE")
		b.Queue("INSERT INTO applied_sources (epoch, sequence, queued_us, applied_us) "+
			"SELECT *, $4::bigint FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING RETURNING epoch, sequence, queued_us",
			epochs, sequences, queued, a.b.StoredUS).Query(func(rows pgx.Rows) error {
			var k sourceKey
			_, err := pgx.ForEachRow(rows, []any{&k.epoch, &k.sequence, &k.queuedUS}, func() error { a.fresh[k] = struct{}{}; return nil })
			return err
		})
		b.Queue("SELECT epoch, sequence, digest FROM dead_letters WHERE event_id <> '' AND (epoch, sequence) IN "+
			"(SELECT * FROM unnest($1::bigint[], $2::bigint[]))", epochs, sequences).Query(func(rows pgx.Rows) error {
			var k letterKey
			var digest []byte
			_, err := pgx.ForEachRow(rows, []any{&k.epoch, &k.sequence, &digest}, func() error {
				copy(k.digest[:], digest)
				a.dead[k] = struct{}{}
				return nil
			})
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("note sources: %w", err)
	}
	return nil
}

// source collects the events of a source that was not applied before.
func (a *applier) source(src *query.Source) error {
	k := keyOf(src)
	if _, ok := a.fresh[k]; !ok || src.Before(a.floorUS) {
		a.out.RepeatedSources++
		return nil
	}
	delete(a.fresh, k) // a second one in this batch is a repeat
	for i := range src.Events {
		e := &src.Events[i]
		if len(a.dead) > 0 {
			if _, ok := a.dead[letterKey{k.epoch, k.sequence, e.Digest()}]; ok {
				continue // it was counted as a dead letter
			}
		}
		project, err := a.project(e.Project)
		if err != nil {
			return err
		}
		d, err := a.cache.dims.Dims(table{a.ctx, a.tx}, dims.Key{Project: project, Source: e.Source, Language: e.Language, Model: e.Model})
		if err != nil {
			return fmt.Errorf("find dimensions: %w", err)
		}
		e.Seq, e.StoredUS = a.next, a.b.StoredUS
		a.next++
		a.rows = append(a.rows, row{e, project, d.ID, d.Fold})
	}
	for i := range src.Letters {
		l := &src.Letters[i]
		n, err := a.note(l)
		if err != nil {
			return err
		}
		a.out.DeadLetters += n
		if l.EventID != "" { // for a source with the same message later in this batch
			a.dead[letterKey{int64(l.Epoch), int64(l.Sequence), l.Digest}] = struct{}{}
		}
	}
	return nil
}

// careful is for how many batches ids are looked up before they are entered, after
// one was known. Most streams repeat nothing, and some do all day.
const careful = 100

// claim enters the ids and tells which rows are the first of theirs. The lock keeps
// other writers out. Entering the ids by COPY, to look them up only when one of them
// is refused, takes half the time of an INSERT that expects conflicts.
func (a *applier) claim() (isNew []bool, err error) {
	isNew = make([]bool, len(a.rows))
	type key struct {
		project int64
		id      string
	}
	seen := make(map[key]struct{}, len(a.rows))
	for i, r := range a.rows {
		k := key{r.project, r.e.ID}
		_, again := seen[k]
		isNew[i] = !again
		seen[k] = struct{}{}
	}
	if a.cache.careful == 0 {
		err := a.enter(isNew)
		if !errors.Is(pgdb.Wrap(err), dberr.ErrUnique) {
			return isNew, err
		}
		a.cache.careful = careful
	}
	a.cache.careful--
	if err := a.lookUp(isNew); err != nil {
		return nil, err
	}
	return isNew, a.enter(isNew)
}

// enter copies the ids of new rows into the table, all or none.
func (a *applier) enter(isNew []bool) error {
	fresh := make([]row, 0, len(a.rows))
	for i, r := range a.rows {
		if isNew[i] {
			fresh = append(fresh, r)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	save, err := a.tx.Begin(a.ctx)
	if err != nil {
		return err
	}
	_, err = save.CopyFrom(a.ctx, pgx.Identifier{"event_ids"}, []string{"project", "id", "seq", "accepted_us"},
		pgx.CopyFromSlice(len(fresh), func(i int) ([]any, error) {
			r := fresh[i]
			return []any{r.project, r.e.ID, r.e.Seq, r.e.AcceptedUS}, nil
		}))
	if err != nil {
		return errors.Join(err, save.Rollback(a.ctx))
	}
	return save.Commit(a.ctx)
}

// lookUp takes rows whose ids are known out of the new ones.
func (a *applier) lookUp(isNew []bool) error {
	n := len(a.rows)
	projects, ids, seqs := make([]int64, n), make([]string, n), make([]int64, n)
	for i, r := range a.rows {
		projects[i], ids[i], seqs[i] = r.project, r.e.ID, r.e.Seq
	}
	rows, err := a.tx.Query(a.ctx, "SELECT n.seq FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS n (project, id, seq) "+
		"JOIN event_ids i ON i.project = n.project AND i.id = n.id", projects, ids, seqs)
	if err != nil {
		return err
	}
	var seq int64
	_, err = pgx.ForEachRow(rows, []any{&seq}, func() error { isNew[seq-seqs[0]] = false; return nil })
	return err
}

var eventColumns = []string{
	"seq", "project", "dims", "id", "occurred_us", "accepted_us", "label", "score_e4", "mixed", "user_id", "text", "attributes", "emotions", "extra",
}

// insert copies the new rows into the partitions of their days.
func (a *applier) insert(isNew []bool) error {
	byDay := map[int64][]row{}
	for i, r := range a.rows {
		if isNew[i] {
			day := rollup.BucketOf(r.e.AcceptedUS, query.Day)
			byDay[day] = append(byDay[day], r)
		}
	}
	for day, rows := range byDay {
		name, err := a.partition(day)
		if err != nil {
			return err
		}
		source := &copier{rows: rows, values: make([]any, len(eventColumns))}
		if _, err := a.tx.CopyFrom(a.ctx, pgx.Identifier{name}, eventColumns, source); err != nil {
			return err
		}
	}
	return nil
}

// copier implements pgx.CopyFromSource.
type copier struct {
	rows   []row
	values []any
	extra  []byte
}

func (c *copier) Next() bool { return len(c.rows) > 0 }
func (c *copier) Err() error { return nil }

func (c *copier) Values() ([]any, error) {
	r := c.rows[0]
	c.rows = c.rows[1:]
	e := r.e
	var attributes, emotions any
	if len(e.Attributes) > 0 {
		text, err := json.Marshal(e.Attributes)
		if err != nil {
			return nil, err
		}
		attributes = text
	}
	if len(e.Emotions) > 0 {
		emotions = record.EmotionsText(e.Emotions)
	}
	mixed := int16(0)
	if e.Mixed {
		mixed = 1
	}
	c.extra = record.AppendExtra(c.extra[:0], e)
	for i, v := range [...]any{
		e.Seq, r.project, r.dims, e.ID, e.OccurredUS, e.AcceptedUS, int16(e.Label), e.ScoreE4, mixed, e.UserID, e.Text, attributes, emotions, c.extra,
	} {
		c.values[i] = v
	}
	return c.values, nil
}

// conflicts tells which of the repeated rows have another text than the one that is
// stored.
func (a *applier) conflicts(isNew []bool) (map[int64]bool, error) {
	var projects, seqs []int64
	var ids, texts []string
	for i, r := range a.rows {
		if !isNew[i] {
			projects, ids, seqs, texts = append(projects, r.project), append(ids, r.e.ID), append(seqs, r.e.Seq), append(texts, r.e.Text)
		}
	}
	if len(seqs) == 0 {
		return nil, nil
	}
	rows, err := a.tx.Query(a.ctx, "SELECT n.seq FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[]) AS n (project, id, seq, text) "+
		"JOIN event_ids i ON i.project = n.project AND i.id = n.id JOIN events e ON e.accepted_us = i.accepted_us AND e.seq = i.seq "+
		"WHERE e.text <> n.text", projects, ids, seqs, texts)
	if err != nil {
		return nil, err
	}
	out := map[int64]bool{}
	var seq int64
	_, err = pgx.ForEachRow(rows, []any{&seq}, func() error { out[seq] = true; return nil })
	return out, err
}

// count adds the rows to the rollups and the balance.
func (a *applier) count(isNew []bool, conflicts map[int64]bool) error {
	rolls := rollup.NewSet()
	a.out.Stored = make([]*query.Event, 0, len(a.rows))
	for i, r := range a.rows {
		c := a.balance.At(r.project, rollup.BucketOf(r.e.AcceptedUS, query.Hour))
		switch {
		case isNew[i]:
			c.Stored++
			rolls.Add(r.project, r.fold, r.e)
			a.out.Stored = append(a.out.Stored, r.e)
		default:
			c.Duplicate++
			a.out.Duplicates++
			if conflicts[r.e.Seq] {
				c.Conflict++
				a.out.Conflicts++
			}
		}
	}
	rolls.Spread()
	columns := rollColumns(rolls, func(k rollup.Key) []int64 { return []int64{k.Project, k.Grain, k.Bucket, k.Dims} })
	if len(columns) == 0 {
		return nil
	}
	if _, err := a.tx.Exec(a.ctx, upsertRollups, columns...); err != nil {
		return fmt.Errorf("add to rollups: %w", err)
	}
	return nil
}
