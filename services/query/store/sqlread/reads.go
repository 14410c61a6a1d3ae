package sqlread

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/record"
)

// The columns that scanEvent reads, and the number of the project of a name.
const (
	eventFields = "e.seq, e.id, e.occurred_us, e.accepted_us, e.label, e.score_e4, e.user_id, e.text, e.attributes, e.extra, e.mixed, e.emotions, " +
		"d.source, d.language, d.model"
	projectID = "(SELECT id FROM projects WHERE name = ?)"
)

func scanEvent(rows *sql.Rows, project string) (*query.Event, error) {
	e := &query.Event{Project: project}
	var attributes sql.NullString
	var extra, emotions sql.RawBytes
	err := rows.Scan(&e.Seq, &e.ID, &e.OccurredUS, &e.AcceptedUS, &e.Label, &e.ScoreE4, &e.UserID, &e.Text, &attributes, &extra,
		&e.Mixed, &emotions, &e.Source, &e.Language, &e.Model)
	if err != nil {
		return nil, err
	}
	if attributes.Valid {
		if err := json.Unmarshal([]byte(attributes.String), &e.Attributes); err != nil {
			return nil, fmt.Errorf("attributes of row %d: %w", e.Seq, err)
		}
	}
	if e.Emotions, err = record.ReadEmotions(emotions); err != nil {
		return nil, fmt.Errorf("emotions of row %d: %w", e.Seq, err)
	}
	if err := record.ReadExtra(extra, e); err != nil {
		return nil, fmt.Errorf("row %d: %w", e.Seq, err)
	}
	return e, nil
}

