package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/internal/pgdb"
)

// Plan is how the tables of a service are moved.
type Plan struct {
	// Migrations make the tables of the database.
	Migrations fs.FS
	// Tables in the order of copying: one comes after those that it refers to.
	Tables []Table
	// Own are tables of the database that it fills itself.
	Own []string
	// Finish are statements that run when all rows are there.
	Finish []string
	// Recount looks at what the database holds as its service would, when it holds
	// what the source does; nil has nothing to look at.
	Recount func(ctx context.Context, dst *pgdb.DB) error
}

// Table is a table of the database.
type Table struct {
	// Name of the table.
	Name string
	// From is the table of the source; empty is that of the same name.
	From string
	// Fill has the values of columns that the source does not have.
	Fill map[string]any
	// Partition says where rows go; nil is the table itself.
	Partition *Partition
	// Replace says that rows which the database made for itself give way.
	Replace bool
}

// Partition spreads rows over tables.
type Partition struct {
	// Column that decides, a number; numbers from one multiple of Size to the next are
	// of one table.
	Column string
	Size   int64
	// Of returns the table of a value, which it makes if there is none.
	Of func(ctx context.Context, tx pgx.Tx, value int64) (table string, err error)
}

func (t *Table) from() string {
	if t.From != "" {
		return t.From
	}
	return t.Name
}

// Source is a SQLite database whose owner is stopped.
type Source interface {
	// View runs fn in a read transaction.
	View(ctx context.Context, fn func(*sql.Tx) error) error
	// State tells two states of it apart.
	State() (string, error)
}

// layout is a table with what both schemas say of it.
type layout struct {
	*Table
	columns []column
	key     []int // places of the source's primary key in columns
	fill    []string
	serial  []string // columns that the database numbers
}

// column is one that both sides have.
type column struct {
	name    string
	kind    string // type of the database
	notNull bool
}

// kinds are the types of columns that values are known to go into unchanged.
var kinds = []string{"bigint", "integer", "smallint", "text", "bytea", "jsonb"}

// layouts reads both schemas. It fails when a column or a table of the source has no
// place, or a column of the database no source.
func (p *Plan) layouts(ctx context.Context, src Source, dst *pgdb.DB) ([]*layout, error) {
	var list []*layout
	placed := map[string]bool{}
	for i := range p.Tables {
		l := &layout{Table: &p.Tables[i]}
		from, err := sourceColumns(ctx, src, l.from())
		if err != nil {
			return nil, err
		}
		if err := l.read(ctx, dst, from); err != nil {
			return nil, err
		}
		for _, c := range l.columns {
			placed[l.from()+"."+c.name] = true
		}
		list = append(list, l)
	}
	tables, err := sourceTables(ctx, src)
	if err != nil {
		return nil, err
	}
	var lost []string
	for _, name := range tables {
		from, err := sourceColumns(ctx, src, name)
		if err != nil {
			return nil, err
		}
		for _, c := range from {
			if !placed[name+"."+c.name] {
				lost = append(lost, name+"."+c.name)
			}
		}
	}
	if len(lost) > 0 {
		return nil, fmt.Errorf("the source has columns that this program does not move: %s; use the version that wrote the file", strings.Join(lost, ", "))
	}
	return list, nil
}

// read matches the columns of the database with those of the source.
func (l *layout) read(ctx context.Context, dst *pgdb.DB, from []sourceColumn) error {
	rows, err := dst.Pool().Query(ctx, "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity <> '' FROM pg_attribute "+
		"WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum", l.Name)
	if err != nil {
		return pgdb.Wrap(err)
	}
	var c column
	var serial bool
	var orphans []string
	_, err = pgx.ForEachRow(rows, []any{&c.name, &c.kind, &c.notNull, &serial}, func() error {
		if serial {
			l.serial = append(l.serial, c.name)
		}
		_, filled := l.Fill[c.name]
		switch {
		case slices.ContainsFunc(from, func(s sourceColumn) bool { return s.name == c.name }):
			if !slices.Contains(kinds, c.kind) {
				return fmt.Errorf("column %s.%s is of the type %s, which a transfer does not know", l.Name, c.name, c.kind)
			}
			l.columns = append(l.columns, c)
		case filled:
			l.fill = append(l.fill, c.name)
		default:
			orphans = append(orphans, l.Name+"."+c.name)
		}
		return nil
	})
	if err != nil {
		return pgdb.Wrap(err)
	}
	if len(l.columns) == 0 {
		return fmt.Errorf("%w, of another role: it has no table %s; each role needs a database of its own", ErrNotEmpty, l.Name)
	}
	if len(orphans) > 0 {
		return fmt.Errorf("the source has nothing for %s", strings.Join(orphans, ", "))
	}
	for n := 1; ; n++ {
		i := slices.IndexFunc(from, func(s sourceColumn) bool { return s.key == n })
		if i < 0 {
			break
		}
		at := l.place(from[i].name)
		if at < 0 {
			return fmt.Errorf("the database has no column %s.%s, which is of the source's key", l.Name, from[i].name)
		}
		l.key = append(l.key, at)
	}
	if len(l.key) == 0 {
		return fmt.Errorf("table %s of the source has no primary key to copy by", l.from())
	}
	return nil
}

// place is where a column is; -1 when there is none.
func (l *layout) place(name string) int {
	return slices.IndexFunc(l.columns, func(c column) bool { return c.name == name })
}

type sourceColumn struct {
	name string
	key  int // place in the primary key, from 1; 0 is none
}

func sourceColumns(ctx context.Context, src Source, table string) (list []sourceColumn, err error) {
	err = query(ctx, src, "SELECT name, pk FROM pragma_table_info(?)", []any{table}, func(rows *sql.Rows) error {
		var c sourceColumn
		err := rows.Scan(&c.name, &c.key)
		list = append(list, c)
		return err
	})
	return list, err
}

// sourceTables are those of the source, without the engine's and the migrations' own.
func sourceTables(ctx context.Context, src Source) (list []string, err error) {
	err = query(ctx, src, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'schema_version' ORDER BY name", nil,
		func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			list = append(list, name)
			return err
		})
	return list, err
}

// query calls f for each row.
func query(ctx context.Context, src Source, text string, args []any, f func(*sql.Rows) error) error {
	return src.View(ctx, func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			if err := f(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// Check says whether each column of both sides has its place, and each table of the
// database is of the plan.
func (p *Plan) Check(ctx context.Context, src Source, dst *pgdb.DB) error {
	if _, err := p.layouts(ctx, src, dst); err != nil {
		return err
	}
	rows, err := dst.Pool().Query(ctx, "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') "+
		"AND NOT relispartition AND relname NOT IN ('schema_version', 'transfer', 'transfer_tables')")
	if err != nil {
		return pgdb.Wrap(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return pgdb.Wrap(err)
	}
	for _, name := range tables {
		if !slices.Contains(p.Own, name) && !slices.ContainsFunc(p.Tables, func(t Table) bool { return t.Name == name }) {
			return fmt.Errorf("the database's table %s is not of the plan", name)
		}
	}
	return nil
}
