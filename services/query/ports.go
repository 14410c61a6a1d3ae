package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// Errors of every store engine.
var (
	// ErrNotFound says that the project has no such event.
	ErrNotFound = errors.New("query store: not found")
	// ErrBusy says that the store could not be had in time; the same call can
	// succeed later. Nothing of it was kept.
	ErrBusy = errors.New("query store: busy")
	// ErrExhausted is the ErrBusy of a store whose connections were all taken.
	ErrExhausted = fmt.Errorf("%w: no connection is free", ErrBusy)
	// ErrMoved says that the store is not where the batch follows: another process
	// has written, or the store was replaced by one that is behind. Nothing of the
	// call was kept; the caller must go on from the position that the store has.
	ErrMoved = errors.New("query store: position moved")
	// ErrRemoved says that events which the call asks for may have been removed since
	// they were older than the retention.
	ErrRemoved = errors.New("query store: events were removed")
	// ErrFull says that the disk is full. Nothing of the call was kept.
	ErrFull = errors.New("query store: disk is full")
	// ErrBroken says that the store failed in a way after which it can not be
	// trusted, for example an fsync that did not succeed: whether the last
	// transaction is on disk is unknown. The process must start anew.
	ErrBroken = errors.New("query store: broken")
)

// Explainer says why a text has its sentiment.
type Explainer interface {
	// Explain answers as ScoreText of the scoring role would, with the model of
	// that version, or with another if that is not to be had; the answer names
	// it. The same version and request give the same answer.
	Explain(ctx context.Context, version string, req *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error)
}

// Store is where everything that is read is kept. Each engine passes package
// storetest. It is safe for concurrent use. Several processes may apply to one
// store: Lead tells which of them should.
type Store interface {
	// Lead asks for the lease to apply for the time that comes, which one owner has
	// at a time: the one that has it, or any when it has run out. An engine that
	// only one process can open always gives it.
	Lead(ctx context.Context, owner string, lease time.Duration) (bool, error)
	// Resign gives the owner's lease back; without one it does nothing.
	Resign(ctx context.Context, owner string) error

	// Apply stores a batch in one transaction: the position, the sources that
	// are new, their events that are new, and the rollups and counters of just
	// those. It sets Seq of the events it stored. A batch that was applied
	// before changes nothing but the position.
	Apply(ctx context.Context, b *Batch) (Outcome, error)
	// ApplyAccepted adds what the headers of EVENTS say was accepted, and notes
	// the position, in one transaction.
	ApplyAccepted(ctx context.Context, b AcceptedBatch) error
	// ApplyDead notes dead letters and counts those that are new, and the
	// position, in one transaction. It returns the number of events counted.
	ApplyDead(ctx context.Context, b DeadBatch) (int, error)
	// Positions returns how far each stream was applied; a stream that never
	// was is missing.
	Positions(ctx context.Context) (map[queue.Stream]StoredPosition, error)

	// GetEvent returns an event of the project, or ErrNotFound.
	GetEvent(ctx context.Context, project, id string) (*Event, error)
	// ListEvents returns events of the project, the latest occurred first, of
	// those that occurred at the same microsecond the latest stored first.
	ListEvents(ctx context.Context, q ListQuery) (ListPage, error)
	// EventsAfter returns events of the project in the order of their Seq, or
	// ErrRemoved when events above After were removed.
	EventsAfter(ctx context.Context, q AfterQuery) ([]*Event, error)
	// LastSeq returns the highest Seq of an event that is or was there; 0 if there
	// never was one.
	LastSeq(ctx context.Context) (int64, error)
	// Series calls f for each row that the query gives, ordered by bucket and
	// group. It stops at f's first error and returns it.
	Series(ctx context.Context, q SeriesQuery, f func(SeriesRow) error) error
	// Balance returns the counters of the project and, of the same moment, the
	// positions.
	Balance(ctx context.Context, project string, hours int) (BalanceState, error)
	// Verify recounts the rollups of the project from its events and the notes of
	// what Expire removed; those of all projects when project is empty, which no caller of the service can ask.
	Verify(ctx context.Context, project string) (VerifyReport, error)
	// Projects returns the ids of the projects that the store knows, sorted.
	Projects(ctx context.Context) ([]string, error)

	// Secret returns 32 random bytes that were made when the store was; tokens
	// are signed with them.
	Secret(ctx context.Context) ([]byte, error)
	// Forget removes at most limit notes of applied sources and dead letters
	// older than beforeUS and returns how many it removed.
	Forget(ctx context.Context, beforeUS int64, limit int) (int, error)
	// Expire removes about Limit of the events that were accepted before the day
	// (UTC) of BeforeUS, and their ids; rollups and counters stay. What Apply gets
	// again of a message that EVENTS had before AppliedUS counts as applied.
	Expire(ctx context.Context, q ExpireQuery) (Expired, error)
	// Ready returns nil when the store answers.
	Ready(ctx context.Context) error
	// Close releases it.
	Close() error
}
