package jetstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/synapse-analytics/synapse/internal/config"
	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// minServer is the oldest server that is used: those before lose acknowledged
	// messages although they are told to fsync always (nats-server #8475).
	minServer = "2.15.2"
	// surveyEvery is how often the servers are looked at while the engine is open.
	surveyEvery = time.Minute
	// surveyTimeout bounds one look at all servers.
	surveyTimeout = 10 * time.Second
	// monitorTimeout bounds the answer of one server's HTTP port.
	monitorTimeout = 2 * time.Second
	// monitorBytes bounds its size.
	monitorBytes = 1 << 20
)

// SyncUnknown is Server.Sync when nobody says: a server tells its sync_interval
// on its HTTP monitoring port only.
const SyncUnknown = "unknown"

// Server is what is known of a server.
type Server struct {
	// Name in the cluster.
	Name string
	// Version, empty if unknown.
	Version string
	// Sync is SyncAlways when the server fsyncs before it acknowledges, SyncUnknown,
	// or else the time between two fsyncs.
	Sync string
}

// Problem is something at the servers that an operator should change.
type Problem struct {
	// Severe: acknowledged messages may be lost. Otherwise something is unknown or
	// will be a problem when more fails.
	Severe bool
	// Text says what is wrong, Remedy what to do.
	Text, Remedy string
}

// Survey is what a look at the servers found.
type Survey struct {
	// Servers by name: those that keep copies and those that monitor_url lists.
	Servers []Server
	// Problems, the severe first.
	Problems []Problem
}

// Inspect looks at the servers that the configuration names, by URL, and changes
// nothing. It is bounded by ctx.
func Inspect(ctx context.Context, cfg Config, log *slog.Logger) (Survey, error) {
	if err := cfg.Validate(); err != nil {
		return Survey{}, fmt.Errorf("queue config: %w", err)
	}
	if cfg.embedded() {
		return Survey{}, errors.New("queue: url is not set; there is no server to look at")
	}
	q := newQueue(cfg, log, nil)
	var err error
	if q.nc, err = q.connect(ctx); err != nil {
		return Survey{}, err
	}
	defer q.nc.Close()
	defer q.markClosed()
	if q.js, err = jetstream.New(q.nc, jetstream.WithDefaultTimeout(cfg.PublishTimeout)); err != nil {
		return Survey{}, fmt.Errorf("jetstream client: %w", err)
	}
	return q.survey(ctx), nil
}

// survey asks the connected server for the streams and every monitoring port for
// its server's settings. What does not answer is a problem, not an error.
func (q *Queue) survey(ctx context.Context) Survey {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var s Survey
	bad := func(severe bool, remedy, format string, args ...any) {
		s.Problems = append(s.Problems, Problem{Severe: severe, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	servers := map[string]*Server{}
	server := func(name string) *Server {
		if servers[name] == nil {
			servers[name] = &Server{Name: name, Sync: SyncUnknown}
		}
		return servers[name]
	}
	server(q.nc.ConnectedServerName()).Version = q.nc.ConnectedServerVersion()

	for _, name := range queue.Streams() {
		st, err := q.js.Stream(ctx, string(name))
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			continue // it is made when a process opens the queue
		case err != nil:
			bad(false, "check the servers; JetStream must be enabled and have a leader", "stream %s does not answer: %v", name, err)
			continue
		}
		info := st.CachedInfo()
		if drift := driftOf(info.Config, q.streamConfig(name)); drift != "" {
			bad(false, "processes bring it to the configuration when they start, or refuse to; correct either", "stream %s differs from the configuration: %s", name, drift)
		}
		if info.Cluster == nil {
			continue
		}
		if info.Cluster.Leader != "" {
			server(info.Cluster.Leader)
		}
		for _, r := range info.Cluster.Replicas {
			server(r.Name)
			if r.Offline || !r.Current {
				bad(false, "start that server, or wait until it has caught up; meanwhile fewer failures are survived", "stream %s: the copy on %s is not up to date", name, r.Name)
			}
		}
	}
	for i, v := range q.monitors(ctx) {
		if v.err != nil {
			bad(false, "check that the address is right and that the server has http_port set", "monitor_url %s: %v", q.cfg.monitors()[i], v.err)
			continue
		}
		sv := server(v.Name)
		sv.Version = v.Version
		switch c := v.JetStream.Config; {
		case c == nil:
			bad(false, "enable JetStream on it, or leave it out of monitor_url", "server %s has no JetStream", v.Name)
		case c.SyncAlways:
			sv.Sync = SyncAlways
		default:
			sv.Sync = c.SyncInterval.String()
		}
	}
	for _, sv := range servers {
		s.Servers = append(s.Servers, *sv)
		if sv.Version != "" && !atLeast(sv.Version, minServer) {
			bad(true, "use nats-server "+minServer+" or later", "server %s is version %s, which has bugs that lose acknowledged messages", sv.Name, sv.Version)
		}
		switch sv.Sync {
		case SyncAlways:
		case SyncUnknown:
			bad(false, "set queue.monitor_url to the HTTP monitoring address of every server (http_port of its configuration)",
				"whether server %s fsyncs before it acknowledges is unknown", sv.Name)
		default:
			bad(true, "set sync_interval: always in the jetstream block of its configuration and restart it",
				"server %s acknowledges before it fsyncs (sync_interval %s): a loss of power there takes acknowledged messages", sv.Name, sv.Sync)
		}
	}
	slices.SortFunc(s.Servers, func(a, b Server) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Problems, func(a, b Problem) int {
		return cmp.Or(btoi(b.Severe)-btoi(a.Severe), strings.Compare(a.Text, b.Text))
	})
	return s
}

// varz is the part of a server's /varz that is read.
type varz struct {
	Name      string `json:"server_name"`
	Version   string `json:"version"`
	JetStream struct {
		Config *struct {
			SyncAlways   bool          `json:"sync_always"`
			SyncInterval time.Duration `json:"sync_interval"`
		} `json:"config"`
	} `json:"jetstream"`

	err error
}

// monitors asks all monitoring ports at the same time; the answers are in the
// order of the addresses.
func (q *Queue) monitors(ctx context.Context) []varz {
	urls := q.cfg.monitors()
	out := make([]varz, len(urls))
	client, err := q.monitorClient()
	if err != nil {
		for i := range out {
			out[i].err = err
		}
		return out
	}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i, u := range urls {
		wg.Go(func() { out[i].err = out[i].read(ctx, client, u) })
	}
	wg.Wait()
	return out
}

func (v *varz) read(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answers %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, monitorBytes)).Decode(v); err != nil {
		return fmt.Errorf("is no NATS server's: %w", err)
	}
	if v.Name == "" || v.Version == "" {
		return errors.New("is no NATS server's: it names no server")
	}
	return nil
}

