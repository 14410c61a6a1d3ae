package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/synapse-analytics/synapse/internal/backup"
	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/schema"
	"github.com/synapse-analytics/synapse/internal/sqldb"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

// Backup copies the stores of the roles that keep data, and credentials.json, into the
// folder dir, which must not exist. Servers may run meanwhile: each store is copied as
// it is at one moment. The queue is not copied; what a store lacks comes from there.
// tools is the folder of PostgreSQL's programs, or empty to look for them.
func Backup(ctx context.Context, cfg Config, roles []Role, dir, tools string) (backup.Manifest, error) {
	m := backup.Manifest{Version: Version, Start: time.Now().UTC()}
	return backup.Create(dir, m, func(folder string, m *backup.Manifest) error {
		// What is referred to is copied after what refers to it: the keys of
		// credentials.json and the projects of events are in the store of auth, where
		// nothing of them is removed.
		places := cfg.places(roles)
		slices.Reverse(places)
		if slices.Contains(roles, Auth) {
			if err := copyCredentials(cfg, folder); err != nil {
				return err
			}
		}
		for _, p := range places {
			s, err := p.backup(ctx, folder, tools)
			if err != nil {
				return fmt.Errorf("%s: %w", p.role, err)
			}
			m.Stores = append(m.Stores, s)
		}
		m.End = time.Now().UTC()
		return nil
	})
}

// copyCredentials copies the file of the first start, if there is one.
func copyCredentials(cfg Config, folder string) error {
	b, err := os.ReadFile(cfg.path(auth.CredentialsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, auth.CredentialsFile), b, 0o600) //nolint:gosec // the operator's path is the point
}

func (p place) backup(ctx context.Context, folder, tools string) (backup.Store, error) {
	s := backup.Store{Role: string(p.role), Engine: p.engine(), File: string(p.role) + ".db"}
	if p.url.URL == "" {
		path := filepath.Join(folder, s.File)
		err := sqldb.BackupFile(ctx, p.file, path)
		if errors.Is(err, fs.ErrNotExist) {
			return s, fmt.Errorf("there is no %s; give the --data of the server", p.file)
		}
		if err != nil {
			return s, err
		}
		have, err := sqldb.FileSchema(ctx, path, p.steps)
		if err != nil {
			return s, err
		}
		return s, sqldb.ReadFile(ctx, path, func(tx *sql.Tx) error { return p.describe(ctx, tx, have, &s) })
	}
	s.File = string(p.role) + ".dump"
	found, err := pgdb.FindTools(tools)
	if err != nil {
		return s, fmt.Errorf("%w (--pg-bin)", err)
	}
	db, err := p.db(ctx)
	if err != nil {
		return s, err
	}
	err = db.Dump(ctx, found, filepath.Join(folder, s.File), func(ctx context.Context, tx *sql.Tx, namespace string) error {
		s.Namespace = namespace
		have, err := pgdb.ReadSchema(ctx, tx, p.steps)
		if err != nil {
			return err
		}
		return p.describe(ctx, tx, have, &s)
	})
	return s, errors.Join(err, db.Close())
}

// describe notes what the copy has.
func (p place) describe(ctx context.Context, q sqlread.Querier, have schema.State, s *backup.Store) error {
	switch {
	case have.Later > 0:
		return errors.New("the schema has steps of a later version; make the backup with that version")
	case len(have.Applied) == 0:
		return errors.New("the store has no tables: it never ran")
	}
	s.Schema = have.Applied
	if p.role != Query {
		return nil
	}
	positions, err := sqlread.Positions(ctx, q)
	if err != nil {
		return err
	}
	s.Positions = map[string]backup.Position{}
	for stream, at := range positions {
		s.Positions[string(stream)] = backup.Position{Epoch: at.Epoch, Sequence: at.Sequence}
	}
	return nil
}

