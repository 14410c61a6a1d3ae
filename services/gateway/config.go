package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
)

// Config bounds what the gateway takes from its callers.
type Config struct {
	MaxHeaderBytes    config.Bytes  `config:"max_header_bytes" doc:"Largest request header, 4KiB to 1MiB."`
	MaxBody           config.Bytes  `config:"max_body" doc:"Largest request body as sent, packed or not, 64KiB to 256MiB."`
	MaxBodyUnpacked   config.Bytes  `config:"max_body_unpacked" doc:"Largest request body after unpacking, at least max_body, at most 1GiB."`
	MaxPackRatio      int           `config:"max_pack_ratio" doc:"Most bytes that one packed byte may unpack to once a body exceeds 1MiB, 2 to 10000."`
	MaxCallBytes      config.Bytes  `config:"max_call_bytes" doc:"Largest message for one call to a service, not above what its server takes, 64KiB to 64MiB."`
	BodyMemory        config.Bytes  `config:"body_memory" doc:"Bytes that the bodies of all requests may take at once, at least max_body_unpacked."`
	MaxRequests       int           `config:"max_requests" doc:"Requests served at once besides tails, 1 to 1000000; more get 503."`
	MaxTails          int           `config:"max_tails" doc:"Live tails served at once, 1 to 100000; more get 429."`
	MaxResults        int           `config:"max_results" doc:"Verdicts listed in one answer to NDJSON, 1000 to 1000000; the lines after that are not read."`
	ReadHeaderTimeout time.Duration `config:"read_header_timeout" doc:"Time for a request header, 100ms to 1m."`
	BodyReadTimeout   time.Duration `config:"body_read_timeout" doc:"Time between two reads of a body, 100ms to 5m."`
	BodyTimeout       time.Duration `config:"body_timeout" doc:"Time for a whole body, at least body_read_timeout, at most 1h."`
	RequestTimeout    time.Duration `config:"request_timeout" doc:"Time for a call to a service, 100ms to 10m."`
	WriteTimeout      time.Duration `config:"write_timeout" doc:"Time from a request's header to the end of its answer, tails excepted, at least request_timeout plus body_timeout, at most 2h."`
	IdleTimeout       time.Duration `config:"idle_timeout" doc:"Time that a connection may stay open without a request, 1s to 1h."`
	TailHeartbeat     time.Duration `config:"tail_heartbeat" doc:"Time without a message after which a tail gets a sign of life, 10ms to 1m."`
	TailWriteTimeout  time.Duration `config:"tail_write_timeout" doc:"Time for one write to a tail before it is cut, 100ms to 5m."`
	MergeCalls        bool          `config:"merge_calls" doc:"Whether small ingest requests with the same credential that arrive at the same time share a call to the service."`
	Docs              bool          `config:"docs" doc:"Whether /docs and /openapi.json are served."`
	Dashboard         bool          `config:"dashboard" doc:"Whether the dashboard is served at /."`
	TrustedProxies    []string      `config:"trusted_proxies" doc:"Addresses or networks whose X-Forwarded-Proto header is believed, for example 10.0.0.0/8."`
}

// DefaultConfig returns the configuration that is used when nothing is set.
func DefaultConfig() Config {
	return Config{
		MaxHeaderBytes:    16 << 10,
		MaxBody:           8 << 20,
		MaxBodyUnpacked:   32 << 20,
		MaxPackRatio:      100,
		MaxCallBytes:      8 << 20,
		BodyMemory:        256 << 20,
		MaxRequests:       4096,
		MaxTails:          1000,
		MaxResults:        100_000,
		ReadHeaderTimeout: 5 * time.Second,
		BodyReadTimeout:   10 * time.Second,
		BodyTimeout:       time.Minute,
		RequestTimeout:    30 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		TailHeartbeat:     15 * time.Second,
		TailWriteTimeout:  10 * time.Second,
		MergeCalls:        true,
		Docs:              true,
		Dashboard:         true,
	}
}

// Validate reports every value that is out of its bounds.
func (c Config) Validate() error {
	var bad []error
	size := func(name string, v, lo, hi config.Bytes) { bad = append(bad, within(name, v, lo, hi)) }
	span := func(name string, v, lo, hi time.Duration) { bad = append(bad, within(name, v, lo, hi)) }
	count := func(name string, v, lo, hi int) { bad = append(bad, within(name, v, lo, hi)) }
	size("max_header_bytes", c.MaxHeaderBytes, 4<<10, 1<<20)
	size("max_body", c.MaxBody, 64<<10, 256<<20)
	size("max_body_unpacked", c.MaxBodyUnpacked, c.MaxBody, 1<<30)
	size("max_call_bytes", c.MaxCallBytes, 64<<10, 64<<20)
	size("body_memory", c.BodyMemory, c.MaxBodyUnpacked, 1<<40)
	count("max_pack_ratio", c.MaxPackRatio, 2, 10_000)
	count("max_requests", c.MaxRequests, 1, 1_000_000)
	count("max_tails", c.MaxTails, 1, 100_000)
	count("max_results", c.MaxResults, 1000, 1_000_000)
	span("read_header_timeout", c.ReadHeaderTimeout, 100*time.Millisecond, time.Minute)
	span("body_read_timeout", c.BodyReadTimeout, 100*time.Millisecond, 5*time.Minute)
	span("body_timeout", c.BodyTimeout, c.BodyReadTimeout, time.Hour)
	span("request_timeout", c.RequestTimeout, 100*time.Millisecond, 10*time.Minute)
	span("write_timeout", c.WriteTimeout, c.RequestTimeout+c.BodyTimeout, 2*time.Hour)
	span("idle_timeout", c.IdleTimeout, time.Second, time.Hour)
	span("tail_heartbeat", c.TailHeartbeat, 10*time.Millisecond, time.Minute)
	span("tail_write_timeout", c.TailWriteTimeout, 100*time.Millisecond, 5*time.Minute)
	if _, err := prefixes(c.TrustedProxies); err != nil {
		bad = append(bad, fmt.Errorf("trusted_proxies: %w; write addresses such as 10.1.2.3 or networks such as 10.0.0.0/8", err))
	}
	return errors.Join(bad...)
}

// within says in an error if v is not from lo to hi.
func within[T cmp.Ordered](name string, v, lo, hi T) error {
	if v >= lo && v <= hi {
		return nil
	}
	return fmt.Errorf("%s: is %v but must be from %v to %v; choose a value in that range or leave it out", name, v, lo, hi)
}

// prefixes reads addresses and networks.
func prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			a = a.Unmap()
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
