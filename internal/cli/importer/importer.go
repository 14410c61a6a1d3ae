// Package importer reads files of texts, row by row, into events: CSV, TSV,
// NDJSON and plain text, packed with gzip or zstd or not.
package importer

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// MaxLine bounds one line of a file, in bytes.
const MaxLine = 1 << 20

// Row is one row of a file.
type Row struct {
	// Line is the row's number, from 1; a header counts.
	Line int
	// Event is what it says; nil when Err is set.
	Event *typev1.EventInput
	// Err says why the row can not be read; the rows after it can.
	Err error
}

// Options say how to read a file.
type Options struct {
	// Format is "csv", "tsv", "ndjson" or "txt"; empty: by the file's name.
	Format string
	// TextColumn names the column that holds the text; empty: by its name.
	TextColumn string
	// Source is given to rows which name none.
	Source string
}

// Formats lists the formats.
func Formats() []string { return []string{"csv", "tsv", "ndjson", "txt"} }

// FormatOf guesses the format by a file's name.
func FormatOf(path string) (string, error) {
	name := strings.ToLower(filepath.Base(path))
	for _, packed := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, packed)
	}
	switch filepath.Ext(name) {
	case ".csv":
		return "csv", nil
	case ".tsv", ".tab":
		return "tsv", nil
	case ".ndjson", ".jsonl":
		return "ndjson", nil
	case ".txt":
		return "txt", nil
	}
	return "", fmt.Errorf("the format of %s is not known by its name", filepath.Base(path))
}

// Identity is a short name for a file's content: of its size and its first
// 64 KiB. The same file has the same identity in every run.
func Identity(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", st.Size())
	if _, err := io.Copy(h, io.LimitReader(f, 64<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// Unpack returns a reader of the content, unpacked by the file's name.
func Unpack(path string, r io.Reader) (io.Reader, func(), error) {
	switch {
	case strings.HasSuffix(strings.ToLower(path), ".gz"):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("%s is not gzip: %w", filepath.Base(path), err)
		}
		return z, func() { _ = z.Close() }, nil
	case strings.HasSuffix(strings.ToLower(path), ".zst"):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, fmt.Errorf("%s is not zstd: %w", filepath.Base(path), err)
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// Reader reads rows.
type Reader struct {
	opts    Options
	lines   *bufio.Scanner
	csv     *csv.Reader
	columns []string
	line    int
	// blank lines of a CSV file are skipped by its reader
}

// NewReader returns a reader of content in opts.Format. It reads the header of
// CSV and TSV.
func NewReader(r io.Reader, opts Options) (*Reader, error) {
	rd := &Reader{opts: opts}
	switch opts.Format {
	case "csv":
		rd.csv = csv.NewReader(bufio.NewReaderSize(r, 1<<16))
		rd.csv.FieldsPerRecord = -1
		rd.csv.ReuseRecord = true
		head, err := rd.csv.Read()
		if err != nil {
			return nil, headerError(err)
		}
		rd.columns = normalise(head)
	case "tsv", "ndjson", "txt":
		rd.lines = bufio.NewScanner(r)
		rd.lines.Buffer(make([]byte, 1<<16), MaxLine)
		if opts.Format == "tsv" {
			if !rd.lines.Scan() {
				return nil, headerError(rd.lines.Err())
			}
			rd.line = 1
			rd.columns = normalise(strings.Split(rd.lines.Text(), "\t"))
		}
	default:
		return nil, fmt.Errorf("format %q is not known", opts.Format)
	}
	if rd.columns != nil && rd.column("text") < 0 {
		return nil, fmt.Errorf("no column holds the text among %s", strings.Join(rd.columns, ", "))
	}
	return rd, nil
}

func headerError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	}
	return fmt.Errorf("the header can not be read: %w", err)
}

// Next returns the next row, or io.EOF after the last one. Any other error ends
// the file; an unreadable row is no error but Row.Err.
func (r *Reader) Next() (Row, error) {
	if r.csv != nil {
		return r.nextCSV()
	}
	for r.lines.Scan() {
		r.line++
		text := r.lines.Text()
		if strings.TrimSpace(text) == "" {
			continue
		}
		row := Row{Line: r.line}
		if !utf8.ValidString(text) {
			row.Err = errors.New("is not valid UTF-8; convert the file to UTF-8")
			return row, nil
		}
		switch r.opts.Format {
		case "txt":
			row.Event = &typev1.EventInput{Text: text}
			r.finish(&row)
		case "tsv":
			r.fields(&row, strings.Split(text, "\t"))
		case "ndjson":
			row.Event = &typev1.EventInput{}
			if err := protojson.Unmarshal([]byte(text), row.Event); err != nil {
				row.Event, row.Err = nil, fmt.Errorf("is not an event: %s", plain(err))
				return row, nil
			}
			r.finish(&row)
		}
		return row, nil
	}
	if err := r.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return Row{}, fmt.Errorf("line %d is longer than %d bytes", r.line+1, MaxLine)
		}
		return Row{}, err
	}
	return Row{}, io.EOF
}

