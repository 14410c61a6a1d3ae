// Package dims numbers the projects and the combinations of source, language and
// model that occur, for a store's one writer.
package dims

import "github.com/synapse-analytics/synapse/services/query"

// maxCached bounds each map of the cache; a full one is emptied.
const maxCached = 1 << 16

// Key is a combination of a project.
type Key struct {
	Project                 int64
	Source, Language, Model string
}

// IDs are the row of a combination and the row that rollups count it as: itself, or
// one with query.Other for values beyond the bounds.
type IDs struct{ ID, Fold int64 }

// Table is where they are kept, inside a transaction of the writer.
type Table interface {
	// FindProject returns a project's number; 0 when it is not known.
	FindProject(name string) (int64, error)
	// AddProject numbers a new project.
	AddProject(name string) (int64, error)
	// FindDims returns a combination; zero when it is not known.
	FindDims(k Key) (IDs, error)
	// AddDims adds a combination; a fold of 0 is itself.
	AddDims(k Key, fold int64) (IDs, error)
	// OwnDims calls f with the values of each combination that is its own fold.
	OwnDims(project int64, f func(source, language, model string)) error
}

// Cache remembers rows of the tables. It must be forgotten (set to its zero value)
// when a transaction fails, since it may hold rows that were undone.
type Cache struct {
	projects map[string]int64
	dims     map[Key]IDs
	distinct map[int64]*distinct
	lastKey  Key
	last     IDs
}

// distinct are the values of a project that the rollups keep apart.
type distinct struct{ sources, languages, models map[string]struct{} }

// Project returns the number of a project, which it makes if it is new.
func (c *Cache) Project(t Table, name string) (int64, error) {
	if id, ok := c.projects[name]; ok {
		return id, nil
	}
	id, err := t.FindProject(name)
	if err == nil && id == 0 {
		id, err = t.AddProject(name)
	}
	if err != nil {
		return 0, err
	}
	if c.projects == nil || len(c.projects) >= maxCached {
		c.projects = map[string]int64{}
	}
	c.projects[name] = id
	return id, nil
}

// Dims returns the rows of a combination, which it makes if it is new.
func (c *Cache) Dims(t Table, key Key) (IDs, error) {
	if key == c.lastKey {
		return c.last, nil
	}
	ids, ok := c.dims[key]
	if !ok {
		var err error
		if ids, err = c.find(t, key); err != nil {
			return IDs{}, err
		}
		if c.dims == nil || len(c.dims) >= maxCached {
			c.dims = map[Key]IDs{}
		}
		c.dims[key] = ids
	}
	c.lastKey, c.last = key, ids
	return ids, nil
}

func (c *Cache) find(t Table, key Key) (IDs, error) {
	ids, err := t.FindDims(key)
	if err != nil || ids.ID != 0 {
		return ids, err
	}
	values, err := c.distinctOf(t, key.Project)
	if err != nil {
		return IDs{}, err
	}
	folded := Key{
		Project:  key.Project,
		Source:   admit(values.sources, key.Source, query.MaxSources),
		Language: admit(values.languages, key.Language, query.MaxLanguages),
		Model:    admit(values.models, key.Model, query.MaxModels),
	}
	if folded == key {
		return t.AddDims(key, 0)
	}
	// All values of folded are admitted, so this goes no deeper.
	target, err := c.Dims(t, folded)
	if err != nil {
		return IDs{}, err
	}
	return t.AddDims(key, target.Fold)
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

func (c *Cache) distinctOf(t Table, project int64) (*distinct, error) {
	if d, ok := c.distinct[project]; ok {
		return d, nil
	}
	d := &distinct{map[string]struct{}{}, map[string]struct{}{}, map[string]struct{}{}}
	err := t.OwnDims(project, func(source, language, model string) {
		for i, set := range []map[string]struct{}{d.sources, d.languages, d.models} {
			if v := [...]string{source, language, model}[i]; v != query.Other {
				set[v] = struct{}{}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if c.distinct == nil || len(c.distinct) >= 1024 {
		c.distinct = map[int64]*distinct{}
	}
	c.distinct[project] = d
	return d, nil
}
