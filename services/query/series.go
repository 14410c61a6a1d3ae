package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// Bounds of a time series.
const (
	defaultRange   = 24 * time.Hour
	defaultBuckets = 1500
	maxBuckets     = 10_000
	maxGroups      = 50
	// maxPoints bounds the points of all groups together: an answer of about
	// 6 MiB.
	maxPoints = 100_000
)

const (
	minuteUS = int64(60e6)
	hourUS   = 60 * minuteUS
	dayUS    = 24 * hourUS
)

// window is a checked range of a series.
type window struct {
	startUS, endUS, stepUS int64
	grain                  Grain
}

// newWindow checks and completes the range of a request.
func newWindow(req *queryv1.QueryTimeSeriesRequest, now time.Time) (window, error) {
	var bad []errs.Violation
	refuse := func(field, rule, remedy string) {
		bad = append(bad, errs.Violation{Field: field, Rule: rule, Remedy: remedy})
	}
	if t := req.EndTime; t != nil && !t.IsValid() {
		refuse("end_time", "is not a valid time", "use an RFC 3339 time")
	}
	if t := req.StartTime; t != nil && !t.IsValid() {
		refuse("start_time", "is not a valid time", "use an RFC 3339 time")
	}
	if d := req.Step; d != nil && !d.IsValid() {
		refuse("step", "is not a valid duration", "use whole minutes, for example 60s")
	}
	if len(bad) > 0 {
		return window{}, errs.Invalid(bad...)
	}
	end := now
	if req.EndTime != nil {
		end = req.EndTime.AsTime()
	}
	start := end.Add(-defaultRange)
	if req.StartTime != nil {
		start = req.StartTime.AsTime()
	}
	if !start.Before(end) {
		refuse("start_time", "must be before end_time", "swap them, or move one")
		return window{}, errs.Invalid(bad...)
	}
	startUS, endUS := start.UnixMicro(), ceilMicro(end)
	w := window{startUS: startUS, endUS: endUS}
	switch {
	case req.Step == nil:
		w.stepUS = defaultStep(startUS, endUS)
	default:
		step := req.Step.AsDuration()
		if step <= 0 || step%time.Minute != 0 || step > 24*time.Hour {
			refuse("step", "must be a whole number of minutes, hours or days, from 60s to 86400s", "round it")
			return window{}, errs.Invalid(bad...)
		}
		w.stepUS = step.Microseconds()
	}
	w.startUS, w.endUS = floorTo(startUS, w.stepUS), -floorTo(-endUS, w.stepUS)
	if n := (w.endUS - w.startUS) / w.stepUS; n > maxBuckets {
		refuse("step", fmt.Sprintf("gives %d buckets, a range may hold at most %d", n, maxBuckets), "lengthen the step or shorten the range")
		return window{}, errs.Invalid(bad...)
	}
	switch {
	case w.stepUS%dayUS == 0:
		w.grain = Day
	case w.stepUS%hourUS == 0:
		w.grain = Hour
	default:
		w.grain = Minute
	}
	return w, nil
}

func ceilMicro(t time.Time) int64 {
	us := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		us++
	}
	return us
}

// floorTo rounds down to a whole multiple.
func floorTo(us, step int64) int64 {
	r := us % step
	if r < 0 {
		r += step
	}
	return us - r
}

// defaultStep returns the shortest step of whole minutes, above an hour of whole
// hours, that gives at most defaultBuckets buckets.
func defaultStep(startUS, endUS int64) int64 {
	for unit, top := minuteUS, hourUS; ; unit, top = hourUS, dayUS {
		for step := unit; step <= top; step += unit {
			if (-floorTo(-endUS, step)-floorTo(startUS, step))/step <= defaultBuckets {
				return step
			}
		}
		if top == dayUS {
			return dayUS
		}
	}
}

var dimensions = map[string]Dimension{"source": BySource, "language": ByLanguage, "model_version": ByModel}

