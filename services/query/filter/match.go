package filter

import (
	"slices"
	"strings"
)

// Match says whether the event passes the filter.
func (f *Filter) Match(v *Values) bool {
	return f == nil || f.root.match(v)
}

func (n and) match(v *Values) bool      { return n.a.match(v) && n.b.match(v) }
func (n or) match(v *Values) bool       { return n.a.match(v) || n.b.match(v) }
func (n not) match(v *Values) bool      { return !n.a.match(v) }
func (n constant) match(*Values) bool   { return bool(n) }
func (n contains) match(v *Values) bool { return containsFold(v.Text, n.part) }

func (n hasEmotion) match(v *Values) bool {
	return slices.ContainsFunc(v.Emotions, func(e Emotion) bool { return e.Name == n.name })
}

func (n hasKey) match(v *Values) bool {
	_, ok := v.Attributes[n.key]
	return ok
}

func (n compareAttribute) match(v *Values) bool {
	value, ok := v.Attributes[n.key]
	return ok && n.op.holds(strings.Compare(value, n.value))
}

func (n compareText) match(v *Values) bool {
	return n.op.holds(strings.Compare(v.text(n.field), n.value))
}

func (n compareInt) match(v *Values) bool {
	got := v.int(n.field)
	switch {
	case got < n.value:
		return n.op.holds(-1)
	case got > n.value:
		return n.op.holds(1)
	default:
		return n.op.holds(0)
	}
}

// holds says whether the comparison is true for a result of strings.Compare.
func (o op) holds(c int) bool {
	switch o {
	case eq:
		return c == 0
	case ne:
		return c != 0
	case lt:
		return c < 0
	case le:
		return c <= 0
	case gt:
		return c > 0
	case ge:
		return c >= 0
	default:
		return false
	}
}

func (v *Values) text(f Field) string {
	switch f {
	case ID:
		return v.ID
	case Text:
		return v.Text
	case Source:
		return v.Source
	case UserID:
		return v.UserID
	case Language:
		return v.Language
	case ModelVersion:
		return v.ModelVersion
	default:
		return ""
	}
}

func (v *Values) int(f Field) int64 {
	switch f {
	case Label:
		return v.Label
	case Score:
		return v.ScoreE4
	case Mixed:
		if v.Mixed {
			return 1
		}
		return 0
	case OccurredAt:
		return v.OccurredUS
	case AcceptedAt:
		return v.AcceptedUS
	default:
		return 0
	}
}

// containsFold looks for part, which is in lower case, in s without regard to
// the case of ASCII letters, as SQLite's lower() does. It does not allocate.
func containsFold(s, part string) bool {
	if part == "" {
		return true
	}
	for i := 0; i+len(part) <= len(s); i++ {
		j := 0
		for j < len(part) && lowerByte(s[i+j]) == part[j] {
			j++
		}
		if j == len(part) {
			return true
		}
	}
	return false
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}
