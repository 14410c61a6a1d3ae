package postgres

import "github.com/synapse-analytics/synapse/services/query/store/sqlread"

// dialect is how PostgreSQL is asked.
type dialect struct{}

var reads = sqlread.Dialect{
	EventByID: "event_ids i JOIN events e ON e.accepted_us = i.accepted_us AND e.seq = i.seq JOIN dims d ON d.id = e.dims " +
		"WHERE i.project = (SELECT id FROM projects WHERE name = ?) AND i.id = ?",
	EventsByTime: "events e",
	EventsBySeq:  "events e",
	Join:         "JOIN",
	JoinDims:     " JOIN dims d ON d.id = e.dims",
	Columns:      dialect{},
	Removed:      "removed r JOIN removals m ON m.id = r.removal AND m.state <> 'counting'",
	// What a transaction sees of a partition that is detached is not of its snapshot:
	// with the lock before the snapshot there is none to see.
	Pin: "LOCK TABLE events IN ACCESS SHARE MODE",
}

// Contains implements sqlread.Columns. Under the collation "C", lower() changes
// ASCII only, as it does in SQLite.
func (dialect) Contains() string { return "position(? IN lower(e.text)) > 0" }

// HasEmotion implements sqlread.Columns. The names of emotions are letters.
func (dialect) HasEmotion() string {
	return `position('"' || ? || '":' IN coalesce(e.emotions, '')) > 0`
}

// HasAttribute implements sqlread.Columns.
func (dialect) HasAttribute() string { return "coalesce(jsonb_exists(e.attributes, ?), false)" }

// CompareAttribute implements sqlread.Columns.
func (dialect) CompareAttribute(operator string) string {
	return `coalesce((e.attributes ->> ?) COLLATE "C" ` + operator + " ?, false)"
}
