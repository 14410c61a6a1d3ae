package redisdb

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
)

// Config configures the connection.
type Config struct {
	URL            string        `config:"url" doc:"Redis 7 for what processes share, such as redis://cache:6379 or rediss://cache:6379/0 with TLS, the nodes of a cluster by comma; empty keeps it in each process. No user or password in it."`
	User           string        `config:"user" doc:"User of the server's access list; empty is the default one."`
	Password       config.Secret `config:"password" doc:"Password of the user."`
	CAFile         string        `config:"ca_file" doc:"File of the authorities (PEM) that sign the server's certificate; empty takes those of the system."`
	Prefix         string        `config:"prefix" doc:"What every key begins with, 1 to 32 of a-z, 0-9 and -; installations that use one server need different ones."`
	Share          int           `config:"share" doc:"Number of ingest processes: while Redis is away each keeps to its part of a limit, 1 to 1000."`
	MaxConns       int           `config:"max_conns" doc:"Most connections of this process to a server, and one for notices, 1 to 1000."`
	Timeout        time.Duration `config:"timeout" doc:"How long a call may take, waiting for a connection included, 1ms to 5s; five calls in a row that take longer, and Redis is done without until it answers again."`
	ConnectTimeout time.Duration `config:"connect_timeout" doc:"How long a new connection may take, 10ms to 1m."`
}

// DefaultConfig returns the defaults: no Redis.
func DefaultConfig() Config {
	return Config{Prefix: "synapse", Share: 1, MaxConns: 16, Timeout: 50 * time.Millisecond, ConnectTimeout: time.Second}
}

var prefixPattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

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
	bad(prefixPattern.MatchString(c.Prefix), "prefix: must be 1 to 32 of a-z, 0-9 and -; use synapse")
	bad(c.Share >= 1 && c.Share <= 1000, "share: must be 1 to 1000, is %d; give the number of ingest processes", c.Share)
	bad(c.MaxConns >= 1 && c.MaxConns <= 1000, "max_conns: must be 1 to 1000, is %d; change it", c.MaxConns)
	within("timeout", c.Timeout, time.Millisecond, 5*time.Second)
	within("connect_timeout", c.ConnectTimeout, 10*time.Millisecond, time.Minute)
	if c.URL == "" {
		bad(c.User == "", "user: needs url; set url")
		bad(c.Password == "", "password: needs url; set url")
		bad(c.CAFile == "", "ca_file: needs url; set url")
		return errors.Join(problems...)
	}
	t, err := parseURL(c.URL)
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	bad(c.User == "" || c.Password != "", "user: needs password; set password")
	bad(c.CAFile == "" || t.tls, "ca_file: needs a url of rediss://; change the url or remove it")
	return errors.Join(problems...)
}

// target is what a URL names.
type target struct {
	addrs []string // several are nodes of a cluster
	tls   bool
	db    int
}

// parseURL reads redis://host:port,host:port/db. Its errors do not hold the URL,
// which may hold a password by mistake.
func parseURL(s string) (t target, err error) {
	form := errors.New("url: must be redis://host:port/number or rediss://host:port/number, several host:port by comma; correct it")
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "redis" && scheme != "rediss" {
		return t, form
	}
	t.tls = scheme == "rediss"
	hosts, db, _ := strings.Cut(rest, "/")
	if strings.Contains(hosts, "@") {
		return t, errors.New("url: must not hold a user or password; use user and password")
	}
	if db != "" {
		if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 || t.db > 1<<20 {
			return t, form
		}
	}
	for h := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse("redis://" + h)
		if err != nil || u.Hostname() == "" || u.Host != h {
			return t, form
		}
		port := u.Port()
		if port == "" {
			port = "6379"
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return t, form
		}
		t.addrs = append(t.addrs, net.JoinHostPort(u.Hostname(), port))
	}
	if len(t.addrs) > 1 && t.db != 0 {
		return t, errors.New("url: must not name a database of a cluster, which has only 0; remove it")
	}
	return t, nil
}
