package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/internal/lifecycle"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/ingest/archive"
	"github.com/synapse-analytics/synapse/services/query"
)

// RebuildOptions says what Rebuild does.
type RebuildOptions struct {
	// Range of the archive.
	Range archive.Range
	// Stage, if not nil, is told what is being done.
	Stage func(string)
	// Progress, if not nil, is told how far the archive is read.
	Progress func(archive.Totals)
}

// RebuildReport is what Rebuild did and found.
type RebuildReport struct {
	archive.Totals
	// Of the store, all projects: what was accepted and what became of it.
	Accepted, Stored, Duplicate, DeadLetter, Erased int64
	// InFlight says that others accepted events meanwhile, some of which are not yet
	// stored: accepted and stored can not be compared.
	InFlight bool
	// Rollups that were compared with the events, and those that differ.
	Rollups, Differences int64
}

// Problem says in what the report shows a store that is not what the archive holds;
// empty when it is.
func (r RebuildReport) Problem() string {
	switch {
	case r.Differences != 0:
		return fmt.Sprintf("%d rollups differ from what their events add up to", r.Differences)
	case !r.InFlight && r.Accepted != r.Stored+r.Duplicate+r.DeadLetter+r.Erased:
		return fmt.Sprintf("%d events were counted as accepted, %d have a fate", r.Accepted, r.Stored+r.Duplicate+r.DeadLetter+r.Erased)
	case r.Accepted < r.Events:
		return fmt.Sprintf("the archive held %d events, the store counted %d", r.Events, r.Accepted)
	}
	return ""
}

// checkpoint is how far a rebuild is, kept in the data folder.
type checkpoint struct {
	// Epoch of the stream EVENTS that is filled.
	Epoch uint64 `json:"epoch,string"`
	// Run is the rebuild's own name.
	Run string `json:"run"`
	// Trim is up to where each stream held what was there before.
	Trim map[queue.Stream]uint64 `json:"trim"`
	// Range that is read.
	Range archive.Range `json:"range"`
	// Published of the archive.
	Published archive.Published `json:"published"`
	Totals    archive.Totals    `json:"totals"`
}

// CheckpointName is the file of the data folder that a rebuild which was cut off
// goes on from.
const CheckpointName = "rebuild.json"

// Rebuild fills an empty store of query from the archive. It runs scoring and query
// in this process, on the engines that cfg names; no other process may run them
// meanwhile. First it archives what EVENTS still holds and empties the streams, so
// that each event comes from the archive and once. One that was cut off goes on
// where it stood.
func Rebuild(ctx context.Context, cfg Config, w io.Writer, opts RebuildOptions) (report RebuildReport, err error) {
	cfg.Archive.Enabled = true
	cfg.Archive.MaxAge = min(cfg.Archive.MaxAge, time.Second)               // what is left is small
	cfg.Query.ResumeAfterLoss = true                                        // what is trimmed here is in the archive
	cfg.Query.Cache.Engine, cfg.Scoring.Cache.Engine = cache.Off, cache.Off // nobody reads here
	if opts.Stage == nil {
		opts.Stage = func(string) {}
	}
	a := &App{cfg: cfg, roles: []Role{Scoring, Query}, services: map[Role]service{}}
	b := &rebuild{a: a, opts: opts}
	for _, c := range []lifecycle.Component{
		{Name: "telemetry", Start: func(ctx context.Context) error { return a.startTelemetry(ctx, w) }, Stop: a.stopTelemetry},
		{Name: "data folder", Start: a.lockData, Stop: a.unlockData},
		{Name: "queue", Start: a.startQueue, Stop: a.stopQueue},
		{Name: "store", Start: b.begin},
		{Name: "archive", Start: func(context.Context) error { return a.runArchive() }, Stop: a.stopArchive, StopTimeout: cfg.StopTimeout},
		{Name: "streams", Start: b.empty},
		{Name: "services", Start: a.startServices, Stop: a.stopServices, StopTimeout: 3 * cfg.StopTimeout},
	} {
		a.group.Add(c)
	}
	if err := a.group.Start(ctx); err != nil {
		return report, err
	}
	err = b.run(ctx)
	report.Totals = b.at.Totals
	if stopErr := a.stopServices(context.WithoutCancel(ctx)); err == nil {
		err = stopErr
	}
	a.services = map[Role]service{}
	if err == nil {
		opts.Stage("compare the charts with the events")
		err = b.check(ctx, &report)
	}
	if err == nil {
		err = os.Remove(b.path())
	}
	return report, errors.Join(err, a.group.Stop(context.WithoutCancel(ctx)))
}

type rebuild struct {
	a    *App
	opts RebuildOptions
	at   checkpoint
}

func (b *rebuild) path() string { return b.a.cfg.path(CheckpointName) }

// begin reads the checkpoint; without one the store must be empty.
func (b *rebuild) begin(ctx context.Context) error {
	info, err := b.a.queue.Info(ctx, queue.Events)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(b.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if err := json.Unmarshal(text, &b.at); err != nil {
			return fmt.Errorf("%s can not be read: %w; remove it and the store of query, and begin anew", b.path(), err)
		}
	}
	if b.at.Epoch == info.Epoch && b.at.Epoch != 0 {
		if !b.at.Range.From.Equal(b.opts.Range.From) || !b.at.Range.To.Equal(b.opts.Range.To) {
			return errors.New("a rebuild of another time range was cut off; give the same range to go on, or remove " + b.path() + " and the store of query")
		}
		b.opts.Stage("go on where a rebuild was cut off")
		return nil
	}
	store, err := b.a.openQueryStore(ctx, b.a.log())
	if err != nil {
		return err
	}
	last, err := store.LastSeq(ctx)
	if err = errors.Join(err, b.a.closeStores()); err != nil {
		return err
	}
	if last != 0 {
		return errors.New("the store of query holds events, and a rebuild fills an empty one: move its database away first")
	}
	b.at = checkpoint{}
	return nil
}

