package scoring

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// stage names this role in dead letters.
const stage = "scoring"

// maxRawBytes bounds the raw bytes in a dead letter, so that it fits in a
// message with its other fields and header.
const maxRawBytes = queue.MaxMessageBytes - 128<<10

type letterReason struct {
	reason errs.Reason
	events int
}

// letter adds the dead letter of one event.
func (w *worker) letter(j *job, i int, reason errs.Reason, detail string) error {
	e := &j.events[i]
	queued := &pipelinev1.QueuedEvent{}
	if err := proto.Unmarshal(e.raw, queued); err != nil {
		return fmt.Errorf("event %d: %w", i, err) // decodeBatch is as strict
	}
	hour := queue.HourCount{Project: e.project, Hour: e.acceptedUS / 3_600_000_000, Count: 1}
	counts := queue.FormatCounts([]queue.HourCount{hour})
	if _, err := queue.ParseCounts(counts); err != nil {
		counts = "" // not written by ingest
	}
	return w.addLetter(j, i, counts, &pipelinev1.DeadLetter{
		Reason: string(reason), Detail: detail, Queued: queued, Events: 1,
	})
}

// addLetter completes a letter and adds it to what is to be published.
func (w *worker) addLetter(j *job, index int, counts string, d *pipelinev1.DeadLetter) error {
	d.Stage = stage
	d.SourceSequence, d.SourceEpoch = j.msg.Position.Sequence, j.msg.Position.Epoch
	d.Attempts = int32(min(j.msg.Deliveries, 1<<30))
	d.FailedAt = timestamppb.New(w.now())
	data, err := proto.Marshal(d)
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	out := queue.Outgoing{
		ID:   "d-" + placeOf(&j.msg) + "-" + strconv.Itoa(index),
		Data: data,
	}
	if counts != "" {
		out.Header = map[string]string{queue.CountsHeader: counts}
	}
	j.letters = append(j.letters, out)
	j.reasons = append(j.reasons, letterReason{errs.Reason(d.Reason), int(d.Events)})
	return nil
}

// giveUp makes dead letters of all events of a message.
func (w *worker) giveUp(j *job, reason errs.Reason, detail string) error {
	j.out, j.scored, j.letters, j.reasons = j.out[:0], 0, j.letters[:0], j.reasons[:0]
	for i := range j.events {
		if err := w.letter(j, i, reason, detail); err != nil {
			return err
		}
	}
	return nil
}

// bury makes one dead letter of a message that cannot be read. Its header tells
// how many events were accepted with it, which keeps the balance.
func (w *worker) bury(j *job, cause error) error {
	header := j.msg.Header[queue.CountsHeader]
	detail := cause.Error()
	events := 0
	counts, err := queue.ParseCounts(header)
	if err != nil || len(counts) == 0 {
		header = ""
		detail += "; its header does not say how many events it holds"
	}
	for _, c := range counts {
		events += int(c.Count)
	}
	j.letters, j.reasons = j.letters[:0], j.reasons[:0]
	raw := j.msg.Data
	if len(raw) > maxRawBytes {
		raw = raw[:maxRawBytes]
		detail += fmt.Sprintf("; raw is cut from %d bytes", len(j.msg.Data))
	}
	return w.addLetter(j, 0, header, &pipelinev1.DeadLetter{
		Reason: string(errs.MalformedRequest), Detail: detail, Raw: raw, Events: int32(min(events, 1<<30)),
	})
}
