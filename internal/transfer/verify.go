package transfer

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// content is what a table holds, in whatever order it is read: the number of rows and
// the sum of their SHA-256, in four numbers that wrap around.
type content struct {
	rows int64
	sum  [4]uint64
}

func (c *content) add(row []byte) {
	hash := sha256.Sum256(row)
	for i := range c.sum {
		c.sum[i] += binary.LittleEndian.Uint64(hash[8*i:])
	}
	c.rows++
}

// verify compares each table with its source, both of which it reads.
func (j *job) verify(ctx context.Context) error {
	var wrong []string
	for _, t := range j.tables {
		var want, got content
		work, ctx := errgroup.WithContext(ctx)
		work.Go(func() (err error) { want, err = j.sumSource(ctx, t); return err })
		work.Go(func() (err error) { got, err = j.sumCopy(ctx, t); return err })
		if err := work.Wait(); err != nil {
			return fmt.Errorf("compare table %s: %w", t.Name, err)
		}
		switch {
		case want.rows != got.rows:
			wrong = append(wrong, fmt.Sprintf("table %s has %d rows, its source %d", t.Name, got.rows, want.rows))
		case want.sum != got.sum:
			wrong = append(wrong, fmt.Sprintf("table %s has as many rows as its source, %d, but not the same", t.Name, got.rows))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s; begin anew with --restart, which removes what was copied", ErrDiffers, strings.Join(wrong, "; "))
	}
	return nil
}

// sumEvery is after how many rows progress is told.
const sumEvery = 1 << 14

func (j *job) sumSource(ctx context.Context, t *layout) (c content, err error) {
	var buf []byte
	tell := func() {
		j.o.Progress(Progress{Table: t.Name, Compare: true, Rows: c.rows, Total: j.totals[t.Name]})
	}
	tell()
	err = query(ctx, j.src, "SELECT "+t.selected(nil)+" FROM "+quoted(t.from()), nil, func(r *sql.Rows) error {
		row, err := t.scan(r)
		if err != nil {
			return err
		}
		if buf, err = t.appendRow(buf[:0], row); err != nil {
			return err
		}
		if c.add(buf); c.rows%sumEvery == 0 {
			tell()
		}
		return nil
	})
	tell()
	return c, err
}

func (j *job) sumCopy(ctx context.Context, t *layout) (c content, err error) {
	err = j.dst.View(ctx, func(tx pgx.Tx) error {
		// It reads the whole table in one statement, as fast as rows are compared.
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT "+t.selected(func(col column) string {
			if col.kind == "jsonb" {
				return quoted(col.name) + "::text"
			}
			return quoted(col.name)
		})+" FROM "+quoted(t.Name))
		if err != nil {
			return err
		}
		defer rows.Close()
		var buf []byte
		for rows.Next() {
			row, err := rows.Values()
			if err != nil {
				return err
			}
			if buf, err = t.appendRow(buf[:0], row); err != nil {
				return err
			}
			c.add(buf)
		}
		return rows.Err()
	})
	return c, err
}

// appendRow writes a row in a form that does not depend on the engine it comes from:
// a letter for the type of each value, its length, the value.
func (l *layout) appendRow(b []byte, row []any) ([]byte, error) {
	text := func(letter byte, s string) {
		b = append(b, letter)
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) { b = binary.AppendVarint(append(b, 'i'), n) }
	for i, v := range row {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			number(v)
		case int32:
			number(int64(v))
		case int16:
			number(int64(v))
		case []byte:
			text('b', string(v))
		case string:
			if l.columns[i].kind != "jsonb" {
				text('t', v)
				continue
			}
			same, err := sameJSON(v)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", l.columns[i].name, err)
			}
			text('j', same)
		default:
			return nil, fmt.Errorf("column %s holds a %T", l.columns[i].name, v)
		}
	}
	return b, nil
}

// sameJSON writes JSON so that what means the same is the same: keys in order, no
// spaces, characters escaped in one way.
func sameJSON(s string) (string, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	b, err := json.Marshal(v)
	return string(b), err
}
