package sqlite

import (
	"database/sql/driver"

	"github.com/synapse-analytics/synapse/services/query/store/dims"
)

// writerCache remembers rows of the small tables. It is emptied when a
// transaction fails, since it may hold rows that were undone.
type writerCache struct {
	next int64 // Seq to give next; 0 is unknown
	dead *bool // whether there are dead letters; nil is unknown
	dims dims.Cache
}

func (s *Store) forget() { s.cache = writerCache{} }

// table implements dims.Table.
type table struct{ c *rawConn }

// FindProject implements dims.Table.
func (t table) FindProject(name string) (id int64, err error) {
	err = t.c.query("SELECT id FROM projects WHERE name = ?", func(row []driver.Value) error { id = asInt(row[0]); return nil }, name)
	return id, err
}

// AddProject implements dims.Table.
func (t table) AddProject(name string) (id int64, err error) {
	err = t.c.query("INSERT INTO projects (name) VALUES (?) RETURNING id", func(row []driver.Value) error { id = asInt(row[0]); return nil }, name)
	return id, err
}

// FindDims implements dims.Table.
func (t table) FindDims(k dims.Key) (ids dims.IDs, err error) {
	err = t.c.query("SELECT id, fold FROM dims WHERE project = ? AND source = ? AND language = ? AND model = ?",
		func(row []driver.Value) error { ids = dims.IDs{ID: asInt(row[0]), Fold: asInt(row[1])}; return nil },
		k.Project, k.Source, k.Language, k.Model)
	return ids, err
}

// AddDims implements dims.Table.
func (t table) AddDims(k dims.Key, fold int64) (ids dims.IDs, err error) {
	err = t.c.query("INSERT INTO dims (project, source, language, model, fold) VALUES (?, ?, ?, ?, ?) RETURNING id, fold",
		func(row []driver.Value) error { ids = dims.IDs{ID: asInt(row[0]), Fold: asInt(row[1])}; return nil },
		k.Project, k.Source, k.Language, k.Model, fold)
	if err == nil && fold == 0 {
		ids.Fold = ids.ID
		err = t.c.exec("UPDATE dims SET fold = id WHERE id = ?", ids.ID)
	}
	return ids, err
}

// OwnDims implements dims.Table.
func (t table) OwnDims(project int64, f func(source, language, model string)) error {
	return t.c.query("SELECT source, language, model FROM dims WHERE project = ? AND fold = id", func(row []driver.Value) error {
		f(asText(row[0]), asText(row[1]), asText(row[2]))
		return nil
	}, project)
}
