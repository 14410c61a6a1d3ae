package filter

import (
	"math"
	"time"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
)

var labels = map[string]int64{"NEGATIVE": 1, "NEUTRAL": 2, "POSITIVE": 3}

// has checks the operator `:`.
func (c *checker) has(e *expr.Expr, args []*expr.Expr) (node, error) {
	if len(args) != 2 {
		return nil, c.fail(e, "write the operator between a field and a value", "uses : as a function")
	}
	if err := c.term(e); err != nil {
		return nil, err
	}
	f, key, err := c.target(args[0])
	if err != nil {
		return nil, err
	}
	value, err := c.text1(args[1])
	if err != nil {
		return nil, err
	}
	switch {
	case f == Text:
		return contains{lowerASCII(value)}, nil
	case f == HasEmotion:
		return hasEmotion{value}, nil
	case f == Attribute && key == nil:
		return hasKey{value}, nil
	case f == Attribute && value == "*":
		return hasKey{*key}, nil
	case f == Attribute:
		return compareAttribute{*key, eq, value}, nil
	default:
		return nil, c.fail(e, "use = instead", "uses : with the field %s; it works with text, emotion and attributes", f)
	}
}

// comparison checks the operators = != < <= > >=.
func (c *checker) comparison(e *expr.Expr, o op, left, right *expr.Expr) (node, error) {
	if err := c.term(e); err != nil {
		return nil, err
	}
	f, key, err := c.target(left)
	if err != nil {
		return nil, err
	}
	switch f {
	case Label:
		value, err := c.text1(right)
		if err != nil {
			return nil, err
		}
		n, ok := labels[value]
		if !ok {
			return nil, c.fail(right, "use NEGATIVE, NEUTRAL or POSITIVE", "compares label with %q", value)
		}
		if o != eq && o != ne {
			return nil, c.fail(e, "use = or !=, or compare score", "orders labels")
		}
		return compareInt{Label, o, n}, nil
	case Mixed:
		value, err := c.text1(right)
		if err != nil {
			return nil, err
		}
		if value != "true" && value != "false" {
			return nil, c.fail(right, "use true or false", "compares mixed with %q", value)
		}
		if o != eq && o != ne {
			return nil, c.fail(e, "use = or !=", "orders mixed")
		}
		return compareInt{Mixed, o, map[string]int64{"true": 1}[value]}, nil
	case HasEmotion:
		value, err := c.text1(right)
		if err != nil {
			return nil, err
		}
		switch o {
		case eq:
			return hasEmotion{value}, nil
		case ne:
			return not{hasEmotion{value}}, nil
		default:
			return nil, c.fail(e, "use : or = or !=", "orders emotions")
		}
	case Score:
		return c.score(o, right)
	case OccurredAt, AcceptedAt:
		return c.time(f, o, right)
	case Attribute:
		if key == nil {
			return nil, c.fail(left, `name a key: attributes.plan = "pro"; or ask whether it exists: attributes:"plan"`, "compares all attributes")
		}
		value, err := c.text1(right)
		if err != nil {
			return nil, err
		}
		if o == ne {
			return not{compareAttribute{*key, eq, value}}, nil
		}
		return compareAttribute{*key, o, value}, nil
	default:
		value, err := c.text1(right)
		if err != nil {
			return nil, err
		}
		return compareText{f, o, value}, nil
	}
}

// text1 takes a string, or a bare word.
func (c *checker) text1(e *expr.Expr) (string, error) {
	if word := e.GetIdentExpr().GetName(); word != "" {
		return word, nil
	}
	if s, ok := e.GetConstExpr().GetConstantKind().(*expr.Constant_StringValue); ok {
		return s.StringValue, nil
	}
	return "", c.fail(e, `put the value into quotes`, "compares with something else than a string")
}

func (c *checker) score(o op, e *expr.Expr) (node, error) {
	var x float64
	switch k := e.GetConstExpr().GetConstantKind().(type) {
	case *expr.Constant_Int64Value:
		x = float64(k.Int64Value)
	case *expr.Constant_DoubleValue:
		x = k.DoubleValue
	default:
		return nil, c.fail(e, "use a number without quotes, for example -0.5", "compares score with something else than a number")
	}
	// Scores are whole numbers of 1/10,000. A literal that is one, apart from
	// the binary fraction's error, is taken as that.
	x = min(max(x*1e4, -1e6), 1e6)
	if whole := math.Round(x); math.Abs(x-whole) < 1e-6 {
		return compareInt{Score, o, int64(whole)}, nil
	}
	return between(Score, o, int64(math.Floor(x))), nil
}

func (c *checker) time(f Field, o op, e *expr.Expr) (node, error) {
	if call := e.GetCallExpr(); call.GetFunction() == filtering.FunctionTimestamp && len(call.GetArgs()) == 1 {
		e = call.GetArgs()[0]
	}
	const remedy = `use a time in quotes, for example "2026-11-24T10:00:00Z"`
	s, ok := e.GetConstExpr().GetConstantKind().(*expr.Constant_StringValue)
	if !ok {
		return nil, c.fail(e, remedy, "compares %s with something else than a time", f)
	}
	t, err := time.Parse(time.RFC3339Nano, s.StringValue)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, s.StringValue); err != nil {
			return nil, c.fail(e, remedy, "compares %s with %q, which is not an RFC 3339 time", f, s.StringValue)
		}
	}
	// UnixMicro rounds down, also before 1970.
	if us := t.UnixMicro(); t.Nanosecond()%1000 == 0 {
		return compareInt{f, o, us}, nil
	}
	return between(f, o, floorMicro(t)), nil
}

func floorMicro(t time.Time) int64 {
	return t.Unix()*1e6 + int64(t.Nanosecond()/1000)
}

// between compares with a value strictly between floor and floor+1.
func between(f Field, o op, floor int64) node {
	switch o {
	case eq:
		return constant(false)
	case ne:
		return constant(true)
	case lt, le:
		return compareInt{f, le, floor}
	default:
		return compareInt{f, gt, floor}
	}
}
