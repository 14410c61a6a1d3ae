package scoring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/model"
)

// chunk is how many texts are scored between two looks at whether to stop.
const chunk = 64

// errNoEvents is what is wrong with a message that ingest never writes.
var errNoEvents = errors.New("the message holds no events")

// process makes of a message what is to be published for it. It returns an error
// when the message is to be tried again.
func (w *worker) process(ctx context.Context, j *job) error {
	began := time.Now()
	var err error
	j.events, err = decodeBatch(j.msg.Data, j.events[:0])
	if err == nil && len(j.events) == 0 {
		err = errNoEvents
	}
	if err != nil {
		j.events = j.events[:0]
		w.log.Error("a message of EVENTS cannot be read; it becomes a dead letter", slog.Uint64("sequence", j.msg.Position.Sequence), slog.Any("error", err))
		return w.bury(j, err)
	}
	if j.msg.Deliveries > w.cfg.MaxDeliveries {
		w.log.Error("a message of EVENTS was delivered too often without an end; its events become dead letters",
			slog.Uint64("sequence", j.msg.Position.Sequence), slog.Int("deliveries", j.msg.Deliveries))
		if err := w.giveUp(j, errs.Unprocessable, fmt.Sprintf("its message was delivered %d times and never ended; perhaps it stops the process", j.msg.Deliveries)); err != nil {
			return w.bury(j, err)
		}
		return nil
	}
	w.beginSpans(j)
	if err := w.score(ctx, j); err != nil {
		return err
	}
	now := w.now()
	w.endSpans(j, began, time.Now())
	if err := w.encode(j, now.UnixMicro()); err != nil {
		return err
	}
	w.metrics.processed(j.scored, time.Since(began))
	return nil
}

// score fills j.scores, and j.failed with the events that are given up.
func (w *worker) score(ctx context.Context, j *job) error {
	n := len(j.events)
	if cap(j.texts) < n {
		j.texts, j.scores = make([]model.Input, n), make([]model.Analysis, n)
	}
	j.texts, j.scores = j.texts[:n], j.scores[:n]
	for i := range j.events {
		j.texts[i] = j.events[i].text
		if !w.extras.targets {
			j.texts[i].Targets = nil
		}
	}
	if j.msg.Deliveries <= 1 {
		for at := 0; at < n; at += chunk {
			if err := ctx.Err(); err != nil {
				return err
			}
			to := min(at+chunk, n)
			if err := w.analyze(j.texts[at:to], w.extras.want, j.scores[at:to]); err != nil {
				w.failure(j, err)
				return err
			}
		}
		return nil
	}
	return w.split(ctx, j)
}

// split scores the events one by one, after the message as a whole has failed.
func (w *worker) split(ctx context.Context, j *job) error {
	for i := range j.texts {
		if i%chunk == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.analyze(j.texts[i:i+1], w.extras.want, j.scores[i:i+1]); err != nil {
			j.failed = append(j.failed, failure{i, err.Error()})
		}
	}
	if len(j.failed) == 0 {
		return nil
	}
	err := fmt.Errorf("%d of %d events cannot be scored, the first: %s", len(j.failed), len(j.texts), j.failed[0].detail)
	w.failure(j, err)
	if j.msg.Deliveries < w.cfg.MaxTries {
		return err
	}
	return nil // they become dead letters
}

func (w *worker) failure(j *job, err error) {
	w.metrics.failed(failureScore)
	w.log.Warn("scoring failed", slog.Uint64("sequence", j.msg.Position.Sequence), slog.Int("try", j.msg.Deliveries), slog.Any("error", err))
}

// encode writes the scored message and the dead letters of a job.
func (w *worker) encode(j *job, nowUS int64) error {
	version := w.scorer.Version()
	failed := j.failed
	for i := range j.events {
		if len(failed) > 0 && failed[0].index == i {
			if err := w.letter(j, i, errs.Unprocessable, failed[0].detail); err != nil {
				return err
			}
			failed = failed[1:]
			continue
		}
		var spanID []byte
		if i < len(j.spans) && j.spans[i].IsValid() {
			id := j.spans[i].SpanID()
			spanID = id[:]
		}
		j.extra = w.extras.append(j.extra[:0], &j.scores[i], len(j.texts[i].Targets))
		j.out = appendScored(j.out, &j.events[i], spanID, &j.scores[i].Result, j.extra, version, nowUS)
		j.scored++
	}
	if j.scored == 0 {
		j.out = j.out[:0]
		return nil
	}
	j.out = appendSource(j.out, &j.msg)
	if len(j.out) > queue.MaxMessageBytes-maxHeaderBytes {
		return w.tooLarge(j)
	}
	return nil
}

// tooLarge gives up the events of a message whose scored message does not fit:
// one message of EVENTS is one of SCORED, so it cannot be split.
func (w *worker) tooLarge(j *job) error {
	w.log.Error("a scored message is too large; its events become dead letters",
		slog.Uint64("sequence", j.msg.Position.Sequence), slog.Int("bytes", len(j.out)), slog.Int("events", len(j.events)))
	return w.giveUp(j, errs.RequestTooLarge, fmt.Sprintf("its scored message has %d bytes, at most %d", len(j.out), queue.MaxMessageBytes-maxHeaderBytes))
}

// maxHeaderBytes is left for the id of a message.
const maxHeaderBytes = 1 << 10

// pause is how long a message that failed waits to be delivered again: doubling,
// with up to a quarter more or less so that several do not come at once.
func (w *worker) pause(deliveries int) time.Duration {
	d := w.cfg.RetryDelay
	for range min(deliveries-1, 20) {
		d = min(2*d, maxRetryDelay)
	}
	return d*3/4 + rand.N(d/2+1) //nolint:gosec // G404: no secret
}