func (r *Reader) nextCSV() (Row, error) {
	rec, err := r.csv.Read()
	if err != nil {
		var pe *csv.ParseError
		if errors.As(err, &pe) {
			return Row{Line: pe.StartLine, Err: pe.Err}, nil
		}
		return Row{}, err
	}
	line, _ := r.csv.FieldPos(0)
	row := Row{Line: line}
	for _, f := range rec {
		if !utf8.ValidString(f) {
			row.Err = errors.New("is not valid UTF-8; convert the file to UTF-8")
			return row, nil
		}
	}
	r.fields(&row, rec)
	return row, nil
}

// names of columns that mean a field of an event.
var names = map[string][]string{
	"id":          {"id", "event_id", "uuid"},
	"text":        {"text", "review", "content", "message", "body", "comment", "tweet", "description"},
	"source":      {"source", "channel", "platform"},
	"user_id":     {"user_id", "userid", "user", "author", "customer_id"},
	"occurred_at": {"occurred_at", "occurredat", "created_at", "createdat", "timestamp", "time", "date"},
	"language":    {"language", "lang", "locale"},
}

func normalise(head []string) []string {
	out := make([]string, len(head))
	for i, h := range head {
		out[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
	}
	return out
}

func (r *Reader) column(field string) int {
	if field == "text" && r.opts.TextColumn != "" {
		for i, c := range r.columns {
			if c == strings.ToLower(r.opts.TextColumn) {
				return i
			}
		}
		return -1
	}
	for _, name := range names[field] {
		for i, c := range r.columns {
			if c == name {
				return i
			}
		}
	}
	return -1
}

// fields makes an event of a row's columns: those with a known name fill their
// field, the others become attributes.
func (r *Reader) fields(row *Row, values []string) {
	if len(values) != len(r.columns) {
		row.Err = fmt.Errorf("has %d columns, the header has %d", len(values), len(r.columns))
		return
	}
	ev := &typev1.EventInput{}
	used := map[int]bool{}
	get := func(field string) string {
		if i := r.column(field); i >= 0 {
			used[i] = true
			return values[i]
		}
		return ""
	}
	// strings of a reused record must be cloned before they are kept
	ev.Id, ev.Text, ev.Source = strings.Clone(get("id")), strings.Clone(get("text")), strings.Clone(get("source"))
	ev.UserId = strings.Clone(get("user_id"))
	if lang := get("language"); languageTag(lang) {
		ev.Language = strings.Clone(lang)
	}
	if at := get("occurred_at"); at != "" {
		t, err := parseTime(at)
		if err != nil {
			row.Err = err
			return
		}
		ev.OccurredAt = timestamppb.New(t)
	}
	for i, v := range values {
		if !used[i] && v != "" && r.columns[i] != "" {
			if ev.Attributes == nil {
				ev.Attributes = map[string]string{}
			}
			ev.Attributes[r.columns[i]] = strings.Clone(v)
		}
	}
	row.Event = ev
	r.finish(row)
}

func (r *Reader) finish(row *Row) {
	if row.Event.Source == "" {
		row.Event.Source = r.opts.Source
	}
}

// languageTag says whether a column's value is a tag and not a name such as
// "arabic", which is no hint that the server knows.
func languageTag(s string) bool {
	return len(s) == 2 || len(s) == 3 || (len(s) > 3 && s[2] == '-')
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		if n > 1e11 { // milliseconds
			return time.UnixMilli(n), nil
		}
		return time.Unix(n, 0), nil
	}
	return time.Time{}, errors.New("has a time that is not RFC 3339, a date, or Unix seconds")
}

// plain takes the package name and the odd spaces out of a protojson error.
func plain(err error) string {
	s := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(s, "proto: ")
}
