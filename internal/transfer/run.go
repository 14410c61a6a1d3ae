package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/internal/pgdb"
)

// Why a transfer is refused; match with errors.Is.
var (
	// ErrNotEmpty says that the database holds data of another origin.
	ErrNotEmpty = errors.New("the database holds data already")
	// ErrChanged says that the source is not as it was when the transfer began.
	ErrChanged = errors.New("the source has changed since the transfer began")
	// ErrUnfinished says that the database holds a part of a transfer.
	ErrUnfinished = errors.New("a transfer into the database has not ended")
	// ErrDiffers says that the copy is not what the source holds.
	ErrDiffers = errors.New("the copy differs from its source")
)

// Options are settings; the zero value of each means its default.
type Options struct {
	// Rows and Bytes bound a piece; default 10,000 and 8 MiB.
	Rows, Bytes int
	// Restart removes what an unfinished transfer has copied, and begins anew.
	Restart bool
	// Progress is told how far a table is, after each piece; nil tells nobody. It is
	// called by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far a table is.
type Progress struct {
	// Table of the database.
	Table string
	// Compare says that rows are compared with their source, not copied.
	Compare bool
	// Rows that are done, of Total.
	Rows, Total int64
}

// Report is what a transfer did.
type Report struct {
	// Already says that the transfer was finished before; the rest is empty then.
	Already bool
	// Tables with the rows of each.
	Tables []TableReport
	// Resumed is the number of rows that were there when it began.
	Resumed int64
	// Copy and Verify are how long they took.
	Copy, Verify time.Duration
}

// TableReport is a table that was copied.
type TableReport struct {
	Name string
	Rows int64
}

// Rows returns the rows of all tables.
func (r *Report) Rows() (n int64) {
	for _, t := range r.Tables {
		n += t.Rows
	}
	return n
}

// job is a transfer on its way.
type job struct {
	plan   Plan
	src    Source
	state  string
	dst    *pgdb.DB
	o      Options
	tables []*layout
	totals map[string]int64
	report Report
}

// Run moves all rows of the source into the database of c, and compares both sides.
// The database is empty, or holds a part of this transfer.
func Run(ctx context.Context, p Plan, src Source, c pgdb.Config, log *slog.Logger, o Options) (report Report, err error) {
	if o.Rows == 0 {
		o.Rows = 10_000
	}
	if o.Bytes == 0 {
		o.Bytes = 8 << 20
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	j := &job{plan: p, src: src, o: o, totals: map[string]int64{}}
	if j.state, err = src.State(); err != nil {
		return report, err
	}
	if j.dst, err = pgdb.Open(ctx, c, "synapse transfer", log); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, j.dst.Close()) }()
	err = j.run(ctx)
	return j.report, err
}

func (j *job) run(ctx context.Context) (err error) {
	if err := j.dst.Migrate(ctx, j.plan.Migrations); err != nil {
		return err
	}
	if j.tables, err = j.plan.layouts(ctx, j.src, j.dst); err != nil {
		return err
	}
	if err := j.begin(ctx); err != nil || j.report.Already {
		return err
	}
	start := time.Now()
	for _, t := range j.tables {
		if err := j.count(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range j.tables {
		if err := j.copy(ctx, t); err != nil {
			return fmt.Errorf("copy table %s: %w", t.Name, err)
		}
	}
	if err := j.finish(ctx); err != nil {
		return fmt.Errorf("after the last row: %w", err)
	}
	j.report.Copy = time.Since(start)
	start = time.Now()
	if err := j.verify(ctx); err != nil {
		return err
	}
	if j.plan.Recount != nil {
		if err := j.plan.Recount(ctx, j.dst); err != nil {
			return err
		}
	}
	j.report.Verify = time.Since(start)
	return j.seal(ctx)
}

func (j *job) count(ctx context.Context, t *layout) error {
	var n int64
	err := query(ctx, j.src, "SELECT count(*) FROM "+quoted(t.from()), nil, scanInto(&n))
	j.totals[t.Name] = n
	j.report.Tables = append(j.report.Tables, TableReport{t.Name, n})
	return err
}

// begin makes the notes of a new transfer, or finds those of one to go on with.
func (j *job) begin(ctx context.Context) error {
	return j.dst.WithTx(ctx, func(tx pgx.Tx) error {
		var found bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass('transfer') IS NOT NULL").Scan(&found); err != nil {
			return err
		}
		if !found {
			return j.note(ctx, tx)
		}
		var state string
		var verified bool
		if err := tx.QueryRow(ctx, "SELECT source, verified_at IS NOT NULL FROM transfer FOR UPDATE").Scan(&state, &verified); err != nil {
			return err
		}
		switch {
		case verified && state == j.state:
			j.report.Already = true
			return nil
		case verified:
			return fmt.Errorf("%w, of an earlier transfer; give an empty database", ErrNotEmpty)
		case j.o.Restart:
			return j.restart(ctx, tx)
		case state != j.state:
			return fmt.Errorf("%w: go on with --restart, which removes what was copied", ErrChanged)
		}
		return tx.QueryRow(ctx, "SELECT coalesce(sum(rows), 0)::bigint FROM transfer_tables").Scan(&j.report.Resumed)
	})
}

// note begins a new transfer, in a database that holds nothing yet.
func (j *job) note(ctx context.Context, tx pgx.Tx) error {
	for _, t := range j.tables {
		var full bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+quoted(t.Name)+")").Scan(&full); err != nil {
			return err
		}
		switch {
		case full && !t.Replace:
			return fmt.Errorf("%w: table %s has rows; give an empty database", ErrNotEmpty, t.Name)
		case full:
			if _, err := tx.Exec(ctx, "DELETE FROM "+quoted(t.Name)); err != nil {
				return err
			}
		}
	}
	_, err := tx.Exec(ctx, "CREATE TABLE transfer (one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), source TEXT NOT NULL, verified_at TIMESTAMPTZ)")
	if err == nil {
		_, err = tx.Exec(ctx, "CREATE TABLE transfer_tables (name TEXT PRIMARY KEY, rows BIGINT NOT NULL, last TEXT[] NOT NULL)")
	}
	if err != nil {
		return err
	}
	return j.noteTables(ctx, tx)
}

