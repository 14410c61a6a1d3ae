package app

import (
	"context"

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
