package sqlite

import "github.com/synapse-analytics/synapse/services/query/store/sqlread"

// dialect is how SQLite is asked. It takes the index that it is told to; CROSS JOIN
// keeps the table before it the outer one.
type dialect struct{}

var reads = sqlread.Dialect{
	EventByID:    "events e INDEXED BY events_by_id CROSS JOIN dims d ON d.id = e.dims WHERE e.project = (SELECT id FROM projects WHERE name = ?) AND e.id = ?",
	EventsByTime: "events e INDEXED BY events_by_time",
	EventsBySeq:  "events e NOT INDEXED",
	Join:         "CROSS JOIN",
	JoinDims:     " CROSS JOIN dims d ON d.id = e.dims",
	Columns:      dialect{},
	Removed:      "removed r",
}

// Contains implements filter.Columns. SQLite's lower() changes ASCII only.
func (dialect) Contains() string { return "instr(lower(e.text), ?) > 0" }

// HasEmotion implements filter.Columns.
func (dialect) HasEmotion() string {
	return "EXISTS (SELECT 1 FROM json_each(e.emotions) WHERE key = ?)"
}

// HasAttribute implements filter.Columns.
func (dialect) HasAttribute() string {
	return "EXISTS (SELECT 1 FROM json_each(e.attributes) WHERE key = ?)"
}

// CompareAttribute implements filter.Columns.
func (dialect) CompareAttribute(operator string) string {
	return "EXISTS (SELECT 1 FROM json_each(e.attributes) WHERE key = ? AND value " + operator + " ?)"
}
