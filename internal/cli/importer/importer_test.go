package importer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func all(t *testing.T, text string, opts Options) []Row {
	t.Helper()
	r, err := NewReader(strings.NewReader(text), opts)
	require.NoError(t, err)
	var rows []Row
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows
		}
		require.NoError(t, err)
		rows = append(rows, row)
	}
}

func TestCSV(t *testing.T) {
	rows := all(t, "\ufeffid,Text,created_at,stars\n1,\"good, really\",2026-01-02,5\n2,\"two\nlines\",1767312000,1\n3,short\n4,late,yesterday,\n", Options{Format: "csv", Source: "shop"})
	require.Len(t, rows, 4)
	ev := rows[0].Event
	require.Equal(t, "good, really", ev.GetText())
	require.Equal(t, "1", ev.GetId())
	require.Equal(t, "shop", ev.GetSource())
	require.Equal(t, map[string]string{"stars": "5"}, ev.GetAttributes())
	require.Equal(t, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), ev.GetOccurredAt().AsTime())
	require.Equal(t, "two\nlines", rows[1].Event.GetText())
	require.ErrorContains(t, rows[2].Err, "has 2 columns")
	require.Equal(t, 5, rows[2].Line)
	require.ErrorContains(t, rows[3].Err, "time")
}

func TestCSVBadQuoteIsOneRow(t *testing.T) {
	rows := all(t, "text\ngood\nba\"d\nfine\n", Options{Format: "csv"})
	require.Len(t, rows, 3)
	require.Error(t, rows[1].Err)
	require.Equal(t, "fine", rows[2].Event.GetText())
}

func TestTSVKeepsQuotes(t *testing.T) {
	rows := all(t, "label\tsource\ttext\npositive\t2013\t\"so \"good\"\n\nbad\n", Options{Format: "tsv"})
	require.Len(t, rows, 2)
	require.Equal(t, `"so "good"`, rows[0].Event.GetText())
	require.Equal(t, "2013", rows[0].Event.GetSource())
	require.Equal(t, "positive", rows[0].Event.GetAttributes()["label"])
	require.Error(t, rows[1].Err)
	require.Equal(t, 4, rows[1].Line)
}

func TestNDJSON(t *testing.T) {
	rows := all(t, "{\"text\":\"hi\",\"userId\":\"u\"}\n{\"txt\":1}\n\xff\n{\"text\":\"end\"}\n", Options{Format: "ndjson"})
	require.Len(t, rows, 4)
	require.Equal(t, "u", rows[0].Event.GetUserId())
	require.ErrorContains(t, rows[1].Err, "txt")
	require.ErrorContains(t, rows[2].Err, "UTF-8")
	require.Equal(t, "end", rows[3].Event.GetText())
}

func TestNoTextColumn(t *testing.T) {
	_, err := NewReader(strings.NewReader("a,b\n1,2\n"), Options{Format: "csv"})
	require.ErrorContains(t, err, "no column holds the text")
	_, err = NewReader(strings.NewReader(""), Options{Format: "tsv"})
	require.ErrorContains(t, err, "empty")
	rows := all(t, "a,b\nx,y\n", Options{Format: "csv", TextColumn: "B"})
	require.Equal(t, "y", rows[0].Event.GetText())
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]string{"a.csv": "csv", "a.TSV.gz": "tsv", "a.jsonl.zst": "ndjson", "a.txt": "txt"} {
		got, err := FormatOf(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := FormatOf("a.xlsx")
	require.Error(t, err)
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{"text\nhi\n", "id,text\n1,\"a\n", "{\"text\":\"x\"}\n", "\ufefftext\tdate\nx\t1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, format := range Formats() {
			r, err := NewReader(strings.NewReader(s), Options{Format: format})
			if err != nil {
				continue
			}
			for range len(s) + 2 {
				row, err := r.Next()
				if err != nil {
					break
				}
				if (row.Event == nil) == (row.Err == nil) {
					t.Fatalf("%s: a row is an event or an error: %+v", format, row)
				}
			}
		}
	})
}
