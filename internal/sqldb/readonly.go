package sqldb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// OpenReadOnly opens an existing file that no process writes to, and changes neither
// it nor its log: writing through either handle fails. The caller keeps writers out;
// of a file that is written to meanwhile, answers may be wrong.
func OpenReadOnly(ctx context.Context, path string, o Options) (*DB, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := &DB{path: abs, opts: o, log: o.Logger, stop: func() {}, done: make(chan struct{})}
	close(db.done) // there is no log to keep short
	c := readerConnector(abs, o)
	// What a log holds is part of the database. Without one, SQLite is told that the
	// file does not change, or it would make a log beside it.
	if c.dsn += "&mode=ro"; fileSize(abs+"-wal") == 0 {
		c.dsn += "&immutable=1"
	}
	db.writer, db.reader = openPool(c, 1), openPool(c, o.Readers)
	if err := db.checkReadOnly(ctx); err != nil {
		err = fmt.Errorf("open database %s: %w", path, Wrap(err))
		return nil, errors.Join(err, db.writer.Close(), db.reader.Close())
	}
	return db, nil
}

func (db *DB) checkReadOnly(ctx context.Context) error {
	var id int32
	if err := db.reader.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return fmt.Errorf("read application id: %w", err)
	}
	if want := db.opts.ApplicationID; want != 0 && id != want {
		return fmt.Errorf("the file's application id is %#x instead of %#x: it belongs to another service; check the path", id, want)
	}
	return nil
}

// State tells apart two states of the file of a stopped owner, by the sizes and
// times of the file and its log.
func (db *DB) State() (string, error) {
	file, err := os.Stat(db.path)
	if err != nil {
		return "", fmt.Errorf("look at database: %w", err)
	}
	state := fmt.Sprintf("%d bytes of %d", file.Size(), file.ModTime().UnixMicro())
	if log, err := os.Stat(db.path + "-wal"); err == nil && log.Size() > 0 {
		state += fmt.Sprintf(", log %d bytes of %d", log.Size(), log.ModTime().UnixMicro())
	}
	return state, nil
}
