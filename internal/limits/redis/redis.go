// Package redis keeps the token buckets of package limits in Redis, so that all
// processes share them.
//
// To keep Redis out of the way of most calls, a process takes tokens in advance and
// spends them by itself: for one key at most as many as come in LeaseTime and as a
// tenth of the burst, divided by the processes, for at most leaseLife. So in no time
// do all processes together let through more than rate × time + burst + that lease
// (the larger of none and at most a tenth of the burst). Where less than one token
// would be taken in advance, none is, and the limit is exact.
//
// While Redis is away each process keeps to its share of the limit: rate and burst
// divided by the number of processes. What was spent before counts no more then, nor
// what is spent then when Redis is back, so that in any time at most twice the limit
// gets through: once from Redis and once from the shares; each time that Redis forgets
// (a restart without a disk, a flush) adds one burst. A call for more than a share of
// the burst passes a full bucket as always, and is paid back after.
package redis

import (
	"context"
	_ "embed"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/synapse-analytics/synapse/internal/limits"
	"github.com/synapse-analytics/synapse/internal/redisdb"
)

//go:embed take.lua
var source string

var script = redisdb.NewScript(source)

const (
	// LeaseTime is the time whose tokens all processes together may take in advance.
	LeaseTime = 20 * time.Millisecond
	// leaseLife is how long they may be spent; those left are lost.
	leaseLife = time.Second
	// refusalLife is how long a process refuses by itself what Redis can not have
	// yet. Bounded, so that a bucket which was forgotten or raised is noticed.
	refusalLife = time.Second
)

// Options of New.
type Options struct {
	// Name of the limit: part of the keys, and the metrics' label.
	Name string
	// Share is the number of processes that share the limit, at least 1.
	Share int
	// Exact takes nothing in advance: every Take asks Redis.
	Exact bool
	// MeterProvider of the metrics; nil for none.
	MeterProvider metric.MeterProvider
}

// Buckets is one token bucket for each key, shared with the processes that use the
// same server, prefix and name. Safe for concurrent use.
type Buckets struct {
	db          *redisdb.DB
	name        string
	rate, burst float64
	chunk       float64 // what is taken in advance
	local       *limits.Buckets

	mu  sync.Mutex
	lru *simplelru.LRU[string, *lease]

	takes                   metric.Int64Counter
	byLease, byRedis, byOwn metric.MeasurementOption
}

// lease is what this process knows and holds of a bucket.
type lease struct {
	tokens float64   // taken in advance
	until  time.Time // they are lost then
	asking bool      // one that asks for tokens in advance is on its way

	// What the bucket held, at a time after seenFrom and before seenBy; not known when
	// they are zero.
	seen             float64
	seenFrom, seenBy time.Time
}

// New returns buckets with the rate and burst of c; c.MaxKeys bounds what this
// process remembers, not the keys in Redis, which go when their bucket is full again.
func New(db *redisdb.DB, c limits.Config, o Options) (*Buckets, error) {
	b := &Buckets{db: db, name: o.Name, rate: c.Rate, burst: c.Burst}
	share := float64(max(o.Share, 1))
	if !(b.rate > 0) {
		return &Buckets{}, nil
	}
	if !(b.burst >= 1) {
		b.burst = max(b.rate, 1)
	}
	if !o.Exact {
		b.chunk = math.Floor(min(b.rate*LeaseTime.Seconds(), b.burst/10) / share)
	}
	size := c.MaxKeys
	if size <= 0 {
		size = limits.DefaultMaxKeys
	}
	b.local = limits.NewBuckets(limits.Config{Rate: b.rate / share, Burst: max(b.burst/share, 1), MaxKeys: size})
	var err error
	if b.lru, err = simplelru.NewLRU[string, *lease](size, nil); err != nil {
		return nil, err
	}
	if o.MeterProvider == nil {
		o.MeterProvider = noop.NewMeterProvider()
	}
	b.takes, err = o.MeterProvider.Meter("github.com/synapse-analytics/synapse/internal/limits").Int64Counter("synapse.limits.takes",
		metric.WithUnit("{take}"), metric.WithDescription("Takes from shared limits by who answered: this process for what it holds of Redis, Redis, or this process for its share since Redis was away."))
	set := func(by string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("limit", o.Name), attribute.String("by", by)))
	}
	b.byLease, b.byRedis, b.byOwn = set("lease"), set("redis"), set("share")
	return b, err
}

