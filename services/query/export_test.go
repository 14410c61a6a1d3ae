package query

import "context"

// Clean does what the janitor does each minute.
func (s *Service) Clean(ctx context.Context) { s.janitor.clean(ctx) }
