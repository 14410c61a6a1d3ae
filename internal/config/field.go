package config

import (
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size in bytes, written as a number or with a unit: "512KiB",
// "64MiB", "8GiB".
type Bytes int64

// String writes the size with the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

var byteUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// ParseBytes reads a size.
func ParseBytes(s string) (Bytes, error) {
	num, mult := s, int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			num, mult = strings.TrimSpace(n), u.size
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/mult {
		return 0, fmt.Errorf("must be a size in bytes, at least 0")
	}
	return Bytes(n * mult), nil
}

// Secret is a value that is never printed.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[hidden]"
}

// GoString hides the value.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value in JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Field is one value of a configuration.
type Field struct {
	// Path of the field, for example "ingest.batch.max_events".
	Path string
	// Doc is what it means.
	Doc   string
	value reflect.Value
}

// Fields lists the fields of a configuration struct, in its order. cfg is a
// pointer to it.
func Fields(cfg any) []Field {
	var out []Field
	walk(reflect.ValueOf(cfg).Elem(), "", &out)
	return out
}

func walk(v reflect.Value, prefix string, out *[]Field) {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		name := sf.Tag.Get("config")
		if name == "" {
			continue
		}
		path := join(prefix, name)
		if v.Field(i).Kind() == reflect.Struct {
			walk(v.Field(i), path, out)
			continue
		}
		*out = append(*out, Field{Path: path, Doc: sf.Tag.Get("doc"), value: v.Field(i)})
	}
}

// Env is the name of its environment variable.
func (f Field) Env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(f.Path, ".", "_"))
}

// Type names its type for people.
func (f Field) Type() string {
	switch f.value.Interface().(type) {
	case time.Duration:
		return "duration"
	case Bytes:
		return "size"
	case []string:
		return "list"
	case Secret:
		return "secret"
	}
	return f.value.Kind().String()
}

func (f Field) isList() bool { return f.value.Kind() == reflect.Slice }

// Value writes its value as it is read.
func (f Field) Value() string {
	switch v := f.value.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case fmt.Stringer: // time.Duration, Bytes, Secret
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

func (f Field) example() string {
	switch f.value.Interface().(type) {
	case time.Duration:
		return "250ms, 30s or 24h"
	case Bytes:
		return "1048576, 64MiB or 8GiB"
	case []string:
		return "a,b"
	}
	switch f.value.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "100"
	case reflect.Float64:
		return "0.01"
	default:
		return "text"
	}
}

// Set reads a value.
func (f Field) Set(s string) error {
	switch f.value.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("must be a duration with a unit")
		}
		f.value.SetInt(int64(d))
		return nil
	case Bytes:
		b, err := ParseBytes(s)
		if err != nil {
			return err
		}
		f.value.SetInt(int64(b))
		return nil
	case []string:
		var list []string
		for _, item := range strings.Split(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		f.value.Set(reflect.ValueOf(list))
		return nil
	}
	switch f.value.Kind() {
	case reflect.String:
		f.value.SetString(s)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("must be true or false")
		}
		f.value.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || f.value.OverflowInt(n) {
			return fmt.Errorf("must be a whole number")
		}
		f.value.SetInt(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("must be a number")
		}
		f.value.SetFloat(x)
	default:
		return fmt.Errorf("has a type that can not be configured: %s", f.value.Kind())
	}
	return nil
}

func join(prefix, name string) string {
	switch {
	case prefix == "":
		return name
	case name == "":
		return prefix
	}
	return prefix + "." + name
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// distance is the Levenshtein distance of two short strings.
func distance(a, b string) int {
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
		}
		prev = cur
	}
	return prev[len(b)]
}
