package app

import (
	"context"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/blob/folder"
	"github.com/synapse-analytics/synapse/internal/blob/s3"
	"github.com/synapse-analytics/synapse/services/ingest/archive"
)

// OpenBlob opens the blob store that the configuration names.
func OpenBlob(c blob.Config) (blob.Store, error) {
	if _, _, ok := c.Bucket(); ok {
		return s3.Open(c)
	}
	return folder.Open(c.URL)
}

// startArchive runs the archive where ingest runs.
func (a *App) startArchive(context.Context) error {
	if !a.cfg.Archive.Enabled || !a.has(Ingest) {
		return nil
	}
	return a.runArchive()
}

func (a *App) runArchive() error {
	store, err := OpenBlob(a.cfg.Blob)
	if err != nil {
		return err
	}
	a.blob = store
	a.archive, err = archive.New(a.cfg.Archive, a.queue, store, a.log().With("role", string(Ingest)), a.tel.MeterProvider)
	if err != nil {
		return err
	}
	a.archive.Start()
	return nil
}

// stopArchive is called after ingest has stopped, so that all it accepted is
// archived.
func (a *App) stopArchive(ctx context.Context) error {
	if a.archive == nil {
		return nil
	}
	if err := a.archive.Stop(ctx); err != nil {
		return err
	}
	return a.blob.Close()
}

// archiveConsumers are the consumers of EVENTS that the archive adds to those which
// keep messages from being trimmed.
func (c Config) archiveConsumers() []string {
	if c.Archive.Enabled {
		return []string{archive.Consumer}
	}
	return nil
}
