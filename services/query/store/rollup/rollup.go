// Package rollup counts events by minute, hour and day, as every engine keeps them.
package rollup

import (
	"cmp"
	"slices"

	"github.com/synapse-analytics/synapse/services/query"
)

// Bins is the number of bins of the score histogram, each 0.1 wide; the last one
// holds 1.0 too.
const Bins = 20

// Totals is added to a grain for the rows over all dims.
const Totals = 3

// Grains lists them, the finest first.
var Grains = [...]query.Grain{query.Minute, query.Hour, query.Day}

// Key is the key of a row. Grain is a query.Grain, or one plus Totals for the row
// over all dims, whose Dims is 0. Bucket is the number of the minute, hour or day
// since 1970.
type Key struct{ Project, Grain, Bucket, Dims int64 }

// Row is what a row counts: events (N), the sum of their scores times 10,000 (S)
// and of its squares (Q), each by label from negative to positive, and the
// histogram of the score (H).
type Row struct {
	N, S, Q [3]int64
	H       [Bins]int64
}

// Columns are the names of the values, in the order of Values.
var Columns = []string{
	"n1", "n2", "n3", "s1", "s2", "s3", "q1", "q2", "q3",
	"h00", "h01", "h02", "h03", "h04", "h05", "h06", "h07", "h08", "h09",
	"h10", "h11", "h12", "h13", "h14", "h15", "h16", "h17", "h18", "h19",
}

// Values calls f with each value.
func (r *Row) Values(f func(*int64)) {
	for _, set := range []*[3]int64{&r.N, &r.S, &r.Q} {
		for i := range set {
			f(&set[i])
		}
	}
	for i := range r.H {
		f(&r.H[i])
	}
}

func (r *Row) add(label query.Label, scoreE4 int64) {
	i := int(label) - 1
	r.N[i]++
	r.S[i] += scoreE4
	r.Q[i] += scoreE4 * scoreE4
	r.H[min(max((scoreE4+10000)/1000, 0), Bins-1)]++
}

// Merge adds another row; it is associative and commutative.
func (r *Row) Merge(o *Row) {
	for i := range r.N {
		r.N[i] += o.N[i]
		r.S[i] += o.S[i]
		r.Q[i] += o.Q[i]
	}
	for i := range r.H {
		r.H[i] += o.H[i]
	}
}

// BucketOf returns the number of the bucket of a time, rounded down also before
// 1970.
func BucketOf(us int64, g query.Grain) int64 {
	n := g.US()
	b := us / n
	if us%n < 0 {
		b--
	}
	return b
}

// Set collects the changes of a batch, so that each row is written once.
type Set struct {
	rows map[Key]*Row
	last Key
	row  *Row
}

// NewSet returns an empty set.
func NewSet() *Set { return &Set{rows: map[Key]*Row{}} }

func (s *Set) at(k Key) *Row {
	row := s.rows[k]
	if row == nil {
		row = &Row{}
		s.rows[k] = row
	}
	return row
}

// Add counts an event in its minute; Spread makes the other rows of it.
func (s *Set) Add(project, dims int64, e *query.Event) {
	k := Key{project, int64(query.Minute), BucketOf(e.OccurredUS, query.Minute), dims}
	if s.row == nil || k != s.last {
		s.last, s.row = k, s.at(k)
	}
	s.row.add(e.Label, int64(e.ScoreE4))
}

// Spread adds hours, days and the rows over all dims. Nothing is added after it.
func (s *Set) Spread() {
	minutes := make(map[Key]*Row, len(s.rows))
	for k, row := range s.rows {
		minutes[k] = row
	}
	for k, row := range minutes {
		us := k.Bucket * query.Minute.US()
		for _, g := range Grains {
			b := BucketOf(us, g)
			if g != query.Minute {
				s.at(Key{k.Project, int64(g), b, k.Dims}).Merge(row)
			}
			s.at(Key{k.Project, int64(g) + Totals, b, 0}).Merge(row)
		}
	}
	s.row = nil
}

// Keys are those of the rows in the order of the table, so that writing walks it
// once.
func (s *Set) Keys() []Key {
	keys := make([]Key, 0, len(s.rows))
	for k := range s.rows {
		keys = append(keys, k)
	}
	Sort(keys)
	return keys
}

// Row returns the row of a key of Keys.
func (s *Set) Row(k Key) *Row { return s.rows[k] }

// Sort puts keys into the order of the table.
func Sort(keys []Key) {
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Grain, b.Grain),
			cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Dims, b.Dims))
	})
}