// empty archives what EVENTS holds and empties the streams.
func (b *rebuild) empty(ctx context.Context) error {
	q := b.a.queue
	resumed := b.at.Epoch != 0
	if !resumed {
		b.opts.Stage("archive what the queue still holds")
		last, err := archive.Drain(ctx, q, queue.Events, archive.Consumer)
		if err != nil {
			return err
		}
		b.at.Run = "rebuild-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		b.at.Range, b.at.Trim, b.at.Published = b.opts.Range, map[queue.Stream]uint64{queue.Events: last}, archive.Published{}
		for _, s := range []queue.Stream{queue.Scored, queue.Dead, queue.Events} {
			info, err := q.Info(ctx, s)
			if err != nil {
				return err
			}
			if s == queue.Events {
				b.at.Epoch = info.Epoch
			} else {
				b.at.Trim[s] = info.Last
			}
		}
		if err := b.save(); err != nil {
			return err
		}
	}
	for s, upTo := range b.at.Trim { // again after a crash: it removes nothing more
		if upTo == 0 {
			continue
		}
		if err := q.Trim(ctx, s, upTo); err != nil {
			return fmt.Errorf("empty %s: %w", s, err)
		}
	}
	if resumed { // by the consumer that query makes anew when it starts
		return archive.Republished(ctx, q, readers[0].consumers[1], b.at.Published, &b.at.Totals)
	}
	return nil
}

func (b *rebuild) save() error {
	text, err := json.Marshal(b.at)
	if err != nil {
		return err
	}
	tmp := b.path() + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save how far the rebuild is: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, b.path())
	}
	if err != nil {
		return fmt.Errorf("save how far the rebuild is: %w", err)
	}
	return nil
}

// run publishes the archive and waits until all of it is stored, or a service breaks
// down.
func (b *rebuild) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case err := <-b.a.group.Failed():
			cancel(err)
		case <-ctx.Done():
		}
	})
	err := b.replay(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	watch.Wait()
	return err
}

func (b *rebuild) replay(ctx context.Context) error {
	b.opts.Stage("read the archive")
	r := &archive.Replay{
		Store: b.a.blob, Queue: b.a.queue, Run: b.at.Run, Range: b.at.Range, Done: b.at.Published, Totals: b.at.Totals,
		Kept: queue.Position{Epoch: b.at.Epoch, Sequence: b.at.Trim[queue.Events]}, Progress: b.opts.Progress,
	}
	r.Save = func() error {
		b.at.Published, b.at.Totals = r.Done, r.Totals
		return b.save()
	}
	err := r.Read(ctx)
	b.at.Totals = r.Totals
	if err != nil {
		return err
	}
	b.opts.Stage("score and store what is left")
	// EVENTS first: scoring acknowledges a message after its scores are in SCORED.
	for _, r := range readers {
		if _, err := archive.Drain(ctx, b.a.queue, r.stream, r.consumers...); err != nil {
			return err
		}
	}
	return nil
}

// readers are those of the streams, in the order in which events go through them.
var readers = []struct {
	stream    queue.Stream
	consumers []string
}{
	{queue.Events, []string{"scoring", "balance"}}, {queue.Scored, []string{"writer"}}, {queue.Dead, []string{"dead"}},
}

// check compares the store with itself and with the archive.
func (b *rebuild) check(ctx context.Context, report *RebuildReport) error {
	for _, r := range readers {
		info, err := b.a.queue.Info(ctx, r.stream)
		if err != nil {
			return err
		}
		for _, name := range r.consumers {
			c := info.Consumers[name]
			report.InFlight = report.InFlight || c.Pending != 0 || c.Unacknowledged != 0
		}
	}
	store, err := b.a.openQueryStore(ctx, b.a.log())
	if err != nil {
		return err
	}
	defer func() { _ = b.a.closeStores() }()
	return summarize(ctx, store, report)
}

func summarize(ctx context.Context, store query.Store, report *RebuildReport) error {
	v, err := store.Verify(ctx, "")
	if err != nil {
		return err
	}
	report.Rollups, report.Differences = v.Rollups, v.Count
	projects, err := store.Projects(ctx)
	if err != nil {
		return err
	}
	for _, p := range projects {
		s, err := store.Balance(ctx, p, 1)
		if err != nil {
			return err
		}
		report.Accepted += s.Total.Accepted
		report.Stored += s.Total.Stored
		report.Duplicate += s.Total.Duplicate
		report.DeadLetter += s.Total.DeadLetter
		report.Erased += s.Total.Erased
	}
	return nil
}

// CheckArchive reads and checks every object of the range.
func CheckArchive(ctx context.Context, store blob.Store, opts RebuildOptions) (archive.Totals, error) {
	r := &archive.Replay{Store: store, Range: opts.Range, Progress: opts.Progress}
	err := r.Read(ctx)
	return r.Totals, err
}
