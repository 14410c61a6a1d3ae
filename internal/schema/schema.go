// Package schema tells which steps of a store's list of migrations a database has,
// without changing it. Both SQL engines keep the list in files 0001_name.sql and what
// was applied in the table schema_version, as goose does.
package schema

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Table holds which steps were applied.
const Table = "schema_version"

// State is what a database has of a list of steps.
type State struct {
	// Applied and Missing name the steps in their order, such as 0002_extras.
	Applied, Missing []string
	// Later counts steps that were applied and are not in the list: a later version
	// of the program knows them.
	Later int
}

// Err returns an *Error when steps are missing.
func (s State) Err() error {
	if len(s.Missing) == 0 {
		return nil
	}
	return &Error{Missing: s.Missing}
}

// Error says that a database lacks steps that the program needs.
type Error struct {
	// Missing names them in their order.
	Missing []string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("the schema lacks %s; run `synapse migrate up`", strings.Join(e.Missing, ", "))
}

// Querier is a database or a transaction of it.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Read compares the list with what was applied. exists says whether Table does: a
// database without it has no step.
func Read(ctx context.Context, q Querier, exists bool, migrations fs.FS) (s State, err error) {
	names, err := Steps(migrations)
	if err != nil {
		return State{}, err
	}
	applied := map[int64]bool{}
	if exists {
		rows, err := q.QueryContext(ctx, "SELECT version_id FROM "+Table+" WHERE is_applied AND version_id > 0")
		if err != nil {
			return State{}, err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var version int64
			if err := rows.Scan(&version); err != nil {
				return State{}, err
			}
			applied[version] = true
		}
		if err := rows.Err(); err != nil {
			return State{}, err
		}
	}
	for _, name := range names {
		version, _ := number(name)
		if applied[version] {
			s.Applied = append(s.Applied, name)
		} else {
			s.Missing = append(s.Missing, name)
		}
		delete(applied, version)
	}
	s.Later = len(applied)
	return s, nil
}

// Steps names the steps of a list in their order. Each file at its root must be
// called as 0001_name.sql, and no number may come twice.
func Steps(migrations fs.FS) ([]string, error) {
	files, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	byNumber := map[int64]string{}
	var names []string
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".sql")
		n, ok := number(name)
		if !ok {
			return nil, fmt.Errorf("migration %s: must begin with its number, as 0001_name.sql; rename it", file)
		}
		if other := byNumber[n]; other != "" {
			return nil, fmt.Errorf("migrations %s and %s have one number; give the later one the next", other, name)
		}
		byNumber[n] = name
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, _ := number(a)
		y, _ := number(b)
		return int(x - y)
	})
	return names, nil
}

func number(name string) (int64, bool) {
	digits, _, ok := strings.Cut(name, "_")
	n, err := strconv.ParseInt(digits, 10, 32)
	return n, ok && err == nil && n > 0
}
