package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/redisdb"
)

// oldestRedis is the least major version that is tested.
const oldestRedis = 7

// checkRedis looks at the Redis server that the configuration names.
func checkRedis(ctx context.Context, cfg app.Config) []finding {
	if cfg.Redis.URL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	info, err := redisdb.Inspect(ctx, cfg.Redis)
	if err != nil {
		return []finding{check("redis", "", err, "start Redis, or correct url, user and password below redis; without it each process keeps to its own share")}
	}
	out := []finding{{Check: "redis", OK: true, Detail: fmt.Sprintf("version %s, a write took %.1f ms", info.Version, info.Took.Seconds()*1000)}}
	major, _, _ := strings.Cut(info.Version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestRedis {
		out[0].OK, out[0].Try = false, fmt.Sprintf("run Redis %d or later", oldestRedis)
	}
	if info.Took > cfg.Redis.Timeout/2 {
		out = append(out, finding{Check: "redis", Detail: fmt.Sprintf("a write takes more than half of redis.timeout, %s", cfg.Redis.Timeout), Try: "run it nearer, or raise redis.timeout"})
	}
	if info.MaxMemory > 0 && info.Policy == "noeviction" {
		out = append(out, finding{Check: "redis", Detail: "refuses writes when its memory is full (maxmemory-policy noeviction)", Try: "set maxmemory-policy to allkeys-lru: everything there can be lost"})
	}
	return out
}

// checkBlob looks at the blob store that the configuration names.
func checkBlob(ctx context.Context, cfg app.Config) []finding {
	if cfg.Blob.URL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	start := time.Now()
	store, err := app.OpenBlob(cfg.Blob)
	if err == nil {
		_, err = store.List(ctx, "", "", 1)
		if cerr := store.Close(); err == nil {
			err = cerr
		}
	}
	return []finding{check("blob", fmt.Sprintf("%s answers in %.1f ms", cfg.Blob.URL, time.Since(start).Seconds()*1000), err,
		"correct url and what follows it below blob, and make the bucket or folder")}
}
