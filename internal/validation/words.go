package validation

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// words says the broken rule, as the rest of a sentence that begins with the
// field's path, and what to do. It may tell a size, never a value. A rule that
// has no words here is told in protovalidate's, which hold no value either.
func words(v *protovalidate.Violation) (rule, remedy string) {
	id := v.Proto.GetRuleId()
	kind, name, _ := strings.Cut(id, ".")
	if name == "" {
		name = kind
	}
	switch name {
	case "required":
		return "must be set", "set it"
	case "min_bytes", "min_len", "min_items", "min_pairs":
		n := v.RuleValue.Uint()
		if n == 1 {
			return "must not be empty", "give it at least 1 " + unit(kind, name, 1)
		}
		return fmt.Sprintf("must have at least %s %s%s", number(n), unit(kind, name, n), has(v, kind, name)), "make it longer"
	case "max_bytes", "max_len":
		n := v.RuleValue.Uint()
		return fmt.Sprintf("must have at most %s %s%s", number(n), unit(kind, name, n), has(v, kind, name)), "shorten it"
	case "max_items", "max_pairs":
		n := v.RuleValue.Uint()
		return fmt.Sprintf("must have at most %s %s%s", number(n), unit(kind, name, n), has(v, kind, name)),
			"send fewer, in several calls if need be"
	case "unique":
		return "must not hold the same item twice", "leave out the repeated ones"
	case "pattern":
		return patternWords(v.RuleValue.String())
	case "not_contains":
		if v.RuleValue.String() == "\x00" {
			return "must not contain the character NUL (U+0000)", "remove it"
		}
		return "must not contain " + strconv.Quote(v.RuleValue.String()), "remove it"
	case "in":
		if list := listWords(v); list != "" {
			return "must be one of " + list, "choose one of them"
		}
	case "defined_only", "not_in":
		if e := enumOf(v); e != nil {
			return "must be one of " + enumNames(e), "choose one of them"
		}
	case "gt", "gte", "lt", "lte", "gte_lte", "gt_lt", "gte_lt", "gt_lte":
		if r := rangeWords(v, kind); r != "" {
			return r, "choose a value in that range"
		}
	}
	if w, ok := celRemedies[id]; ok {
		remedy = w
	}
	if m := v.Proto.GetMessage(); m != "" {
		return m, remedy
	}
	return "breaks the rule " + id, remedy
}

// celRemedies holds what to do about the contracts' own rules, by their ids.
var celRemedies = map[string]string{
	"occurred_at.future": "check the sender's clock, or leave it out",
}

// unit names what a size counts.
func unit(kind, rule string, n uint64) string {
	var u string
	switch {
	case strings.HasSuffix(rule, "_items"):
		u = "item"
	case strings.HasSuffix(rule, "_pairs"):
		u = "pair"
	case strings.HasSuffix(rule, "_len") && kind == "string":
		u = "character"
	default:
		u = "byte"
	}
	if n == 1 {
		return u
	}
	return u + "s"
}

// has tells the size that was sent; empty where it is not known.
func has(v *protovalidate.Violation, kind, rule string) string {
	if !v.FieldValue.IsValid() {
		return ""
	}
	var n int
	switch x := v.FieldValue.Interface().(type) {
	case string:
		if n = len(x); kind == "string" && strings.HasSuffix(rule, "_len") {
			n = utf8.RuneCountInString(x)
		}
	case []byte:
		n = len(x)
	case protoreflect.List:
		n = x.Len()
	case protoreflect.Map:
		n = x.Len()
	default:
		return ""
	}
	return ", has " + number(uint64(n))
}

// number writes a number with commas: 65,536.
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// listWords writes the allowed strings or numbers of an `in` rule.
func listWords(v *protovalidate.Violation) string {
	if v.RuleDescriptor == nil || !v.RuleDescriptor.IsList() || !v.RuleValue.IsValid() {
		return ""
	}
	list, ok := v.RuleValue.Interface().(protoreflect.List)
	if !ok {
		return ""
	}
	items := make([]string, list.Len())
	for i := range items {
		if s, ok := list.Get(i).Interface().(string); ok {
			items[i] = strconv.Quote(s)
		} else {
			items[i] = fmt.Sprint(list.Get(i).Interface())
		}
	}
	return orList(items)
}

