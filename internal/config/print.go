package config

import (
	"fmt"
	"io"
	"strings"
)

// Print writes every field of cfg as a YAML file that Load reads, with what it
// means and its environment variable as comments. Secrets are hidden.
func Print(w io.Writer, cfg any) error {
	return printFields(w, Fields(cfg))
}

// Diff writes only the fields of cfg whose value differs from defaults.
func Diff(w io.Writer, cfg, defaults any) error {
	base := map[string]string{}
	for _, f := range Fields(defaults) {
		base[f.Path] = f.Value()
	}
	var changed []Field
	for _, f := range Fields(cfg) {
		if f.Value() != base[f.Path] {
			changed = append(changed, f)
		}
	}
	return printFields(w, changed)
}

func printFields(w io.Writer, fields []Field) error {
	var open []string
	for _, f := range fields {
		parts := strings.Split(f.Path, ".")
		sections, name := parts[:len(parts)-1], parts[len(parts)-1]
		common := 0
		for common < len(open) && common < len(sections) && open[common] == sections[common] {
			common++
		}
		for i := common; i < len(sections); i++ {
			if _, err := fmt.Fprintf(w, "%s%s:\n", strings.Repeat("  ", i), sections[i]); err != nil {
				return err
			}
		}
		open = sections
		indent := strings.Repeat("  ", len(sections))
		if _, err := fmt.Fprintf(w, "%s# %s (%s)\n%s%s: %s\n", indent, f.Doc, f.Env(), indent, name, yamlValue(f)); err != nil {
			return err
		}
	}
	return nil
}

func yamlValue(f Field) string {
	v := f.Value()
	switch f.Type() {
	case "list":
		if v == "" {
			return "[]"
		}
		return "[" + strings.ReplaceAll(v, ",", ", ") + "]"
	case "string", "secret":
		return fmt.Sprintf("%q", v)
	default:
		return v
	}
}
