package sqlite

import (
	"github.com/synapse-analytics/synapse/services/query"
)

// bins is the number of bins of the score histogram, each 0.1 wide; the last
// one holds 1.0 too.
const bins = 20

// totals is added to a grain for the rows over all dims.
const totals = 3

var grains = [...]query.Grain{query.Minute, query.Hour, query.Day}

// rollKey is the key of a rollup row.
type rollKey struct {
	project int64
	grain   int64
	bucket  int64
	dims    int64
}

// rollRow is what a rollup row counts, by label from negative to positive.
type rollRow struct {
	n, s, q [3]int64
	h       [bins]int64
}

// add counts an event.
func (r *rollRow) add(label query.Label, scoreE4 int64) {
	i := int(label) - 1
	r.n[i]++
	r.s[i] += scoreE4
	r.q[i] += scoreE4 * scoreE4
	r.h[bin(scoreE4)]++
}

// merge adds another row; it is associative and commutative.
func (r *rollRow) merge(o *rollRow) {
	for i := range r.n {
		r.n[i] += o.n[i]
		r.s[i] += o.s[i]
		r.q[i] += o.q[i]
	}
	for i := range r.h {
		r.h[i] += o.h[i]
	}
}

func bin(scoreE4 int64) int {
	return int(min(max((scoreE4+10000)/1000, 0), bins-1))
}

// bucketOf returns the number of the bucket of a time, rounded down also before
// 1970.
func bucketOf(us int64, g query.Grain) int64 {
	n := g.US()
	b := us / n
	if us%n < 0 {
		b--
	}
	return b
}

// rollups collects the changes of a batch: each key is written once.
type rollups struct {
	rows map[rollKey]*rollRow
	last rollKey
	row  *rollRow
}

func newRollups() *rollups { return &rollups{rows: map[rollKey]*rollRow{}} }

func (r *rollups) at(k rollKey) *rollRow {
	row := r.rows[k]
	if row == nil {
		row = &rollRow{}
		r.rows[k] = row
	}
	return row
}

// add counts an event in its minute; spread makes the other rows of it.
func (r *rollups) add(project, dims int64, e *query.Event) {
	k := rollKey{project, int64(query.Minute), bucketOf(e.OccurredUS, query.Minute), dims}
	if r.row == nil || k != r.last {
		r.last, r.row = k, r.at(k)
	}
	r.row.add(e.Label, int64(e.ScoreE4))
}

// spread adds hours, days and the rows over all dims.
func (r *rollups) spread() {
	minutes := make(map[rollKey]*rollRow, len(r.rows))
	for k, row := range r.rows {
		minutes[k] = row
	}
	for k, row := range minutes {
		us := k.bucket * query.Minute.US()
		for _, g := range grains {
			b := bucketOf(us, g)
			if g != query.Minute {
				r.at(rollKey{k.project, int64(g), b, k.dims}).merge(row)
			}
			r.at(rollKey{k.project, int64(g) + totals, b, 0}).merge(row)
		}
	}
	r.row = nil
}

const rollColumns = 4 + 9 + bins

// names of the value columns, in the order of values.
var rollNames = []string{
	"n1", "n2", "n3", "s1", "s2", "s3", "q1", "q2", "q3",
	"h00", "h01", "h02", "h03", "h04", "h05", "h06", "h07", "h08", "h09",
	"h10", "h11", "h12", "h13", "h14", "h15", "h16", "h17", "h18", "h19",
}

// values lists the value columns.
func (r *rollRow) values(f func(int64)) {
	for _, set := range [][3]int64{r.n, r.s, r.q} {
		for _, v := range set {
			f(v)
		}
	}
	for _, v := range r.h {
		f(v)
	}
}
