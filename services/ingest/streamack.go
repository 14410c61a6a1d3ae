package ingest

import (
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
)

// maxStreamResults bounds the verdicts in one answer of a stream, but for those
// of its last batch.
const maxStreamResults = 1000

// acknowledge answers for the batches in order, several at once when they are
// decided already. It ends when pending is closed and empty. After a failure it
// only lets go of what is left.
func (st *eventStream) acknowledge() error {
	answer := &ingestv1.StreamEventsResponse{}
	for b, ok := <-st.pending; ok; {
		if err := st.settle(b, answer); err != nil {
			st.end(err) // stop reading
			for b := range st.pending {
				st.drop(b)
			}
			return err
		}
		next, more, open := st.poll()
		if more && next.decided() && len(answer.Results) < maxStreamResults {
			b = next
			continue
		}
		if err := st.stream.Send(answer); err != nil {
			st.end(err)
			if more {
				st.drop(next)
			}
			for b := range st.pending {
				st.drop(b)
			}
			return err
		}
		answer = &ingestv1.StreamEventsResponse{
			AcknowledgedSequence: answer.AcknowledgedSequence,
			Accepted:             answer.Accepted, Duplicate: answer.Duplicate, Rejected: answer.Rejected,
		}
		switch {
		case more:
			b = next
		case open:
			b, ok = <-st.pending
		default:
			return nil
		}
	}
	return nil
}

// poll takes the next batch if one is there; open says whether more may come.
func (st *eventStream) poll() (b streamBatch, more, open bool) {
	select {
	case b, more = <-st.pending:
		return b, more, more
	default:
		return b, false, true
	}
}

// decided says whether settle would return at once.
func (b streamBatch) decided() bool {
	if b.sub.call == nil {
		return true
	}
	select {
	case <-b.sub.call.done:
		return true
	default:
		return false
	}
}

// settle waits for a batch's outcome and adds it to the totals.
func (st *eventStream) settle(b streamBatch, total *ingestv1.StreamEventsResponse) error {
	defer st.window.Release(b.weight)
	s := st.service
	if b.sub.call != nil {
		select {
		case <-b.sub.call.done:
		case <-st.ctx.Done():
			if !isShutdown(st.ctx) {
				s.batcher.giveUp(b.sub.call)
				return st.cause()
			}
			<-b.sub.call.done // the batcher decides everything before it ends
		}
	}
	if err := s.settle(b.sub); err != nil {
		s.metrics.refused(len(b.sub.verdicts), err)
		b.sub.release()
		return endOfStream(err)
	}
	total.AcknowledgedSequence = b.sequence
	total.Accepted += int64(b.sub.tally.accepted)
	total.Duplicate += int64(b.sub.tally.duplicate)
	total.Rejected += int64(b.sub.tally.rejected)
	for i := range b.sub.verdicts {
		if v := &b.sub.verdicts[i]; v.status != ingestv1.IngestResult_ACCEPTED {
			total.Results = append(total.Results, &ingestv1.StreamResult{Sequence: b.sequence, Result: v.result(i)})
		}
	}
	b.sub.release()
	return nil
}

// drop lets go of a batch that will not be acknowledged.
func (st *eventStream) drop(b streamBatch) {
	if b.sub.call != nil {
		st.service.batcher.giveUp(b.sub.call)
	}
	st.window.Release(b.weight)
}
