package query

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/synapse-analytics/synapse/internal/cache"
)

const (
	// maxCachedRows and maxCachedBytes bound what is kept of one series.
	maxCachedRows  = 20_000
	maxCachedBytes = 1 << 20
)

// seriesCache reads series from the store and keeps the rows of the part of the range
// that does not change any more, or not at the moment: all but the hours which were
// changed a moment ago, mostly the last. So a chart of a day is read with a short
// query while events come in.
//
// It answers exactly what the store would: what it kept was read when the last change
// of that part was the one that it is now, and no commit changed it meanwhile. In a
// process without the writer nothing is known of changes, and nothing is kept.
type seriesCache struct {
	store   Store
	cache   cache.Cache // nil keeps nothing
	changes *changes
	secret  []byte // of the store: rows of another one are not taken
}

// Series is Store.Series.
func (s *seriesCache) Series(ctx context.Context, q SeriesQuery, f func(SeriesRow) error) error {
	rows, known, err := s.rows(ctx, q)
	switch {
	case err != nil:
		return err
	case !known:
		return s.store.Series(ctx, q, f)
	}
	for i := range rows {
		if rows[i].StartUS < q.StartUS {
			continue // the part begins earlier, to be the same for an hour
		}
		if err := f(rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// rows returns the rows of a query, of which some may be before its start; known is
// false when it is simpler to ask the store.
func (s *seriesCache) rows(ctx context.Context, q SeriesQuery) (rows []SeriesRow, known bool, err error) {
	if s.cache == nil || q.StepUS == 0 {
		return nil, false, nil
	}
	// The part begins and ends at whole units of about an hour, so that the same part
	// is asked for again when "now" has moved on.
	unit := q.StepUS * max(1, (hourUS+q.StepUS-1)/q.StepUS)
	part := q
	part.StartUS = floorTo(q.StartUS, unit)
	part.EndUS = floorTo(s.changes.coldUntil(q.Project, part.StartUS, q.EndUS), unit)
	if part.EndUS <= q.StartUS {
		return nil, false, nil
	}
	v, ok := s.changes.last(part.Project, part.StartUS, part.EndUS)
	if !ok {
		return nil, false, nil
	}
	key := s.key(&part, v)
	kept := s.cache.Get(ctx, key)[0]
	hit := kept != nil
	if hit {
		if len(kept) == 0 {
			return nil, false, nil // known to be too many
		}
		if rows, err = decodeRows(kept, &part); err != nil {
			hit = false // of another release
		}
	}
	if !hit {
		if rows, err = s.collect(ctx, part, nil); errors.Is(err, errManyRows) {
			s.cache.Set(ctx, cache.Entry{Key: key, Value: []byte{}})
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	settled := len(rows)
	if part.EndUS < q.EndUS {
		rest := q
		rest.StartUS = part.EndUS
		if rows, err = s.collect(ctx, rest, rows); err != nil {
			if errors.Is(err, errManyRows) {
				err = nil
			}
			return nil, false, err
		}
	}
	// What was read of the part and of the rest is of one moment only if nothing has
	// changed the part meanwhile.
	if now, ok := s.changes.last(part.Project, part.StartUS, part.EndUS); !ok || now != v {
		return nil, false, nil
	}
	if !hit {
		value := encodeRows(rows[:settled], &part)
		if len(value) > maxCachedBytes {
			value = []byte{}
		}
		s.cache.Set(ctx, cache.Entry{Key: key, Value: value})
	}
	return rows, true, nil
}

// errManyRows stops reading what would be too much to keep.
var errManyRows = errors.New("more rows than are kept")

// collect appends the rows of a query to rows.
func (s *seriesCache) collect(ctx context.Context, q SeriesQuery, rows []SeriesRow) ([]SeriesRow, error) {
	n := len(rows)
	err := s.store.Series(ctx, q, func(r SeriesRow) error {
		if len(rows)-n >= maxCachedRows {
			return errManyRows
		}
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// key names the rows of a query after a change.
func (s *seriesCache) key(q *SeriesQuery, v version) string {
	h := sha256.New()
	fmt.Fprintf(h, "%x %q %d %d %d %d %v %q %d %d %d", s.secret, q.Project, q.Grain, q.StartUS, q.EndUS, q.StepUS, q.GroupBy, q.Filter.String(), v.salt, v.epoch, v.sequence)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// rowsFormat begins every value of rows; another one is another format.
const rowsFormat = 1

// encodeRows writes the rows of a query: for each how many steps it is after the one
// before, its groups and its cells.
func encodeRows(rows []SeriesRow, q *SeriesQuery) []byte {
	b := append(make([]byte, 0, 16+16*len(rows)), rowsFormat)
	b = binary.AppendUvarint(b, uint64(len(rows)))
	at := q.StartUS
	for i := range rows {
		r := &rows[i]
		b = binary.AppendUvarint(b, uint64((r.StartUS-at)/q.StepUS))
		at = r.StartUS
		for g := range q.GroupBy {
			b = binary.AppendUvarint(b, uint64(len(r.Group[g])))
			b = append(b, r.Group[g]...)
		}
		for _, c := range r.Cells {
			b = binary.AppendVarint(b, c.Count)
			b = binary.AppendVarint(b, c.SumE4)
		}
	}
	return b
}

var errRows = errors.New("query: kept rows can not be read")

// decodeRows reads what encodeRows wrote for the same query. The groups are parts of
// one string.
func decodeRows(b []byte, q *SeriesQuery) ([]SeriesRow, error) {
	if len(b) == 0 || b[0] != rowsFormat || len(q.GroupBy) > 2 {
		return nil, errRows
	}
	text, at, bad := "", 1, false
	if len(q.GroupBy) > 0 {
		text = string(b)
	}
	number := func() uint64 {
		v, n := binary.Uvarint(b[at:])
		if n <= 0 {
			bad = true
			return 0
		}
		at += n
		return v
	}
	signed := func() int64 {
		v, n := binary.Varint(b[at:])
		if n <= 0 {
			bad = true
			return 0
		}
		at += n
		return v
	}
	count := number()
	if bad || count > maxCachedRows {
		return nil, errRows
	}
	rows := make([]SeriesRow, count)
	start := q.StartUS
	for i := range rows {
		r := &rows[i]
		steps := number()
		if steps > uint64((q.EndUS-start)/q.StepUS) {
			return nil, errRows
		}
		start += int64(steps) * q.StepUS
		r.StartUS = start
		for g := range q.GroupBy {
			n := number()
			if bad || n > uint64(len(b)-at) {
				return nil, errRows
			}
			r.Group[g] = text[at : at+int(n)]
			at += int(n)
		}
		for c := range r.Cells {
			r.Cells[c] = Cell{Count: signed(), SumE4: signed()}
		}
		if bad {
			return nil, errRows
		}
	}
	if at != len(b) {
		return nil, errRows
	}
	return rows, nil
}
