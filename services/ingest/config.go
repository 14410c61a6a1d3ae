package ingest

import (
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
)

// Bounds that follow from the contracts.
const (
	// maxCallEvents bounds the events of one call or one batch of a stream.
	maxCallEvents = 1000
	// maxEventBytes is more than the largest valid event takes in a message:
	// text 64 KiB, attributes 34 KiB, targets 2 KiB, and the small fields.
	maxEventBytes = 112 << 10
	// maxBatchBytes leaves room for the scores in the message that scoring makes
	// of it (queue.MaxMessageBytes is 4 MiB).
	maxBatchBytes = 2 << 20
	// maxBatchEvents does the same for many small events, of which each may get
	// some 830 bytes: all emotions and the scores of 16 targets.
	maxBatchEvents = 2000
)

// Config of the ingest role.
type Config struct {
	// Batch rules how events are packed into messages.
	Batch BatchConfig `config:"batch"`
	// Stream bounds StreamEvents.
	Stream StreamConfig `config:"stream"`
	// Limits are the rate limits.
	Limits LimitsConfig `config:"limits"`
	// MaxBacklogBytes bounds the events that wait to be scored.
	MaxBacklogBytes config.Bytes `config:"max_backlog_bytes" doc:"Bytes of accepted events on disk at which the server is full; it refuses from 80 % of it on; at least 1MiB."`
	// BacklogInterval is how often the backlog is looked at.
	BacklogInterval time.Duration `config:"backlog_interval" doc:"How often the backlog is looked at; 10ms to 10s."`
	// RecentIDs bounds the ids that are remembered to say DUPLICATE at once.
	RecentIDs int `config:"recent_ids" doc:"Ids remembered to answer DUPLICATE at once, about 50 bytes each; 0 to 10000000, 0 is off."`
	// RecentIDsTTL is how long they are remembered at least, unless newer ones
	// push them out.
	RecentIDsTTL time.Duration `config:"recent_ids_ttl" doc:"How long an id is remembered, at most twice this; 1s to 24h."`
}

// BatchConfig rules how events are packed into messages.
type BatchConfig struct {
	// MaxEvents bounds the events of a message.
	MaxEvents int `config:"max_events" doc:"Events packed into one queue message; 1 to 2000."`
	// MaxBytes bounds the bytes of a message.
	MaxBytes config.Bytes `config:"max_bytes" doc:"Bytes packed into one queue message; 128KiB to 2MiB."`
	// MaxDelay is how long events wait for company while appends are in flight.
	MaxDelay time.Duration `config:"max_delay" doc:"How long events wait for company while other appends are in flight; 0 to 1s."`
	// MaxInFlight bounds the messages that are being appended.
	MaxInFlight int `config:"max_in_flight" doc:"Messages appended at the same time; 1 to 64."`
	// MaxWaitingBytes bounds the bytes of the calls that wait to be packed.
	MaxWaitingBytes config.Bytes `config:"max_waiting_bytes" doc:"Bytes of calls that wait to be packed; calls above are refused; at least 1MiB."`
	// MaxWaitingCalls bounds the number of calls that wait to be packed.
	MaxWaitingCalls int `config:"max_waiting_calls" doc:"Calls that wait to be packed; calls above are refused; at least 1."`
	// MaxWait bounds how long a call may wait to be packed before new ones are
	// refused.
	MaxWait time.Duration `config:"max_wait" doc:"When a call has waited this long to be packed, new ones are refused; 1ms to 60s."`
	// PublishTimeout bounds an append with its repetitions. It must hold some tries:
	// a cluster that has lost a leader takes 4 to 8 s to have another.
	PublishTimeout time.Duration `config:"publish_timeout" doc:"How long an append is tried before the callers are told that its outcome is unknown; 100ms to 60s."`
}

// StreamConfig bounds StreamEvents.
type StreamConfig struct {
	// WindowBatches bounds the batches of a stream that are not acknowledged.
	WindowBatches int `config:"window_batches" doc:"Batches of one stream read ahead of the acknowledgement; 2 to 1024."`
	// WindowBytes bounds their bytes.
	WindowBytes config.Bytes `config:"window_bytes" doc:"Bytes of one stream read ahead of the acknowledgement; at least 128KiB."`
	// MaxWait is how long a stream is held back under overload before it ends.
	MaxWait time.Duration `config:"max_wait" doc:"How long a stream is held back under overload before it ends with RESOURCE_EXHAUSTED; 0 to 5m."`
}

