package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/services/query/store/dims"
)

// table implements dims.Table.
type table struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	tx  pgx.Tx
}

// number reads the one value of a row; 0 when there is none.
func (t table) number(sql string, args ...any) (id int64, err error) {
	err = t.tx.QueryRow(t.ctx, sql, args...).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// FindProject implements dims.Table.
func (t table) FindProject(name string) (int64, error) {
	return t.number("SELECT id FROM projects WHERE name = $1", name)
}

// AddProject implements dims.Table.
func (t table) AddProject(name string) (int64, error) {
	return t.number("INSERT INTO projects (name) VALUES ($1) RETURNING id", name)
}

// FindDims implements dims.Table.
func (t table) FindDims(k dims.Key) (ids dims.IDs, err error) {
	err = t.tx.QueryRow(t.ctx, "SELECT id, fold FROM dims WHERE project = $1 AND source = $2 AND language = $3 AND model = $4",
		k.Project, k.Source, k.Language, k.Model).Scan(&ids.ID, &ids.Fold)
	if errors.Is(err, pgx.ErrNoRows) {
		return dims.IDs{}, nil
	}
	return ids, err
}

// AddDims implements dims.Table.
func (t table) AddDims(k dims.Key, fold int64) (ids dims.IDs, err error) {
	err = t.tx.QueryRow(t.ctx, "WITH n AS (SELECT nextval(pg_get_serial_sequence('dims', 'id')) AS id) "+
		"INSERT INTO dims (id, project, source, language, model, fold) OVERRIDING SYSTEM VALUE "+
		"SELECT n.id, $1, $2, $3, $4, CASE $5::bigint WHEN 0 THEN n.id ELSE $5 END FROM n RETURNING id, fold",
		k.Project, k.Source, k.Language, k.Model, fold).Scan(&ids.ID, &ids.Fold)
	return ids, err
}

// OwnDims implements dims.Table.
func (t table) OwnDims(project int64, f func(source, language, model string)) error {
	rows, err := t.tx.Query(t.ctx, "SELECT source, language, model FROM dims WHERE project = $1 AND fold = id", project)
	if err != nil {
		return err
	}
	var source, language, model string
	_, err = pgx.ForEachRow(rows, []any{&source, &language, &model}, func() error { f(source, language, model); return nil })
	return err
}
