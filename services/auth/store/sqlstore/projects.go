package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/services/auth"
)

// maxOwned bounds ProjectsOf, as the port says.
const maxOwned = 100

func insertProject(ctx context.Context, tx Tx, p auth.Project, owner string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO projects (id, display_name, create_us) VALUES (?, ?, ?)",
		p.ID, p.DisplayName, micros(p.CreateTime))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO members (project_id, user_id, role) VALUES (?, ?, 'owner')", p.ID, owner)
	return err
}

// CreateProject implements auth.Projects.
func (s *Store) CreateProject(ctx context.Context, p auth.Project, owner string, limit int) error {
	return s.write(ctx, "create project", func(tx Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, `
			SELECT count(*) FROM members m JOIN projects p ON p.id = m.project_id
			WHERE m.user_id = ? AND p.delete_us = 0`, owner).Scan(&n)
		if err != nil {
			return err
		}
		if n >= limit {
			return auth.ErrLimit
		}
		return insertProject(ctx, tx, p, owner)
	})
}

// ProjectsByID implements auth.Projects.
func (s *Store) ProjectsByID(ctx context.Context, ids []string) (out []auth.Project, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	err = s.read(ctx, "find projects", func(tx Tx) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT id, display_name, create_us FROM projects
			WHERE id IN (?`+strings.Repeat(", ?", len(ids)-1)+`) AND delete_us = 0 ORDER BY id`, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var p auth.Project
			var create int64
			if err := rows.Scan(&p.ID, &p.DisplayName, &create); err != nil {
				return err
			}
			p.CreateTime = fromMicros(create)
			out = append(out, p)
		}
		return rows.Err()
	})
	return out, err
}

// ProjectsOf implements auth.Projects.
func (s *Store) ProjectsOf(ctx context.Context, userID string) (out []string, err error) {
	err = s.read(ctx, "find a user's projects", func(tx Tx) (err error) {
		out, err = column(ctx, tx, `
			SELECT p.id FROM members m JOIN projects p ON p.id = m.project_id
			WHERE m.user_id = ? AND p.delete_us = 0 ORDER BY p.id LIMIT ?`, userID, maxOwned)
		return err
	})
	return out, err
}

// UpdateProject implements auth.Projects.
func (s *Store) UpdateProject(ctx context.Context, id, displayName string) (p auth.Project, err error) {
	err = s.write(ctx, "update project", func(tx Tx) error {
		var create int64
		p = auth.Project{ID: id}
		err := tx.QueryRowContext(ctx, `
			UPDATE projects SET display_name = ? WHERE id = ? AND delete_us = 0
			RETURNING display_name, create_us`, displayName, id).Scan(&p.DisplayName, &create)
		p.CreateTime = fromMicros(create)
		return err
	})
	return p, err
}

// DeleteProject implements auth.Projects.
func (s *Store) DeleteProject(ctx context.Context, id string, now time.Time) error {
	return s.write(ctx, "delete project", func(tx Tx) error {
		return one(tx.ExecContext(ctx, "UPDATE projects SET delete_us = ? WHERE id = ? AND delete_us = 0", micros(now), id))
	})
}
