package filter

import "strings"

// Columns tells how a store names what a filter looks at. All results are SQL
// text of the store's own, never of a caller. An expression must not be NULL.
type Columns interface {
	// Column returns the expression of a field: text, or for label, score and
	// times the whole numbers of Values, for mixed 1 or 0.
	Column(f Field) string
	// Contains returns a condition with one parameter, the part in lower case.
	Contains() string
	// HasEmotion returns a condition with one parameter, the name.
	HasEmotion() string
	// HasAttribute returns a condition with one parameter, the key.
	HasAttribute() string
	// CompareAttribute returns a condition with two parameters, key and value;
	// operator is one of = < <= > >=.
	CompareAttribute(operator string) string
}

// SQL returns the condition and its parameters. The text is made only of
// constants and of what c returns: each literal of the filter is a parameter,
// written as `?`. The nil Filter gives "" and none.
func (f *Filter) SQL(c Columns) (string, []any) {
	if f == nil {
		return "", nil
	}
	w := sqlWriter{columns: c}
	w.write(f.root)
	return w.b.String(), w.args
}

type sqlWriter struct {
	b       strings.Builder
	args    []any
	columns Columns
}

func (w *sqlWriter) write(n node) {
	switch n := n.(type) {
	case and:
		w.pair(n.a, " AND ", n.b)
	case or:
		w.pair(n.a, " OR ", n.b)
	case not:
		w.b.WriteString("NOT (")
		w.write(n.a)
		w.b.WriteByte(')')
	case constant:
		if n {
			w.b.WriteString("1=1")
		} else {
			w.b.WriteString("1=0")
		}
	case compareText:
		w.compare(n.field, n.op)
		w.args = append(w.args, n.value)
	case compareInt:
		w.compare(n.field, n.op)
		w.args = append(w.args, n.value)
	case contains:
		w.b.WriteString(w.columns.Contains())
		w.args = append(w.args, n.part)
	case hasEmotion:
		w.b.WriteString(w.columns.HasEmotion())
		w.args = append(w.args, n.name)
	case hasKey:
		w.b.WriteString(w.columns.HasAttribute())
		w.args = append(w.args, n.key)
	case compareAttribute:
		w.b.WriteString(w.columns.CompareAttribute(n.op.sql()))
		w.args = append(w.args, n.key, n.value)
	}
}

func (w *sqlWriter) pair(a node, word string, b node) {
	w.b.WriteByte('(')
	w.write(a)
	w.b.WriteString(word)
	w.write(b)
	w.b.WriteByte(')')
}

func (w *sqlWriter) compare(f Field, o op) {
	w.b.WriteString(w.columns.Column(f))
	w.b.WriteByte(' ')
	w.b.WriteString(o.sql())
	w.b.WriteString(" ?")
}

func (o op) sql() string {
	switch o {
	case eq:
		return "="
	case ne:
		return "<>"
	case lt:
		return "<"
	case le:
		return "<="
	case gt:
		return ">"
	default:
		return ">="
	}
}
