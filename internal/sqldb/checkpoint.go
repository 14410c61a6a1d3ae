package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// truncateWait bounds how long a truncating checkpoint waits for readers while
// it holds the writer.
const truncateWait = 100 * time.Millisecond

// watchWAL truncates the write-ahead log when its file has grown past the bound.
// A log that a reader pins is tried again less and less often, at most every
// 32 intervals, since each try stalls the writer.
func (db *DB) watchWAL(ctx context.Context) {
	ticker := time.NewTicker(db.opts.CheckInterval)
	defer ticker.Stop()
	skip, backoff := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		size := fileSize(db.path + "-wal")
		if size <= db.opts.MaxWALBytes {
			skip, backoff = 0, 0
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		ok, err := db.TruncateWAL(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			db.log.WarnContext(ctx, "write-ahead log could not be truncated", "path", db.path, "bytes", size, "error", err)
		case !ok:
			db.pinned.Add(1)
			db.log.WarnContext(ctx, "write-ahead log is pinned by a reader", "path", db.path, "bytes", size)
		default:
			db.truncations.Add(1)
			skip, backoff = 0, 0
			continue
		}
		backoff = min(max(1, backoff*2), 32)
		skip = backoff
	}
}

// TruncateWAL writes the whole log into the file and cuts it to nothing. It
// reports false when a reader still needs the log; then nothing is lost, and the
// next try may succeed. It holds the writer for at most 0.1 s of waiting plus
// the time of the copy.
func (db *DB) TruncateWAL(ctx context.Context) (bool, error) {
	conn, err := db.acquire(ctx, db.writer)
	if err != nil {
		return false, fmt.Errorf("truncate write-ahead log: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := setBusyTimeout(ctx, conn, truncateWait); err != nil {
		return false, err
	}
	// The connection goes back to the pool, so its timeout must be as before,
	// whatever becomes of the context.
	defer func() { _ = setBusyTimeout(context.WithoutCancel(ctx), conn, db.opts.BusyTimeout) }()
	var busy, pages, done int
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &done)
	if err != nil {
		return false, fmt.Errorf("truncate write-ahead log: %w", withContext(ctx, err))
	}
	return busy == 0, nil
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, d time.Duration) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", d.Milliseconds()))
	if err != nil {
		return fmt.Errorf("set busy timeout: %w", withContext(ctx, err))
	}
	return nil
}
