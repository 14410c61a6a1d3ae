package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/synapse-analytics/synapse/internal/sqldb"
)

// rawConn runs prepared statements on the writer connection below database/sql,
// whose conversions cost more than the inserts themselves. It is used by one
// goroutine at a time.
type rawConn struct {
	conn  driver.Conn
	stmts map[string]*rawStmt
}

// rawStmt is a prepared statement with its parameters.
type rawStmt struct {
	stmt driver.StmtQueryContext
	args []driver.NamedValue
	n    int
}

// stmt prepares the statement, once.
func (c *rawConn) stmt(query string) (*rawStmt, error) {
	if s, ok := c.stmts[query]; ok {
		s.n = 0
		return s, nil
	}
	p, ok := c.conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.New("the SQLite driver can not prepare statements")
	}
	prepared, err := p.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	q, ok := prepared.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.New("the SQLite driver can not run prepared queries")
	}
	// One driver does not tell the number of parameters; all are written `?`.
	s := &rawStmt{stmt: q, args: make([]driver.NamedValue, strings.Count(query, "?"))}
	for i := range s.args {
		s.args[i].Ordinal = i + 1
	}
	c.stmts[query] = s
	return s, nil
}

// add sets the next parameter: int64, string, []byte or nil.
func (s *rawStmt) add(v driver.Value) {
	if s.n < len(s.args) {
		s.args[s.n].Value = v
	}
	s.n++
}

// run executes the statement and gives each row to f, whose values are valid
// only inside it. Rows are read through Query for inserts too: both drivers
// execute them at once, and one of them binds all parameters in one call there.
func (s *rawStmt) run(f func(row []driver.Value) error) (err error) {
	if s.n != len(s.args) {
		return fmt.Errorf("statement takes %d parameters, got %d", len(s.args), s.n)
	}
	s.n = 0
	// Without a Done channel the drivers need no goroutine for the statement.
	rows, err := s.stmt.QueryContext(context.Background(), s.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if f != nil {
			if err := f(row); err != nil {
				return err
			}
		}
	}
}

// exec prepares and runs a statement with its parameters.
func (c *rawConn) exec(query string, args ...driver.Value) error {
	return c.query(query, nil, args...)
}

// query prepares and runs a statement with its parameters and reads its rows.
func (c *rawConn) query(query string, f func(row []driver.Value) error, args ...driver.Value) error {
	s, err := c.stmt(query)
	if err != nil {
		return err
	}
	for _, a := range args {
		s.add(a)
	}
	return s.run(f)
}

func (c *rawConn) close() {
	for _, s := range c.stmts {
		if closer, ok := s.stmt.(io.Closer); ok {
			_ = closer.Close()
		}
	}
	c.stmts = map[string]*rawStmt{}
}

// write runs f in a write transaction on the raw writer connection. When f or
// the commit fails, everything of it is undone and what the writer remembers of
// the file is forgotten.
func (s *Store) write(ctx context.Context, f func(c *rawConn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return sqldb.ErrClosed
	}
	conn, err := s.db.Writer().Conn(ctx)
	if err != nil {
		return portError(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(dc any) error {
		raw, ok := dc.(driver.Conn)
		if !ok {
			return fmt.Errorf("connection is a %T", dc)
		}
		if s.raw == nil || s.raw.conn != raw {
			s.raw = &rawConn{conn: raw, stmts: map[string]*rawStmt{}}
		}
		return transact(s.raw, f)
	})
	if err != nil {
		s.forget()
		return portError(ctx, err)
	}
	return nil
}

func transact(c *rawConn, f func(c *rawConn) error) error {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f(c)
	if err == nil {
		if err = c.exec("COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// Some errors have rolled back already; then this one fails, harmlessly.
	_ = c.exec("ROLLBACK")
	return err
}

// rows repeats a row of a multi-row INSERT.
func rows(columns, n int) string {
	one := "(" + strings.Repeat("?,", columns-1) + "?)"
	return strings.Repeat(one+",", n-1) + one
}

// readRow and others read values of a raw row; STRICT tables keep the types.
func asInt(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

func asText(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return ""
	}
}
