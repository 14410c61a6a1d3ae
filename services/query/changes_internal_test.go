package query

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

func batchAt(epoch, seq uint64, project string, hours ...int64) *Batch {
	b := &Batch{Position: StoredPosition{Position: queue.Position{Epoch: epoch, Sequence: seq}}, Sources: []Source{{}}}
	for _, h := range hours {
		b.Sources[0].Events = append(b.Sources[0].Events, Event{Project: project, OccurredUS: h*hourUS + 17})
	}
	return b
}

func TestChanges(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newChanges(func() time.Time { return now })
	last := func(from, to int64) (uint64, bool) {
		v, ok := c.last("p", from*hourUS, to*hourUS)
		return v.sequence, ok
	}
	_, ok := last(0, 10)
	require.False(t, ok, "nothing is known without a writer")
	c.reset(true, queue.Position{Epoch: 1, Sequence: 100})
	seq, ok := last(0, 10)
	require.True(t, ok)
	require.EqualValues(t, 100, seq)

	b := batchAt(1, 105, "p", 3, 3, 7)
	c.begin(b)
	_, ok = last(0, 10)
	require.False(t, ok, "a commit is in flight")
	_, ok = last(4, 7)
	require.True(t, ok, "elsewhere")
	_, ok = c.last("q", 0, 10*hourUS)
	require.True(t, ok, "of another project")
	c.done(b)
	for _, r := range []struct {
		from, to int64
		want     uint64
	}{{0, 10, 105}, {3, 4, 105}, {0, 3, 100}, {4, 7, 100}, {7, 8, 105}, {8, 10, 100}} {
		seq, ok := last(r.from, r.to)
		require.True(t, ok)
		require.Equal(t, r.want, seq, "%v", r)
	}
	v, _ := c.last("p", 3*hourUS+hourUS/2, 3*hourUS+hourUS/2+1)
	require.EqualValues(t, 105, v.sequence, "a part of an hour")

	require.Equal(t, 3*hourUS, c.coldUntil("p", 0, 10*hourUS))
	require.Equal(t, 7*hourUS, c.coldUntil("p", 4*hourUS, 10*hourUS))
	require.Equal(t, 7*hourUS+5, c.coldUntil("p", 7*hourUS+5, 10*hourUS))
	now = now.Add(hotFor + time.Second)
	require.Equal(t, 10*hourUS, c.coldUntil("p", 0, 10*hourUS))

	before, _ := c.last("p", 0, 10*hourUS)
	for _, again := range []*Batch{batchAt(1, 104, "p", 20), batchAt(2, 1, "p", 20)} { // behind; created anew
		c.begin(again)
		c.done(again)
		after, ok := c.last("p", 0, 10*hourUS)
		require.True(t, ok)
		require.NotEqual(t, before, after)
		before = after
	}

	c.otherwise()
	after, ok := c.last("p", 0, 10*hourUS)
	require.True(t, ok)
	require.NotEqual(t, before, after)

	c.reset(false, queue.Position{})
	_, ok = last(0, 10)
	require.False(t, ok)
}

// What is remembered is bounded, and forgetting makes no version of before valid for
// what changed meanwhile.
func TestChangesAreBounded(t *testing.T) {
	c := newChanges(time.Now)
	c.reset(true, queue.Position{Epoch: 1, Sequence: 1})
	for i := range int64(maxChangedHours/1000 + 10) {
		var hours []int64
		for h := range int64(1000) {
			hours = append(hours, i*1000+h)
		}
		b := batchAt(1, uint64(i)+2, fmt.Sprint("p", i), hours...)
		c.begin(b)
		c.done(b)
	}
	require.LessOrEqual(t, c.hours, maxChangedHours+1000)
	v, ok := c.last("p0", 0, 1000*hourUS)
	require.True(t, ok)
	require.Greater(t, v.sequence, uint64(maxChangedHours/1000))
}

func TestRowsCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &SeriesQuery{Grain: Minute, StartUS: rapid.Int64Range(-1000, 1000).Draw(t, "start") * minuteUS, StepUS: rapid.Int64Range(1, 100).Draw(t, "step") * minuteUS}
		q.EndUS = q.StartUS + 1000*q.StepUS
		q.GroupBy = []Dimension{BySource, ByModel}[:rapid.IntRange(0, 2).Draw(t, "dims")]
		var rows []SeriesRow
		at := q.StartUS
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			at += rapid.Int64Range(0, 20).Draw(t, "gap") * q.StepUS
			r := SeriesRow{StartUS: at}
			for g := range q.GroupBy {
				r.Group[g] = rapid.String().Draw(t, "group")
			}
			for i := range r.Cells {
				r.Cells[i] = Cell{Count: rapid.Int64().Draw(t, "count"), SumE4: rapid.Int64().Draw(t, "sum")}
			}
			rows = append(rows, r)
		}
		got, err := decodeRows(encodeRows(rows, q), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(rows) {
			t.Fatalf("%d rows, not %d", len(got), len(rows))
		}
		for i := range rows {
			if got[i] != rows[i] {
				t.Fatalf("%+v came back as %+v", rows[i], got[i])
			}
		}
	})
}

// FuzzRows: whatever a cache holds is rows in the range or an error.
func FuzzRows(f *testing.F) {
	q := &SeriesQuery{EndUS: 100 * minuteUS, StepUS: minuteUS, GroupBy: []Dimension{BySource}}
	f.Add(encodeRows([]SeriesRow{{StartUS: minuteUS, Group: [2]string{"web"}, Cells: [3]Cell{{1, 2}, {3, -4}, {5, 6}}}}, q))
	f.Add([]byte{rowsFormat, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := decodeRows(b, q)
		if err != nil {
			return
		}
		for _, r := range rows {
			if r.StartUS < q.StartUS || r.StartUS > q.EndUS {
				t.Fatalf("a row at %d", r.StartUS)
			}
		}
	})
}

// Every part of a query is in the key, above all the project.
func TestSeriesKey(t *testing.T) {
	parse := func(s string) *filter.Filter {
		f, err := parseFilter(s, filter.Dimensions)
		require.NoError(t, err)
		return f
	}
	s := &seriesCache{secret: []byte("s")}
	base := SeriesQuery{Project: "p", Grain: Minute, StartUS: 60, EndUS: 120, StepUS: 60, GroupBy: []Dimension{BySource}, Filter: parse(`source = "a"`)}
	v := version{1, 2, 3}
	seen := map[string]string{s.key(&base, v): "base"}
	for name, change := range map[string]func(*SeriesQuery, *version, *seriesCache){
		"project": func(q *SeriesQuery, _ *version, _ *seriesCache) { q.Project = "q" },
		"grain":   func(q *SeriesQuery, _ *version, _ *seriesCache) { q.Grain = Hour },
		"start":   func(q *SeriesQuery, _ *version, _ *seriesCache) { q.StartUS = 0 },
		"end":     func(q *SeriesQuery, _ *version, _ *seriesCache) { q.EndUS = 180 },
		"step":    func(q *SeriesQuery, _ *version, _ *seriesCache) { q.StepUS = 30 },
		"group":   func(q *SeriesQuery, _ *version, _ *seriesCache) { q.GroupBy = []Dimension{ByModel} },
		"groups":  func(q *SeriesQuery, _ *version, _ *seriesCache) { q.GroupBy = []Dimension{BySource, ByModel} },
		"filter":  func(q *SeriesQuery, _ *version, _ *seriesCache) { q.Filter = parse(`source = "b"`) },
		"none":    func(q *SeriesQuery, _ *version, _ *seriesCache) { q.Filter = nil },
		"salt":    func(_ *SeriesQuery, v *version, _ *seriesCache) { v.salt = 9 },
		"epoch":   func(_ *SeriesQuery, v *version, _ *seriesCache) { v.epoch = 9 },
		"change":  func(_ *SeriesQuery, v *version, _ *seriesCache) { v.sequence = 9 },
		"store":   func(_ *SeriesQuery, _ *version, s *seriesCache) { s.secret = []byte("t") },
	} {
		q, w, other := base, v, *s
		change(&q, &w, &other)
		key := other.key(&q, w)
		require.Empty(t, seen[key], name)
		seen[key] = name
	}
}
