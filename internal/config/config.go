// Package config fills a typed struct from a YAML file, the environment and
// flags, in that order of strength (file < environment < flag), strictly: an
// unknown key, a value of the wrong type and a broken rule are problems, and all
// of them are reported together, each with its remedy.
//
// The struct holds the defaults when it is given to Load. Its fields carry the
// tags `config:"name"` and `doc:"one sentence"`; nested structs are sections. A
// field's path joins the names with dots ("ingest.batch.max_events"); its
// environment variable is SYNAPSE_ and the path in upper case with underscores.
// A section with a method Validate() error is asked for broken rules.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvPrefix begins the name of every environment variable of the product.
const EnvPrefix = "SYNAPSE_"

// Sources is where values come from.
type Sources struct {
	// File is the path of a YAML file; empty for none.
	File string
	// Env is the environment as of os.Environ.
	Env []string
	// IgnoreEnv names variables with the product's prefix that are not fields.
	IgnoreEnv []string
	// Flags maps a field's path to the value given on the command line.
	Flags map[string]string
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Where is the source and key, for example "synapse.yaml:12 ingest.batch".
	Where string
	// What is wrong.
	What string
	// Remedy says what to do.
	Remedy string
}

func (p Problem) String() string {
	s := p.Where + ": " + p.What
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}

// Problems is the error of Load: all that is wrong, in the order found.
type Problems []Problem

// Error implements error, one line a problem.
func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps)+1)
	lines = append(lines, fmt.Sprintf("the configuration has %d problem(s)", len(ps)))
	for _, p := range ps {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// Load fills cfg, a pointer to a struct that holds the defaults. The error is of
// type Problems.
func Load(cfg any, src Sources) error {
	l := loader{fields: map[string]Field{}}
	for _, f := range Fields(cfg) {
		l.fields[f.Path] = f
	}
	if src.File != "" {
		l.file(src.File)
	}
	l.env(src)
	for _, path := range sortedKeys(src.Flags) {
		l.set("flag for "+path, path, src.Flags[path])
	}
	// Rules are checked only on values that could be read: a value which could
	// not is a problem already.
	if len(l.problems) == 0 {
		l.validate(reflect.ValueOf(cfg).Elem(), "")
	}
	if len(l.problems) > 0 {
		return l.problems
	}
	return nil
}

type loader struct {
	fields   map[string]Field
	problems Problems
}

func (l *loader) add(where, what, remedy string) {
	l.problems = append(l.problems, Problem{Where: where, What: what, Remedy: remedy})
}

func (l *loader) file(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		l.add(path, "can not be read: "+errText(err), "give the path of a YAML file by --config or SYNAPSE_CONFIG")
		return
	}
	l.yaml(path, data)
}

func (l *loader) yaml(name string, data []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		l.add(name, "is not valid YAML: "+err.Error(), "correct it at the line named")
		return
	}
	if len(doc.Content) == 0 {
		return
	}
	l.node(name, "", doc.Content[0])
}

func (l *loader) node(name, prefix string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		l.add(fmt.Sprintf("%s:%d", name, n.Line), "a section must be a mapping of keys to values", "write `key: value` lines below it")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		path := join(prefix, key.Value)
		where := fmt.Sprintf("%s:%d %s", name, key.Line, path)
		if seen[path] {
			l.add(where, "is given twice", "keep one of them")
			continue
		}
		seen[path] = true
		if val.Kind == yaml.AliasNode {
			l.add(where, "is an alias", "write the value itself")
			continue
		}
		f, known := l.fields[path]
		switch {
		case known && f.isList() && val.Kind == yaml.SequenceNode:
			items := make([]string, 0, len(val.Content))
			for _, c := range val.Content {
				items = append(items, c.Value)
			}
			l.set(where, path, strings.Join(items, ","))
		case known && val.Kind == yaml.ScalarNode:
			l.set(where, path, val.Value)
		case known:
			l.add(where, "must be a single value ("+f.Type()+")", "write it on one line")
		case l.isSection(path):
			if val.Kind == yaml.ScalarNode && val.Tag == "!!null" {
				continue
			}
			l.node(name, path, val)
		default:
			l.add(where, "is not a known key", l.suggest(path))
		}
	}
}

func (l *loader) isSection(path string) bool {
	for p := range l.fields {
		if strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}

func (l *loader) env(src Sources) {
	byEnv := map[string]string{}
	for path, f := range l.fields {
		byEnv[f.Env()] = path
	}
	env := append([]string(nil), src.Env...)
	sort.Strings(env)
	for _, kv := range env {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || !strings.HasPrefix(k, EnvPrefix) || contains(src.IgnoreEnv, k) {
			continue
		}
		path, known := byEnv[k]
		if !known {
			guess := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k, EnvPrefix)), "_", ".")
			l.add("environment "+k, "is not a known variable", l.suggest(guess))
			continue
		}
		l.set("environment "+k, path, v)
	}
}

func (l *loader) set(where, path, value string) {
	f, ok := l.fields[path]
	if !ok {
		l.add(where, "is not a known key", l.suggest(path))
		return
	}
	if err := f.Set(value); err != nil {
		l.add(where, err.Error(), "for example "+f.example())
	}
}

// suggest names the known path that is nearest to an unknown one.
func (l *loader) suggest(path string) string {
	best, bestD := "", 1+len(path)/2
	for _, p := range sortedKeys(l.fields) {
		if d := distance(strings.ReplaceAll(p, "_", "."), strings.ReplaceAll(path, "_", ".")); d < bestD {
			best, bestD = p, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "`synapse config print` lists all keys"
}

func (l *loader) validate(v reflect.Value, prefix string) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("config")
		if name == "" || v.Field(i).Kind() != reflect.Struct {
			continue
		}
		l.validate(v.Field(i), join(prefix, name))
	}
	val, ok := v.Interface().(interface{ Validate() error })
	if !ok {
		return
	}
	for _, err := range flatten(val.Validate()) {
		what, remedy, _ := strings.Cut(err.Error(), "; ")
		field, rule, ok := strings.Cut(what, ": ")
		if !ok {
			field, rule = "", what
		}
		l.add(join(prefix, field), rule, remedy)
	}
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

func errText(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
