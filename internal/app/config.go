package app

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
	"github.com/synapse-analytics/synapse/internal/redisdb"
	"github.com/synapse-analytics/synapse/internal/telemetry"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/gateway"
	"github.com/synapse-analytics/synapse/services/ingest"
	"github.com/synapse-analytics/synapse/services/ingest/archive"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/scoring"
)

// Config is the configuration of a process.
type Config struct {
	Data          string           `config:"data" doc:"Folder of everything that is kept: stores, embedded queue, credentials.json."`
	HTTPAddr      string           `config:"http_addr" doc:"Address of REST and the dashboard, host:port."`
	GRPCAddr      string           `config:"grpc_addr" doc:"Address of gRPC, host:port."`
	AdminAddr     string           `config:"admin_addr" doc:"Address of metrics, health and profiles, host:port; it has no credentials, so keep it on loopback."`
	ShutdownDelay time.Duration    `config:"shutdown_delay" doc:"Time between saying not ready and refusing calls, for load balancers to notice; 0 to 1m."`
	StopTimeout   time.Duration    `config:"stop_timeout" doc:"Bound of each step of the stop, 1s to 5m."`
	Peers         Peers            `config:"peers" doc:"Where the roles are that run in other processes."`
	GRPC          GRPC             `config:"grpc" doc:"The gRPC server."`
	Telemetry     telemetry.Config `config:"telemetry" doc:"Logs, traces and metrics."`
	Queue         jetstream.Config `config:"queue" doc:"The queue."`
	Stores        Stores           `config:"stores" doc:"Where the roles auth and query keep their data."`
	Redis         redisdb.Config   `config:"redis" doc:"What processes share and can do without: rate limits, caches, a second way for revocations."`
	Blob          blob.Config      `config:"blob" doc:"The blob store, which keeps the archive."`
	Archive       archive.Config   `config:"archive" doc:"The archive of accepted events in the blob store."`
	Auth          auth.Config      `config:"auth" doc:"The role auth."`
	Ingest        ingest.Config    `config:"ingest" doc:"The role ingest."`
	Scoring       scoring.Config   `config:"scoring" doc:"The role scoring."`
	Query         query.Config     `config:"query" doc:"The role query."`
	Gateway       gateway.Config   `config:"gateway" doc:"The role gateway."`
}

// Peers are the gRPC addresses of roles in other processes.
type Peers struct {
	Auth    string `config:"auth" doc:"gRPC address of auth when it runs in other processes: host:port, several by comma, or dns:///name:port for all addresses of a name."`
	Ingest  string `config:"ingest" doc:"gRPC address of ingest when it runs in other processes: host:port, several by comma, or dns:///name:port for all addresses of a name."`
	Scoring string `config:"scoring" doc:"gRPC address of scoring when it runs in other processes: host:port, several by comma, or dns:///name:port for all addresses of a name."`
	Query   string `config:"query" doc:"gRPC address of query when it runs in other processes: host:port, several by comma, or dns:///name:port for all addresses of a name."`
}

func (p Peers) of(role Role) string {
	return map[Role]string{Auth: p.Auth, Ingest: p.Ingest, Scoring: p.Scoring, Query: p.Query}[role]
}

// GRPC configures the gRPC server.
type GRPC struct {
	Reflection           bool `config:"reflection" doc:"Whether grpcurl and the like may list the services."`
	MaxStreamsPerProject int  `config:"max_streams_per_project" doc:"Streams that one project may hold open in this process, 1 to 100000."`
}

// Validate reports every rule that is broken.
func (c GRPC) Validate() error {
	if c.MaxStreamsPerProject < 1 || c.MaxStreamsPerProject > 100000 {
		return errors.New("max_streams_per_project: must be from 1 to 100000; use 1000")
	}
	return nil
}

// DefaultConfig returns the defaults: everything in one process on loopback,
// kept in the folder "data".
func DefaultConfig() Config {
	return Config{
		Data: "data", HTTPAddr: "127.0.0.1:8080", GRPCAddr: "127.0.0.1:9090", AdminAddr: "127.0.0.1:9100",
		StopTimeout: 10 * time.Second,
		GRPC:        GRPC{Reflection: true, MaxStreamsPerProject: 1000},
		Telemetry:   telemetry.DefaultConfig(),
		Queue:       jetstream.DefaultConfig(),
		Stores:      Stores{Migrate: migrateAuto, Auth: pgdb.DefaultConfig(), Query: pgdb.DefaultConfig()},
		Redis:       redisdb.DefaultConfig(),
		Blob:        blob.DefaultConfig(),
		Archive:     archive.DefaultConfig(),
		Auth:        auth.DefaultConfig(),
		Ingest:      ingest.DefaultConfig(),
		Scoring:     scoring.DefaultConfig(),
		Query:       query.DefaultConfig(),
		Gateway:     gateway.DefaultConfig(),
	}
}

// Validate reports every rule that is broken.
func (c Config) Validate() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, errors.New("data: must not be empty; name a folder"))
	}
	for name, addr := range map[string]string{"http_addr": c.HTTPAddr, "grpc_addr": c.GRPCAddr, "admin_addr": c.AdminAddr} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("%s: must be host:port; for example 127.0.0.1:8080", name))
		}
	}
	if c.ShutdownDelay < 0 || c.ShutdownDelay > time.Minute {
		errs = append(errs, errors.New("shutdown_delay: must be from 0 to 1m; use 2s behind a load balancer"))
	}
	if c.StopTimeout < time.Second || c.StopTimeout > 5*time.Minute {
		errs = append(errs, errors.New("stop_timeout: must be from 1s to 5m; use 10s"))
	}
	if c.Archive.Enabled && c.Blob.URL == "" {
		errs = append(errs, errors.New("archive.enabled: needs blob.url; set blob.url to a folder or s3://bucket"))
	}
	return errors.Join(errs...)
}

func (c Config) path(name string) string { return filepath.Join(c.Data, name) }
