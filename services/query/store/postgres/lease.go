package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

// Lead implements query.Store, by the server's clock.
func (s *Store) Lead(ctx context.Context, owner string, lease time.Duration) (leads bool, err error) {
	err = s.write.WithTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "INSERT INTO lease (owner, until) VALUES ($1, clock_timestamp() + make_interval(secs => $2)) "+
			"ON CONFLICT (one) DO UPDATE SET owner = excluded.owner, until = excluded.until "+
			"WHERE lease.owner = excluded.owner OR lease.until < clock_timestamp()", owner, lease.Seconds())
		leads = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask for the lease: %w", sqlread.PortError(ctx, outside(err)))
	}
	return leads, nil
}

// Resign implements query.Store.
func (s *Store) Resign(ctx context.Context, owner string) error {
	err := s.write.WithTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM lease WHERE owner = $1", owner)
		return err
	})
	if err != nil {
		return fmt.Errorf("give the lease back: %w", sqlread.PortError(ctx, outside(err)))
	}
	return nil
}
