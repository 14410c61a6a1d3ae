package jetstream

import (
	"sync/atomic"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// givenSize is how many acknowledged sequences of a stream are remembered.
const givenSize = 8192

// given remembers the latest sequences that a stream acknowledged to this process.
// One that is acknowledged for another message is proof that the stream lost the
// first: its server came back without its end or with an older copy.
type given [givenSize]atomic.Uint64

// repeats notes a sequence and says whether it was given before.
func (g *given) repeats(seq uint64) bool { return g[seq%givenSize].Swap(seq) == seq }

// checkGiven tells of a sequence that was acknowledged twice for different
// messages.
func (q *Queue) checkGiven(stream queue.Stream, seq uint64) {
	if !q.given[stream].repeats(seq) {
		return
	}
	if q.stats.repeated.Add(1) == 1 {
		q.log.Error("queue: a sequence was acknowledged for two messages: the stream lost acknowledged messages or was made anew; "+
			"look at the disks and sync_interval of the NATS servers", "stream", stream, "sequence", seq)
	}
}
