package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	// failuresForgotten is the quiet time after which old failures count no more.
	failuresForgotten = 24 * time.Hour
	// perAccount bounds the concurrent sign-ins of one account, so that one does
	// not take all places.
	perAccount = 8
	// countTimeout bounds how long counting a failure may take.
	countTimeout = 10 * time.Second
)

// throttle bounds sign-ins: all together, and the failures of each account.
// Tries of one account run one after the other, so that none can pass the check
// before the failure of another is counted.
type throttle struct {
	places chan struct{}
	users  Users
	now    func() time.Time

	free             int
	backoff, longest time.Duration

	mu    sync.Mutex
	lines map[Hash]*line
}

// line is the queue of one account.
type line struct {
	turn chan struct{}
	refs int
}

func newThrottle(c Config, users Users, now func() time.Time) *throttle {
	return &throttle{
		places: make(chan struct{}, c.SignInQueue), users: users, now: now,
		free: c.SignInFailures, backoff: c.SignInBackoff, longest: c.SignInBackoffMax,
		lines: map[Hash]*line{},
	}
}

// accountOf is how failures are kept: addresses that people mistype, maybe their
// passwords, do not pile up in the store.
func accountOf(email string) Hash { return sha256.Sum256([]byte("sign-in\x00" + email)) }

// enter waits for the account's turn. leave must be called after.
func (t *throttle) enter(ctx context.Context, account Hash) (leave func(), err error) {
	select {
	case t.places <- struct{}{}:
	default:
		return nil, errs.Exhausted(errs.SignInThrottled, "too many people are signing in at once", "try again in a second",
			time.Second, &errs.Quota{Subject: "service:auth", Description: fmt.Sprintf("at most %d sign-ins at once", cap(t.places))})
	}
	t.mu.Lock()
	l := t.lines[account]
	if l == nil {
		l = &line{turn: make(chan struct{}, 1)}
		t.lines[account] = l
	}
	if l.refs >= perAccount {
		t.mu.Unlock()
		<-t.places
		return nil, errs.Exhausted(errs.SignInThrottled, "too many sign-ins of this account at once", "try again in a second",
			time.Second, &errs.Quota{Subject: "account", Description: fmt.Sprintf("at most %d sign-ins of an account at once", perAccount)})
	}
	l.refs++
	t.mu.Unlock()

	release := func() {
		t.mu.Lock()
		if l.refs--; l.refs == 0 {
			delete(t.lines, account)
		}
		t.mu.Unlock()
		<-t.places
	}
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; release() }, nil
	case <-ctx.Done():
		release()
		return nil, context.Cause(ctx)
	}
}

// check refuses an account that has to wait.
func (t *throttle) check(ctx context.Context, account Hash) (Failures, error) {
	f, err := t.users.Failures(ctx, account)
	if err != nil {
		return f, err
	}
	if wait := f.Last.Add(t.wait(f.Count)).Sub(t.now()); f.Count > 0 && wait > 0 {
		return f, t.refusal(f.Count, wait)
	}
	return f, nil
}

// wait is how long after its n-th failure in a row an account has to wait: the
// backoff after the last free one, doubled by each further one.
func (t *throttle) wait(n int) time.Duration {
	if n < t.free {
		return 0
	}
	w := t.backoff
	for range n - t.free {
		if w *= 2; w >= t.longest {
			return t.longest
		}
	}
	return w
}

func (t *throttle) refusal(n int, wait time.Duration) error {
	return errs.Exhausted(errs.SignInThrottled, "too many failed sign-ins of this account",
		"wait, then try again with the right password", wait, &errs.Quota{
			Subject:     "account",
			Description: fmt.Sprintf("%d failed sign-ins in a row are free, there were %d", t.free, n),
		})
}

// failed counts a failure, also when the caller has given up meanwhile: else
// tries could be had for free by giving up in time.
func (t *throttle) failed(ctx context.Context, account Hash) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	_, err := t.users.AddFailure(ctx, account, t.now(), failuresForgotten)
	return err
}
