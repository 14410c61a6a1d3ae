package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// TrimQueue is what a Trimmer needs of a Queue.
type TrimQueue interface {
	Info(ctx context.Context, stream Stream) (Info, error)
	Trim(ctx context.Context, stream Stream, upTo uint64) error
}

// TrimConfig says what a Trimmer removes.
type TrimConfig struct {
	// Stream to trim.
	Stream Stream
	// Consumers that must have acknowledged a message before it may be removed.
	// While one of them does not exist nothing is removed.
	Consumers []string
	// Interval between two looks; 0 is 30 s.
	Interval time.Duration
	// RecoveryWindow is how long an acknowledged message is kept for a replay;
	// 0 removes it at the next look.
	RecoveryWindow time.Duration
}

// A stream that holds more than highWater of its bytes gives up acknowledged
// messages younger than the recovery window, down to lowWater: a full stream
// refuses new events, which is worse than a shorter replay.
const (
	highWater = 0.70
	lowWater  = 0.50
)

const (
	defaultTrimInterval = 30 * time.Second
	// maxSamples bounds what the Trimmer remembers. Samples are at least
	// RecoveryWindow/maxSamples apart, so a message is removed at most 1/512 of
	// the window (3 minutes of a day) and one interval late.
	maxSamples = 512
	// trimRounds bounds how often one look estimates what frees enough bytes.
	trimRounds = 4
)

// Trimmer removes from a stream what all its consumers have acknowledged, when
// it is older than the recovery window or the stream is getting full.
//
// The queue has no index by time, so the Trimmer remembers at each look which
// sequence was the last then: all up to it are at least as old as the look. It
// forgets that when the process ends; after a start, age alone removes nothing
// for one recovery window (unless the whole stream is older), which keeps more
// than asked, never less.
type Trimmer struct {
	q   TrimQueue
	cfg TrimConfig
	log *slog.Logger
	now func() time.Time

	epoch   uint64
	samples []sample // oldest first
}

// sample says that the stream's last sequence was last at the time.
type sample struct {
	at   time.Time
	last uint64
}

// NewTrimmer returns a Trimmer; now nil is time.Now.
func NewTrimmer(q TrimQueue, cfg TrimConfig, log *slog.Logger, now func() time.Time) (*Trimmer, error) {
	if len(cfg.Consumers) == 0 {
		return nil, errors.New("queue: a Trimmer needs at least one consumer")
	}
	if cfg.Interval < 0 || cfg.RecoveryWindow < 0 {
		return nil, errors.New("queue: a Trimmer's times must not be negative")
	}
	if cfg.Interval == 0 {
		cfg.Interval = defaultTrimInterval
	}
	if now == nil {
		now = time.Now
	}
	return &Trimmer{q: q, cfg: cfg, log: log, now: now}, nil
}

// Run trims every interval until ctx ends; it returns nil then. A failed look is
// logged and tried again at the next.
func (t *Trimmer) Run(ctx context.Context) error {
	tick := time.NewTicker(t.cfg.Interval)
	defer tick.Stop()
	for {
		if _, err := t.Once(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("queue: trim failed", "stream", t.cfg.Stream, "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Once looks once and returns the sequence up to which it removed, 0 if nothing.
// It must not be called while Run or another Once runs.
func (t *Trimmer) Once(ctx context.Context) (upTo uint64, err error) {
	for range trimRounds {
		info, err := t.q.Info(ctx, t.cfg.Stream)
		if err != nil {
			return upTo, fmt.Errorf("trim %s: %w", t.cfg.Stream, err)
		}
		next, why := t.decide(info)
		if next == 0 {
			return upTo, nil
		}
		if err := t.q.Trim(ctx, t.cfg.Stream, next); err != nil {
			return upTo, fmt.Errorf("trim %s: %w", t.cfg.Stream, err)
		}
		upTo = next
		t.log.Debug("queue: trimmed", "stream", t.cfg.Stream, "up_to", next, "messages", next-info.First+1, "why", why)
		if why != byBytes {
			return upTo, nil
		}
	}
	return upTo, nil
}

// Why decide removes.
const (
	byAge   = "age"
	byBytes = "bytes"
)

// decide returns the sequence up to which to remove, 0 for nothing.
func (t *Trimmer) decide(info Info) (upTo uint64, why string) {
	now := t.now()
	if info.Epoch != t.epoch {
		// Another stream: what is known of the old one says nothing about it.
		t.epoch, t.samples = info.Epoch, nil
	}
	t.remember(now, info.Last)
	if info.Messages == 0 {
		return 0, ""
	}
	floor := t.floor(info)
	if floor < info.First {
		return 0, ""
	}
	upTo, why = min(t.olderThanWindow(now, info), floor), byAge
	if bytes := min(t.tooMany(info), floor); bytes > upTo {
		upTo, why = bytes, byBytes
	}
	if upTo < info.First {
		return 0, ""
	}
	return upTo, why
}

// floor returns the last sequence that all consumers have acknowledged, with all
// before it.
func (t *Trimmer) floor(info Info) uint64 {
	floor := info.Last
	for _, name := range t.cfg.Consumers {
		c, ok := info.Consumers[name]
		if !ok {
			return 0
		}
		floor = min(floor, c.AckFloor)
	}
	return floor
}

// remember adds a sample and drops those that are not needed: of those older
// than the window only the newest says something.
func (t *Trimmer) remember(now time.Time, last uint64) {
	if n := len(t.samples); n > 0 {
		newest := t.samples[n-1]
		if now.Before(newest.at) {
			// The clock went back: the samples' ages are not known any more.
			t.samples = nil
		} else if now.Sub(newest.at) < t.cfg.RecoveryWindow/maxSamples {
			return
		}
	}
	t.samples = append(t.samples, sample{at: now, last: last})
	drop := 0
	for drop+1 < len(t.samples) && now.Sub(t.samples[drop+1].at) >= t.cfg.RecoveryWindow {
		drop++
	}
	t.samples = append(t.samples[:0], t.samples[drop:]...)
}

// olderThanWindow returns the last sequence known to be older than the window.
func (t *Trimmer) olderThanWindow(now time.Time, info Info) uint64 {
	if now.Sub(info.LastTime) >= t.cfg.RecoveryWindow {
		return info.Last
	}
	var upTo uint64
	for _, s := range t.samples {
		if now.Sub(s.at) < t.cfg.RecoveryWindow {
			break
		}
		upTo = s.last
	}
	return upTo
}

// tooMany returns the last sequence to remove so that the stream comes down to
// lowWater, if it is above highWater. It takes all messages for equally large;
// Once looks again afterwards.
func (t *Trimmer) tooMany(info Info) uint64 {
	if info.MaxBytes == 0 || float64(info.Bytes) <= highWater*float64(info.MaxBytes) {
		return 0
	}
	excess := float64(info.Bytes) - lowWater*float64(info.MaxBytes)
	n := uint64(math.Ceil(excess / float64(info.Bytes) * float64(info.Messages)))
	return info.First + min(n, info.Messages) - 1
}
