package harness

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
	"github.com/synapse-analytics/synapse/internal/redisdb/redistest"
)

// servers are those that the product runs on, each a process on loopback.
type servers struct {
	postgres, standby *pgtest.Server
	nats              *natstest.Cluster
	redis             *redistest.Server
}

// NATS are the servers of the queue, nil for the embedded one.
func (c *Cluster) NATS() *natstest.Cluster { return c.nats }

// Redis is the Redis server, nil for the embedded profile.
func (c *Cluster) Redis() *redistest.Server { return c.redis }

// Postgres is the database server, the primary where there is a replica; nil for the
// embedded profile.
func (c *Cluster) Postgres() *pgtest.Server { return c.postgres }

// startServers starts what the profile needs and returns the settings that lead
// there.
func (c *Cluster) startServers() []string {
	c.redis = redistest.Start(c.t)
	settings := []string{"redis.url=redis://" + c.redis.Addr(), fmt.Sprintf("redis.share=%d", c.replicas)}
	return append(append(settings, c.startNATS()...), c.startPostgres()...)
}

// startNATS starts one server, or three with TLS and credentials that are a cluster.
func (c *Cluster) startNATS() (settings []string) {
	var o natstest.Options
	if c.Profile == Clustered {
		o = natstest.Options{Nodes: 3, MutualTLS: true, Credentials: true}
	}
	var err error
	c.nats, err = natstest.Start(o)
	require.NoError(c.t, err)
	settings = []string{"queue.url=" + c.nats.URL(), "queue.monitor_url=" + c.nats.MonitorURL()}
	if o.MutualTLS {
		settings = append(settings, "queue.ca_file="+c.nats.CAFile, "queue.cert_file="+c.nats.CertFile, "queue.key_file="+c.nats.KeyFile,
			"queue.creds_file="+c.nats.CredsFile)
	}
	return settings
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
		settings = append(settings, "stores."+role+".url="+c.both(url))
		if role == "query" && c.standby != nil {
			settings = append(settings, "stores.query.replicas="+strings.Replace(url, fmt.Sprintf(":%d/", c.postgres.Port), fmt.Sprintf(":%d/", c.standby.Port), 1))
		}
	}
	return settings
}

// both adds the replica, if there is one, to the URL of a database.
func (c *Cluster) both(url string) string {
	if c.standby == nil {
		return url
	}
	hosts := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d/", c.postgres.Port, c.standby.Port)
	return strings.Replace(url, fmt.Sprintf("127.0.0.1:%d/", c.postgres.Port), hosts, 1) + "&target_session_attrs=read-write"
}

func (c *Cluster) stopServers() {
	if c.nats != nil {
		if err := c.nats.Stop(); err != nil {
			c.t.Errorf("stop NATS: %v", err)
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
	}, func() {}}, {"redis", func() { require.NoError(c.t, c.redis.Kill()) }, func() { require.NoError(c.t, c.redis.Run()) }}}
	if c.standby != nil {
		kills = append(kills, ServerKill{"postgres replica", func() { require.NoError(c.t, c.standby.Kill()) }, func() { require.NoError(c.t, c.standby.Run()) }})
	}
	for _, n := range c.nats.Nodes {
		k := ServerKill{"nats " + n.Name, func() { require.NoError(c.t, n.Kill()) }, func() {
			// Its copies are whole again: of three, one may be lost at a time.
			require.NoError(c.t, n.Run())
		}}
		if len(c.nats.Nodes) == 1 {
			kill := k.Kill
			k.Kill, k.Heal = func() { kill(); require.NoError(c.t, n.Spawn()) }, func() {}
		}
		kills = append(kills, k)
	}
	if n := c.nats.Nodes[0]; len(c.nats.Nodes) > 1 {
		kills = append(kills, ServerKill{"nats " + n.Name + ", its disk lost", func() {
			require.NoError(c.t, n.Kill())
			require.NoError(c.t, n.Wipe())
		}, func() { require.NoError(c.t, n.Run()) }})
	}
	return kills
}
