package query

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// leaseTime is for how long a process leads without asking again: so late does
	// another take over from one that was killed.
	leaseTime = 3 * time.Second
	// leaseEvery is the time between two askings.
	leaseEvery = 500 * time.Millisecond
	// resignWait bounds the giving back of the lease at the end.
	resignWait = time.Second
)

// leader lets one of the processes that share a store move the streams into it.
// The lease only keeps them from disturbing each other: should two lead for a
// moment, Batch.After keeps what they write right.
type leader struct {
	store Store
	log   *slog.Logger
	// lead runs while this process leads, watch while it does not; each until its
	// context ends.
	lead, watch func(ctx context.Context)

	owner   string
	leading atomic.Bool
}

func newLeader(store Store, log *slog.Logger, lead, watch func(context.Context)) *leader {
	return &leader{store: store, log: log, lead: lead, watch: watch, owner: rand.Text()}
}

// run asks for the lease until ctx ends, and gives it back then.
func (l *leader) run(ctx context.Context) {
	until := time.Now().Add(leaseTime)
	end := l.begin(ctx, l.ask(ctx, until))
	for sleep(ctx, leaseEvery) {
		asked := time.Now()
		leads := l.ask(ctx, until)
		if leads != l.leading.Load() {
			if ended(ctx) {
				break
			}
			end()
			end = l.begin(ctx, leads)
		}
		if leads {
			until = asked.Add(leaseTime)
		}
	}
	end()
	if l.leading.Load() {
		l.leading.Store(false)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignWait)
		defer cancel()
		if err := l.store.Resign(ctx, l.owner); err != nil {
			l.log.WarnContext(ctx, "the lease was not given back; another process takes over when it has run out", "in", leaseTime, "error", err)
		}
	}
}

// ask says whether this process leads. One that can not ask leads on until its
// lease runs out.
func (l *leader) ask(ctx context.Context, until time.Time) bool {
	leads, err := l.store.Lead(ctx, l.owner, leaseTime)
	if err != nil {
		return l.leading.Load() && time.Now().Before(until)
	}
	return leads
}

// begin runs what a process does that leads, or not; end ends it.
func (l *leader) begin(ctx context.Context, leads bool) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	l.leading.Store(leads)
	work := l.watch
	if leads {
		work = l.lead
		l.log.InfoContext(ctx, "this process moves the streams into the store")
	} else {
		l.log.InfoContext(ctx, "another process moves the streams into the store; this one reads it")
	}
	go func() {
		defer close(done)
		work(ctx)
	}()
	return func() { cancel(); <-done }
}
