package redisdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// Info is what Inspect found.
type Info struct {
	// Version of the server.
	Version string
	// Took is the time of one write.
	Took time.Duration
	// MaxMemory is the bound on its memory in bytes, 0 for none, and Policy what it
	// does there.
	MaxMemory int64
	Policy    string
}

// Inspect looks at the server once: whether it takes a write, and what it is. An error
// is that it does not.
func Inspect(ctx context.Context, c Config) (info Info, err error) {
	db, err := Open(c, metricnoop.NewMeterProvider(), slog.New(slog.DiscardHandler))
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_ = db.client.Ping(ctx).Err() // connects; the next call shows a fault, and its time
	began := time.Now()
	if err := db.look(ctx); err != nil {
		return info, fmt.Errorf("%w: %w", ErrAway, err)
	}
	info.Took = time.Since(began)
	text, err := db.client.Info(ctx, "server", "memory").Result()
	if err != nil {
		return info, fmt.Errorf("%w: %w", ErrAway, err)
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			info.Version = value
		case "maxmemory":
			info.MaxMemory, _ = strconv.ParseInt(value, 10, 64) // 0 when it is no number
		case "maxmemory_policy":
			info.Policy = value
		}
	}
	return info, nil
}
