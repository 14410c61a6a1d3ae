package query_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/services/query"
)

// TestRetention: old events go when everything that may repeat them has been stored,
// not before; what is asked of them afterwards has an answer, and nothing brings them
// back.
func TestRetention(t *testing.T) {
	w := newWorld(t)
	w.cfg.Retention = 7 * 24 * time.Hour
	var skew atomic.Int64
	reader := sdkmetric.NewManualReader()
	w.deps = func(d *query.Deps) {
		d.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
		d.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	}
	w.start()
	stop := w.scorer()
	_, cursor := w.begin(t.Context(), "p", "")
	first := queued("p", "a", "good")
	at := w.ingest(first, queued("p", "b", "bad"))
	w.stored("p", 2)
	w.settled("p")
	stop()

	// A caller repeats an event, and the queue holds it for long.
	w.ingest(first)
	skew.Store(int64(30 * 24 * time.Hour))
	require.Never(t, func() bool {
		w.svc.Clean(t.Context())
		_, err := w.api.GetEvent(as(t.Context(), "p"), &queryv1.GetEventRequest{Name: "projects/p/events/a"})
		return err != nil
	}, time.Second, 100*time.Millisecond, "removed while a repeat of it waits")
	defer w.scorer()()
	require.Eventually(t, func() bool { return w.settled("p").Total.Duplicate == 1 }, patience, time.Millisecond)

	require.Eventually(t, func() bool {
		w.svc.Clean(t.Context())
		_, err := w.api.GetEvent(as(t.Context(), "p"), &queryv1.GetEventRequest{Name: "projects/p/events/a"})
		return status.Code(err) == codes.NotFound
	}, patience, 10*time.Millisecond)
	list, err := w.api.ListEvents(as(t.Context(), "p"), &queryv1.ListEventsRequest{Parent: "projects/p"})
	require.NoError(t, err)
	require.Empty(t, list.Events)
	check := func() {
		t.Helper()
		b := w.settled("p")
		require.Equal(t, []float64{3, 2, 1, 0}, []float64{b.Total.Accepted, b.Total.Stored, b.Total.Duplicate, b.Difference})
		r, err := w.api.VerifyRollups(as(t.Context(), "p"), &queryv1.VerifyRollupsRequest{Parent: "projects/p"})
		require.NoError(t, err)
		require.Zero(t, r.DifferenceCount, "%v", r.Differences)
		s, err := w.api.QueryTimeSeries(as(t.Context(), "p"), &queryv1.QueryTimeSeriesRequest{
			Parent: "projects/p", StartTime: first.Event.OccurredAt, Step: durationpb.New(24 * time.Hour),
		})
		require.NoError(t, err)
		require.EqualValues(t, 2, s.Points[0].Count)
	}
	check()
	m := next(t, w.tail(t.Context(), "p", "", cursor))
	require.Contains(t, m.GetResync().GetReason(), "older than the events that are kept")

	// The scored message comes again; the note of it was forgotten long ago.
	w.publishScored(&pipelinev1.ScoredBatch{
		SourceSequence: at.Sequence, SourceEpoch: at.Epoch, QueuedAtUs: first.AcceptedAtUs, Events: []*pipelinev1.ScoredEvent{scored(first)},
	})
	w.ingest(queued("q", "after", "x"))
	w.stored("q", 1)
	check()

	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	removed, oldest := int64(0), false
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			if m.Name == "synapse.query.events.removed" {
				removed = data.DataPoints[0].Value
			}
		case metricdata.Gauge[float64]:
			oldest = oldest || m.Name == "synapse.query.events.oldest"
		}
	}
	require.EqualValues(t, 2, removed)
	require.False(t, oldest, "nothing was kept at the last look")
}
