package transfer

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// errSecond says that the table moved on without this transfer.
var errSecond = errors.New("another transfer into the database is running; let only one run")

// copy copies the rows of a table that are not there yet: the next piece is read
// while one is written.
func (j *job) copy(ctx context.Context, t *layout) error {
	var done int64
	var last []string
	err := j.dst.View(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT rows, last FROM transfer_tables WHERE name = $1", t.Name).Scan(&done, &last)
	})
	if err != nil {
		return err
	}
	after, err := parseKey(last)
	if err != nil {
		return err
	}
	pieces := make(chan [][]any)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		defer close(pieces)
		for {
			rows, err := j.read(ctx, t, after)
			if err != nil || len(rows) == 0 {
				return err
			}
			select {
			case pieces <- rows:
			case <-ctx.Done():
				return ctx.Err()
			}
			after = t.keyOf(rows[len(rows)-1])
		}
	})
	work.Go(func() error {
		j.o.Progress(Progress{Table: t.Name, Rows: done, Total: j.totals[t.Name]})
		for rows := range pieces {
			if err := j.write(ctx, t, done, rows); err != nil {
				return fmt.Errorf("after row %d: %w", done, err)
			}
			done += int64(len(rows))
			j.o.Progress(Progress{Table: t.Name, Rows: done, Total: j.totals[t.Name]})
		}
		return nil
	})
	return work.Wait()
}

// read reads the next piece after a key; nil is at the first row.
func (j *job) read(ctx context.Context, t *layout, after []any) (rows [][]any, err error) {
	text := "SELECT " + t.selected(nil) + " FROM " + quoted(t.from())
	keys := make([]string, len(t.key))
	for i, at := range t.key {
		keys[i] = quoted(t.columns[at].name)
	}
	key := strings.Join(keys, ", ")
	if after != nil {
		text += " WHERE (" + key + ") > (" + strings.TrimSuffix(strings.Repeat("?, ", len(after)), ", ") + ")"
	}
	size := 0
	err = query(ctx, j.src, text+" ORDER BY "+key+" LIMIT ?", append(after[:len(after):len(after)], j.o.Rows), func(r *sql.Rows) error {
		row, err := t.scan(r)
		if err != nil {
			return err
		}
		rows = append(rows, row)
		for _, v := range row {
			size += sizeOf(v)
		}
		if size >= j.o.Bytes {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rows, err
}

// errEnough ends a piece before its rows are as many as they may be.
var errEnough = errors.New("piece is full")

// write copies a piece and notes it.
func (j *job) write(ctx context.Context, t *layout, done int64, rows [][]any) error {
	return j.dst.WithTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE transfer_tables SET rows = rows + $1, last = $2 WHERE name = $3 AND rows = $4",
			len(rows), formatKey(t.keyOf(rows[len(rows)-1])), t.Name, done)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return errSecond
		}
		groups, err := t.groups(ctx, tx, rows)
		if err != nil {
			return err
		}
		columns, fill := t.names(), make([]any, len(t.fill))
		for i, name := range t.fill {
			fill[i] = t.Fill[name]
		}
		values := make([]any, 0, len(columns))
		for _, g := range groups {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{g.table}, columns, pgx.CopyFromSlice(len(g.rows), func(i int) ([]any, error) {
				values = append(append(values[:0], g.rows[i]...), fill...)
				return values, nil
			}))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// selected lists the columns to read; as changes one.
func (l *layout) selected(as func(c column) string) string {
	list := make([]string, len(l.columns))
	for i, c := range l.columns {
		list[i] = quoted(c.name)
		if as != nil {
			list[i] = as(c)
		}
	}
	return strings.Join(list, ", ")
}

// scan reads a row of the source.
func (l *layout) scan(r *sql.Rows) ([]any, error) {
	row, dest := make([]any, len(l.columns)), make([]any, len(l.columns))
	for i := range row {
		dest[i] = &row[i]
	}
	if err := r.Scan(dest...); err != nil {
		return nil, err
	}
	for i, c := range l.columns { // how a driver says empty
		if b, ok := row[i].([]byte); (ok && b == nil) || (row[i] == nil && c.notNull && c.kind == "bytea") {
			row[i] = []byte{}
		}
	}
	return row, nil
}

func (l *layout) keyOf(row []any) []any {
	key := make([]any, len(l.key))
	for i, at := range l.key {
		key[i] = row[at]
	}
	return key
}

// scanInto reads a result of one row.
func scanInto(dest ...any) func(*sql.Rows) error {
	return func(r *sql.Rows) error { return r.Scan(dest...) }
}

// sizeOf is about what a value takes on its way.
func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	default:
		return 8
	}
}

// formatKey writes a key so that parseKey reads the same: i is a number, t a text, b
// bytes.
func formatKey(key []any) []string {
	list := make([]string, len(key))
	for i, v := range key {
		switch v := v.(type) {
		case int64:
			list[i] = "i" + strconv.FormatInt(v, 10)
		case string:
			list[i] = "t" + v
		case []byte:
			list[i] = "b" + hex.EncodeToString(v)
		}
	}
	return list
}

func parseKey(list []string) ([]any, error) {
	if len(list) == 0 {
		return nil, nil
	}
	key := make([]any, len(list))
	for i, s := range list {
		var err error
		switch {
		case strings.HasPrefix(s, "i"):
			key[i], err = strconv.ParseInt(s[1:], 10, 64)
		case strings.HasPrefix(s, "t"):
			key[i] = s[1:]
		case strings.HasPrefix(s, "b"):
			key[i], err = hex.DecodeString(s[1:])
		default:
			err = errors.New("unknown kind")
		}
		if err != nil {
			return nil, fmt.Errorf("the note of the last row can not be read: %q: %w", s, err)
		}
	}
	return key, nil
}
