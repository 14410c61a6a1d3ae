package app

import (
	"context"
	"fmt"

	"github.com/synapse-analytics/synapse/internal/cache"
	cacheredis "github.com/synapse-analytics/synapse/internal/cache/redis"
	"github.com/synapse-analytics/synapse/internal/limits"
	limitsredis "github.com/synapse-analytics/synapse/internal/limits/redis"
	"github.com/synapse-analytics/synapse/internal/redisdb"
	"github.com/synapse-analytics/synapse/services/ingest"
)

// startRedis prepares the connection to what processes share; without one each
// keeps to itself.
func (a *App) startRedis(context.Context) error {
	if a.cfg.Redis.URL == "" || onlyGateway(a.roles) {
		return nil
	}
	var err error
	a.redis, err = redisdb.Open(a.cfg.Redis, a.tel.MeterProvider, a.log())
	return err
}

func (a *App) stopRedis(context.Context) error {
	if a.redis == nil {
		return nil
	}
	return a.redis.Close()
}

// sharedLimits makes the token buckets of ingest's rate limits.
func (a *App) sharedLimits() func(string, limits.Config) (ingest.Buckets, error) {
	if a.redis == nil {
		return nil
	}
	return func(name string, c limits.Config) (ingest.Buckets, error) {
		return limitsredis.New(a.redis, c, limitsredis.Options{Name: name, Share: a.cfg.Redis.Share, MeterProvider: a.tel.MeterProvider})
	}
}

// newCache makes the cache of that name; nil when it is off.
func (a *App) newCache(name string, c cache.Config) (cache.Cache, error) {
	if c.Engine == cache.Off {
		return nil, nil //nolint:nilnil // no cache is an answer
	}
	m, err := cache.NewMetrics(a.tel.MeterProvider, name)
	if err != nil {
		return nil, err
	}
	if c.Engine != cache.Redis {
		return cache.NewMemory(c, m), nil
	}
	if a.redis == nil {
		return nil, fmt.Errorf("the cache of %s is to be in redis, and there is none: set redis.url, or the engine to process", name)
	}
	return cacheredis.New(a.redis, name, c.TTL, m), nil
}