// enumOf returns the enum that a violation is about; nil if it is about none. For
// an item of a list protovalidate names no field, only its path.
func enumOf(v *protovalidate.Violation) protoreflect.EnumDescriptor {
	if v.FieldDescriptor != nil {
		return v.FieldDescriptor.Enum()
	}
	if v.RuleDescriptor == nil || v.RuleDescriptor.Parent().Name() != "EnumRules" {
		return nil
	}
	elements := v.Proto.GetField().GetElements()
	if len(elements) == 0 {
		return nil
	}
	return enumFields()[elements[len(elements)-1].GetFieldName()]
}

// enumFields maps the names of the contracts' enum fields to their enums; nil
// for a name that stands for several.
var enumFields = sync.OnceValue(func() map[string]protoreflect.EnumDescriptor {
	out := map[string]protoreflect.EnumDescriptor{}
	var walk func(ms protoreflect.MessageDescriptors)
	walk = func(ms protoreflect.MessageDescriptors) {
		for i := range ms.Len() {
			fields := ms.Get(i).Fields()
			for j := range fields.Len() {
				e := fields.Get(j).Enum()
				if e == nil {
					continue
				}
				name := string(fields.Get(j).Name())
				if known, ok := out[name]; ok && (known == nil || known.FullName() != e.FullName()) {
					e = nil
				}
				out[name] = e
			}
			walk(ms.Get(i).Messages())
		}
	}
	for _, f := range contractFiles() {
		walk(f.Messages())
	}
	return out
})

// enumNames writes the names of an enum but its zero, which means "not set".
func enumNames(e protoreflect.EnumDescriptor) string {
	names := make([]string, 0, e.Values().Len())
	for i := range e.Values().Len() {
		if e.Values().Get(i).Number() != 0 {
			names = append(names, string(e.Values().Get(i).Name()))
		}
	}
	return orList(names)
}

func orList(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " or " + items[len(items)-1]
}

// rangeWords says a range of numbers, times or durations from the field's rule;
// empty where the rule is not the field's own, such as one of a list's items.
func rangeWords(v *protovalidate.Violation, kind string) string {
	if v.FieldDescriptor == nil {
		return ""
	}
	rules, err := protovalidate.ResolveFieldRules(v.FieldDescriptor)
	if err != nil || rules == nil {
		return ""
	}
	outer := rules.ProtoReflect()
	fd := outer.Descriptor().Fields().ByName(protoreflect.Name(kind))
	if fd == nil || fd.Message() == nil || !outer.Has(fd) {
		return ""
	}
	r := outer.Get(fd).Message()
	var parts []string
	for _, bound := range []struct{ field, number, time string }{
		{"gt", "greater than", "after"},
		{"gte", "at least", "at or after"},
		{"lt", "less than", "before"},
		{"lte", "at most", "at or before"},
	} {
		if bfd := r.Descriptor().Fields().ByName(protoreflect.Name(bound.field)); bfd != nil && r.Has(bfd) {
			if kind == "timestamp" {
				parts = append(parts, bound.time+" "+bound2text(r.Get(bfd)))
			} else {
				parts = append(parts, bound.number+" "+bound2text(r.Get(bfd)))
			}
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "must be " + strings.Join(parts, " and ")
}

// bound2text writes a rule's bound: a number, a time or a duration.
func bound2text(v protoreflect.Value) string {
	switch x := v.Interface().(type) {
	case int32:
		return signed(int64(x))
	case int64:
		return signed(x)
	case uint32:
		return number(uint64(x))
	case uint64:
		return number(x)
	case protoreflect.Message:
		fields := x.Descriptor().Fields()
		sec, ns := fields.ByName("seconds"), fields.ByName("nanos")
		if sec == nil || ns == nil {
			break
		}
		s, n := x.Get(sec).Int(), x.Get(ns).Int()
		if x.Descriptor().FullName() == "google.protobuf.Timestamp" {
			return time.Unix(s, n).UTC().Format(time.RFC3339)
		}
		return seconds(s, n)
	}
	return fmt.Sprint(v.Interface())
}

func signed(n int64) string {
	if n < 0 {
		return "-" + number(uint64(-n))
	}
	return number(uint64(n))
}

// seconds writes a duration as the JSON of the API does, but for whole days.
func seconds(s, ns int64) string {
	const day = 24 * 60 * 60
	switch {
	case ns != 0:
		return strconv.FormatFloat(float64(s)+float64(ns)/1e9, 'g', -1, 64) + " s"
	case s >= day && s%day == 0:
		return number(uint64(s/day)) + " days"
	default:
		return signed(s) + " s"
	}
}
