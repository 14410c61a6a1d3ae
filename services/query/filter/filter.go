// Package filter reads AIP-160 filters over events, once, into a small checked
// tree, and evaluates the tree in two ways that agree on every event: Match in
// memory (the live tail) and SQL for a store (lists, charts).
//
// # Language
//
//	expression = term {AND term}        term = simple {OR simple}
//	simple     = [NOT | -] (comparison | "(" expression ")")
//
// As AIP-160 says, OR binds tighter than AND: `a AND b OR c` is
// `a AND (b OR c)`. Terms must be joined by AND or OR; two terms side by side
// are refused.
//
//   - id, text, source, user_id, language, model_version, attributes.KEY:
//     = != < <= > >= with a string, compared byte by byte. A KEY with other
//     characters than letters, digits and `_` is written attributes."KEY". A
//     missing attribute is different from every string, and neither less nor
//     greater.
//   - text:"part": the text holds the part, ignoring the case of ASCII letters.
//   - attributes:"KEY" and attributes.KEY:*: the key exists.
//     attributes.KEY:"value" is attributes.KEY = "value".
//   - label: = and != with NEGATIVE, NEUTRAL or POSITIVE.
//   - score: all comparisons with a number; decimals beyond the resolution of
//     0.0001 are honoured.
//   - emotion:joy, emotion = joy: the text has the emotion; emotion != joy: it
//     has not. emotions is another name of the field.
//   - mixed: = and != with true or false.
//   - occurred_at, accepted_at: all comparisons with an RFC 3339 time or a date
//     in quotes, or timestamp("..."); a date is its midnight in UTC.
//
// # Bounds
//
// 2,048 bytes, 32 comparisons, 16 levels of parentheses. A literal never
// becomes part of the SQL text: it is a parameter.
package filter

// MaxBytes, MaxTerms and MaxDepth bound a filter.
const (
	// MaxBytes is the length of a filter.
	MaxBytes = 2048
	// MaxTerms is the number of comparisons.
	MaxTerms = 32
	// MaxDepth is the nesting of parentheses.
	MaxDepth = 16
)

// Field is what a comparison looks at.
type Field uint8

// The fields.
const (
	// ID is `id`.
	ID Field = iota + 1
	// Text is `text`.
	Text
	// Source is `source`.
	Source
	// UserID is `user_id`.
	UserID
	// Language is `language`.
	Language
	// ModelVersion is `model_version`.
	ModelVersion
	// Label is `label`.
	Label
	// Score is `score`.
	Score
	// OccurredAt is `occurred_at`.
	OccurredAt
	// AcceptedAt is `accepted_at`.
	AcceptedAt
	// Mixed is `mixed`.
	Mixed
	// HasEmotion is `emotion`.
	HasEmotion
	// Attribute is `attributes.KEY`.
	Attribute
)

var fieldNames = map[string]Field{
	"id": ID, "text": Text, "source": Source, "user_id": UserID, "language": Language,
	"model_version": ModelVersion, "label": Label, "score": Score, "mixed": Mixed, "emotion": HasEmotion,
	"occurred_at": OccurredAt, "accepted_at": AcceptedAt, "attributes": Attribute,
}

func (f Field) String() string {
	for name, g := range fieldNames {
		if g == f {
			return name
		}
	}
	return "?"
}

// Scope is the set of fields that a filter may name.
type Scope uint8

const (
	// Events allows every field.
	Events Scope = iota
	// Dimensions allows source, label, language and model_version: what
	// rollups are kept by.
	Dimensions
)

func (s Scope) allows(f Field) bool {
	if s == Events {
		return true
	}
	return f == Source || f == Label || f == Language || f == ModelVersion
}

func (s Scope) list() string {
	if s == Dimensions {
		return "source, label, language, model_version"
	}
	return "id, text, source, user_id, language, label, score, mixed, emotion, model_version, occurred_at, accepted_at, attributes.KEY"
}

// Values is an event as a filter sees it.
type Values struct {
	// ID, Text, Source, UserID, Language and ModelVersion as stored.
	ID, Text, Source, UserID, Language, ModelVersion string
	// Label is 1 for negative, 2 for neutral, 3 for positive.
	Label int64
	// ScoreE4 is the score times 10,000.
	ScoreE4 int64
	// Mixed of the text.
	Mixed bool
	// Emotions of the text; may be nil.
	Emotions []Emotion
	// OccurredUS and AcceptedUS are microseconds since 1970.
	OccurredUS, AcceptedUS int64
	// Attributes may be nil.
	Attributes map[string]string
}

// Emotion is an emotion that a text has.
type Emotion struct {
	// Name of it, for example "joy".
	Name string
	// ProbabilityE4 is its probability times 10,000.
	ProbabilityE4 int32
}

// Filter is a checked filter. The nil Filter matches everything. It does not
// change and is safe for concurrent use.
type Filter struct {
	root node
	text string
}

// String returns the filter as written.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// Names says whether a comparison looks at the field.
func (f *Filter) Names(field Field) bool {
	return f != nil && names(f.root, field)
}

func names(n node, field Field) bool {
	switch n := n.(type) {
	case and:
		return names(n.a, field) || names(n.b, field)
	case or:
		return names(n.a, field) || names(n.b, field)
	case not:
		return names(n.a, field)
	case compareText:
		return n.field == field
	case compareInt:
		return n.field == field
	case contains:
		return field == Text
	case hasEmotion:
		return field == HasEmotion
	case hasKey, compareAttribute:
		return field == Attribute
	default:
		return false
	}
}

// op is a comparison.
type op uint8

const (
	eq op = iota + 1
	ne
	lt
	le
	gt
	ge
)

var opNames = map[string]op{"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}

// The nodes of the tree.
type (
	node interface{ match(v *Values) bool }
	and  struct{ a, b node }
	or   struct{ a, b node }
	not  struct{ a node }
	// constant is a comparison whose result does not depend on the event.
	constant bool
	// compareText compares one of the text fields.
	compareText struct {
		field Field
		op    op
		value string
	}
	// compareInt compares label, score, mixed (1 or 0) or a time. Literals between two whole
	// numbers were made whole by an equivalent comparison.
	compareInt struct {
		field Field
		op    op
		value int64
	}
	// contains looks for a part in the text; part is in lower case (ASCII).
	contains struct{ part string }
	// hasEmotion looks for an emotion.
	hasEmotion struct{ name string }
	// hasKey looks for a key of the attributes.
	hasKey struct{ key string }
	// compareAttribute compares the value of a key; ne is never used, it is
	// written as not eq.
	compareAttribute struct {
		key   string
		op    op
		value string
	}
)
