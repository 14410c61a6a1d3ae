package query

import (
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/cache"
)

// Config configures the query service.
type Config struct {
	MaxRows           int           `config:"max_rows" doc:"Most events stored in one transaction, 100 to 50000."`
	MaxTails          int           `config:"max_tails" doc:"Most tails open at once in this process, 1 to 100000."`
	TailBuffer        int           `config:"tail_buffer" doc:"Events that wait for a slow tail before some are left out, 16 to 65536."`
	TailResume        int           `config:"tail_resume" doc:"Most events that a tail reads again when it goes on at a cursor, 0 to 100000."`
	Heartbeat         time.Duration `config:"heartbeat" doc:"Time between signs of life on a quiet tail, 1s to 5m."`
	IdempotencyWindow time.Duration `config:"idempotency_window" doc:"How long repeated messages and dead letters are recognised, 1h to 8760h; the id of an event is recognised as long as the event is kept."`
	RecoveryWindow    time.Duration `config:"recovery_window" doc:"How long stored messages of the stream SCORED are kept for a replay, 1m to 8760h; a full stream gives up the oldest earlier."`
	Retention         time.Duration `config:"retention" doc:"How long events are kept, counted from their acceptance and by whole days (UTC); 24h or more, and at least idempotency_window. 0s keeps them for ever. Charts and counters stay."`
	TrimInterval      time.Duration `config:"trim_interval" doc:"Time between two looks at what can be removed from the stream SCORED, 100ms to 1h."`
	ListBudget        time.Duration `config:"list_budget" doc:"How long a list with a filter searches before it answers with a short page and a token, 10ms to 30s."`
	Cache             cache.Config  `config:"cache" doc:"The parts of charts that do not change at the moment."`
	ResumeAfterLoss   bool          `config:"resume_after_loss" doc:"Go on with what a stream still holds after it lost messages that were not stored yet; without it the service waits for an operator."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxRows: 5000, MaxTails: 1000, TailBuffer: 256, TailResume: 10_000, Heartbeat: 15 * time.Second,
		IdempotencyWindow: 7 * 24 * time.Hour, RecoveryWindow: 24 * time.Hour, TrimInterval: 10 * time.Second, ListBudget: 2 * time.Second,
		Cache: cache.Config{Engine: cache.Process, TTL: time.Minute, MaxBytes: 32 << 20},
	}
}

// Validate returns all problems, each as "field: rule; remedy".
func (c Config) Validate() error {
	var errList []error
	number := func(field string, v, low, high int) {
		if v < low || v > high {
			errList = append(errList, fmt.Errorf("%s: must be %d to %d, is %d; change it", field, low, high, v))
		}
	}
	within := func(field string, d, low, high time.Duration) {
		if d < low || d > high {
			errList = append(errList, fmt.Errorf("%s: must be %s to %s, is %s; change it", field, low, high, d))
		}
	}
	const year = 8760 * time.Hour
	number("max_rows", c.MaxRows, 100, 50_000)
	number("max_tails", c.MaxTails, 1, 100_000)
	number("tail_buffer", c.TailBuffer, 16, 65_536)
	number("tail_resume", c.TailResume, 0, 100_000)
	within("heartbeat", c.Heartbeat, time.Second, 5*time.Minute)
	within("idempotency_window", c.IdempotencyWindow, time.Hour, year)
	within("recovery_window", c.RecoveryWindow, time.Minute, year)
	if c.Retention != 0 {
		within("retention", c.Retention, 24*time.Hour, 100*year)
		if c.Retention < c.IdempotencyWindow {
			errList = append(errList, fmt.Errorf("retention: must be at least idempotency_window, %s, is %s: "+
				"the id of an event is known as long as the event is kept; lengthen retention or shorten idempotency_window", c.IdempotencyWindow, c.Retention))
		}
	}
	within("trim_interval", c.TrimInterval, 100*time.Millisecond, time.Hour)
	within("list_budget", c.ListBudget, 10*time.Millisecond, 30*time.Second)
	return errors.Join(errList...)
}
