package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
)

// servers are those that the product runs on, each a process on loopback.
type servers struct {
	postgres, standby *pgtest.Server
	// nats are the names of the NATS servers, each a process of the cluster.
	nats []string
}

// startServers starts what the profile needs and returns the settings that lead
// there.
func (c *Cluster) startServers() []string {
	return append(c.startPostgres(), "queue.url="+c.startNATS())
}

// startNATS starts one server, or three that are a cluster, and returns their URLs.
func (c *Cluster) startNATS() string {
	n := 1
	if c.Profile == Clustered {
		n = 3
	}
	var urls, addrs, routes []string
	for range n {
		addrs, routes = append(addrs, FreeAddr(c.t)), append(routes, FreeAddr(c.t))
	}
	for i, addr := range addrs {
		name := fmt.Sprintf("nats-server-%d", i+1)
		conf := fmt.Sprintf("server_name: %s\nlisten: %q\nmax_payload: 8MB\njetstream { store_dir: %q, sync_interval: always, max_file_store: 20GB }\n",
			name, addr, filepath.Join(c.Dir, name))
		if n > 1 {
			conf += fmt.Sprintf("cluster { name: synapse, listen: %q, routes: [nats://%s] }\n", routes[i], strings.Join(routes, ", nats://"))
		}
		file := filepath.Join(c.Dir, name+".conf")
		require.NoError(c.t, os.WriteFile(file, []byte(conf), 0o600))
		c.args[name] = []string{"-c", file}
		c.nats, urls = append(c.nats, name), append(urls, "nats://"+addr)
		c.SpawnProcess(name)
	}
	for _, addr := range addrs {
		require.Eventually(c.t, func() bool { return dialable(addr) }, 10*time.Second, 20*time.Millisecond, "NATS does not answer")
	}
	return strings.Join(urls, ",")
}

// startPostgres starts the server, and a replica in a cluster.
func (c *Cluster) startPostgres() (settings []string) {
	var err error
	c.postgres, err = pgtest.Start()
	require.NoError(c.t, err)
	if c.Profile == Clustered {
		c.standby, err = c.postgres.Standby()
		require.NoError(c.t, err)
	}
	for _, role := range []string{"auth", "query"} { // a database each
		url, err := c.postgres.NewDatabase()
		require.NoError(c.t, err)
		if c.standby != nil {
			both := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d/", c.postgres.Port, c.standby.Port)
			url = strings.Replace(url, fmt.Sprintf("127.0.0.1:%d/", c.postgres.Port), both, 1) + "&target_session_attrs=read-write"
		}
		settings = append(settings, "stores."+role+".url="+url)
	}
	return settings
}

func (c *Cluster) stopServers() {
	for _, name := range c.nats {
		c.Kill(name)
		if c.t.Failed() {
			c.t.Logf("log of %s:\n%s", name, tail(c.procs[name].Log(), 4000))
		}
	}
	for _, s := range []*pgtest.Server{c.postgres, c.standby} {
		if s == nil {
			continue
		}
		if err := s.Stop(); err != nil {
			c.t.Errorf("stop PostgreSQL: %v", err)
		}
	}
}

// DetachStandby lets the database's replica fall behind.
func (c *Cluster) DetachStandby() { require.NoError(c.t, c.standby.Detach()) }

// Failover kills the database's primary and promotes its replica.
func (c *Cluster) Failover() {
	c.t.Helper()
	require.NoError(c.t, c.postgres.Kill())
	require.NoError(c.t, c.standby.Promote())
}

// ServerKill is how a server is killed (SIGKILL) and healed.
type ServerKill struct {
	Name       string
	Kill, Heal func()
}

// ServerKills lists the servers that can be killed: one of several is healed by
// Heal, one that is the only one by Kill itself, which starts it again.
func (c *Cluster) ServerKills() []ServerKill {
	kills := []ServerKill{{"postgres", func() {
		require.NoError(c.t, c.postgres.Kill())
		require.NoError(c.t, c.postgres.Run())
	}, func() {}}}
	for _, name := range c.nats {
		k := ServerKill{name, func() { c.Kill(name) }, func() { c.SpawnProcess(name) }}
		if len(c.nats) == 1 {
			k.Kill, k.Heal = func() { c.Kill(name); c.SpawnProcess(name) }, func() {}
		}
		kills = append(kills, k)
	}
	return kills
}

func dialable(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
