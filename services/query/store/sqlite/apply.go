package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/dims"
	"github.com/synapse-analytics/synapse/services/query/store/record"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

// chunkSizes are the rows of the INSERT statements, the largest first: one
// statement of 100 rows costs a fraction of 100 statements.
var chunkSizes = [...]int{100, 10, 1}

const eventColumns = 14

var (
	insertEvents, upsertRollups = statements()
	upsertBalance               = "INSERT INTO balance (project, hour, accepted, stored, duplicate, conflict, dead_letter, erased) " +
		"VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET " +
		"accepted = accepted + excluded.accepted, stored = stored + excluded.stored, " +
		"duplicate = duplicate + excluded.duplicate, conflict = conflict + excluded.conflict, " +
		"dead_letter = dead_letter + excluded.dead_letter"
)

// statements writes the INSERTs of each size.
func statements() (events, rollups map[int]string) {
	events, rollups = map[int]string{}, map[int]string{}
	sets := make([]string, len(rollup.Columns))
	for i, n := range rollup.Columns {
		sets[i] = n + " = " + n + " + excluded." + n
	}
	for _, n := range chunkSizes {
		events[n] = "INSERT INTO events (seq, project, dims, id, occurred_us, accepted_us, label, score_e4, user_id, text, attributes, extra, mixed, emotions) " +
			"VALUES " + rows(eventColumns, n) + " ON CONFLICT DO NOTHING"
		rollups[n] = "INSERT INTO rollups (project, grain, bucket, dims, " + strings.Join(rollup.Columns, ", ") + ") " +
			"VALUES " + rows(4+len(rollup.Columns), n) + " ON CONFLICT DO UPDATE SET " + strings.Join(sets, ", ")
	}
	return events, rollups
}

// applier carries a batch through its transaction.
type applier struct {
	s       *Store
	c       *rawConn
	b       *query.Batch
	out     query.Outcome
	next    int64
	floorUS int64 // all that was queued before it was applied
	rolls   *rollup.Set
	balance rollup.Balance
	events  []*query.Event
	ids     []eventIDs
	extra   []byte
}

// eventIDs are the numbers of an event's project and dims.
type eventIDs struct{ project, dims, fold int64 }

// Apply implements query.Store.
func (s *Store) Apply(ctx context.Context, b *query.Batch) (query.Outcome, error) {
	a := applier{s: s, b: b}
	err := s.write(ctx, func(c *rawConn) error {
		a = applier{s: s, c: c, b: b, rolls: rollup.NewSet(), balance: rollup.Balance{}}
		return a.run(ctx)
	})
	if err != nil {
		return query.Outcome{}, fmt.Errorf("apply a batch of %d events: %w", b.Rows(), err)
	}
	return a.out, nil
}

func (a *applier) run(ctx context.Context) error {
	if err := checkPosition(a.c, queue.Scored, a.b.After); err != nil {
		return err
	}
	next, err := a.s.nextSeq(a.c)
	if err != nil {
		return err
	}
	a.next = next
	if a.floorUS, err = floor(a.c); err != nil {
		return err
	}
	for i := range a.b.Sources {
		if err := a.source(&a.b.Sources[i]); err != nil {
			return err
		}
	}
	a.out.Stored = make([]*query.Event, 0, len(a.events))
	for len(a.events) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := chunk(len(a.events))
		if err := a.insert(a.events[:n], a.ids[:n]); err != nil {
			return fmt.Errorf("insert events: %w", err)
		}
		a.events, a.ids = a.events[n:], a.ids[n:]
	}
	a.rolls.Spread()
	if err := writeRollups(a.c, a.rolls); err != nil {
		return fmt.Errorf("add to rollups: %w", err)
	}
	if err := writeBalance(a.c, a.balance); err != nil {
		return err
	}
	if err := writePosition(a.c, queue.Scored, a.b.Position); err != nil {
		return err
	}
	a.s.cache.next = a.next
	return nil
}

// source collects the events of a source that was not applied before.
func (a *applier) source(src *query.Source) error {
	isNew := false
	err := a.c.query("INSERT INTO applied_sources (epoch, sequence, queued_us, applied_us) VALUES (?, ?, ?, ?) "+
		"ON CONFLICT DO NOTHING RETURNING 1", func([]driver.Value) error { isNew = true; return nil },
		int64(src.Epoch), int64(src.Sequence), src.QueuedUS, a.b.StoredUS)
	if err != nil {
		return fmt.Errorf("note source: %w", err)
	}
	if !isNew || src.Before(a.floorUS) {
		a.out.RepeatedSources++
		return nil
	}
	dead, err := a.s.deadOf(a.c, src)
	if err != nil {
		return err
	}
	for i := range src.Events {
		e := &src.Events[i]
		if len(dead) > 0 {
			if _, ok := dead[e.Digest()]; ok {
				continue // it was counted as a dead letter
			}
		}
		project, err := a.s.cache.dims.Project(table{a.c}, e.Project)
		if err != nil {
			return fmt.Errorf("find project: %w", err)
		}
		d, err := a.s.cache.dims.Dims(table{a.c}, dims.Key{Project: project, Source: e.Source, Language: e.Language, Model: e.Model})
		if err != nil {
			return fmt.Errorf("find dimensions: %w", err)
		}
		e.Seq, e.StoredUS = a.next, a.b.StoredUS
		a.next++
		a.events = append(a.events, e)
		a.ids = append(a.ids, eventIDs{project, d.ID, d.Fold})
	}
	for i := range src.Letters {
		n, err := a.s.note(a.c, &src.Letters[i], a.balance)
		if err != nil {
			return err
		}
		a.out.DeadLetters += n
	}
	return nil
}

