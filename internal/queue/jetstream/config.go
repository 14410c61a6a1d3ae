package jetstream

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// Values of Config.Sync.
const (
	// SyncAlways fsyncs every message before it is acknowledged.
	SyncAlways = "always"
	// SyncInterval fsyncs in the background, every Config.SyncInterval.
	SyncInterval = "interval"
)

// Config configures the engine. Open needs exactly one of Dir and URL; Validate
// allows neither, since the program may fill in Dir later.
type Config struct {
	Dir        string `config:"dir" doc:"Folder of the embedded engine; empty is the folder queue of the data folder."`
	URL        string `config:"url" doc:"NATS servers, comma separated, such as nats://nats:4222 or tls://nats:4222; empty runs the embedded engine in dir. No user or password in it."`
	MonitorURL string `config:"monitor_url" doc:"By URL: HTTP monitoring addresses of all servers, comma separated, such as http://nats-1:8222; only there a server tells whether it fsyncs before it acknowledges."`

	Sync string `config:"sync" doc:"Embedded only: always fsyncs every message before it is acknowledged, interval fsyncs in the background."`

	SyncInterval time.Duration `config:"sync_interval" doc:"Embedded only, with sync interval: time between two fsyncs, 100ms to 10m; so much may be lost with the power."`

	EventsMaxBytes config.Bytes `config:"events_max_bytes" doc:"Bytes that the stream of accepted events may hold, at least 16MiB; full means that events are refused."`
	ScoredMaxBytes config.Bytes `config:"scored_max_bytes" doc:"Bytes that the stream of scored events may hold, at least 16MiB."`
	DeadMaxBytes   config.Bytes `config:"dead_max_bytes" doc:"Bytes that the stream of dead letters may hold, at least 16MiB."`

	FreeFloorBytes config.Bytes `config:"free_floor_bytes" doc:"Embedded only: refuse messages while the disk of dir has fewer free bytes than this; 0 never refuses."`

	RecoveryWindow time.Duration `config:"recovery_window" doc:"How long messages that every consumer has acknowledged are kept for a replay, at least 1m; a full stream gives up the oldest earlier."`
	DedupWindow    time.Duration `config:"dedup_window" doc:"How long the id of a message is remembered, 1s to 1h; ids cost memory."`
	Replicas       int           `config:"replicas" doc:"Copies of each stream in a cluster, 1 to 5; 1 for the embedded engine."`
	PublishTimeout time.Duration `config:"publish_timeout" doc:"How long one try of a publish waits for the acknowledgement, 100ms to 1m; a server that dies answers no try, so callers must try for longer."`
	Watchdog       time.Duration `config:"watchdog" doc:"A consumer that gets nothing for so long while messages wait asks anew, 1s to 5m."`
	OpenTimeout    time.Duration `config:"open_timeout" doc:"How long opening may take, 1s to 1h; a large embedded store is read first."`

	User      string        `config:"user" doc:"By URL: user name, if the server asks for one."`
	Password  config.Secret `config:"password" doc:"By URL: password of the user."`
	CredsFile string        `config:"creds_file" doc:"By URL: NATS credentials file (JWT and key)."`
	NKeyFile  string        `config:"nkey_file" doc:"By URL: file with the seed of an NKey, instead of creds_file."`
	CAFile    string        `config:"ca_file" doc:"By URL: PEM file of the authorities that may sign the server's certificate; empty takes the system's."`
	CertFile  string        `config:"cert_file" doc:"By URL: PEM file of this client's certificate; set with key_file."`
	KeyFile   string        `config:"key_file" doc:"By URL: PEM file of this client's private key; set with cert_file."`
}

// DefaultConfig returns the defaults; Dir or URL must be set.
func DefaultConfig() Config {
	return Config{
		Sync:           SyncAlways,
		SyncInterval:   time.Second,
		EventsMaxBytes: 8 << 30,
		ScoredMaxBytes: 8 << 30,
		DeadMaxBytes:   1 << 30,
		FreeFloorBytes: 1 << 30,
		RecoveryWindow: 24 * time.Hour,
		DedupWindow:    2 * time.Minute,
		Replicas:       1,
		PublishTimeout: 5 * time.Second,
		Watchdog:       10 * time.Second,
		OpenTimeout:    2 * time.Minute,
	}
}

