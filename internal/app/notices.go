package app

import (
	"context"
	"errors"
	"sync"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/redisdb"
)

// notices are the ways by which what auth has revoked reaches every process: the
// queue's control subject and, if there is one, Redis. Each notice goes by both, so
// that one of them is enough; who gets it twice refuses twice, which changes nothing.
type notices struct {
	queue queue.Queue
	redis *redisdb.DB // nil without
}

// Notify sends a notice by every way at once. An error says that one of them failed:
// auth repeats the notice then, since somebody may listen on that one only.
func (n notices) Notify(ctx context.Context, data []byte) error {
	if n.redis == nil {
		return n.queue.Notify(ctx, data)
	}
	var byRedis error
	var sending sync.WaitGroup
	sending.Go(func() { byRedis = n.redis.Notify(ctx, data) })
	byQueue := n.queue.Notify(ctx, data)
	sending.Wait()
	return errors.Join(byQueue, byRedis)
}

// Listen calls f for every notice, at the same time for two ways, until stop is
// called.
func (n notices) Listen(f func(data []byte)) (stop func(), err error) {
	stopQueue, err := n.queue.Listen(f)
	if err != nil || n.redis == nil {
		return stopQueue, err
	}
	stopRedis := n.redis.Listen(f)
	return func() { stopQueue(); stopRedis() }, nil
}
