package query

import (
	"context"
	"fmt"
	"time"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// balanceHours is how many hours a balance lists.
	balanceHours = 48
	// acceptedWait bounds how long a balance waits for the headers of EVENTS
	// to be counted, so that it holds what was acknowledged before the call.
	acceptedWait = 500 * time.Millisecond
	// acceptedSlackUS is how long before its message came an event may have
	// been accepted: the hours before are closed.
	acceptedSlackUS = 120e6
)

// balance answers with the counters of a project. What was acknowledged before
// the call is in it.
func (s *Service) balance(ctx context.Context, project string) (*queryv1.Balance, error) {
	l, err := s.progress.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("balance: %w", err)
	}
	s.accepted.poke()
	s.positions.await(ctx, queue.Events, queue.Position{Epoch: l.events.Epoch, Sequence: l.events.Last}, acceptedWait)
	st, err := s.store.Balance(ctx, project, balanceHours)
	if err != nil {
		return nil, err
	}
	quiet := l.quiet(st.Positions)
	completeUS, known := s.progress.complete()
	if quiet {
		completeUS, known = max(completeUS, l.before.UnixMicro()), true
	}
	r := settle(st, quiet, completeUS)
	b := &queryv1.Balance{
		Name: "projects/" + project + "/balance", Total: r.total, Hours: r.hours, Difference: r.difference,
	}
	if known {
		b.CompleteTo = timestamp(completeUS)
	}
	return b, nil
}

type settled struct {
	total      *queryv1.BalanceCounts
	hours      []*queryv1.BalanceHour
	difference float64
}

// settle computes what is on its way and what nothing explains.
//
// When nothing is on its way anywhere, nothing is in flight, and what is accepted
// and not explained is the difference. Otherwise an hour is open, unless all of
// it is complete; in an open hour what is not explained is in flight, and what is
// explained before its header was counted is accepted. So at any moment and for
// every hour and the total: accepted = stored + duplicate + dead letter + in
// flight + erased, and the difference holds what breaks that in closed hours.
func settle(st BalanceState, quiet bool, completeUS int64) settled {
	var r settled
	rest := st.Total // of the hours that are not listed
	var inFlight, difference, accepted int64
	one := func(c Counters, open bool) (took, flying int64) {
		took = c.Accepted
		if open {
			took = max(took, c.Explained())
			flying = took - c.Explained()
		}
		accepted += took
		inFlight += flying
		difference += took - c.Explained() - flying
		return took, flying
	}
	for _, h := range st.Hours {
		rest = minus(rest, h.Counters)
		endUS := (h.Hour + 1) * 3600e6
		took, flying := one(h.Counters, !quiet && endUS+acceptedSlackUS > completeUS)
		r.hours = append(r.hours, &queryv1.BalanceHour{
			StartTime: timestamp(h.Hour * 3600e6), Accepted: float64(took), Stored: float64(h.Stored), Duplicate: float64(h.Duplicate),
			Conflict: float64(h.Conflict), DeadLetter: float64(h.DeadLetter), InFlight: float64(flying), Erased: float64(h.Erased),
		})
	}
	restOpen := false
	if n := len(st.Hours); n > 0 {
		restOpen = !quiet && st.Hours[n-1].Hour*3600e6+acceptedSlackUS > completeUS
	}
	one(rest, restOpen)
	r.total = &queryv1.BalanceCounts{
		Accepted: float64(accepted), Stored: float64(st.Total.Stored), Duplicate: float64(st.Total.Duplicate), Conflict: float64(st.Total.Conflict),
		DeadLetter: float64(st.Total.DeadLetter), InFlight: float64(inFlight), Erased: float64(st.Total.Erased),
	}
	r.difference = float64(difference)
	return r
}

func minus(a, b Counters) Counters {
	return Counters{
		Accepted: a.Accepted - b.Accepted, Stored: a.Stored - b.Stored, Duplicate: a.Duplicate - b.Duplicate,
		Conflict: a.Conflict - b.Conflict, DeadLetter: a.DeadLetter - b.DeadLetter, Erased: a.Erased - b.Erased,
	}
}
