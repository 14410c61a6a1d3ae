package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// KillAll ends every process of the product and its NATS servers at once (SIGKILL).
// The database server stays.
func (c *Cluster) KillAll() {
	c.t.Helper()
	for _, name := range c.Processes() {
		c.Kill(name)
	}
	if c.nats == nil {
		return
	}
	for _, n := range c.nats.Nodes {
		require.NoError(c.t, n.Kill())
	}
}

// StoreArgs are the arguments that lead commands that look after the stores to them.
func (c *Cluster) StoreArgs() []string {
	out := []string{"--data", c.Dir}
	if c.Profile != Embedded {
		for _, a := range c.args[c.Role("query")[0]] {
			if strings.HasPrefix(a, "stores.") {
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
	urls := map[string]string{}
	for _, name := range c.Processes() {
		args := slices.Clone(c.args[name])
		for i, a := range args {
			switch key, _, _ := strings.Cut(a, "="); {
			case a == old || strings.HasPrefix(a, old+"/"):
				args[i] = c.Dir + strings.TrimPrefix(a, old)
			case strings.HasPrefix(a, "stores.") && strings.HasSuffix(key, ".url"):
				if urls[key] == "" {
					url, err := c.postgres.NewDatabase()
					require.NoError(c.t, err)
					urls[key] = c.both(url)
				}
				args[i] = key + "=" + urls[key]
			}
		}
		if c.Profile == Embedded && !freshQueue {
			args = append(args, "--set", "queue.dir="+filepath.Join(old, "queue"))
		}
		c.args[name] = args
	}
	if c.nats != nil && freshQueue {
		for _, n := range c.nats.Nodes {
			require.NoError(c.t, n.Wipe())
		}
	}
}

// LoseEvents takes away what query stores; with freshQueue the queue too. The processes
// that use them are stopped.
func (c *Cluster) LoseEvents(freshQueue bool) {
	c.t.Helper()
	if c.Profile == Embedded {
		lost, err := filepath.Glob(filepath.Join(c.Dir, "query.db*"))
		require.NoError(c.t, err)
		require.NotEmpty(c.t, lost)
		if freshQueue {
			lost = append(lost, filepath.Join(c.Dir, "queue"))
		}
		for _, path := range lost {
			require.NoError(c.t, os.RemoveAll(path))
		}
		return
	}
	url, err := c.postgres.NewDatabase()
	require.NoError(c.t, err)
	c.Set("stores.query.url", c.both(url))
	if freshQueue {
		for _, n := range c.nats.Nodes {
			require.NoError(c.t, n.Kill())
			require.NoError(c.t, n.Wipe())
		}
		c.StartNATS()
	}
}

// StartNATS starts the NATS servers again.
func (c *Cluster) StartNATS() {
	c.t.Helper()
	if c.nats == nil {
		return
	}
	for _, n := range c.nats.Nodes {
		require.NoError(c.t, n.Spawn())
	}
	for _, n := range c.nats.Nodes {
		require.NoError(c.t, n.WaitHealthy())
	}
}

// StartAll starts every process again.
func (c *Cluster) StartAll() {
	c.t.Helper()
	c.StartNATS()
	for _, name := range c.Processes() {
		c.StartProcess(name)
	}
}

// Set gives every process of the product, from its next start on, a field of the
// configuration.
func (c *Cluster) Set(field, value string) {
	for name := range c.args {
		c.args[name] = append(slices.Clone(c.args[name]), "--set", field+"="+value)
	}
}
