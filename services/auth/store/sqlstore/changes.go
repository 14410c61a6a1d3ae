package sqlstore

import (
	"context"
	"time"

	"github.com/synapse-analytics/synapse/services/auth"
)

// maxChanges bounds each list of Changes, as the port says.
const maxChanges = 1000

// Empty implements auth.Store.
func (s *Store) Empty(ctx context.Context) (empty bool, err error) {
	err = s.read(ctx, "look whether the store is empty", func(tx Tx) (err error) {
		empty, err = isEmpty(ctx, tx)
		return err
	})
	return empty, err
}

func isEmpty(ctx context.Context, tx Tx) (empty bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT NOT EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM projects)").Scan(&empty)
	return empty, err
}

// CreateFirst implements auth.Store.
func (s *Store) CreateFirst(ctx context.Context, f auth.First) error {
	return s.write(ctx, "fill the empty store", func(tx Tx) error {
		empty, err := isEmpty(ctx, tx)
		if err != nil {
			return err
		}
		if !empty {
			return auth.ErrNotEmpty
		}
		if err := insertUser(ctx, tx, f.User); err != nil {
			return err
		}
		if err := insertProject(ctx, tx, f.Project, f.User.ID); err != nil {
			return err
		}
		for _, k := range f.Keys {
			if err := insertKey(ctx, tx, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// Changes implements auth.Store.
func (s *Store) Changes(ctx context.Context, since, now time.Time) (c auth.Changes, err error) {
	a, b := micros(since), micros(now)
	err = s.read(ctx, "read changes", func(tx Tx) (err error) {
		c.Keys, err = column(ctx, tx, `
			SELECT id FROM (
				SELECT id, revoke_us AS at FROM api_keys WHERE revoke_us > 0 AND revoke_us > ?1 AND revoke_us <= ?2
				UNION
				SELECT id, expire_us AS at FROM api_keys WHERE replaced_by <> '' AND revoke_us = 0 AND expire_us > ?1 AND expire_us <= ?2
			) AS c ORDER BY at DESC, id LIMIT ?3`, a, b, maxChanges)
		if err != nil {
			return err
		}
		c.Sessions, err = column(ctx, tx,
			"SELECT id FROM sessions WHERE end_us > 0 AND end_us > ?1 AND end_us <= ?2 ORDER BY end_us DESC, id LIMIT ?3", a, b, maxChanges)
		if err != nil {
			return err
		}
		c.Projects, err = column(ctx, tx,
			"SELECT id FROM projects WHERE delete_us > 0 AND delete_us > ?1 AND delete_us <= ?2 ORDER BY delete_us DESC, id LIMIT ?3", a, b, maxChanges)
		return err
	})
	return c, err
}

// Prune implements auth.Store.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	return s.write(ctx, "prune", func(tx Tx) error {
		for _, q := range []string{
			"DELETE FROM sessions WHERE end_us > 0 AND end_us < ?1",
			"DELETE FROM sessions WHERE expire_us < ?1",
			"DELETE FROM sign_in_failures WHERE last_us < ?1",
		} {
			if _, err := tx.ExecContext(ctx, q, micros(before)); err != nil {
				return err
			}
		}
		return nil
	})
}
