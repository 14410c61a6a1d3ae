package pgdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// answerGrace is how much longer than the server's own bound on a statement the client
// waits for an answer.
const answerGrace = 5 * time.Second

// boundSilence makes connections of dial fail when the server neither answers nor takes
// what it is sent for as long as silence. The server's bounds end no statement of one
// that hangs, and of a machine that is gone without a word TCP tells after minutes.
func boundSilence(dial pgconn.DialFunc, silence time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &boundedConn{Conn: c, silence: silence}, nil
	}
}

// boundedConn bounds each read and write for which its user has set no deadline.
type boundedConn struct {
	net.Conn
	silence time.Duration

	mu          sync.Mutex // so that a deadline of the user is never replaced
	read, write time.Time  // the user's
}

func (c *boundedConn) Read(b []byte) (int, error) {
	if err := c.bound(&c.read, c.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	return n, c.silent(&c.read, err)
}

func (c *boundedConn) Write(b []byte) (int, error) {
	if err := c.bound(&c.write, c.Conn.SetWriteDeadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	return n, c.silent(&c.write, err)
}

func (c *boundedConn) bound(users *time.Time, set func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !users.IsZero() {
		return nil
	}
	return set(time.Now().Add(c.silence))
}

// silent makes an error of the bound one that is no timeout: pgx goes on using a
// connection after some of those.
func (c *boundedConn) silent(users *time.Time, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !users.IsZero() || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return fmt.Errorf("no answer of the server in %s", c.silence)
}

func (c *boundedConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.write = t, t
	return c.Conn.SetDeadline(t)
}

func (c *boundedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

func (c *boundedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	return c.Conn.SetWriteDeadline(t)
}
