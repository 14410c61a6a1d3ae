package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
)

// Error says what is wrong with a filter and where.
type Error struct {
	// Column is the place, counted in characters from 1.
	Column int
	// Rule is broken, in words.
	Rule string
	// Remedy says what to do.
	Remedy string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Rule) }

// Parse reads and checks a filter. An empty one, or one of blanks, gives nil. It
// returns an *Error for one that is refused.
func Parse(text string, scope Scope) (*Filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if err := precheck(text); err != nil {
		return nil, err
	}
	var p filtering.Parser
	p.Init(text)
	parsed, err := p.Parse()
	if err != nil {
		return nil, syntaxError(text, err)
	}
	c := checker{
		text: text, scope: scope, positions: parsed.GetSourceInfo().GetPositions(),
		lead: strings.Index(text, strings.TrimSpace(text)), // the parser cuts it off
	}
	root, err := c.check(parsed.GetExpr())
	if err != nil {
		return nil, err
	}
	return &Filter{root: root, text: text}, nil
}

// precheck bounds the input before the recursive parser sees it.
func precheck(text string) error {
	if len(text) > MaxBytes {
		return &Error{Column: 1, Rule: fmt.Sprintf("is %d bytes long, at most %d are allowed", len(text), MaxBytes), Remedy: "shorten the filter"}
	}
	if !utf8.ValidString(text) {
		return &Error{Column: 1, Rule: "is not valid UTF-8", Remedy: "send the filter as UTF-8"}
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return &Error{Column: column(text, i), Rule: "holds a NUL character", Remedy: "remove it"}
	}
	depth, quote, escaped := 0, rune(0), false
	for i, r := range text {
		switch {
		case quote != 0:
			if r == quote && !escaped {
				quote = 0
			}
			escaped = r == '\\' && !escaped
		case r == '"' || r == '\'':
			quote, escaped = r, false
		case r == '(':
			if depth++; depth > MaxDepth {
				return &Error{Column: column(text, i), Rule: fmt.Sprintf("has more than %d levels of parentheses", MaxDepth), Remedy: "nest less"}
			}
		case r == ')':
			depth--
		}
	}
	return nil
}

// positioned is what the parser's errors have.
type positioned interface {
	Position() filtering.Position
	Message() string
}

func syntaxError(text string, err error) error {
	e := &Error{Column: 1, Rule: "is not a filter", Remedy: `write it like: source = "app-store" AND score < -0.5; put text into quotes`}
	lead := strings.Index(text, strings.TrimSpace(text))
	// The innermost error knows the place best.
	for ; err != nil; err = errors.Unwrap(err) {
		var p positioned
		if !errors.As(err, &p) {
			break
		}
		e.Column = column(text, lead+int(p.Position().Offset))
		e.Rule = strings.ReplaceAll(p.Message(), "token <EOF>", "end")
		err, _ = p.(error)
	}
	if strings.HasPrefix(e.Rule, "unexpected trailing token") {
		e.Rule = "can not be read from here on"
	}
	e.Rule = "has a fault in its syntax: " + e.Rule
	return e
}

// column counts characters up to a byte offset, from 1.
func column(text string, offset int) int {
	offset = min(max(offset, 0), len(text))
	return utf8.RuneCountInString(text[:offset]) + 1
}

// checker turns the parser's expressions into the tree.
type checker struct {
	text      string
	lead      int
	scope     Scope
	positions map[int64]int32
	terms     int
}

func (c *checker) fail(e *expr.Expr, remedy, format string, args ...any) error {
	return &Error{Column: column(c.text, c.lead+int(c.positions[e.GetId()])), Rule: fmt.Sprintf(format, args...), Remedy: remedy}
}

func (c *checker) check(e *expr.Expr) (node, error) {
	call := e.GetCallExpr()
	if call == nil {
		return nil, c.fail(e, `compare a field, for example text:"refund"`, "has a value that nothing is compared with")
	}
	args := call.GetArgs()
	switch call.GetFunction() {
	case filtering.FunctionAnd, filtering.FunctionOr:
		if len(args) != 2 {
			return nil, c.fail(e, "write the operator between two terms", "uses %s as a function", call.GetFunction())
		}
		a, err := c.check(args[0])
		if err != nil {
			return nil, err
		}
		b, err := c.check(args[1])
		if err != nil {
			return nil, err
		}
		if call.GetFunction() == filtering.FunctionAnd {
			return and{a, b}, nil
		}
		return or{a, b}, nil
	case filtering.FunctionNot:
		if len(args) != 1 {
			return nil, c.fail(e, "write NOT before one term", "uses NOT as a function")
		}
		a, err := c.check(args[0])
		if err != nil {
			return nil, err
		}
		return not{a}, nil
	case filtering.FunctionFuzzyAnd:
		return nil, c.fail(e, "write AND or OR between two terms, and text into quotes", "has two terms side by side")
	case filtering.FunctionHas:
		return c.has(e, args)
	default:
		if o, ok := opNames[call.GetFunction()]; ok && len(args) == 2 {
			return c.comparison(e, o, args[0], args[1])
		}
		return nil, c.fail(e, "only timestamp() is a function, as the right side of a comparison", "calls %q", call.GetFunction())
	}
}

// term counts comparisons.
func (c *checker) term(e *expr.Expr) error {
	if c.terms++; c.terms > MaxTerms {
		return c.fail(e, "use fewer comparisons", "has more than %d comparisons", MaxTerms)
	}
	return nil
}

// target resolves the left side of a comparison to a field, and for attributes
// to a key; key is nil when the field stands alone.
func (c *checker) target(e *expr.Expr) (Field, *string, error) {
	name, key := e.GetIdentExpr().GetName(), (*string)(nil)
	if sel := e.GetSelectExpr(); sel != nil {
		name = sel.GetOperand().GetIdentExpr().GetName()
		k := sel.GetField()
		key = &k
		if name == "" {
			return 0, nil, c.fail(e, `put a key with dots into quotes: attributes."a.b"`, "has a path with more than two parts")
		}
	}
	if name == "emotions" { // as the field of an event is called
		name = "emotion"
	}
	f, ok := fieldNames[name]
	switch {
	case name == "":
		return 0, nil, c.fail(e, "write the field first, then the operator, then the value", "has no field on the left side")
	case !ok, !c.scope.allows(f):
		return 0, nil, c.fail(e, "use one of: "+c.scope.list(), "has the field %q, which can not be filtered by here", name)
	case f != Attribute && key != nil:
		return 0, nil, c.fail(e, "use the field alone", "has the field %s, which has no parts", name)
	}
	return f, key, nil
}
