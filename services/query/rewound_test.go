package query_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
)

// TestStreamsLostTheirEnd: the streams come back as an older copy, of the same
// epoch, and grow past where the store is before and after the service looks. It
// says so, claims nothing to be complete, and goes on only when told; then all
// that was acknowledged after the loss is stored and counted once.
func TestStreamsLostTheirEnd(t *testing.T) {
	for _, grown := range []bool{false, true} {
		t.Run(fmt.Sprintf("grown=%v", grown), func(t *testing.T) {
			w := newWorld(t)
			var reader *metric.ManualReader // of the last start
			w.deps = func(d *query.Deps) {
				reader = metric.NewManualReader()
				d.MeterProvider = metric.NewMeterProvider(metric.WithReader(reader))
			}
			ingest := func(what string, n int) {
				for i := range n {
					text := "x"
					if i == 3 {
						text = "poison"
					}
					w.ingest(queued("p", fmt.Sprint(what, i), text))
				}
			}
			w.start()
			stop := w.scorer()
			ingest("a", 10)
			w.settled("p")
			stop()
			w.stop()
			dir, old := filepath.Join(w.dir, "queue"), filepath.Join(w.dir, "old")
			require.NoError(t, w.queue.Close())
			require.NoError(t, os.CopyFS(old, os.DirFS(dir)))
			w.openQueue()
			w.start()
			stop = w.scorer()
			ingest("b", 10)
			b := w.settled("p")
			require.Equal(t, []float64{20, 18, 2, 0}, []float64{b.Total.Accepted, b.Total.Stored, b.Total.DeadLetter, b.Difference})
			stop()
			w.stop()
			require.NoError(t, w.queue.Close())
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.CopyFS(dir, os.DirFS(old)))
			w.openQueue()

			w.log = quiet
			defer w.scorer()()
			more := 5
			if grown {
				more = 15 // past where the store is
			}
			rewound := time.Now()
			ingest("c", more)
			require.Eventually(t, func() bool {
				i, err := w.queue.Info(t.Context(), queue.Scored)
				require.NoError(t, err)
				return i.Last >= uint64(10+more)
			}, patience, time.Millisecond)
			w.start()
			lost := func() bool { return errors.Is(w.svc.Ready(t.Context()), queue.ErrPositionLost) }
			require.Eventually(t, lost, patience, time.Millisecond)
			require.ErrorContains(t, w.svc.Ready(t.Context()), "resume_after_loss")
			require.NoError(t, w.svc.Serving(t.Context()), "what is stored can be read")
			waits := func(why string) {
				for since := time.Now(); time.Since(since) < 1500*time.Millisecond; time.Sleep(50 * time.Millisecond) { // some retries
					require.True(t, lost(), why)
					b := w.balance("p")
					require.Equal(t, 18.0, b.Total.Stored, why)
					if b.CompleteTo != nil {
						require.Less(t, b.CompleteTo.AsTime(), rewound, why)
					}
				}
			}
			waits("nothing of the new messages is complete")
			ingest("d", 12) // now it has grown past it in any case
			waits("a retry does not pass it by")
			require.Equal(t, int64(1), ofEvents(t, reader, "synapse.query.readers.waiting"))
			w.stop()

			w.cfg.ResumeAfterLoss = true
			w.start()
			all := float64(20 + more + 12)
			require.Eventually(t, func() bool {
				b = w.balance("p")
				return b.Total.Accepted >= all && b.Total.InFlight == 0
			}, patience, time.Millisecond)
			w.ready()
			require.Zero(t, ofEvents(t, reader, "synapse.query.readers.waiting"))
			require.Equal(t, int64(1), ofEvents(t, reader, "synapse.query.positions.lost"))
			require.Equal(t, []float64{all, all - 4, 4, 0}, []float64{b.Total.Accepted, b.Total.Stored, b.Total.DeadLetter, b.Difference})
		})
	}
}

// ofEvents returns a metric's value for the stream EVENTS.
func ofEvents(t *testing.T, r metric.Reader, name string) int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.Collect(t.Context(), &all))
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name != name {
			continue
		}
		var points []metricdata.DataPoint[int64]
		switch d := m.Data.(type) {
		case metricdata.Gauge[int64]:
			points = d.DataPoints
		case metricdata.Sum[int64]:
			points = d.DataPoints
		}
		for _, p := range points {
			if v, _ := p.Attributes.Value(attribute.Key("stream")); v.AsString() == string(queue.Events) {
				return p.Value
			}
		}
	}
	return -1
}