// LimitsConfig are the rate limits of events; a rate of 0 is off.
type LimitsConfig struct {
	// ProjectRate is the events a second of one project.
	ProjectRate float64 `config:"project_rate" doc:"Events a second that one project may send lastingly; 0 is off."`
	// ProjectBurst is the events of one project at once.
	ProjectBurst float64 `config:"project_burst" doc:"Events that one project may send at once; 0 is the larger of twice the rate and 1000."`
	// KeyRate is the events a second of one credential.
	KeyRate float64 `config:"key_rate" doc:"Events a second that one API key or user may send lastingly; 0 is off."`
	// KeyBurst is the events of one credential at once.
	KeyBurst float64 `config:"key_burst" doc:"Events that one API key or user may send at once; 0 is the larger of twice the rate and 1000."`
	// MaxKeys bounds the projects and credentials that are counted.
	MaxKeys int `config:"max_keys" doc:"Projects and credentials whose use is counted at the same time; 1 to 10000000."`
}

// DefaultConfig returns the configuration that holds when nothing is set.
func DefaultConfig() Config {
	return Config{
		Batch: BatchConfig{
			MaxEvents: 1000, MaxBytes: 1 << 20, MaxDelay: 2 * time.Millisecond, MaxInFlight: 4,
			MaxWaitingBytes: 16 << 20, MaxWaitingCalls: 8192, MaxWait: 500 * time.Millisecond,
			PublishTimeout: 20 * time.Second,
		},
		Stream:          StreamConfig{WindowBatches: 16, WindowBytes: 8 << 20, MaxWait: 10 * time.Second},
		Limits:          LimitsConfig{MaxKeys: 100_000},
		MaxBacklogBytes: 4 << 30,
		BacklogInterval: 200 * time.Millisecond,
		RecentIDs:       1 << 17,
		RecentIDsTTL:    10 * time.Minute,
	}
}

// Validate returns all that is wrong with the configuration, joined.
func (c Config) Validate() error {
	var all []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	b, s, l := c.Batch, c.Stream, c.Limits
	check(b.MaxEvents >= 1 && b.MaxEvents <= maxBatchEvents, "batch.max_events: must be 1 to %d, so that the scored message fits too; 1000 is a good value", maxBatchEvents)
	check(b.MaxBytes >= 128<<10 && b.MaxBytes <= maxBatchBytes, "batch.max_bytes: must be 128KiB to 2MiB, so that every event fits and the scored message does too; 1MiB is a good value")
	check(b.MaxDelay >= 0 && b.MaxDelay <= time.Second, "batch.max_delay: must be 0 to 1s; 2ms is a good value")
	check(b.MaxInFlight >= 1 && b.MaxInFlight <= 64, "batch.max_in_flight: must be 1 to 64; 4 is a good value")
	check(b.MaxWaitingBytes >= 1<<20, "batch.max_waiting_bytes: must be at least 1MiB; 16MiB is a good value")
	check(b.MaxWaitingCalls >= 1, "batch.max_waiting_calls: must be at least 1; 8192 is a good value")
	check(b.MaxWait >= time.Millisecond && b.MaxWait <= time.Minute, "batch.max_wait: must be 1ms to 60s; 500ms is a good value")
	check(b.PublishTimeout >= 100*time.Millisecond && b.PublishTimeout <= time.Minute, "batch.publish_timeout: must be 100ms to 60s; 20s is a good value")
	check(s.WindowBatches >= 2 && s.WindowBatches <= 1024, "stream.window_batches: must be 2 to 1024; 16 is a good value")
	check(s.WindowBytes >= 128<<10, "stream.window_bytes: must be at least 128KiB; 8MiB is a good value")
	check(s.MaxWait >= 0 && s.MaxWait <= 5*time.Minute, "stream.max_wait: must be 0 to 5m; 10s is a good value")
	for _, r := range []struct {
		name  string
		value float64
	}{
		{"project_rate", l.ProjectRate}, {"project_burst", l.ProjectBurst},
		{"key_rate", l.KeyRate}, {"key_burst", l.KeyBurst},
	} {
		check(r.value >= 0 && r.value <= 1e9, "limits.%s: must be 0 to 1000000000; 0 switches it off", r.name)
	}
	check(l.MaxKeys >= 1 && l.MaxKeys <= 10_000_000, "limits.max_keys: must be 1 to 10000000; 100000 is a good value")
	check(c.MaxBacklogBytes >= 1<<20, "max_backlog_bytes: must be at least 1MiB; 4GiB is a good value")
	check(c.BacklogInterval >= 10*time.Millisecond && c.BacklogInterval <= 10*time.Second, "backlog_interval: must be 10ms to 10s; 200ms is a good value")
	check(c.RecentIDs >= 0 && c.RecentIDs <= 10_000_000, "recent_ids: must be 0 to 10000000; 0 switches it off")
	check(c.RecentIDsTTL >= time.Second && c.RecentIDsTTL <= 24*time.Hour, "recent_ids_ttl: must be 1s to 24h; 10m is a good value")
	return errors.Join(all...)
}

// burst returns the burst in force for a rate.
func burst(rate, configured float64) float64 {
	if configured > 0 || rate == 0 {
		return configured
	}
	return max(2*rate, maxCallEvents)
}