// Enabled says whether there is a limit.
func (b *Buckets) Enabled() bool { return b.lru != nil }

// Take takes n units from the key's bucket, or nothing, as limits.Buckets.Take does.
// It waits for Redis at most as long as one of its calls may take. now is this
// process's clock; that of the bucket is the server's.
func (b *Buckets) Take(key string, n int, now time.Time) (ok bool, retryAfter time.Duration, state limits.State) {
	if b.lru == nil {
		return true, 0, limits.State{}
	}
	take := float64(max(n, 0))
	need := min(take, b.burst)
	b.mu.Lock()
	l, found := b.lru.Get(key)
	if !found {
		l = &lease{}
		b.lru.Add(key, l)
	}
	if !now.Before(l.until) {
		l.tokens = 0
	}
	left, known := b.estimate(l, now)
	switch {
	case l.tokens >= take && l.tokens > 0:
		l.tokens -= take
		state = b.state(left + l.tokens)
		b.mu.Unlock()
		b.takes.Add(context.Background(), 1, b.byLease)
		return true, 0, state
	case known && l.tokens+left+1e-6 < need:
		state = b.state(left + l.tokens)
		retryAfter = limits.Wait(need-l.tokens-l.seen-now.Sub(l.seenBy).Seconds()*b.rate, b.rate)
		b.mu.Unlock()
		b.takes.Add(context.Background(), 1, b.byLease)
		return false, retryAfter, state
	}
	held, until := l.tokens, l.until
	l.tokens = 0
	more := 0.0
	if !l.asking && b.chunk >= 1 {
		l.asking, more = true, b.chunk
	}
	b.mu.Unlock()

	began := time.Now()
	granted, extra, tokens, err := b.ask(key, need-held, take-held, more)

	b.mu.Lock()
	if more > 0 {
		l.asking = false
	}
	if err == nil {
		l.seen, l.seenFrom, l.seenBy = tokens, now, now.Add(time.Since(began))
	}
	switch {
	case err != nil || !granted:
		if now.Before(until) { // what was held is held on
			l.tokens, l.until = l.tokens+held, until
		}
	case extra > 0:
		l.tokens, l.until = l.tokens+extra, now.Add(leaseLife)
	}
	mine := l.tokens
	b.mu.Unlock()
	if err != nil {
		b.takes.Add(context.Background(), 1, b.byOwn)
		return b.local.Take(key, n, now)
	}
	b.takes.Add(context.Background(), 1, b.byRedis)
	if !granted {
		retryAfter = limits.Wait(need-held-tokens, b.rate)
	}
	return granted, retryAfter, b.state(tokens + mine)
}

// estimate is the most that the bucket can hold now, since nothing but time adds to
// it; not known when it was seen too long ago.
func (b *Buckets) estimate(l *lease, now time.Time) (tokens float64, known bool) {
	since := now.Sub(l.seenFrom)
	if l.seenFrom.IsZero() || since < 0 || since > refusalLife {
		return 0, false
	}
	return min(b.burst, l.seen+since.Seconds()*b.rate), true
}

func (b *Buckets) ask(key string, need, take, more float64) (ok bool, extra, left float64, err error) {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	out, err := b.db.Run(context.Background(), script, b.db.Key("limit", b.name, key),
		number(b.rate), number(b.burst), number(need), number(take), number(more))
	if err != nil {
		return false, 0, 0, err
	}
	if len(out) != 3 {
		return false, 0, 0, redisdb.ErrAway
	}
	granted, ok1 := out[0].(int64)
	e, ok2 := out[1].(int64)
	text, ok3 := out[2].(string)
	left, err = strconv.ParseFloat(text, 64)
	if !ok1 || !ok2 || !ok3 || err != nil {
		return false, 0, 0, redisdb.ErrAway
	}
	return granted == 1, float64(e), left, nil
}

func (b *Buckets) state(tokens float64) limits.State { return limits.StateOf(tokens, b.rate, b.burst) }
