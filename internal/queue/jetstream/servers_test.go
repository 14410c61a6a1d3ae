package jetstream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// TestSyncTold: a server that acknowledges before it fsyncs is told loudly: in
// the log, the metrics and to doctor; one that nobody can ask is said to be
// unknown.
func TestSyncTold(t *testing.T) {
	for _, c := range []struct {
		name, sync, known string
		monitor, severe   bool
	}{
		{name: "always", monitor: true, known: SyncAlways},
		{name: "interval", sync: "2m", monitor: true, known: "2m0s", severe: true},
		{name: "unknown", sync: "2m", known: SyncUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := configOf(startServers(t, natstest.Options{Sync: c.sync}), natstest.Options{})
			if !c.monitor {
				cfg.MonitorURL = ""
			}
			var log bytes.Buffer
			q, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)))
			require.NoError(t, err)
			defer func() { require.NoError(t, q.Close()) }()
			require.Equal(t, c.severe, strings.Contains(log.String(), "level=ERROR"), log.String())
			require.Equal(t, c.severe, strings.Contains(log.String(), "sync_interval: always"), log.String())
			require.Equal(t, c.known == SyncUnknown, strings.Contains(log.String(), "queue.monitor_url"), log.String())

			s, err := Inspect(t.Context(), cfg, quiet())
			require.NoError(t, err)
			require.Equal(t, []Server{{Name: "n1", Version: minServer, Sync: c.known}}, s.Servers)
			require.Equal(t, c.severe, len(s.Problems) > 0 && s.Problems[0].Severe)
			kind := c.known
			if c.severe {
				kind = SyncInterval
			}
			require.Equal(t, int64(1), serversBySync(t, q)[kind])
		})
	}
	embedded := openClosed(t, withDir(t))
	require.Equal(t, int64(1), serversBySync(t, embedded)[SyncAlways])
}

// serversBySync reads the gauge.
func serversBySync(t *testing.T, q *Queue) map[string]int64 {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	stop, err := q.Observe(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	require.NoError(t, err)
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.NoError(t, stop())
	out := map[string]int64{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if g, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == "synapse.queue.servers" {
			for _, p := range g.DataPoints {
				v, _ := p.Attributes.Value(attribute.Key("sync"))
				out[v.AsString()] = p.Value
			}
		}
	}
	return out
}

// TestSurveyOfCluster: every server is looked at, and a copy that is behind is
// named.
func TestSurveyOfCluster(t *testing.T) {
	o := natstest.Options{Nodes: 3}
	servers := startServers(t, o)
	cfg := configOf(servers, o)
	q := openClosed(t, cfg)
	var s Survey
	var err error
	well := func(problems int) func() bool { // once the new copies have caught up
		return func() bool {
			s, err = Inspect(t.Context(), cfg, quiet())
			require.NoError(t, err)
			return len(s.Problems) == problems
		}
	}
	require.Eventually(t, well(0), time.Minute, 50*time.Millisecond)
	require.Len(t, s.Servers, 3)

	// Two of the three addresses are known: the third is said to be unknown.
	cfg.MonitorURL = servers.Nodes[0].MonitorURL() + "," + servers.Nodes[1].MonitorURL()
	require.Eventually(t, well(1), time.Minute, 50*time.Millisecond)
	require.Contains(t, s.Problems[0].Text, "n3")
	require.False(t, s.Problems[0].Severe)

	// A configuration with fewer copies must not take copies away.
	low := cfg
	low.Replicas = 1
	_, err = Open(t.Context(), low, quiet())
	require.ErrorContains(t, err, "queue.replicas to 3")
	st, err := q.js.Stream(t.Context(), string(queue.Events))
	require.NoError(t, err)
	require.Equal(t, 3, st.CachedInfo().Config.Replicas)

	require.NoError(t, servers.Nodes[2].Kill())
	require.Eventually(t, func() bool {
		s, err := Inspect(t.Context(), cfg, quiet())
		return err == nil && strings.Contains(fmt.Sprint(s.Problems), "copy on n3 is not up to date")
	}, time.Minute, 100*time.Millisecond)

	// More copies than servers: it waits for them, then says so.
	more := cfg
	more.Replicas, more.OpenTimeout = 5, 3*time.Second
	_, err = Open(t.Context(), more, quiet())
	require.ErrorContains(t, err, "replicas")
}

// TestReplicas: copies are added to a stream that has fewer than configured; a
// server alone can not have them.
func TestReplicas(t *testing.T) {
	o := natstest.Options{Nodes: 3}
	cfg := configOf(startServers(t, o), o)
	cfg.Replicas = 1
	q := mustOpen(t, cfg)
	_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{Data: []byte("x")})
	require.NoError(t, err)
	before, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.NoError(t, q.Close())
	cfg.Replicas = 3
	q = openClosed(t, cfg)
	st, info, err := q.stream(t.Context(), queue.Events)
	require.NoError(t, err)
	require.Equal(t, 3, st.CachedInfo().Config.Replicas)
	require.Equal(t, before.Epoch, epochOf(info))
	require.EqualValues(t, 1, info.State.Msgs)

	alone := configOf(startServers(t, natstest.Options{}), natstest.Options{})
	alone.Replicas, alone.OpenTimeout = 3, 5*time.Second
	_, err = Open(t.Context(), alone, quiet())
	require.ErrorContains(t, err, "queue.replicas to 1")
}

