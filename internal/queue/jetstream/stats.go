package jetstream

import "sync/atomic"

// counters count since Open.
type counters struct {
	published, duplicates, refusedFull, publishErrors atomic.Uint64
	delivered, redelivered, returned                  atomic.Uint64
	pullsRenewed, consumersRemade, disconnects        atomic.Uint64
	repeated                                          atomic.Uint64
}

// Stats counts what happened since Open, for metrics.
type Stats struct {
	// Published messages were acknowledged as stored; Duplicates as known.
	Published, Duplicates uint64
	// RefusedFull publishes ended with queue.ErrFull, PublishErrors with another
	// error than the context's.
	RefusedFull, PublishErrors uint64
	// Delivered messages came from the server, Redelivered of them not for the
	// first time; Returned were fetched ahead and given back unread.
	Delivered, Redelivered, Returned uint64
	// PullsRenewed counts how often the watchdog had to ask anew, ConsumersRemade
	// how often a consumer was made anew to close a gap, Disconnects how often
	// the connection was lost. All should stay near 0.
	PullsRenewed, ConsumersRemade, Disconnects uint64
	// RepeatedSequences were acknowledged for two messages: the stream lost the
	// first ones, or was made anew.
	RepeatedSequences uint64
	// InFlight publishes wait for their acknowledgement now.
	InFlight int
}

// Stats returns the counts.
func (q *Queue) Stats() Stats {
	c := &q.stats
	return Stats{
		Published: c.published.Load(), Duplicates: c.duplicates.Load(),
		RefusedFull: c.refusedFull.Load(), PublishErrors: c.publishErrors.Load(),
		Delivered: c.delivered.Load(), Redelivered: c.redelivered.Load(), Returned: c.returned.Load(),
		PullsRenewed: c.pullsRenewed.Load(), ConsumersRemade: c.consumersRemade.Load(), Disconnects: c.disconnects.Load(),
		RepeatedSequences: c.repeated.Load(),

		InFlight: q.pub.inFlight(),
	}
}
