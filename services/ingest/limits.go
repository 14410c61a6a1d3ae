package ingest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/limits"
)

// limiter is the rate limits of events, by project and by credential.
type limiter struct {
	scopes []limitScope // those in force
}

type limitScope struct {
	name        string // "project" or "key"
	rate, burst float64
	buckets     Buckets
}

// newLimiter makes the limits with buckets of its own, or with those that shared
// makes.
func newLimiter(cfg LimitsConfig, shared func(string, limits.Config) (Buckets, error)) (*limiter, error) {
	if shared == nil {
		shared = func(_ string, c limits.Config) (Buckets, error) { return limits.NewBuckets(c), nil }
	}
	l := &limiter{}
	add := func(name string, rate, size float64) error {
		if rate <= 0 {
			return nil
		}
		size = burst(rate, size)
		buckets, err := shared(name, limits.Config{Rate: rate, Burst: size, MaxKeys: cfg.MaxKeys})
		l.scopes = append(l.scopes, limitScope{name, rate, size, buckets})
		return err
	}
	// The key first: what one key has overdrawn must not cost its project.
	return l, errors.Join(add("key", cfg.KeyRate, cfg.KeyBurst), add("project", cfg.ProjectRate, cfg.ProjectBurst))
}

// who is whose use is counted.
type who struct{ project, key string }

func (w who) of(scope string) string {
	if scope == "key" {
		return w.key
	}
	return w.project
}

// usage is the state of the limits after a call, for its answer's header.
type usage struct{ policy, state string }

// take counts n events. It returns an error when a limit refuses them; a call
// larger than a burst can never pass and has no retry advice.
func (l *limiter) take(w who, n int, now time.Time) (usage, *errs.Error) {
	if len(l.scopes) == 0 {
		return usage{}, nil
	}
	var policy, state []string
	for i := range l.scopes {
		sc := &l.scopes[i]
		if float64(n) > sc.burst {
			return usage{}, sc.tooLarge(w, n)
		}
		ok, after, left := sc.buckets.Take(w.of(sc.name), n, now)
		policy = append(policy, fmt.Sprintf("%q;q=%d;w=%d", sc.name, left.Limit, seconds(sc.burst/sc.rate)))
		state = append(state, fmt.Sprintf("%q;r=%d;t=%d", sc.name, left.Remaining, seconds(left.Reset.Seconds())))
		if !ok {
			u := usage{strings.Join(policy, ", "), strings.Join(state, ", ")}
			return u, sc.refuse(w, n, left.Remaining, after)
		}
	}
	return usage{strings.Join(policy, ", "), strings.Join(state, ", ")}, nil
}

// seconds rounds up to whole seconds, at least 1.
func seconds(s float64) int64 { return max(1, int64(math.Ceil(min(s, 1e9)))) }

func (sc *limitScope) refuse(w who, n, remaining int, after time.Duration) *errs.Error {
	subject := sc.name + ":" + w.of(sc.name)
	return errs.Exhausted(errs.RateLimited,
		fmt.Sprintf("the rate limit of %s is used up: %g events a second, burst %g; %d left, %d asked for", subject, sc.rate, sc.burst, remaining, n),
		"wait as long as RetryInfo says and send the events again; ask the operator to raise ingest.limits."+sc.name+"_rate if that is too slow",
		max(after, time.Millisecond),
		&errs.Quota{Subject: subject, Description: fmt.Sprintf("%s: limit %g events per second with a burst of %g events, used %g", subject, sc.rate, sc.burst, sc.burst-float64(remaining))})
}

func (sc *limitScope) tooLarge(w who, n int) *errs.Error {
	e := errs.Invalid(errs.Violation{
		Field:  "events",
		Rule:   fmt.Sprintf("must be at most %.0f: that is the burst that the rate limit of %s:%s allows, and %d were sent", sc.burst, sc.name, w.of(sc.name), n),
		Remedy: fmt.Sprintf("send batches of at most %.0f events", math.Floor(sc.burst)),
	})
	e.Reason = errs.RateLimited
	return e
}

// inForce lists the limits for GetIngestStatus.
func (l *limiter) inForce() []*ingestv1.Limit {
	out := make([]*ingestv1.Limit, 0, len(l.scopes))
	for _, sc := range l.scopes {
		out = append(out, &ingestv1.Limit{Scope: sc.name, EventsPerSecond: sc.rate, Burst: sc.burst})
	}
	return out
}