// TestDrift: what others changed at a stream is mended; what is the operator's
// stays.
func TestDrift(t *testing.T) {
	cfg := configOf(startServers(t, natstest.Options{}), natstest.Options{})
	q := mustOpen(t, cfg)
	for what, spoil := range map[string]func(*natsjs.StreamConfig){
		"max_age":              func(c *natsjs.StreamConfig) { c.MaxAge = time.Hour },
		"discard":              func(c *natsjs.StreamConfig) { c.Discard = natsjs.DiscardOld },
		"max_bytes":            func(c *natsjs.StreamConfig) { c.MaxBytes = 1 << 30 },
		"max_msgs":             func(c *natsjs.StreamConfig) { c.MaxMsgs = 5 },
		"max_msgs_per_subject": func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 5 },
		"max_msg_size":         func(c *natsjs.StreamConfig) { c.MaxMsgSize = 1000 },
		"no_ack":               func(c *natsjs.StreamConfig) { c.NoAck = true },
		"duplicate_window":     func(c *natsjs.StreamConfig) { c.Duplicates = time.Second },
		"subjects":             func(c *natsjs.StreamConfig) { c.Subjects = append(c.Subjects, "other") },
	} {
		t.Run(what, func(t *testing.T) {
			c := q.streamConfig(queue.Dead)
			c.Compression = natsjs.S2Compression // the operator's
			spoil(&c)
			require.NoError(t, q.js.DeleteStream(t.Context(), c.Name))
			_, err := q.js.CreateStream(t.Context(), c)
			require.NoError(t, err)
			s, err := Inspect(t.Context(), cfg, quiet())
			require.NoError(t, err)
			require.Contains(t, fmt.Sprint(s.Problems), what+" is")

			mended := mustOpen(t, cfg)
			defer func() { require.NoError(t, mended.Close()) }()
			st, err := q.js.Stream(t.Context(), c.Name)
			require.NoError(t, err)
			require.Empty(t, driftOf(st.CachedInfo().Config, q.streamConfig(queue.Dead)))
			require.Equal(t, natsjs.S2Compression, st.CachedInfo().Config.Compression)
		})
	}
	for what, spoil := range map[string]func(*natsjs.StreamConfig){
		"persist_mode async": func(c *natsjs.StreamConfig) { c.PersistMode = natsjs.AsyncPersistMode },
		"sealed":             func(c *natsjs.StreamConfig) { c.DenyPurge = true },
	} {
		c := q.streamConfig(queue.Dead)
		spoil(&c)
		require.NoError(t, q.js.DeleteStream(t.Context(), c.Name))
		_, err := q.js.CreateStream(t.Context(), c)
		require.NoError(t, err)
		_, err = Open(t.Context(), cfg, quiet())
		require.ErrorContains(t, err, what)
		require.ErrorContains(t, err, "delete that stream", "a remedy")
	}
	require.NoError(t, q.Close())
}

func TestServerVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"2.15.2": true, "v2.15.2": true, "2.15.3-RC.1": true, "2.16.0": true, "3.0.0": true,
		"2.15.1": false, "2.12.15": false, "2.9.10": false, "1.99.99": false, "": false, "2.15": false, "2.15.x": false, "2.15.-2": false,
	} {
		require.Equal(t, ok, atLeast(version, minServer), version)
	}
	q := &Queue{}
	require.NoError(t, q.checkServer(minServer, serverMaxPayload))
	require.ErrorContains(t, q.checkServer("2.14.5", serverMaxPayload), minServer)
	require.ErrorContains(t, q.checkServer(minServer, 1<<20), "max_payload: 8MB")
}

// TestMonitorAnswers: whatever a monitoring address answers is bounded and said.
func TestMonitorAnswers(t *testing.T) {
	servers := startServers(t, natstest.Options{})
	for answer, want := range map[string]string{
		`{"server_name":"n1","version":"2.9.10","jetstream":{"config":{"sync_always":true}}}`: "2.9.10",
		`{"server_name":"n1","version":"2.15.2"}`:                                             "no JetStream",
		`{}`:                             "no NATS server",
		`<html>`:                         "no NATS server",
		`"` + strings.Repeat("x", 2<<20): "no NATS server",
		`{"server_name":1}`:              "no NATS server",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
		cfg := configOf(servers, natstest.Options{})
		cfg.MonitorURL = srv.URL
		s, err := Inspect(context.Background(), cfg, quiet())
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(s.Problems), want)
		srv.Close()
	}
}
