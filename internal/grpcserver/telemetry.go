package grpcserver

import (
	"fmt"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/synapse-analytics/synapse/internal/grpctelemetry"
)

// scopeName names this package's instruments.
const scopeName = "github.com/synapse-analytics/synapse/internal/grpcserver"

// telemetry makes the span of each call and its duration metric
// (rpc.server.call.duration, which also counts calls by method and status); see
// package grpctelemetry. Without providers it does nothing.
func (o *Options) telemetry() (link, error) {
	if o.TracerProvider == nil && o.MeterProvider == nil {
		return link{name: "telemetry"}, nil
	}
	t, err := grpctelemetry.NewServer(grpctelemetry.Options{
		TracerProvider: o.TracerProvider, MeterProvider: o.MeterProvider, Propagator: o.Propagator,
	})
	if err != nil {
		return link{}, fmt.Errorf("grpcserver: %w", err)
	}
	return link{name: "telemetry", unary: t.Unary, stream: t.Stream}, nil
}

// metrics are those beside the calls' durations.
type metrics struct {
	panics  metric.Int64Counter
	streams metric.Int64UpDownCounter
}

func newMetrics(mp metric.MeterProvider) (*metrics, error) {
	if mp == nil {
		mp = metricnoop.NewMeterProvider()
	}
	meter := mp.Meter(scopeName)
	panics, err := meter.Int64Counter("synapse.rpc.server.panics",
		metric.WithUnit("{panic}"), metric.WithDescription("Calls that ended in a panic of the server."))
	if err != nil {
		return nil, fmt.Errorf("grpcserver: %w", err)
	}
	streams, err := meter.Int64UpDownCounter("synapse.rpc.server.open_streams",
		metric.WithUnit("{stream}"), metric.WithDescription("Streams that are open now."))
	if err != nil {
		return nil, fmt.Errorf("grpcserver: %w", err)
	}
	return &metrics{panics: panics, streams: streams}, nil
}