func (j *job) noteTables(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "INSERT INTO transfer (source) VALUES ($1)", j.state); err != nil {
		return err
	}
	for _, t := range j.tables {
		if _, err := tx.Exec(ctx, "INSERT INTO transfer_tables (name, rows, last) VALUES ($1, 0, '{}')", t.Name); err != nil {
			return err
		}
	}
	return nil
}

// restart removes what an unfinished transfer has copied.
func (j *job) restart(ctx context.Context, tx pgx.Tx) error {
	names := []string{"transfer", "transfer_tables"}
	for _, t := range j.tables {
		names = append(names, quoted(t.Name))
	}
	if _, err := tx.Exec(ctx, "TRUNCATE "+strings.Join(names, ", ")); err != nil {
		return err
	}
	return j.noteTables(ctx, tx)
}

// finish does what is left when all rows are there. It may run again.
func (j *job) finish(ctx context.Context) error {
	return j.dst.WithTx(ctx, func(tx pgx.Tx) error {
		for _, t := range j.tables {
			for _, c := range t.serial {
				_, err := tx.Exec(ctx, fmt.Sprintf("SELECT setval(pg_get_serial_sequence($1, $2), greatest((SELECT max(%s) FROM %s), 1), EXISTS (SELECT FROM %[2]s))",
					quoted(c), quoted(t.Name)), t.Name, c)
				if err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, "ANALYZE "+quoted(t.Name)); err != nil {
				return err
			}
		}
		for _, text := range j.plan.Finish {
			if _, err := tx.Exec(ctx, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// seal ends the transfer: the database may be opened by its service.
func (j *job) seal(ctx context.Context) error {
	return j.dst.WithTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE transfer SET verified_at = now()")
		if err == nil {
			_, err = tx.Exec(ctx, "DROP TABLE transfer_tables")
		}
		return err
	})
}

// CheckFinished returns ErrUnfinished for a database that holds a part of a transfer.
func CheckFinished(ctx context.Context, db *pgdb.DB) error {
	var unfinished bool
	err := db.Pool().QueryRow(ctx, "SELECT to_regclass('transfer_tables') IS NOT NULL").Scan(&unfinished)
	if err != nil {
		return pgdb.Wrap(err)
	}
	if unfinished {
		return fmt.Errorf("%w: run `synapse transfer` again until it says that all is moved, or give an empty database", ErrUnfinished)
	}
	return nil
}

// Filled says whether the database holds what a transfer has moved.
func Filled(ctx context.Context, db *pgdb.DB) (filled bool, err error) {
	err = db.Pool().QueryRow(ctx, "SELECT to_regclass('transfer') IS NOT NULL").Scan(&filled)
	return filled, pgdb.Wrap(err)
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// names are the columns that rows are copied into: those of the source, then those
// that are filled.
func (l *layout) names() []string {
	var list []string
	for _, c := range l.columns {
		list = append(list, c.name)
	}
	return append(list, l.fill...)
}

// group is rows that go into one table.
type group struct {
	table string
	rows  [][]any
}

// groups sorts rows by the tables that they go into.
func (l *layout) groups(ctx context.Context, tx pgx.Tx, rows [][]any) ([]group, error) {
	if l.Partition == nil {
		return []group{{l.Name, rows}}, nil
	}
	at := l.place(l.Partition.Column)
	byNumber := map[int64][][]any{}
	for _, row := range rows {
		value, ok := row[at].(int64)
		if !ok {
			return nil, fmt.Errorf("%s is %T instead of a number", l.Partition.Column, row[at])
		}
		number := value / l.Partition.Size
		if value%l.Partition.Size < 0 { // rounded down
			number--
		}
		byNumber[number] = append(byNumber[number], row)
	}
	var list []group
	for number, rows := range byNumber {
		table, err := l.Partition.Of(ctx, tx, number*l.Partition.Size)
		if err != nil {
			return nil, err
		}
		list = append(list, group{table, rows})
	}
	return list, nil
}
