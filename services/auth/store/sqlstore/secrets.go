package sqlstore

import (
	"context"

	"github.com/synapse-analytics/synapse/services/auth"
)

func signingKeys(ctx context.Context, tx Tx) ([]auth.SigningKey, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, seed, create_us, activate_us FROM signing_keys ORDER BY activate_us, id")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []auth.SigningKey
	for rows.Next() {
		var k auth.SigningKey
		var create, activate int64
		if err := rows.Scan(&k.ID, &k.Seed, &create, &activate); err != nil {
			return nil, err
		}
		k.CreateTime, k.ActivateTime = fromMicros(create), fromMicros(activate)
		out = append(out, k)
	}
	return out, rows.Err()
}

// UpdateSigningKeys implements auth.Secrets.
func (s *Store) UpdateSigningKeys(ctx context.Context, change func([]auth.SigningKey) ([]auth.SigningKey, []string)) (out []auth.SigningKey, err error) {
	err = s.write(ctx, "update signing keys", func(tx Tx) (err error) {
		if out, err = signingKeys(ctx, tx); err != nil {
			return err
		}
		add, drop := change(out)
		if len(add) == 0 && len(drop) == 0 {
			return nil
		}
		for _, id := range drop {
			if _, err := tx.ExecContext(ctx, "DELETE FROM signing_keys WHERE id = ?", id); err != nil {
				return err
			}
		}
		for _, k := range add {
			_, err := tx.ExecContext(ctx, "INSERT INTO signing_keys (id, seed, create_us, activate_us) VALUES (?, ?, ?, ?)",
				k.ID, k.Seed, micros(k.CreateTime), micros(k.ActivateTime))
			if err != nil {
				return err
			}
		}
		out, err = signingKeys(ctx, tx)
		return err
	})
	return out, err
}

// Secret implements auth.Secrets.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) (out []byte, err error) {
	err = s.write(ctx, "read secret", func(tx Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, fresh); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = ?", name).Scan(&out)
	})
	return out, err
}
