package ingest

import (
	"context"
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
)

// GetIngestStatus implements ingest.v1.IngestService.
func (s *Service) GetIngestStatus(ctx context.Context, _ *ingestv1.GetIngestStatusRequest) (*ingestv1.IngestStatus, error) {
	project, err := projectOf(ctx)
	if err != nil {
		return nil, err
	}
	st := s.backlog.state.Load()
	out := &ingestv1.IngestStatus{
		Name:              "projects/" + project + "/ingestStatus",
		Accepting:         true,
		BacklogMessages:   int32(min(st.messages, math.MaxInt32)),
		BacklogBytes:      st.unscored,
		BacklogLimitBytes: math.Round(st.limit * highWater),
		Lag:               durationpb.New(st.lag),
		Limits:            s.limits.inForce(),
	}
	if refusal := s.refusal(); refusal != nil {
		out.Accepting = false
		out.Refusal = refusal.Message
		if refusal.Remedy != "" {
			out.Refusal += "; " + refusal.Remedy
		}
	}
	return out, nil
}
