package sqldb

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options are the settings of a database; the zero value of each means its
// default.
type Options struct {
	// ApplicationID marks the file as one of a service (PRAGMA application_id).
	// A new file gets it; an existing one with another id is refused. 0 checks
	// nothing.
	ApplicationID int32
	// Readers is the number of reader connections, 1 to 64; default 4.
	Readers int
	// BusyTimeout is how long a statement waits for a lock that another process
	// holds; default 5 s.
	BusyTimeout time.Duration
	// AcquireTimeout is how long WithTx and View wait for a connection before
	// they answer ErrBusy; default 10 s.
	AcquireTimeout time.Duration
	// WriterCacheBytes is the page cache of the writer; default 32 MiB.
	WriterCacheBytes int64
	// ReaderCacheBytes is the page cache of each reader; default 8 MiB.
	ReaderCacheBytes int64
	// MmapBytes is how much of the file is read through a memory map; default
	// 0, none: an I/O error in a map ends the process.
	MmapBytes int64
	// AutoCheckpointPages is the number of 4 KiB pages in the write-ahead log
	// at which a commit also checkpoints; default 1000.
	AutoCheckpointPages int
	// MaxWALBytes is the size of the log's file at which it is truncated;
	// default 64 MiB.
	MaxWALBytes int64
	// CheckInterval is how often the size of the log is looked at; default 1 s.
	CheckInterval time.Duration
	// Logger gets what the package does by itself; nil is slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.AutoCheckpointPages == 0 {
		o.AutoCheckpointPages = 1000
	}
	dur(&o.BusyTimeout, 5*time.Second)
	dur(&o.AcquireTimeout, 10*time.Second)
	dur(&o.CheckInterval, time.Second)
	def(&o.WriterCacheBytes, 32<<20)
	def(&o.ReaderCacheBytes, 8<<20)
	def(&o.MaxWALBytes, 64<<20)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Readers >= 1 && o.Readers <= 64, "readers: must be 1 to 64, is %d", o.Readers)
	check(o.BusyTimeout > 0, "busy_timeout: must be positive, is %v", o.BusyTimeout)
	check(o.AcquireTimeout > 0, "acquire_timeout: must be positive, is %v", o.AcquireTimeout)
	check(o.CheckInterval > 0, "check_interval: must be positive, is %v", o.CheckInterval)
	check(o.WriterCacheBytes >= 1<<20, "writer_cache: must be at least 1 MiB, is %d", o.WriterCacheBytes)
	check(o.ReaderCacheBytes >= 1<<20, "reader_cache: must be at least 1 MiB, is %d", o.ReaderCacheBytes)
	check(o.MmapBytes >= 0, "mmap: must not be negative, is %d", o.MmapBytes)
	check(o.AutoCheckpointPages > 0, "auto_checkpoint_pages: must be positive, is %d", o.AutoCheckpointPages)
	check(o.MaxWALBytes >= 1<<20, "max_wal: must be at least 1 MiB, is %d", o.MaxWALBytes)
	return errors.Join(errs...)
}
