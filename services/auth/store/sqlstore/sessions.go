package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/services/auth"
)

func scanSession(row *sql.Row, more ...any) (auth.Session, error) {
	var s auth.Session
	var create, expire, end int64
	if err := row.Scan(append([]any{&s.ID, &s.UserID, &create, &expire, &end}, more...)...); err != nil {
		return auth.Session{}, err
	}
	s.CreateTime, s.ExpireTime, s.EndTime = fromMicros(create), fromMicros(expire), fromMicros(end)
	return s, nil
}

// CreateSession implements auth.Sessions.
func (s *Store) CreateSession(ctx context.Context, ses auth.Session, refresh auth.Hash, keep int) (ended []string, err error) {
	err = s.write(ctx, "create session", func(tx Tx) (err error) {
		_, err = tx.ExecContext(ctx, "INSERT INTO sessions (id, user_id, create_us, expire_us) VALUES (?, ?, ?, ?)",
			ses.ID, ses.UserID, micros(ses.CreateTime), micros(ses.ExpireTime))
		if err != nil {
			return err
		}
		if err := insertRefresh(ctx, tx, ses.ID, refresh); err != nil {
			return err
		}
		ended, err = column(ctx, tx, `
			UPDATE sessions SET end_us = ?1 WHERE id IN (
				SELECT id FROM sessions WHERE user_id = ?2 AND end_us = 0 AND expire_us > ?1
				ORDER BY create_us DESC, id DESC LIMIT 1000000 OFFSET ?3
			) RETURNING id`, micros(ses.CreateTime), ses.UserID, keep)
		return err
	})
	return ended, err
}

func insertRefresh(ctx context.Context, tx Tx, session string, hash auth.Hash) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO refresh_tokens (hash, session_id) VALUES (?, ?)", hash[:], session)
	return err
}

// RotateRefresh implements auth.Sessions.
func (s *Store) RotateRefresh(ctx context.Context, old, fresh auth.Hash, now time.Time, expire func(auth.Session) time.Time) (auth.Session, error) {
	var ses auth.Session
	var answer error // not a failure of the transaction: the end of a session is to be kept
	err := s.write(ctx, "rotate refresh token", func(tx Tx) (err error) {
		var use int64
		ses, err = scanSession(tx.QueryRowContext(ctx, `
			SELECT s.id, s.user_id, s.create_us, s.expire_us, s.end_us, r.use_us
			FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id WHERE r.hash = ?`, old[:]), &use)
		switch {
		case err != nil:
			return err
		case !ses.EndTime.IsZero() || !ses.ExpireTime.After(now):
			answer = auth.ErrEnded
			return nil
		case use != 0:
			answer = auth.ErrReplaced
			ses.EndTime = now
			return endSession(ctx, tx, ses.ID, now)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE refresh_tokens SET use_us = ? WHERE hash = ?", micros(now), old[:]); err != nil {
			return err
		}
		if err := insertRefresh(ctx, tx, ses.ID, fresh); err != nil {
			return err
		}
		ses.ExpireTime = expire(ses)
		_, err = tx.ExecContext(ctx, "UPDATE sessions SET expire_us = ? WHERE id = ?", micros(ses.ExpireTime), ses.ID)
		return err
	})
	if err != nil {
		return auth.Session{}, err
	}
	if answer != nil {
		return ses, fmt.Errorf("rotate refresh token: %w", answer)
	}
	return ses, nil
}

// SessionByID implements auth.Sessions.
func (s *Store) SessionByID(ctx context.Context, id string) (ses auth.Session, err error) {
	err = s.read(ctx, "find session", func(tx Tx) (err error) {
		ses, err = scanSession(tx.QueryRowContext(ctx, "SELECT id, user_id, create_us, expire_us, end_us FROM sessions WHERE id = ?", id))
		return err
	})
	return ses, err
}

// EndSession implements auth.Sessions.
func (s *Store) EndSession(ctx context.Context, id string, now time.Time) error {
	return s.write(ctx, "end session", func(tx Tx) error { return endSession(ctx, tx, id, now) })
}

func endSession(ctx context.Context, tx Tx, id string, now time.Time) error {
	_, err := tx.ExecContext(ctx, "UPDATE sessions SET end_us = ? WHERE id = ? AND end_us = 0", micros(now), id)
	return err
}
