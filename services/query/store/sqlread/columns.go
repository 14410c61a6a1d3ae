package sqlread

import "github.com/synapse-analytics/synapse/services/query/filter"

// columns are the filter's view of events e and dims d.
type columns struct{ Columns }

// Column implements filter.Columns.
func (columns) Column(f filter.Field) string {
	switch f {
	case filter.ID:
		return "e.id"
	case filter.Text:
		return "e.text"
	case filter.Source:
		return "d.source"
	case filter.UserID:
		return "e.user_id"
	case filter.Language:
		return "d.language"
	case filter.ModelVersion:
		return "d.model"
	case filter.Label:
		return "e.label"
	case filter.Score:
		return "e.score_e4"
	case filter.Mixed:
		return "e.mixed"
	case filter.OccurredAt:
		return "e.occurred_us"
	case filter.AcceptedAt:
		return "e.accepted_us"
	default:
		return "NULL"
	}
}
