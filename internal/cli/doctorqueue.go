package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
)

// checkQueue looks at the NATS servers that the configuration names: what they
// are, and each thing about them that should be otherwise.
func checkQueue(ctx context.Context, cfg app.Config) []finding {
	if cfg.Queue.URL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	s, err := jetstream.Inspect(ctx, cfg.Queue, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{check("queue", "", err, "start the NATS servers, or correct url and who connects below queue")}
	}
	var servers []string
	for _, sv := range s.Servers {
		servers = append(servers, fmt.Sprintf("%s (%s, sync %s)", sv.Name, orUnknown(sv.Version), sv.Sync))
	}
	out := []finding{{Check: "queue", OK: true, Detail: "NATS servers " + strings.Join(servers, ", ")}}
	for _, p := range s.Problems {
		out = append(out, finding{Check: "queue", OK: !p.Severe, Detail: p.Text, Try: p.Remedy})
	}
	return out
}

func orUnknown(version string) string {
	if version == "" {
		return "version unknown"
	}
	return version
}