const byLabel = "label"

var labelNames = [3]string{"NEGATIVE", "NEUTRAL", "POSITIVE"}

// group is a value of each dimension of the request, in its order.
type group [2]string

// splitter turns rows of the store into groups of the request.
type splitter struct {
	names []string // group_by of the request
	dims  []Dimension
}

func newSplitter(names []string) (splitter, error) {
	s := splitter{names: names}
	for i, n := range names {
		d, ok := dimensions[n]
		switch {
		case len(names) > 2 || n != byLabel && !ok || slices.Index(names, n) < i:
			return splitter{}, errs.Invalid(errs.Violation{
				Field: "group_by", Rule: "must be at most 2 different ones of source, label, language, model_version", Remedy: "remove what is too much",
			})
		case ok:
			s.dims = append(s.dims, d)
		}
	}
	return s, nil
}

// split calls f for each group of a row: one, or one a label.
func (s splitter) split(r *SeriesRow, f func(group, [3]Cell)) {
	var g group
	label := -1
	next := 0
	for i, n := range s.names {
		if n == byLabel {
			label = i
			continue
		}
		g[i] = r.Group[next]
		next++
	}
	if label < 0 {
		f(g, r.Cells)
		return
	}
	for i, c := range r.Cells {
		if c.Count == 0 {
			continue
		}
		g[label] = labelNames[i] //nolint:gosec // G602: label is below 2 and i below 3
		var only [3]Cell
		only[i] = c
		f(g, only)
	}
}

func (s splitter) other() group {
	var g group
	for i := range s.names {
		g[i] = Other
	}
	return g
}

