package queue

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// CountsHeader is the header that tells how many events of which project and
// hour a message holds, so that a reader can count without the data:
// "project@hour=count,project@hour=count", where hour is the Unix hour of the
// time of acceptance (seconds since 1970 divided by 3600, rounded down).
const CountsHeader = "Synapse-Counts"

// MaxHeaderBytes bounds the headers of a message (names, values, the id and a
// few bytes each): a CountsHeader of about 800 project-hours. The server's own
// limit is 64 KiB.
const MaxHeaderBytes = 60 << 10

// maxCounts bounds the entries of a CountsHeader. A message has far fewer
// events than this, and so fewer project-hours.
const maxCounts = 100_000

// maxProjectBytes bounds a project id (see ParseCounts).
const maxProjectBytes = 63

// HourCount is how many events of one project and hour a message holds.
type HourCount struct {
	// Project is the project's id: a letter, then letters, digits and hyphens in
	// lower case, at most 63 bytes.
	Project string
	// Hour is the Unix hour, at least 0.
	Hour int64
	// Count is the number of events, at least 1.
	Count uint32
}

// FormatCounts writes the value of a CountsHeader. It does not check the
// entries: ParseCounts refuses what it would not have written itself.
func FormatCounts(counts []HourCount) string {
	b := make([]byte, 0, 32*len(counts))
	for i, c := range counts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, c.Project...)
		b = append(b, '@')
		b = strconv.AppendInt(b, c.Hour, 10)
		b = append(b, '=')
		b = strconv.AppendUint(b, uint64(c.Count), 10)
	}
	return string(b)
}

// errCounts is what every error of ParseCounts wraps.
var errCounts = errors.New("queue: malformed " + CountsHeader)

// ParseCounts reads the value of a CountsHeader. An empty value has no entries.
// It accepts the canonical form only, so that FormatCounts of the result is the
// value again. The error names the entry by its number, not by its content.
func ParseCounts(s string) ([]HourCount, error) {
	if s == "" {
		return nil, nil
	}
	n := strings.Count(s, ",") + 1
	if n > maxCounts {
		return nil, fmt.Errorf("%w: %d entries, at most %d", errCounts, n, maxCounts)
	}
	out := make([]HourCount, 0, n)
	for i := range n {
		entry, rest, _ := strings.Cut(s, ",")
		s = rest
		c, problem := parseCount(entry)
		if problem != "" {
			return nil, fmt.Errorf("%w: entry %d: %s", errCounts, i+1, problem)
		}
		out = append(out, c)
	}
	return out, nil
}

// parseCount reads one entry; problem is empty when it is well formed.
func parseCount(entry string) (c HourCount, problem string) {
	project, numbers, ok := strings.Cut(entry, "@")
	if !ok || !validProject(project) {
		return c, "no valid project before @"
	}
	hour, count, ok := strings.Cut(numbers, "=")
	if !ok {
		return c, "no = between hour and count"
	}
	h, ok := parseCanonical(hour, math.MaxInt64/3600)
	if !ok {
		return c, "hour is not a whole number of at least 0"
	}
	k, ok := parseCanonical(count, math.MaxUint32)
	if !ok || k == 0 {
		return c, "count is not a whole number of 1 to 4294967295"
	}
	return HourCount{Project: project, Hour: int64(h), Count: uint32(k)}, ""
}

// parseCanonical reads a decimal number without sign and leading zeros.
func parseCanonical(s string, most uint64) (uint64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || s[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= most
}

// validProject says whether s matches ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$.
func validProject(s string) bool {
	if s == "" || len(s) > maxProjectBytes || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
