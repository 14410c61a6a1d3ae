package pgdb

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// Numbered writes the parameters of a statement as PostgreSQL wants them: ? becomes
// $1, $2 and so on, ?3 becomes $3. The statement has parameters of one kind and no
// other question mark.
func Numbered(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		if after == "" || after[0] < '0' || after[0] > '9' {
			n++
			b.WriteString(strconv.Itoa(n))
		}
		query = after
	}
}

// Tx is a transaction whose statements are written with ?, as Numbered takes them.
type Tx struct{ Tx *sql.Tx }

// ExecContext runs a statement.
func (t Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.Tx.ExecContext(ctx, Numbered(query), args...)
}

// QueryContext runs a query.
func (t Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(ctx, Numbered(query), args...)
}

// QueryRowContext runs a query of at most one row.
func (t Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(ctx, Numbered(query), args...)
}

// Conn is a connection that has a transaction begun, with statements as those of Tx.
type Conn struct{ conn *sql.Conn }

// QueryContext runs a query.
func (c Conn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.conn.QueryContext(ctx, Numbered(query), args...)
}

// QueryRowContext runs a query of at most one row.
func (c Conn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return c.conn.QueryRowContext(ctx, Numbered(query), args...)
}
