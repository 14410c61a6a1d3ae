package rollup

import "github.com/synapse-analytics/synapse/services/query"

// Hour is a row of the balance: an hour of acceptance of a project, hours since 1970.
type Hour struct{ Project, Hour int64 }

// Balance collects the counts of a batch.
type Balance map[Hour]*query.Counters

// At returns the counters of an hour.
func (b Balance) At(project, hour int64) *query.Counters {
	k := Hour{project, hour}
	c := b[k]
	if c == nil {
		c = &query.Counters{}
		b[k] = c
	}
	return c
}
