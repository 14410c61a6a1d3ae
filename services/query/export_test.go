package query

import (
	"context"
	"time"
)

// Clean does what the janitor does each minute.
func (s *Service) Clean(ctx context.Context) { s.janitor.clean(ctx) }

// CoolAfter sets how long after its last change an hour is left out of the cache.
func (s *Service) CoolAfter(d time.Duration) { s.changes.hot = d }