// Restore puts the stores of a backup into the places that the configuration names,
// which must be empty. It checks everything before it writes anything; what it writes
// to a PostgreSQL database or as a file is there as a whole or not at all.
func Restore(ctx context.Context, cfg Config, dir, tools string) (backup.Manifest, error) {
	m, err := backup.Open(dir)
	if err != nil {
		return m, err
	}
	if err := m.Verify(ctx, dir); err != nil {
		return m, err
	}
	r := restoration{cfg: cfg, dir: dir, manifest: m}
	if slices.ContainsFunc(m.Stores, func(s backup.Store) bool { return s.Engine == "postgres" }) {
		if r.tools, err = pgdb.FindTools(tools); err != nil {
			return m, fmt.Errorf("%w (--pg-bin)", err)
		}
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return m, fmt.Errorf("data folder: %w", err)
	}
	lock, err := lockFolder(cfg.Data, "lock")
	if err != nil {
		return m, err
	}
	return m, errors.Join(r.run(ctx), lock.Close())
}

type restoration struct {
	cfg      Config
	dir      string
	manifest backup.Manifest
	tools    pgdb.Tools
	files    map[string]string // name in the backup -> path
}

func (r *restoration) run(ctx context.Context) (err error) {
	r.files = map[string]string{}
	var databases []restore
	for _, s := range r.manifest.Stores {
		p, err := r.place(s)
		if err != nil {
			return err
		}
		if p.url.URL == "" {
			r.files[s.File] = p.file
			continue
		}
		db, err := p.db(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", p.role, err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if err := db.CheckEmpty(ctx, s.Namespace); err != nil {
			return fmt.Errorf("%s: %w", p.role, err)
		}
		databases = append(databases, restore{s, db})
	}
	if slices.ContainsFunc(r.manifest.Files, func(f backup.File) bool { return f.Name == auth.CredentialsFile }) {
		r.files[auth.CredentialsFile] = r.cfg.path(auth.CredentialsFile)
	}
	for _, path := range r.files {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if _, err := os.Lstat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s exists already: give an empty data folder, in which nothing but the queue may be", path+suffix)
			}
		}
	}
	for _, d := range databases {
		if err := d.db.Restore(ctx, r.tools, filepath.Join(r.dir, d.store.File), d.store.Namespace); err != nil {
			return fmt.Errorf("%s: %w", d.store.Role, err)
		}
	}
	return r.copyFiles(ctx)
}

// restore is a database to be filled.
type restore struct {
	store backup.Store
	db    *pgdb.DB
}

// place finds where a store goes.
func (r *restoration) place(s backup.Store) (place, error) {
	places := r.cfg.places([]Role{Role(s.Role)})
	if len(places) != 1 {
		return place{}, fmt.Errorf("the backup has a store of %q, which this version does not know", s.Role)
	}
	p := places[0]
	if p.engine() != s.Engine {
		return p, fmt.Errorf("the backup's store of %s is one of %s, the configuration names %s: a backup is restored into the engine that it is of", s.Role, s.Engine, p.engine())
	}
	known, err := schema.Steps(p.steps)
	if err != nil {
		return p, err
	}
	for _, step := range s.Schema {
		if !slices.Contains(known, step) {
			return p, fmt.Errorf("the backup's store of %s has step %s, which this version does not know: restore with version %s or a later one", s.Role, step, r.manifest.Version)
		}
	}
	return p, nil
}

// copyFiles gives the files their names when all of them are there.
func (r *restoration) copyFiles(ctx context.Context) (err error) {
	const unfinished = ".restoring"
	var made []string
	defer func() {
		for _, path := range made {
			if rerr := os.Remove(path + unfinished); !errors.Is(rerr, fs.ErrNotExist) {
				err = errors.Join(err, rerr)
			}
		}
	}()
	for name, path := range r.files {
		if err := r.manifest.Copy(ctx, r.dir, name, path+unfinished); err != nil {
			return err
		}
		made = append(made, path)
	}
	for _, path := range made {
		if err := os.Rename(path+unfinished, path); err != nil {
			return err
		}
	}
	return backup.Sync(r.cfg.Data)
}