// minStreamBytes is the least a stream may hold: a few of the largest messages.
const minStreamBytes = 4 * queue.MaxMessageBytes

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
	bad(c.Dir == "" || c.URL == "", "dir: must be empty when url is set; the NATS server keeps its own folder")
	bad(c.Sync == SyncAlways || c.Sync == SyncInterval, "sync: must be %s or %s; %s is the safe one", SyncAlways, SyncInterval, SyncAlways)
	within("sync_interval", c.SyncInterval, 100*time.Millisecond, 10*time.Minute)
	for _, s := range queue.Streams() {
		bad(c.maxBytes(s) >= minStreamBytes, "%s_max_bytes: must be at least %s, is %s; raise it", strings.ToLower(string(s)), config.Bytes(minStreamBytes), config.Bytes(c.maxBytes(s)))
	}
	bad(c.FreeFloorBytes >= 0, "free_floor_bytes: must not be negative; set 0 to switch it off")
	within("recovery_window", c.RecoveryWindow, time.Minute, 10*365*24*time.Hour)
	within("dedup_window", c.DedupWindow, time.Second, time.Hour)
	bad(c.Replicas >= 1 && c.Replicas <= 5, "replicas: must be 1 to 5, is %d; use 1, 3 or 5", c.Replicas)
	bad(c.Replicas == 1 || c.URL != "", "replicas: the embedded engine has one copy; set 1, or url for a cluster")
	within("publish_timeout", c.PublishTimeout, 100*time.Millisecond, time.Minute)
	within("watchdog", c.Watchdog, time.Second, 5*time.Minute)
	within("open_timeout", c.OpenTimeout, time.Second, time.Hour)
	bad((c.CertFile == "") == (c.KeyFile == ""), "cert_file: must be set together with key_file; set both or neither")
	bad(btoi(c.User != "")+btoi(c.CredsFile != "")+btoi(c.NKeyFile != "") <= 1, "creds_file: only one of user, creds_file and nkey_file may be set; clear the others")
	bad(c.Password == "" || c.User != "", "password: needs user; set user")
	bad(c.MonitorURL == "" || c.URL != "", "monitor_url: is for servers by URL; clear it or set url")
	for _, u := range c.monitors() {
		p, err := url.Parse(u)
		bad(err == nil && p.Host != "" && (p.Scheme == "http" || p.Scheme == "https"), "monitor_url: must be a list of URLs such as http://host:8222; correct it")
	}
	for _, u := range c.servers() {
		p, err := url.Parse(u)
		bad(err == nil && p.Host != "", "url: must be a list of URLs such as nats://host:4222; correct it")
		bad(err != nil || p.User == nil, "url: must not hold a user or password; use user and password, or creds_file")
	}
	return errors.Join(problems...)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// embedded says whether the server runs in this process.
func (c Config) embedded() bool { return c.URL == "" }

// servers returns the URLs, none for the embedded engine.
func (c Config) servers() []string { return split(c.URL) }

func split(list string) []string {
	var out []string
	for u := range strings.SplitSeq(list, ",") {
		if u = strings.TrimSpace(u); u != "" {
			out = append(out, u)
		}
	}
	return out
}

// monitors returns the HTTP addresses of the servers.
func (c Config) monitors() []string { return split(c.MonitorURL) }

// maxBytes returns the bytes that a stream may hold.
func (c Config) maxBytes(s queue.Stream) int64 {
	switch s {
	case queue.Events:
		return int64(c.EventsMaxBytes)
	case queue.Scored:
		return int64(c.ScoredMaxBytes)
	case queue.Dead:
		return int64(c.DeadMaxBytes)
	default:
		return 0
	}
}
