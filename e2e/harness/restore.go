package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// KillAll ends every process of the product and its NATS server at once (SIGKILL). The
// database server stays.
func (c *Cluster) KillAll() {
	c.t.Helper()
	for name := range c.procs {
		c.Kill(name)
	}
}

// StoreArgs are the arguments that lead commands that look after the stores to them.
func (c *Cluster) StoreArgs() []string {
	if c.Shape == AllInOne {
		return []string{"--data", c.Dir}
	}
	out := []string{"--data", c.Dir}
	for _, role := range []string{"auth", "query"} {
		for _, a := range c.args["synapse-"+role] {
			if strings.HasPrefix(a, "stores."+role+".url=") {
				out = append(out, "--set", a)
			}
		}
	}
	return out
}

// Move leads the processes, which are stopped, to a fresh data folder and fresh
// databases; the queue stays where it is, or is a fresh one too.
func (c *Cluster) Move(freshQueue bool) {
	c.t.Helper()
	old := c.Dir
	c.Dir = c.t.TempDir()
	for name, args := range c.args {
		args = slices.Clone(args)
		for i, a := range args {
			switch {
			case a == old:
				args[i] = c.Dir
			case strings.HasPrefix(a, "stores."):
				url, err := c.postgres.NewDatabase()
				require.NoError(c.t, err)
				key, _, _ := strings.Cut(a, "=")
				args[i] = key + "=" + url
			}
		}
		if c.Shape == AllInOne && !freshQueue {
			args = append(args, "--set", "queue.dir="+filepath.Join(old, "queue"))
		}
		c.args[name] = args
	}
	if c.Shape == Apart && freshQueue {
		require.NoError(c.t, os.RemoveAll(filepath.Join(old, "nats")))
	}
}

// StartAll starts every process again.
func (c *Cluster) StartAll() {
	c.t.Helper()
	if c.Shape == AllInOne {
		c.StartProcess("synapse")
		return
	}
	c.StartProcess("nats-server")
	for _, role := range []string{"auth", "ingest", "scoring", "query", "gateway"} {
		c.StartProcess("synapse-" + role)
	}
}