// timeSeries answers a request.
func (s *Service) timeSeries(ctx context.Context, project string, req *queryv1.QueryTimeSeriesRequest) (*queryv1.QueryTimeSeriesResponse, error) {
	w, err := newWindow(req, s.now())
	if err != nil {
		return nil, err
	}
	f, err := parseFilter(req.Filter, filter.Dimensions)
	if err != nil {
		return nil, err
	}
	split, err := newSplitter(req.GroupBy)
	if err != nil {
		return nil, err
	}
	resp := &queryv1.QueryTimeSeriesResponse{
		StartTime: timestamp(w.startUS), EndTime: timestamp(w.endUS), Step: durationpb.New(time.Duration(w.stepUS) * time.Microsecond),
	}
	// Freshness before the read: what is read later is at least as fresh.
	if us, known := s.progress.complete(); known {
		resp.CompleteTo = timestamp(us)
	}
	q := SeriesQuery{
		Project: project, Grain: w.grain, StartUS: w.startUS, EndUS: w.endUS, StepUS: w.stepUS, GroupBy: split.dims, Filter: f,
	}
	if len(req.GroupBy) == 0 {
		err := s.series.Series(ctx, q, func(r SeriesRow) error {
			resp.Points = append(resp.Points, point(r.StartUS, r.Cells))
			return nil
		})
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
	c := newCollector(split, nil, resp)
	if err = s.series.Series(ctx, q, c.row); err == nil {
		err = c.flush()
	}
	if errors.Is(err, errManyGroups) { // rarely: then it takes a first pass to rank them
		largest, lerr := s.largest(ctx, q, split)
		if lerr != nil {
			return nil, lerr
		}
		resp.Points = nil
		c = newCollector(split, largest, resp)
		if err = s.series.Series(ctx, q, c.row); err == nil {
			err = c.flush()
		}
	}
	if err != nil {
		return nil, err
	}
	c.finish()
	return resp, nil
}

// errManyGroups stops a collector that has no ranking and meets too many groups.
var errManyGroups = errors.New("more groups than an answer holds")

// largest returns the groups that get a series of their own.
func (s *Service) largest(ctx context.Context, q SeriesQuery, split splitter) (map[group]bool, error) {
	q.StepUS = 0
	sums := map[group]int64{}
	err := s.series.Series(ctx, q, func(r SeriesRow) error {
		split.split(&r, func(g group, cells [3]Cell) { sums[g] += countOf(cells) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := ranked(sums)
	if len(list) > maxGroups {
		list = list[:maxGroups-1]
	}
	keep := map[group]bool{}
	for _, g := range list {
		keep[g] = true
	}
	return keep, nil
}

// ranked orders groups by size, the largest first, then by name.
func ranked(sums map[group]int64) []group {
	list := make([]group, 0, len(sums))
	for g := range sums {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b group) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	return list
}

// collector builds the series from rows in the order of time.
type collector struct {
	split  splitter
	keep   map[group]bool // the rest is Other; nil: stop at more than maxGroups
	resp   *queryv1.QueryTimeSeriesResponse
	series map[group]*queryv1.TimeSeries
	sums   map[group]int64
	points int

	startUS int64
	bucket  map[group][3]Cell
}

func newCollector(split splitter, keep map[group]bool, resp *queryv1.QueryTimeSeriesResponse) *collector {
	return &collector{split: split, keep: keep, resp: resp, sums: map[group]int64{}, series: map[group]*queryv1.TimeSeries{}}
}

func (c *collector) row(r SeriesRow) error {
	if c.bucket != nil && r.StartUS != c.startUS {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if c.bucket == nil {
		c.startUS, c.bucket = r.StartUS, map[group][3]Cell{}
	}
	c.split.split(&r, func(g group, cells [3]Cell) {
		if c.keep != nil && !c.keep[g] {
			g = c.split.other()
		}
		c.bucket[g] = plus(c.bucket[g], cells)
	})
	if c.keep == nil && len(c.bucket) > maxGroups {
		return errManyGroups
	}
	return nil
}

// flush ends a bucket.
func (c *collector) flush() error {
	if c.bucket == nil {
		return nil
	}
	var all [3]Cell
	for g, cells := range c.bucket {
		all = plus(all, cells)
		ts := c.series[g]
		if ts == nil {
			ts = &queryv1.TimeSeries{Group: map[string]string{}}
			for i, n := range c.split.names {
				ts.Group[n] = g[i]
			}
			c.series[g] = ts
		}
		ts.Points = append(ts.Points, point(c.startUS, cells))
		c.sums[g] += countOf(cells)
		c.points++
	}
	c.resp.Points = append(c.resp.Points, point(c.startUS, all))
	c.bucket = nil
	if c.keep == nil && len(c.series) > maxGroups {
		return errManyGroups
	}
	if c.points > maxPoints {
		return errs.Invalid(errs.Violation{
			Field: "step", Rule: fmt.Sprintf("gives more than %d points over all groups", maxPoints),
			Remedy: "lengthen the step, shorten the range or group by less",
		})
	}
	return nil
}

func (c *collector) finish() {
	for _, g := range ranked(c.sums) {
		c.resp.Series = append(c.resp.Series, c.series[g])
	}
}

func plus(a, b [3]Cell) [3]Cell {
	for i := range a {
		a[i].Count += b[i].Count
		a[i].SumE4 += b[i].SumE4
	}
	return a
}

func countOf(cells [3]Cell) int64 { return cells[0].Count + cells[1].Count + cells[2].Count }

// point makes a point; counts beyond uint32 are capped.
func point(startUS int64, cells [3]Cell) *queryv1.TimeSeriesPoint {
	n := countOf(cells)
	p := &queryv1.TimeSeriesPoint{
		StartTime: timestamp(startUS), Count: capped(n),
		Negative: capped(cells[0].Count), Neutral: capped(cells[1].Count), Positive: capped(cells[2].Count),
	}
	if n > 0 {
		p.Mean = float64(cells[0].SumE4+cells[1].SumE4+cells[2].SumE4) / 1e4 / float64(n)
		p.Net = float64(cells[2].Count-cells[0].Count) / float64(n)
	}
	return p
}

func capped(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }
