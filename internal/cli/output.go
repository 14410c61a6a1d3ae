package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// format is how a command prints: "table", "json" or "jsonl".
func (g *globals) format(out io.Writer) string {
	if g.output != "" {
		return g.output
	}
	if isTerminal(out) {
		return "table"
	}
	return "jsonl"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// colour says whether to print colours (https://no-color.org).
func colour(w io.Writer) bool {
	_, off := os.LookupEnv("NO_COLOR")
	return !off && isTerminal(w) && os.Getenv("TERM") != "dumb"
}

var (
	jsonLine   = protojson.MarshalOptions{EmitDefaultValues: true}
	jsonPretty = protojson.MarshalOptions{EmitDefaultValues: true, Multiline: true, Indent: "  "}
)

// printMessage writes a message as JSON: indented, or as one line.
func printMessage(w io.Writer, format string, m proto.Message) error {
	opts := jsonPretty
	if format == "jsonl" {
		opts = jsonLine
	}
	b, err := opts.Marshal(m)
	if err != nil {
		return err
	}
	if format == "jsonl" { // protojson varies its spaces on purpose
		var compact bytes.Buffer
		if err := json.Compact(&compact, b); err != nil {
			return err
		}
		b = compact.Bytes()
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// table writes aligned columns.
func table(w io.Writer, head string, rows [][]string) {
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ReplaceAll(head, " ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	_ = tw.Flush()
}

// oneLine makes foreign text safe for a terminal: no control or direction
// characters, at most n runes.
func oneLine(s string, n int) string {
	var b strings.Builder
	count := 0
	for _, r := range s {
		if count == n {
			b.WriteString("…")
			break
		}
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			continue
		}
		b.WriteRune(r)
		count++
	}
	return b.String()
}

// signed writes a score with its sign and two decimals.
func signed(x float64) string {
	s := fmt.Sprintf("%+.2f", x)
	if s == "-0.00" {
		s = "+0.00"
	}
	return strings.Replace(s, "-", "−", 1)
}

// paint colours a word by sentiment: blue for positive, orange for negative.
func paint(on bool, score float64, s string) string {
	switch {
	case !on:
		return s
	case score > 0.05:
		return "\x1b[34m" + s + "\x1b[0m"
	case score < -0.05:
		return "\x1b[33m" + s + "\x1b[0m"
	}
	return s
}

// thin writes a whole number with thousands separated.
func thin(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		s = "-" + s
	}
	return s
}