func (q *Queue) monitorClient() (*http.Client, error) {
	tr := &http.Transport{}
	if q.cfg.CAFile != "" {
		pem, err := os.ReadFile(q.cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca_file: holds no certificate")
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: tr, Timeout: monitorTimeout}, nil
}

// atLeast compares versions such as 2.15.2 or 2.16.0-beta.1; one that can not be
// read is not.
func atLeast(version, least string) bool {
	have, ok1 := numbers(version)
	want, ok2 := numbers(least)
	return ok1 && ok2 && slices.Compare(have[:], want[:]) >= 0
}

func numbers(version string) (out [3]int, ok bool) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	parts := strings.Split(version, ".")
	if len(parts) != len(out) {
		return out, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return out, false
		}
		out[i] = n
	}
	return out, true
}

// checkServer refuses the connected server when it must not be used.
func (q *Queue) checkServer(version string, maxPayload int64) error {
	if maxPayload < queue.MaxMessageBytes+headerRoom {
		return fmt.Errorf("the NATS server takes messages of at most %s; set max_payload: 8MB in its configuration", config.Bytes(maxPayload))
	}
	if !atLeast(version, minServer) {
		return fmt.Errorf("the NATS server is version %s, which has bugs that lose acknowledged messages; use %s or later", version, minServer)
	}
	return nil
}

// watchServers looks at the servers again and again until ctx ends.
func (q *Queue) watchServers(ctx context.Context) {
	tick := time.NewTicker(surveyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !q.nc.IsConnected() {
				continue
			}
			if s := q.survey(ctx); ctx.Err() == nil {
				q.note(s)
			}
		}
	}
}

// note keeps a survey for the metrics and logs the problems that are new.
func (q *Queue) note(s Survey) {
	old := q.surveyed.Swap(&s)
	for _, p := range s.Problems {
		if old != nil && slices.Contains(old.Problems, p) {
			continue
		}
		level := slog.LevelWarn
		if p.Severe {
			level = slog.LevelError
		}
		q.log.Log(context.Background(), level, "queue: the NATS servers should be otherwise", "problem", p.Text, "remedy", p.Remedy)
	}
}

// servers returns what is known of the servers.
func (q *Queue) servers() []Server {
	if q.srv != nil {
		sync := SyncAlways
		if q.cfg.Sync != SyncAlways {
			sync = q.cfg.SyncInterval.String()
		}
		return []Server{{Name: "embedded", Sync: sync}}
	}
	if s := q.surveyed.Load(); s != nil {
		return s.Servers
	}
	return nil
}
