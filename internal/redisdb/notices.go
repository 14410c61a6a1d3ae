package redisdb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// noticeBacklog is how many notices wait for a listener before some are lost.
	noticeBacklog = 4096
	// noticeLook is how often the connection of a listener is looked at.
	noticeLook = time.Second
	// maxNotice bounds a notice, bytes.
	maxNotice = 64 << 10
)

// Notify sends a notice to every process that listens; it may be lost.
func (db *DB) Notify(ctx context.Context, data []byte) error {
	if len(data) > maxNotice {
		return fmt.Errorf("redis: a notice of %d bytes, more than %d", len(data), maxNotice)
	}
	return db.do(ctx, "PUBLISH", func(ctx context.Context) error {
		return db.client.Publish(ctx, db.Key("notices"), data).Err()
	})
}

// Listen calls f for every notice until stop is called; after stop has returned f is
// not called any more. f must not block. While the server is away notices are lost;
// the connection is made again when it is back.
func (db *DB) Listen(f func(data []byte)) (stop func()) {
	sub := db.client.Subscribe(db.ctx, db.Key("notices"))
	messages := sub.Channel(redis.WithChannelSize(noticeBacklog), redis.WithChannelHealthCheckInterval(noticeLook))
	var listening sync.WaitGroup
	listening.Go(func() {
		for m := range messages {
			f([]byte(m.Payload))
		}
	})
	return sync.OnceFunc(func() {
		_ = sub.Close() // ends the channel; its error is that of a connection that is given up
		listening.Wait()
	})
}
