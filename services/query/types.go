package query

import (
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// Label is the class of a text; the numbers are those of
// synapse.type.v1.Sentiment.Label.
type Label uint8

// The labels.
const (
	// Negative: the writer is displeased.
	Negative Label = 1
	// Neutral: neither, or no opinion.
	Neutral Label = 2
	// Positive: the writer is pleased.
	Positive Label = 3
)

// Event is a stored event. Times are microseconds since 1970, UTC.
type Event struct {
	// Seq is its place in the order of storing, from 1, with gaps.
	Seq int64
	// Project and ID name it.
	Project, ID string
	// Text, Source and UserID as sent.
	Text, Source, UserID string
	// Language as a BCP 47 tag.
	Language string
	// LanguageSupported says whether the model was trained for it.
	LanguageSupported bool
	// Model that scored.
	Model string
	// Label of the text.
	Label Label
	// ScoreE4 is the score times 10,000, in [-10000, 10000].
	ScoreE4 int32
	// NegativeE6 and PositiveE6 are probabilities times 1,000,000; that of
	// neutral is what they leave.
	NegativeE6, PositiveE6 int32
	// Mixed says that the text speaks clearly well and clearly badly.
	Mixed bool
	// StarsE4 are the probabilities of 1 to 5 stars times 10,000; they sum to
	// 10,000, or are all 0 when not known.
	StarsE4 [5]int32
	// Emotions that the text has; nil if none.
	Emotions []filter.Emotion
	// TargetScores are of Targets, in their order; nil when not known.
	TargetScores []TargetScore
	// LanguageHint is the language as sent; empty if none was.
	LanguageHint string
	// OccurredUS is when the user said it.
	OccurredUS int64
	// AcceptedUS, QueuedUS, ScoredUS and StoredUS are its stations.
	AcceptedUS, QueuedUS, ScoredUS, StoredUS int64
	// Attributes and Targets as sent; nil if none.
	Attributes map[string]string
	Targets    []string
	// TraceID is 16 bytes and SpanID 8 of the sampled call that brought it;
	// empty if it was not sampled.
	TraceID, SpanID []byte
	// EventsSequence and ScoredSequence are its messages in EVENTS and SCORED.
	EventsSequence, ScoredSequence uint64
}

// TargetScore is the sentiment towards a target.
type TargetScore struct {
	// Label of the target.
	Label Label
	// NegativeE4 and PositiveE4 are probabilities times 10,000; that of neutral
	// is what they leave, and their difference the score.
	NegativeE4, PositiveE4 int32
	// Start and End are the bytes of the text that mention it, half open; both
	// 0 when it is not mentioned.
	Start, End int32
}

// StoredPosition is how far a stream was applied.
type StoredPosition struct {
	queue.Position
	// TimeUS is when the stream had the message at the position; 0 at the
	// beginning.
	TimeUS int64
}

// Source is what one message of SCORED holds: the events of one message of
// EVENTS. The pair of Epoch and Sequence, with QueuedUS, is applied once.
type Source struct {
	// Epoch and Sequence are the place of the message in EVENTS.
	Epoch, Sequence uint64
	// QueuedUS is when EVENTS had it.
	QueuedUS int64
	// Events in their order, without those that could not be read.
	Events []Event
	// Letters for what could not be read.
	Letters []Letter
}

// Before says whether EVENTS had the message before a time; of one that does not say
// when, it does not.
func (s *Source) Before(us int64) bool { return s.QueuedUS != 0 && s.QueuedUS < us }

// Batch is a part of SCORED to apply in one transaction.
type Batch struct {
	// Sources in the order of SCORED.
	Sources []Source
	// After is where the store must be in the stream, or the batch is refused with
	// ErrMoved; nil is not checked.
	After *queue.Position
	// Position after the batch.
	Position StoredPosition
	// StoredUS is the time of storing.
	StoredUS int64
}

// Rows returns the number of events in the batch.
func (b *Batch) Rows() int {
	n := 0
	for i := range b.Sources {
		n += len(b.Sources[i].Events)
	}
	return n
}

// Outcome is what became of a batch.
type Outcome struct {
	// Stored are the events that were new, in the order of their Seq. They
	// point into the batch.
	Stored []*Event
	// Duplicates counts events whose id was stored before, Conflicts those of
	// them that have another text.
	Duplicates, Conflicts int
	// RepeatedSources counts sources that were applied before: nothing of them
	// was counted.
	RepeatedSources int
	// DeadLetters counts events of letters in the batch.
	DeadLetters int
}

// HourCount counts events of a project that were accepted in an hour.
type HourCount struct {
	// Project id.
	Project string
	// Hour of acceptance, hours since 1970.
	Hour int64
	// Events of that hour.
	Events int64
}

// AcceptedBatch is what headers of EVENTS say, up to a position.
type AcceptedBatch struct {
	// Counts to add.
	Counts []HourCount
	// After is where the store must be in the stream, or the batch is refused with
	// ErrMoved; nil is not checked.
	After *queue.Position
	// Position after it.
	Position StoredPosition
}

// Letter is a note that events could not be processed.
type Letter struct {
	// Epoch and Sequence are the place of the message in EVENTS (or the stream
	// that the letter tells of) and, with Digest, its identity.
	Epoch, Sequence uint64
	// Digest of the event or the raw message.
	Digest [16]byte
	// Project and EventID; empty when the message could not be read.
	Project, EventID string
	// AcceptedUS of the event; 0 if unknown.
	AcceptedUS int64
	// Stage, Reason and Detail tell who gave up and why.
	Stage, Reason, Detail string
	// Attempts made.
	Attempts int32
	// FailedUS is when it was given up.
	FailedUS int64
	// Counts are the events that the letter stands for.
	Counts []HourCount
}

// DeadBatch is a part of DEAD to apply in one transaction.
type DeadBatch struct {
	// Letters in the order of DEAD.
	Letters []Letter
	// After is where the store must be in the stream, or the batch is refused with
	// ErrMoved; nil is not checked.
	After *queue.Position
	// Position after the batch.
	Position StoredPosition
}

// ListKey is a place in a list of events.
type ListKey struct {
	// OccurredUS and Seq of the last event passed.
	OccurredUS, Seq int64
}

// ListQuery asks for events.
type ListQuery struct {
	// Project to list.
	Project string
	// Filter to match; nil matches all.
	Filter *filter.Filter
	// After is where to go on; nil is at the latest.
	After *ListKey
	// Limit is the most events to answer with, from 1.
	Limit int
	// Scan bounds the events that are looked at; 0 is no bound.
	Scan int
}

// ListPage is a piece of a list.
type ListPage struct {
	// Events that match.
	Events []*Event
	// Next is where to go on; nil when the list is at its end. The piece may
	// hold fewer events than asked for, even none, and still have a Next.
	Next *ListKey
}

// AfterQuery asks for events in the order of storing.
type AfterQuery struct {
	// Project to read.
	Project string
	// Filter to match; nil matches all.
	Filter *filter.Filter
	// After and UpTo bound Seq: above After, not above UpTo.
	After, UpTo int64
	// Limit is the most events to answer with.
	Limit int
}

// Grain is the length of a rollup's bucket.
type Grain uint8

// The grains; a day is 24 hours of UTC.
const (
	// Minute buckets.
	Minute Grain = 1
	// Hour buckets.
	Hour Grain = 2
	// Day buckets.
	Day Grain = 3
)

// US returns the length in microseconds.
func (g Grain) US() int64 {
	switch g {
	case Day:
		return 86400e6
	case Hour:
		return 3600e6
	default:
		return 60e6
	}
}

// Dimension is a column of the rollups that a series can be split by.
type Dimension uint8

// The dimensions, label aside: every row holds all labels.
const (
	// BySource splits by source.
	BySource Dimension = iota + 1
	// ByLanguage splits by language.
	ByLanguage
	// ByModel splits by model version.
	ByModel
)

// Other is the value of a dimension that stands for those beyond the bound on
// distinct values.
const Other = "other"

// Bounds on the distinct values that the rollups of a project keep apart. Later
// values are counted as Other; the events keep theirs.
const (
	// MaxSources per project.
	MaxSources = 1000
	// MaxLanguages per project.
	MaxLanguages = 200
	// MaxModels per project.
	MaxModels = 100
)

// SeriesQuery asks for sums of rollups.
type SeriesQuery struct {
	// Project to read.
	Project string
	// Grain of the rollups to read.
	Grain Grain
	// StartUS and EndUS bound the range, whole multiples of the grain.
	StartUS, EndUS int64
	// StepUS is the length of the answer's buckets, counted from StartUS, a
	// whole multiple of the grain; 0 sums the whole range.
	StepUS int64
	// GroupBy splits, at most two.
	GroupBy []Dimension
	// Filter over dimensions; nil matches all.
	Filter *filter.Filter
}

// Cell sums the events of one label.
type Cell struct {
	// Count of events.
	Count int64
	// SumE4 is the sum of their scores times 10,000.
	SumE4 int64
}

// SeriesRow is a bucket of a group.
type SeriesRow struct {
	// StartUS of the bucket.
	StartUS int64
	// Group has the value of each dimension of GroupBy.
	Group [2]string
	// Cells of Negative, Neutral and Positive, in this order.
	Cells [3]Cell
}

// Counters of a project, or of an hour of one.
type Counters struct {
	// Accepted by ingest.
	Accepted int64
	// Stored and counted, and not erased; also those that are older than the
	// retention since.
	Stored int64
	// Duplicate ids, and those of them with another text.
	Duplicate, Conflict int64
	// DeadLetter events.
	DeadLetter int64
	// Erased since.
	Erased int64
}

// Explained returns the accepted events whose fate is known.
func (c Counters) Explained() int64 { return c.Stored + c.Duplicate + c.DeadLetter + c.Erased }

// HourCounters are the counters of an hour.
type HourCounters struct {
	// Hour of acceptance, hours since 1970.
	Hour int64
	Counters
}

// BalanceState is what the store knows for a balance, of one moment.
type BalanceState struct {
	// Total since the project began.
	Total Counters
	// Hours, the latest first.
	Hours []HourCounters
	// Positions of all streams.
	Positions map[queue.Stream]StoredPosition
}

// ExpireQuery says which events are too old.
type ExpireQuery struct {
	// BeforeUS: those accepted before its day.
	BeforeUS int64
	// AppliedUS, by the clock of the queue: everything that EVENTS had before it was
	// applied, or became a dead letter.
	AppliedUS int64
	// Limit of a step, from 1.
	Limit int
}

// Expired is what Expire did.
type Expired struct {
	// Events that are not read any more since the call.
	Events int
	// More says that there is more to do.
	More bool
	// OldestUS is the start of the day (UTC) on which the oldest event that is kept
	// was accepted; 0 for none. Known when there is no more to do.
	OldestUS int64
}

// MaxDifferences is the most differences that a VerifyReport words.
const MaxDifferences = 100

// VerifyReport is what a recount found.
type VerifyReport struct {
	// Events read and rollup rows compared.
	Events, Rollups int64
	// Count of differences.
	Count int64
	// Differences in words, at most MaxDifferences.
	Differences []string
}

// Add notes a difference.
func (r *VerifyReport) Add(text string) {
	r.Count++
	if len(r.Differences) < MaxDifferences {
		r.Differences = append(r.Differences, text)
	}
}
