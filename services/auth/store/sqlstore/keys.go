package sqlstore

import (
	"context"
	"fmt"
	"time"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/services/auth"
)

const keyColumns = "id, project_id, display_name, prefix, hash, scopes, create_us, expire_us, last_use_us, revoke_us, replaced_by"

func scanKey(scan func(...any) error, more ...any) (auth.APIKey, error) {
	var (
		k                                        auth.APIKey
		hash                                     []byte
		scopes, create, expire, lastUse, revoked int64
	)
	err := scan(append([]any{
		&k.ID, &k.ProjectID, &k.DisplayName, &k.Prefix, &hash, &scopes,
		&create, &expire, &lastUse, &revoked, &k.ReplacedBy,
	}, more...)...)
	if err != nil {
		return auth.APIKey{}, err
	}
	if len(hash) != len(k.Hash) {
		return auth.APIKey{}, fmt.Errorf("key %s: its hash has %d bytes instead of %d", k.ID, len(hash), len(k.Hash))
	}
	copy(k.Hash[:], hash)
	k.Scopes = fromMask(scopes)
	k.CreateTime, k.ExpireTime = fromMicros(create), fromMicros(expire)
	k.LastUse, k.RevokeTime = fromMicros(lastUse), fromMicros(revoked)
	return k, nil
}

// mask has bit n set for the scope with number n.
func mask(scopes []typev1.Access_Scope) (m int64) {
	for _, s := range scopes {
		if s > 0 && s < 63 {
			m |= 1 << s
		}
	}
	return m
}

func fromMask(m int64) (scopes []typev1.Access_Scope) {
	for n := typev1.Access_Scope(1); n < 63; n++ {
		if m&(1<<n) != 0 {
			scopes = append(scopes, n)
		}
	}
	return scopes
}

func insertKey(ctx context.Context, tx Tx, k auth.APIKey) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO api_keys ("+keyColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		k.ID, k.ProjectID, k.DisplayName, k.Prefix, k.Hash[:], mask(k.Scopes),
		micros(k.CreateTime), micros(k.ExpireTime), micros(k.LastUse), micros(k.RevokeTime), k.ReplacedBy)
	return err
}

// CreateKey implements auth.Keys.
func (s *Store) CreateKey(ctx context.Context, k auth.APIKey, limit int) error {
	return s.write(ctx, "create key", func(tx Tx) error {
		var found, working int
		err := tx.QueryRowContext(ctx, `
			SELECT (SELECT count(*) FROM projects WHERE id = ?2 AND delete_us = 0),
				(SELECT count(*) FROM api_keys WHERE project_id = ?2 AND revoke_us = 0 AND (expire_us = 0 OR expire_us > ?1))`,
			micros(k.CreateTime), k.ProjectID).Scan(&found, &working)
		switch {
		case err != nil:
			return err
		case found == 0:
			return auth.ErrNotFound
		case working >= limit:
			return auth.ErrLimit
		}
		return insertKey(ctx, tx, k)
	})
}

// KeyByID implements auth.Keys.
func (s *Store) KeyByID(ctx context.Context, id string) (k auth.APIKey, projectExists bool, err error) {
	err = s.read(ctx, "find key", func(tx Tx) (err error) {
		k, err = scanKey(tx.QueryRowContext(ctx, "SELECT "+keyColumns+
			", EXISTS (SELECT 1 FROM projects p WHERE p.id = project_id AND p.delete_us = 0) FROM api_keys WHERE id = ?",
			id).Scan, &projectExists)
		return err
	})
	return k, projectExists, err
}

// ListKeys implements auth.Keys.
func (s *Store) ListKeys(ctx context.Context, project string, after auth.KeyCursor, limit int) (out []auth.APIKey, err error) {
	query := "SELECT " + keyColumns + " FROM api_keys WHERE project_id = ?"
	args := []any{project}
	if after != (auth.KeyCursor{}) {
		query += " AND (create_us, id) < (?, ?)"
		args = append(args, micros(after.CreateTime), after.ID)
	}
	query += " ORDER BY create_us DESC, id DESC LIMIT ?"
	args = append(args, limit)
	err = s.read(ctx, "list keys", func(tx Tx) error {
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			k, err := scanKey(rows.Scan)
			if err != nil {
				return err
			}
			out = append(out, k)
		}
		return rows.Err()
	})
	return out, err
}

// RevokeKey implements auth.Keys.
func (s *Store) RevokeKey(ctx context.Context, project, id string, now time.Time) error {
	return s.write(ctx, "revoke key", func(tx Tx) error {
		return one(tx.ExecContext(ctx, `
			UPDATE api_keys SET revoke_us = CASE revoke_us WHEN 0 THEN ? ELSE revoke_us END
			WHERE id = ? AND project_id = ?`, micros(now), id, project))
	})
}

// RotateKey implements auth.Keys.
func (s *Store) RotateKey(ctx context.Context, project, id string, next auth.APIKey, now, oldExpire time.Time) error {
	return s.write(ctx, "rotate key", func(tx Tx) error {
		old, err := scanKey(tx.QueryRowContext(ctx, "SELECT "+keyColumns+" FROM api_keys WHERE id = ? AND project_id = ?", id, project).Scan)
		switch {
		case err != nil:
			return err
		case old.ReplacedBy != "":
			return auth.ErrReplaced
		case !old.RevokeTime.IsZero(), !old.ExpireTime.IsZero() && !old.ExpireTime.After(now):
			return auth.ErrEnded
		}
		if err := insertKey(ctx, tx, next); err != nil {
			return err
		}
		if !oldExpire.After(now) {
			old.RevokeTime = now
		} else if old.ExpireTime.IsZero() || oldExpire.Before(old.ExpireTime) {
			old.ExpireTime = oldExpire
		}
		_, err = tx.ExecContext(ctx, "UPDATE api_keys SET replaced_by = ?, revoke_us = ?, expire_us = ? WHERE id = ?",
			next.ID, micros(old.RevokeTime), micros(old.ExpireTime), id)
		return err
	})
}

// TouchKeys implements auth.Keys.
func (s *Store) TouchKeys(ctx context.Context, uses map[string]time.Time) error {
	if len(uses) == 0 {
		return nil
	}
	return s.write(ctx, "note key uses", func(tx Tx) error {
		for id, at := range uses {
			_, err := tx.ExecContext(ctx, "UPDATE api_keys SET last_use_us = ?1 WHERE id = ?2 AND last_use_us < ?1", micros(at), id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
