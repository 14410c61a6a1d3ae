package query

import (
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
)

// trailOf tells an event's stations. Times are those of the machines that wrote
// them: between machines with different clocks a station may seem to come
// earlier than the one before; its elapsed time is then 0.
func trailOf(e *Event) *queryv1.EventTrail {
	t := &queryv1.EventTrail{
		Name: eventName(e.Project, e.ID) + "/trail", ModelVersion: e.Model, TraceId: hex.EncodeToString(e.TraceID),
	}
	before := e.AcceptedUS
	add := func(stage queryv1.EventTrail_Hop_Stage, us int64, detail string) {
		if us <= 0 {
			return // the role that writes it did not know
		}
		t.Hops = append(t.Hops, &queryv1.EventTrail_Hop{
			Stage: stage, Time: timestamp(us), Detail: detail,
			Elapsed: durationpb.New(time.Duration(max(us-before, 0)) * time.Microsecond),
		})
		before = us
	}
	add(queryv1.EventTrail_Hop_ACCEPTED, e.AcceptedUS, "accepted by ingest")
	add(queryv1.EventTrail_Hop_QUEUED, e.QueuedUS, fmt.Sprintf("message %d of EVENTS", e.EventsSequence))
	add(queryv1.EventTrail_Hop_SCORED, e.ScoredUS, fmt.Sprintf("model %s, message %d of SCORED", e.Model, e.ScoredSequence))
	add(queryv1.EventTrail_Hop_STORED, e.StoredUS, fmt.Sprintf("row %d", e.Seq))
	minute := time.UnixMicro(floorTo(e.OccurredUS, minuteUS)).UTC().Format(time.RFC3339)
	add(queryv1.EventTrail_Hop_COUNTED, e.StoredUS, "minute "+minute+" and its hour and day, in the same transaction")
	return t
}
