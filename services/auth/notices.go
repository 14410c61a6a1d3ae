package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
)

// notifyTimeout bounds a call's wait for the notifier. What is not told in this
// time is told by the next repeat.
const notifyTimeout = 2 * time.Second

// repeatEvery is how often notices are told again. Not more often: a verifier
// forgets its refusals at each.
const repeatEvery = 15 * time.Second

// announcer tells the other processes what they have to refuse. All notices are
// about things that have ended for good, so telling them again is harmless: each
// is repeated until no token can be left that it would stop. So a notice which
// was lost is made good, whether this process died after the commit, the queue
// was away, or the other process started later.
type announcer struct {
	to    Notifier
	store Store
	now   func() time.Time
	ttl   time.Duration
	log   *slog.Logger
	// owed says that a notice could not be sent and the next look is to repeat.
	owed atomic.Bool
	last time.Time // of the last repeat; only the goroutine of Start uses it
}

func keyChanged(id string) *pipelinev1.ControlNotice {
	return &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_ApiKeyChanged{ApiKeyChanged: id}}
}

func sessionEnded(id string) *pipelinev1.ControlNotice {
	return &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_SessionEnded{SessionEnded: id}}
}

func projectChanged(id string) *pipelinev1.ControlNotice {
	return &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_ProjectChanged{ProjectChanged: id}}
}

func signingKeysChanged() *pipelinev1.ControlNotice {
	return &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_SigningKeysChanged{SigningKeysChanged: true}}
}

// tell publishes notices after a commit. The change holds already, so a failure
// is logged, not returned, and the end of the caller's context stops nothing.
func (a *announcer) tell(ctx context.Context, notices ...*pipelinev1.ControlNotice) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyTimeout)
	defer cancel()
	if err := a.send(ctx, notices); err != nil {
		a.owed.Store(true)
		a.log.WarnContext(ctx, "a notice could not be sent; it is repeated", "notices", len(notices), "error", err)
	}
}

func (a *announcer) send(ctx context.Context, notices []*pipelinev1.ControlNotice) error {
	if a.to == nil {
		return nil
	}
	var all []error
	for _, n := range notices {
		b, err := proto.Marshal(n)
		if err == nil {
			err = a.to.Notify(ctx, b)
		}
		if err != nil {
			all = append(all, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(all...)
}

// look repeats when it is time, or when a notice is owed.
func (a *announcer) look(ctx context.Context) error {
	owed := a.owed.Swap(false)
	if now := a.now(); owed || now.Sub(a.last) >= repeatEvery {
		a.last = now
		if err := a.repeat(ctx); err != nil {
			a.owed.Store(true)
			return err
		}
	}
	return nil
}

// repeat tells again what ended while a token of it may still be valid.
func (a *announcer) repeat(ctx context.Context) error {
	if a.to == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	now := a.now()
	c, err := a.store.Changes(ctx, now.Add(-a.ttl-2*authn.TokenSkew), now)
	if err != nil {
		return fmt.Errorf("repeat notices: %w", err)
	}
	var notices []*pipelinev1.ControlNotice
	for _, id := range c.Keys {
		notices = append(notices, keyChanged(id))
	}
	for _, id := range c.Sessions {
		notices = append(notices, sessionEnded(id))
	}
	for _, id := range c.Projects {
		notices = append(notices, projectChanged(id))
	}
	if err := a.send(ctx, notices); err != nil {
		return fmt.Errorf("repeat notices: %w", err)
	}
	return nil
}
