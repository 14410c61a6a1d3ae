package scoring

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/model"
)

// Config of the scoring role.
type Config struct {
	// Workers score messages in parallel.
	Workers int `config:"workers" doc:"Messages scored in parallel, 0 to 1024; 0 is the number of processors."`
	// MaxInFlight bounds the messages that are being published.
	MaxInFlight int `config:"max_in_flight" doc:"Scored messages that are being published at the same time; 1 to 256."`
	// MaxPending bounds what all scoring processes hold together.
	MaxPending int `config:"max_pending" doc:"Messages of EVENTS that all scoring processes together may hold unacknowledged; 16 to 10000."`
	// AckWait is how long the queue waits before it delivers a message again.
	AckWait time.Duration `config:"ack_wait" doc:"How long a message may stay unacknowledged and not renewed before it is delivered again, for example after a crash; 1s to 10m."`
	// MaxTries bounds the tries of an event.
	MaxTries int `config:"max_tries" doc:"Tries to score an event before it becomes a dead letter; 2 to 20."`
	// MaxDeliveries bounds the deliveries of a message that never ends.
	MaxDeliveries int `config:"max_deliveries" doc:"Deliveries of a message after which its events become dead letters unscored, since it may stop the process; above max_tries, at most 1000."`
	// RetryDelay is the pause before the second try.
	RetryDelay time.Duration `config:"retry_delay" doc:"Pause before a failed message is tried again; doubles with each try, at most 30s; 1ms to 30s."`
	// RecoveryWindow is how long scored messages stay in EVENTS.
	RecoveryWindow time.Duration `config:"recovery_window" doc:"How long scored messages of the stream EVENTS are kept for a replay, 1m to 8760h; a full stream gives up the oldest earlier."`
	// TrimInterval is the time between two looks at what can be removed.
	TrimInterval time.Duration `config:"trim_interval" doc:"Time between two looks at what can be removed from the stream EVENTS; 100ms to 1h."`
	// Extras that events are given besides their sentiment.
	Extras []string `config:"extras" doc:"What events are given besides their sentiment: any of emotions and targets, or nothing; each costs time of its own."`
	// EmotionBar is the probability from which on an emotion is kept.
	EmotionBar float64 `config:"emotion_bar" doc:"Probability from which on an emotion is kept with its event; 0.01 to 1."`
	// Cache of the scores of a text.
	Cache cache.Config `config:"cache" doc:"Scores by text, model and what is asked, for models that take milliseconds; the built-in one is faster without."`
}

// The extras that events can be given.
const (
	extraEmotions = "emotions"
	extraTargets  = "targets"
)

// maxRetryDelay bounds the pause between two tries.
const maxRetryDelay = 30 * time.Second

// DefaultConfig returns the configuration that holds when nothing is set.
func DefaultConfig() Config {
	return Config{
		MaxInFlight: 8, MaxPending: 256, AckWait: 10 * time.Second, MaxTries: 5, MaxDeliveries: 20,
		RetryDelay: 200 * time.Millisecond, RecoveryWindow: 24 * time.Hour, TrimInterval: 10 * time.Second,
		Extras: []string{extraEmotions, extraTargets}, EmotionBar: 0.5,
		Cache: cache.Config{Engine: cache.Off, TTL: time.Hour, MaxBytes: 64 << 20},
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
	check(c.Workers >= 0 && c.Workers <= 1024, "workers: must be 0 to 1024; 0 takes the number of processors")
	check(c.MaxInFlight >= 1 && c.MaxInFlight <= 256, "max_in_flight: must be 1 to 256; 8 is a good value")
	check(c.MaxPending >= 16 && c.MaxPending <= 10_000, "max_pending: must be 16 to 10000; 256 is a good value")
	check(c.AckWait >= time.Second && c.AckWait <= 10*time.Minute, "ack_wait: must be 1s to 10m; 10s is a good value")
	check(c.MaxTries >= 2 && c.MaxTries <= 20, "max_tries: must be 2 to 20; 5 is a good value")
	check(c.MaxDeliveries > c.MaxTries && c.MaxDeliveries <= 1000, "max_deliveries: must be more than max_tries and at most 1000; 20 is a good value")
	check(c.RetryDelay >= time.Millisecond && c.RetryDelay <= maxRetryDelay, "retry_delay: must be 1ms to 30s; 200ms is a good value")
	check(c.RecoveryWindow >= time.Minute && c.RecoveryWindow <= 8760*time.Hour, "recovery_window: must be 1m to 8760h; 24h is a good value")
	check(c.TrimInterval >= 100*time.Millisecond && c.TrimInterval <= time.Hour, "trim_interval: must be 100ms to 1h; 10s is a good value")
	for _, x := range c.Extras {
		check(x == extraEmotions || x == extraTargets, "extras: must be of emotions and targets, not %q; an empty list is none of them", x)
	}
	check(c.EmotionBar >= 0.01 && c.EmotionBar <= 1, "emotion_bar: must be 0.01 to 1; 0.5 is a good value")
	return errors.Join(all...)
}

// extras returns what goes with an event.
func (c Config) extras() extras {
	x := extras{bar: c.EmotionBar, targets: slices.Contains(c.Extras, extraTargets)}
	if slices.Contains(c.Extras, extraEmotions) {
		x.want = model.Emotions
	}
	return x
}

// workers returns the workers in force.
func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.GOMAXPROCS(0)
}
