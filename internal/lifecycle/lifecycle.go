// Package lifecycle starts the parts of a process in order and stops them in the
// opposite order, each within a bound.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Component is a part of a process.
type Component struct {
	// Name for logs and errors.
	Name string
	// Start begins its work and returns when it can be used; nil for nothing to
	// start. The context ends when the start takes too long.
	Start func(ctx context.Context) error
	// Stop ends its work and returns when all that it owns has ended; nil for
	// nothing to stop. The context bounds it.
	Stop func(ctx context.Context) error
	// StopTimeout bounds Stop; 0 is 10 s.
	StopTimeout time.Duration
}

// Group is a set of components. The zero value is ready to use.
type Group struct {
	// Logger gets a line for each slow or failed step; nil for none.
	Logger *slog.Logger

	mu      sync.Mutex
	pending []Component
	started []Component
	failed  chan error
}

// Add appends a component: it is started after all that were added before it and
// stopped before them.
func (g *Group) Add(c Component) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = append(g.pending, c)
}

// Fail tells Run that a component broke down; the group is then stopped.
func (g *Group) Fail(name string, err error) {
	select {
	case g.failures() <- fmt.Errorf("%s: %w", name, err):
	default: // the first failure is what ends the process
	}
}

// Failed tells of the first failure, for who does not use Run.
func (g *Group) Failed() <-chan error { return g.failures() }

func (g *Group) failures() chan error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = make(chan error, 1)
	}
	return g.failed
}

// Start starts the components in order. If one fails, those before it are
// stopped and its error is returned.
func (g *Group) Start(ctx context.Context) error {
	g.mu.Lock()
	pending := g.pending
	g.pending = nil
	g.mu.Unlock()
	for _, c := range pending {
		if c.Start != nil {
			if err := c.Start(ctx); err != nil {
				return errors.Join(fmt.Errorf("start %s: %w", c.Name, err), g.Stop(context.WithoutCancel(ctx)))
			}
		}
		g.mu.Lock()
		g.started = append(g.started, c)
		g.mu.Unlock()
	}
	return nil
}

// Stop stops all started components in the opposite order. Each has its own
// bound; one that fails or is late does not keep the others from being stopped.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	started := g.started
	g.started = nil
	g.mu.Unlock()
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		if err := g.stopOne(ctx, started[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (g *Group) stopOne(ctx context.Context, c Component) error {
	if c.Stop == nil {
		return nil
	}
	bound := c.StopTimeout
	if bound == 0 {
		bound = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		if g.Logger != nil {
			g.Logger.Error("stop", "component", c.Name, "error", err)
		}
		return fmt.Errorf("stop %s: %w", c.Name, err)
	}
	return nil
}

// Run starts the components, waits until ctx ends or a component fails, and
// stops them.
func (g *Group) Run(ctx context.Context) error {
	if err := g.Start(ctx); err != nil {
		return err
	}
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-g.failures():
	}
	return errors.Join(cause, g.Stop(context.WithoutCancel(ctx)))
}
