package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/synapse-analytics/synapse/services/auth"
)

const userColumns = "id, email, password_hash, create_us"

func scanUser(row *sql.Row) (auth.User, error) {
	var u auth.User
	var create int64
	if err := row.Scan(&u.ID, &u.Email, &u.PasswordHash, &create); err != nil {
		return auth.User{}, err
	}
	u.CreateTime = fromMicros(create)
	return u, nil
}

func insertUser(ctx context.Context, tx Tx, u auth.User) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?)",
		u.ID, u.Email, u.PasswordHash, micros(u.CreateTime))
	return err
}

// CreateUser implements auth.Users.
func (s *Store) CreateUser(ctx context.Context, u auth.User) error {
	return s.write(ctx, "create user", func(tx Tx) error { return insertUser(ctx, tx, u) })
}

// UserByEmail implements auth.Users.
func (s *Store) UserByEmail(ctx context.Context, email string) (u auth.User, err error) {
	err = s.read(ctx, "find user", func(tx Tx) (err error) {
		u, err = scanUser(tx.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE email = ?", email))
		return err
	})
	return u, err
}

// UserByID implements auth.Users.
func (s *Store) UserByID(ctx context.Context, id string) (u auth.User, err error) {
	err = s.read(ctx, "find user", func(tx Tx) (err error) {
		u, err = scanUser(tx.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE id = ?", id))
		return err
	})
	return u, err
}

// SetPassword implements auth.Users.
func (s *Store) SetPassword(ctx context.Context, userID, hash string, now time.Time) (ended []string, err error) {
	err = s.write(ctx, "set password", func(tx Tx) (err error) {
		if err := one(tx.ExecContext(ctx, "UPDATE users SET password_hash = ? WHERE id = ?", hash, userID)); err != nil {
			return err
		}
		ended, err = column(ctx, tx, "UPDATE sessions SET end_us = ? WHERE user_id = ? AND end_us = 0 RETURNING id", micros(now), userID)
		return err
	})
	return ended, err
}

// UpgradePassword implements auth.Users.
func (s *Store) UpgradePassword(ctx context.Context, userID, old, hash string) error {
	return s.write(ctx, "upgrade password", func(tx Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?", hash, userID, old)
		return err
	})
}

// Failures implements auth.Users.
func (s *Store) Failures(ctx context.Context, account auth.Hash) (f auth.Failures, err error) {
	err = s.read(ctx, "read sign-in failures", func(tx Tx) error {
		var last int64
		err := tx.QueryRowContext(ctx, "SELECT count, last_us FROM sign_in_failures WHERE account = ?", account[:]).Scan(&f.Count, &last)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		f.Last = fromMicros(last)
		return err
	})
	return f, err
}

// AddFailure implements auth.Users.
func (s *Store) AddFailure(ctx context.Context, account auth.Hash, now time.Time, forget time.Duration) (n int, err error) {
	err = s.write(ctx, "count sign-in failure", func(tx Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO sign_in_failures (account, count, last_us) VALUES (?1, 1, ?2)
			ON CONFLICT (account) DO UPDATE SET
				count = CASE WHEN sign_in_failures.last_us < ?3 THEN 1 ELSE sign_in_failures.count + 1 END,
				last_us = ?2
			RETURNING count`, account[:], micros(now), micros(now.Add(-forget))).Scan(&n)
	})
	return n, err
}

// ClearFailures implements auth.Users.
func (s *Store) ClearFailures(ctx context.Context, account auth.Hash) error {
	return s.write(ctx, "clear sign-in failures", func(tx Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM sign_in_failures WHERE account = ?", account[:])
		return err
	})
}