// events runs a query for eventFields.
func events(ctx context.Context, tx Querier, project, text string, args ...any) (_ []*query.Event, err error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var list []*query.Event
	for rows.Next() {
		e, err := scanEvent(rows, project)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// GetEvent implements query.Store.
func (s *Reader) GetEvent(ctx context.Context, project, id string) (*query.Event, error) {
	var list []*query.Event
	err := s.near(ctx, func(tx Querier) (err error) {
		list, err = events(ctx, tx, project, "SELECT "+eventFields+
			" FROM "+s.Dialect.EventByID, project, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get event: %w", PortError(ctx, err))
	}
	if len(list) == 0 {
		return nil, query.ErrNotFound
	}
	return list[0], nil
}

// ListEvents implements query.Store.
func (s *Reader) ListEvents(ctx context.Context, q query.ListQuery) (query.ListPage, error) {
	var page query.ListPage
	err := s.near(ctx, func(tx Querier) (err error) {
		page, err = s.list(ctx, tx, q)
		return err
	})
	if err != nil {
		return query.ListPage{}, fmt.Errorf("list events: %w", PortError(ctx, err))
	}
	return page, nil
}

func (s *Reader) list(ctx context.Context, tx Querier, q query.ListQuery) (query.ListPage, error) {
	where, args := "e.project = "+projectID, []any{q.Project}
	if q.After != nil {
		where += " AND (e.occurred_us, e.seq) < (?, ?)"
		args = append(args, q.After.OccurredUS, q.After.Seq)
	}
	const order = " ORDER BY e.occurred_us DESC, e.seq DESC"
	var last *query.ListKey // the last event that this piece looks at
	if q.Filter != nil && q.Scan > 0 {
		var k query.ListKey
		err := tx.QueryRowContext(ctx, "SELECT e.occurred_us, e.seq FROM "+s.Dialect.EventsByTime+" WHERE "+
			where+order+" LIMIT 1 OFFSET ?", append(args[:len(args):len(args)], q.Scan-1)...).Scan(&k.OccurredUS, &k.Seq)
		if err == nil {
			last = &k
			where += " AND (e.occurred_us, e.seq) >= (?, ?)"
			args = append(args, k.OccurredUS, k.Seq)
		} else if err := noRows(err); err != nil {
			return query.ListPage{}, err
		}
	}
	if cond, more := q.Filter.SQL(columns{s.Dialect.Columns}); cond != "" {
		where += " AND (" + cond + ")"
		args = append(args, more...)
	}
	// One more than asked for tells whether the list goes on.
	found, err := events(ctx, tx, q.Project, "SELECT "+eventFields+
		" FROM "+s.Dialect.EventsByTime+s.Dialect.JoinDims+" WHERE "+where+order+" LIMIT ?",
		append(args, q.Limit+1)...)
	if err != nil {
		return query.ListPage{}, err
	}
	page := query.ListPage{Events: found, Next: last}
	if len(found) > q.Limit {
		e := found[q.Limit-1]
		page.Events, page.Next = found[:q.Limit], &query.ListKey{OccurredUS: e.OccurredUS, Seq: e.Seq}
	}
	return page, nil
}

// EventsAfter implements query.Store.
func (s *Reader) EventsAfter(ctx context.Context, q query.AfterQuery) ([]*query.Event, error) {
	where, args := "e.seq > ? AND e.seq <= ? AND e.project = "+projectID, []any{q.After, q.UpTo, q.Project}
	if cond, more := q.Filter.SQL(columns{s.Dialect.Columns}); cond != "" {
		where += " AND (" + cond + ")"
		args = append(args, more...)
	}
	var found []*query.Event
	err := s.pinned(ctx, s.near, func(tx Querier) (err error) {
		var removed int64
		if err := tx.QueryRowContext(ctx, "SELECT removed_seq FROM retention").Scan(&removed); err != nil {
			return err
		}
		if q.After < removed {
			return query.ErrRemoved
		}
		found, err = events(ctx, tx, q.Project, "SELECT "+eventFields+
			" FROM "+s.Dialect.EventsBySeq+s.Dialect.JoinDims+" WHERE "+where+" ORDER BY e.seq LIMIT ?", append(args, q.Limit)...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read events in order: %w", PortError(ctx, err))
	}
	return found, nil
}

// LastSeq is the highest Seq of events that are or were there.
const LastSeq = "SELECT max(n) FROM (SELECT coalesce(max(seq), 0) AS n FROM events UNION ALL SELECT removed_seq FROM retention) AS both_of"

// LastSeq implements query.Store.
func (s *Reader) LastSeq(ctx context.Context) (n int64, err error) {
	err = s.View(ctx, func(tx Querier) error {
		return tx.QueryRowContext(ctx, LastSeq).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("find last row: %w", PortError(ctx, err))
	}
	return n, nil
}

// Projects implements query.Store.
func (s *Reader) Projects(ctx context.Context) (names []string, err error) {
	err = s.View(ctx, func(tx Querier) (err error) {
		names, err = projects(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", PortError(ctx, err))
	}
	return names, nil
}

func projects(ctx context.Context, tx Querier) (names []string, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT name FROM projects ORDER BY name")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// Positions implements query.Store.
func (s *Reader) Positions(ctx context.Context) (p map[queue.Stream]query.StoredPosition, err error) {
	err = s.View(ctx, func(tx Querier) (err error) {
		p, err = Positions(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", PortError(ctx, err))
	}
	return p, nil
}

// Secret implements query.Store.
func (s *Reader) Secret(ctx context.Context) (secret []byte, err error) {
	err = s.View(ctx, func(tx Querier) error {
		return tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'secret'").Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", PortError(ctx, err))
	}
	return secret, nil
}

// Positions returns how far each stream was applied.
func Positions(ctx context.Context, q Querier) (_ map[queue.Stream]query.StoredPosition, err error) {
	rows, err := q.QueryContext(ctx, "SELECT stream, epoch, sequence, time_us FROM positions")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	m := map[queue.Stream]query.StoredPosition{}
	for rows.Next() {
		var stream string
		var epoch, sequence int64
		var p query.StoredPosition
		if err := rows.Scan(&stream, &epoch, &sequence, &p.TimeUS); err != nil {
			return nil, err
		}
		p.Epoch, p.Sequence = uint64(epoch), uint64(sequence)
		m[queue.Stream(stream)] = p
	}
	return m, rows.Err()
}

// Balance implements query.Store.
func (s *Reader) Balance(ctx context.Context, project string, hours int) (query.BalanceState, error) {
	var st query.BalanceState
	err := s.View(ctx, func(tx Querier) error {
		var err error
		st, err = readBalance(ctx, tx, project, hours)
		return err
	})
	if err != nil {
		return query.BalanceState{}, fmt.Errorf("read balance: %w", PortError(ctx, err))
	}
	return st, nil
}

func readBalance(ctx context.Context, tx Querier, project string, hours int) (st query.BalanceState, err error) {
	if st.Positions, err = Positions(ctx, tx); err != nil {
		return st, err
	}
	err = tx.QueryRowContext(ctx, "SELECT coalesce(sum(accepted), 0), coalesce(sum(stored), 0), coalesce(sum(duplicate), 0), "+
		"coalesce(sum(conflict), 0), coalesce(sum(dead_letter), 0), coalesce(sum(erased), 0) FROM balance WHERE project = "+projectID, project).
		Scan(&st.Total.Accepted, &st.Total.Stored, &st.Total.Duplicate, &st.Total.Conflict, &st.Total.DeadLetter, &st.Total.Erased)
	if err != nil {
		return st, err
	}
	rows, err := tx.QueryContext(ctx, "SELECT hour, accepted, stored, duplicate, conflict, dead_letter, erased FROM balance "+
		"WHERE project = "+projectID+" ORDER BY hour DESC LIMIT ?", project, hours)
	if err != nil {
		return st, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var h query.HourCounters
		if err := rows.Scan(&h.Hour, &h.Accepted, &h.Stored, &h.Duplicate, &h.Conflict, &h.DeadLetter, &h.Erased); err != nil {
			return st, err
		}
		st.Hours = append(st.Hours, h)
	}
	return st, rows.Err()
}