// insert stores a chunk and counts what of it is new.
func (a *applier) insert(events []*query.Event, ids []eventIDs) error {
	stmt, err := a.c.stmt(insertEvents[len(events)])
	if err != nil {
		return err
	}
	a.extra = a.extra[:0]
	for i, e := range events {
		var attributes driver.Value
		if len(e.Attributes) > 0 {
			text, err := json.Marshal(e.Attributes)
			if err != nil {
				return err
			}
			attributes = string(text)
		}
		var emotions driver.Value
		if len(e.Emotions) > 0 {
			emotions = record.EmotionsText(e.Emotions)
		}
		mixed := int64(0)
		if e.Mixed {
			mixed = 1
		}
		from := len(a.extra)
		a.extra = record.AppendExtra(a.extra, e)
		for _, v := range [...]driver.Value{
			e.Seq, ids[i].project, ids[i].dims, e.ID, e.OccurredUS, e.AcceptedUS,
			int64(e.Label), int64(e.ScoreE4), e.UserID, e.Text, attributes, a.extra[from:], mixed, emotions,
		} {
			stmt.add(v)
		}
	}
	if err := stmt.run(nil); err != nil {
		return err
	}
	stored := 0
	err = a.c.query("SELECT changes()", func(row []driver.Value) error { stored = int(asInt(row[0])); return nil })
	if err != nil {
		return err
	}
	for i, e := range events {
		isNew, conflict := true, false
		if stored < len(events) {
			if isNew, conflict, err = a.isNew(e, ids[i].project); err != nil {
				return err
			}
		}
		a.count(e, ids[i], isNew, conflict)
	}
	return nil
}

// isNew tells whether the event's id belongs to the row just inserted.
func (a *applier) isNew(e *query.Event, project int64) (isNew, conflict bool, err error) {
	err = a.c.query("SELECT seq, text FROM events WHERE project = ? AND id = ?", func(row []driver.Value) error {
		isNew = asInt(row[0]) == e.Seq
		conflict = !isNew && asText(row[1]) != e.Text
		return nil
	}, project, e.ID)
	return isNew, conflict, err
}

func (a *applier) count(e *query.Event, ids eventIDs, isNew, conflict bool) {
	c := a.balance.At(ids.project, rollup.BucketOf(e.AcceptedUS, query.Hour))
	switch {
	case isNew:
		c.Stored++
		a.rolls.Add(ids.project, ids.fold, e)
		a.out.Stored = append(a.out.Stored, e)
	default:
		c.Duplicate++
		a.out.Duplicates++
		if conflict {
			c.Conflict++
			a.out.Conflicts++
		}
	}
}

// nextSeq returns the Seq to give next.
func (s *Store) nextSeq(c *rawConn) (int64, error) {
	if s.cache.next == 0 {
		err := c.query(sqlread.LastSeq, func(row []driver.Value) error { s.cache.next = asInt(row[0]) + 1; return nil })
		if err != nil {
			return 0, fmt.Errorf("find last row: %w", err)
		}
	}
	return s.cache.next, nil
}

// chunk returns the largest statement size that n rows fill.
func chunk(n int) int {
	for _, size := range chunkSizes {
		if n >= size {
			return size
		}
	}
	return 1
}

func writeRollups(c *rawConn, r *rollup.Set) error {
	for keys := r.Keys(); len(keys) > 0; {
		n := chunk(len(keys))
		stmt, err := c.stmt(upsertRollups[n])
		if err != nil {
			return err
		}
		for _, k := range keys[:n] {
			for _, v := range [...]int64{k.Project, k.Grain, k.Bucket, k.Dims} {
				stmt.add(v)
			}
			r.Row(k).Values(func(v *int64) { stmt.add(*v) })
		}
		if err := stmt.run(nil); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func writeBalance(c *rawConn, m rollup.Balance) error {
	for k, n := range m {
		err := c.exec(upsertBalance, k.Project, k.Hour, n.Accepted, n.Stored, n.Duplicate, n.Conflict, n.DeadLetter)
		if err != nil {
			return fmt.Errorf("add to balance: %w", err)
		}
	}
	return nil
}

// checkPosition refuses a batch that does not follow where the stream is.
func checkPosition(c *rawConn, stream queue.Stream, after *queue.Position) error {
	if after == nil {
		return nil
	}
	var at queue.Position
	err := c.query("SELECT epoch, sequence FROM positions WHERE stream = ?", func(row []driver.Value) error {
		at = queue.Position{Epoch: uint64(asInt(row[0])), Sequence: uint64(asInt(row[1]))}
		return nil
	}, string(stream))
	if err != nil {
		return fmt.Errorf("read position of %s: %w", stream, err)
	}
	if *after != at {
		return fmt.Errorf("%w: %s is at %d of epoch %d, the batch follows %d of epoch %d", query.ErrMoved,
			stream, at.Sequence, at.Epoch, after.Sequence, after.Epoch)
	}
	return nil
}

func writePosition(c *rawConn, stream queue.Stream, p query.StoredPosition) error {
	err := c.exec("INSERT INTO positions (stream, epoch, sequence, time_us) VALUES (?, ?, ?, ?) "+
		"ON CONFLICT DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence, time_us = excluded.time_us",
		string(stream), int64(p.Epoch), int64(p.Sequence), p.TimeUS)
	if err != nil {
		return fmt.Errorf("note position of %s: %w", stream, err)
	}
	return nil
}
