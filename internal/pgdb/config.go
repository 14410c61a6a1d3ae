package pgdb

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
)

// Config configures a database.
type Config struct {
	URL              string        `config:"url" doc:"PostgreSQL database of the role, such as postgres://synapse@db:5432/synapse?sslmode=verify-full, several hosts by comma; empty keeps the data in a SQLite file of the data folder. No password in it."`
	Password         config.Secret `config:"password" doc:"Password of the user of url; a client certificate (sslcert and sslkey in url) or a password file does too."`
	MaxConns         int           `config:"max_conns" doc:"Most connections for reading, 1 to 1000; query has three more to write. More than four for each core of the server make it slower."`
	AcquireTimeout   time.Duration `config:"acquire_timeout" doc:"How long a call waits for a free connection before it is refused, 10ms to 1m."`
	ConnectTimeout   time.Duration `config:"connect_timeout" doc:"How long a new connection may take, 100ms to 1m."`
	StatementTimeout time.Duration `config:"statement_timeout" doc:"The server's bound on a statement, 1s to 1h. A server that says nothing for 5s longer is given up."`
	LockTimeout      time.Duration `config:"lock_timeout" doc:"The server's bound on waiting for a lock, 100ms to 10m."`
	Replicas         []string      `config:"replicas" doc:"Hot standbys of url's server that may answer reads of query, as URLs without a password: that of url is used. Each with a pool of max_conns."`
	MaxLag           time.Duration `config:"max_lag" doc:"How far a replica may be behind to be read from, 100ms to 1m; what this process has stored it must have in any case."`
	Pooler           bool          `config:"pooler" doc:"Whether url is that of PgBouncer in transaction pooling: no prepared statements, and both timeouts of the server must be set for the role."`
}

// DefaultConfig returns the defaults: no database.
func DefaultConfig() Config {
	return Config{MaxConns: 8, AcquireTimeout: 5 * time.Second, ConnectTimeout: 5 * time.Second, StatementTimeout: 30 * time.Second, LockTimeout: 10 * time.Second, MaxLag: time.Second}
}

// Validate returns all problems, each as "field: rule; remedy".
func (c Config) Validate() error {
	var problems []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	within := func(field string, d, low, high time.Duration) {
		bad(d >= low && d <= high, "%s: must be %s to %s, is %s; change it", field, low, high, d)
	}
	bad(c.MaxConns >= 1 && c.MaxConns <= 1000, "max_conns: must be 1 to 1000, is %d; change it", c.MaxConns)
	within("acquire_timeout", c.AcquireTimeout, 10*time.Millisecond, time.Minute)
	within("connect_timeout", c.ConnectTimeout, 100*time.Millisecond, time.Minute)
	within("statement_timeout", c.StatementTimeout, time.Second, time.Hour)
	within("lock_timeout", c.LockTimeout, 100*time.Millisecond, 10*time.Minute)
	bad(c.Password == "" || c.URL != "", "password: needs url; set url")
	within("max_lag", c.MaxLag, 100*time.Millisecond, time.Minute)
	bad(len(c.Replicas) == 0 || c.URL != "", "replicas: need url; set url")
	bad(len(c.Replicas) <= maxReplicas, "replicas: must be at most %d, are %d; remove some", maxReplicas, len(c.Replicas))
	if c.URL != "" {
		problems = append(problems, validateURL("url", c.URL))
	}
	for _, u := range c.Replicas {
		problems = append(problems, validateURL("replicas", u))
	}
	return errors.Join(problems...)
}

const maxReplicas = 16

func validateURL(field, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil: // several ports: then only the scheme is looked at
		if !strings.HasPrefix(text, "postgres://") {
			return fmt.Errorf("%s: must begin with postgres://; correct it", field)
		}
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return fmt.Errorf("%s: must begin with postgres://; correct it", field)
	default:
		if _, has := u.User.Password(); has {
			return fmt.Errorf("%s: must not hold a password; use password", field)
		}
	}
	return nil
}
