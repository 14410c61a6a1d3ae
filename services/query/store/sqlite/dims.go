package sqlite

import (
	"database/sql/driver"

	"github.com/synapse-analytics/synapse/services/query"
)

// maxCached bounds each map of the writer's cache; a full one is emptied.
const maxCached = 1 << 16

// writerCache remembers rows of the small tables. It is emptied when a
// transaction fails, since it may hold rows that were undone.
type writerCache struct {
	next     int64 // Seq to give next; 0 is unknown
	dead     *bool // whether there are dead letters; nil is unknown
	projects map[string]int64
	dims     map[dimKey]dimIDs
	distinct map[int64]*distinct
	lastKey  dimKey
	lastIDs  dimIDs
}

type dimKey struct {
	project                 int64
	source, language, model string
}

// dimIDs are the row of a combination and the row that rollups count it as.
type dimIDs struct{ id, fold int64 }

// distinct are the values of a project that the rollups keep apart.
type distinct struct{ sources, languages, models map[string]struct{} }

func (s *Store) forget() { s.cache = writerCache{} }

// project returns the number of a project, which it makes if it is new.
func (s *Store) project(c *rawConn, name string) (int64, error) {
	if id, ok := s.cache.projects[name]; ok {
		return id, nil
	}
	id := int64(0)
	read := func(row []driver.Value) error { id = asInt(row[0]); return nil }
	err := c.query("SELECT id FROM projects WHERE name = ?", read, name)
	if err == nil && id == 0 {
		err = c.query("INSERT INTO projects (name) VALUES (?) RETURNING id", read, name)
	}
	if err != nil {
		return 0, err
	}
	if s.cache.projects == nil || len(s.cache.projects) >= maxCached {
		s.cache.projects = map[string]int64{}
	}
	s.cache.projects[name] = id
	return id, nil
}

// dimensions returns the rows of a combination, which it makes if it is new.
func (s *Store) dimensions(c *rawConn, key dimKey) (dimIDs, error) {
	if key == s.cache.lastKey {
		return s.cache.lastIDs, nil
	}
	ids, ok := s.cache.dims[key]
	if !ok {
		var err error
		if ids, err = s.findDimensions(c, key); err != nil {
			return dimIDs{}, err
		}
		if s.cache.dims == nil || len(s.cache.dims) >= maxCached {
			s.cache.dims = map[dimKey]dimIDs{}
		}
		s.cache.dims[key] = ids
	}
	s.cache.lastKey, s.cache.lastIDs = key, ids
	return ids, nil
}

func (s *Store) findDimensions(c *rawConn, key dimKey) (dimIDs, error) {
	var ids dimIDs
	read := func(row []driver.Value) error { ids = dimIDs{asInt(row[0]), asInt(row[1])}; return nil }
	err := c.query("SELECT id, fold FROM dims WHERE project = ? AND source = ? AND language = ? AND model = ?",
		read, key.project, key.source, key.language, key.model)
	if err != nil || ids.id != 0 {
		return ids, err
	}
	values, err := s.distinctOf(c, key.project)
	if err != nil {
		return dimIDs{}, err
	}
	folded := dimKey{
		project:  key.project,
		source:   admit(values.sources, key.source, query.MaxSources),
		language: admit(values.languages, key.language, query.MaxLanguages),
		model:    admit(values.models, key.model, query.MaxModels),
	}
	if folded == key {
		err = c.query("INSERT INTO dims (project, source, language, model, fold) VALUES (?, ?, ?, ?, 0) RETURNING id, id",
			read, key.project, key.source, key.language, key.model)
		if err == nil {
			err = c.exec("UPDATE dims SET fold = id WHERE id = ?", ids.id)
		}
		return ids, err
	}
	// All values of folded are admitted, so this goes no deeper.
	target, err := s.dimensions(c, folded)
	if err != nil {
		return dimIDs{}, err
	}
	err = c.query("INSERT INTO dims (project, source, language, model, fold) VALUES (?, ?, ?, ?, ?) RETURNING id, fold",
		read, key.project, key.source, key.language, key.model, target.fold)
	return ids, err
}

// admit returns the value, or Other when it is new and the set is full. A value
// once admitted stays: the fold of a combination never changes.
func admit(set map[string]struct{}, value string, bound int) string {
	if _, ok := set[value]; ok || value == query.Other {
		return value
	}
	if len(set) >= bound {
		return query.Other
	}
	set[value] = struct{}{}
	return value
}

func (s *Store) distinctOf(c *rawConn, project int64) (*distinct, error) {
	if d, ok := s.cache.distinct[project]; ok {
		return d, nil
	}
	d := &distinct{map[string]struct{}{}, map[string]struct{}{}, map[string]struct{}{}}
	err := c.query("SELECT source, language, model FROM dims WHERE project = ? AND fold = id", func(row []driver.Value) error {
		for i, set := range []map[string]struct{}{d.sources, d.languages, d.models} {
			if v := asText(row[i]); v != query.Other {
				set[v] = struct{}{}
			}
		}
		return nil
	}, project)
	if err != nil {
		return nil, err
	}
	if s.cache.distinct == nil || len(s.cache.distinct) >= 1024 {
		s.cache.distinct = map[int64]*distinct{}
	}
	s.cache.distinct[project] = d
	return d, nil
}
