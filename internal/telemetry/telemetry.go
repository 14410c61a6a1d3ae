// Package telemetry sets up logs, traces and metrics for a process, by
// OpenTelemetry's conventions: spans go by OTLP to where the standard OTEL_*
// variables say and to a ring of the last traces in memory; metrics are served
// for Prometheus; logs are slog with the ids of the span that they belong to.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
)

// Config says what is logged and traced.
type Config struct {
	LogLevel    string  `config:"log_level" doc:"Least level that is logged: debug, info, warn or error."`
	LogFormat   string  `config:"log_format" doc:"Form of the log on standard error: json or text."`
	SampleRatio float64 `config:"sample_ratio" doc:"Share of calls that are traced when the caller does not say, from 0 to 1."`
	TraceRing   int     `config:"trace_ring" doc:"Number of the last traces kept in memory, from 0 to 10000."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{LogLevel: "info", LogFormat: "json", SampleRatio: 0.01, TraceRing: 200}
}

// Validate reports every rule that is broken.
func (c Config) Validate() error {
	var errs []error
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		errs = append(errs, errors.New("log_level: must be debug, info, warn or error; use info"))
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		errs = append(errs, errors.New("log_format: must be json or text; use json"))
	}
	if c.SampleRatio < 0 || c.SampleRatio > 1 {
		errs = append(errs, errors.New("sample_ratio: must be from 0 to 1; use 0.01"))
	}
	if c.TraceRing < 0 || c.TraceRing > 10000 {
		errs = append(errs, errors.New("trace_ring: must be from 0 to 10000; use 200"))
	}
	return errors.Join(errs...)
}

// Telemetry is what a process logs, traces and measures with.
type Telemetry struct {
	// Logger writes the log.
	Logger *slog.Logger
	// TracerProvider and MeterProvider make tracers and meters.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Ring holds the last traces; nil when switched off.
	Ring *Ring
	// Metrics serves the metrics for Prometheus.
	Metrics http.Handler

	shutdown []func(context.Context) error
}

// Setup makes the telemetry of a process that is called service, for example
// "synapse-all", in a version. Logs go to w. It sets OpenTelemetry's global
// propagator and error handler, which have no other way in.
func Setup(ctx context.Context, cfg Config, service, version string, w io.Writer) (*Telemetry, error) {
	t := &Telemetry{Logger: NewLogger(cfg, w)}
	res, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		semconv.ServiceName(service), semconv.ServiceNamespace("synapse"), semconv.ServiceVersion(version)))
	if err != nil {
		return nil, fmt.Errorf("telemetry resource: %w", err)
	}
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.Logger.Warn("opentelemetry", "error", err) }))

	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.SampleRatio))),
	}
	exp, err := otlpExporter(ctx)
	if err != nil {
		return nil, err
	}
	if exp != nil {
		opts = append(opts, sdktrace.WithBatcher(exp, sdktrace.WithBatchTimeout(time.Second)))
	}
	if cfg.TraceRing > 0 {
		t.Ring = NewRing(cfg.TraceRing)
		opts = append(opts, sdktrace.WithSpanProcessor(t.Ring))
	}
	tp := sdktrace.NewTracerProvider(opts...)
	t.TracerProvider = tp

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := otelprom.New(otelprom.WithRegisterer(reg))
	if err != nil {
		return nil, fmt.Errorf("metrics exporter: %w", err)
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(reader))
	t.MeterProvider = mp
	t.Metrics = promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	t.shutdown = append(t.shutdown, tp.Shutdown, mp.Shutdown)
	return t, nil
}

// Shutdown sends what is not yet sent.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, f := range t.shutdown {
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

// otlpExporter makes the exporter that the standard variables ask for; nil when
// they name no endpoint.
func otlpExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil
	}
	proto := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if proto == "" {
		proto = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	var exp *otlptrace.Exporter
	var err error
	if strings.HasPrefix(proto, "http/") {
		exp, err = otlptracehttp.New(ctx)
	} else {
		exp, err = otlptracegrpc.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("trace exporter: %w", err)
	}
	return exp, nil
}
