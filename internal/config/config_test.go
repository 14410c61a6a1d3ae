package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type batch struct {
	MaxEvents int           `config:"max_events" doc:"Most events."`
	MaxDelay  time.Duration `config:"max_delay" doc:"Longest wait."`
}

func (b batch) Validate() error {
	var errs []error
	if b.MaxEvents < 1 {
		errs = append(errs, errors.New("max_events: must be at least 1; use 1000"))
	}
	if b.MaxDelay > time.Second {
		errs = append(errs, errors.New("max_delay: must be at most 1s; use 2ms"))
	}
	return errors.Join(errs...)
}

type root struct {
	Data  string   `config:"data" doc:"Folder."`
	Limit Bytes    `config:"limit" doc:"Size."`
	Key   Secret   `config:"key" doc:"Secret."`
	Roles []string `config:"roles" doc:"Names."`
	Ratio float64  `config:"ratio" doc:"Share."`
	On    bool     `config:"on" doc:"Switch."`
	Batch batch    `config:"batch" doc:"Batches."`
}

func defaults() root {
	return root{Data: "data", Limit: 64 << 20, Batch: batch{MaxEvents: 10, MaxDelay: time.Millisecond}}
}

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "synapse.yaml")
	require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
	return p
}

func TestPrecedence(t *testing.T) {
	cfg := defaults()
	err := Load(&cfg, Sources{
		File:  write(t, "data: a\nlimit: 1GiB\nroles: [x, y]\nbatch:\n  max_events: 20\n  max_delay: 5ms\n"),
		Env:   []string{"SYNAPSE_BATCH_MAX_EVENTS=30", "SYNAPSE_RATIO=0.5", "PATH=/bin", "SYNAPSE_CONFIG=x"},
		Flags: map[string]string{"data": "c", "on": "true"}, IgnoreEnv: []string{"SYNAPSE_CONFIG"},
	})
	require.NoError(t, err)
	require.Equal(t, root{
		Data: "c", Limit: 1 << 30, Roles: []string{"x", "y"}, Ratio: 0.5, On: true,
		Batch: batch{MaxEvents: 30, MaxDelay: 5 * time.Millisecond},
	}, cfg)
}

func TestAllProblemsTogether(t *testing.T) {
	cfg := defaults()
	err := Load(&cfg, Sources{
		File:  write(t, "dta: a\nlimit: lots\nbatch:\n  max_events: many\n  max_delay: [1]\n"),
		Env:   []string{"SYNAPSE_BATCH_MAX_EVENT=3"},
		Flags: map[string]string{"nothing.such": "1"},
	})
	var ps Problems
	require.ErrorAs(t, err, &ps)
	require.Len(t, ps, 6)
	require.Contains(t, ps[0].String(), "did you mean data?")
	require.Contains(t, ps[1].String(), "must be a size in bytes")
	require.Contains(t, ps[4].String(), "did you mean batch.max_events?")
}

func TestRulesOfSections(t *testing.T) {
	cfg := defaults()
	err := Load(&cfg, Sources{Flags: map[string]string{"batch.max_events": "0", "batch.max_delay": "2s"}})
	var ps Problems
	require.ErrorAs(t, err, &ps)
	require.Equal(t, Problems{
		{Where: "batch.max_events", What: "must be at least 1", Remedy: "use 1000"},
		{Where: "batch.max_delay", What: "must be at most 1s", Remedy: "use 2ms"},
	}, ps)
}

func TestPrintIsReadBack(t *testing.T) {
	cfg := defaults()
	cfg.Key, cfg.Roles = "hunter2", []string{"a", "b"}
	var out bytes.Buffer
	require.NoError(t, Print(&out, &cfg))
	require.NotContains(t, out.String(), "hunter2")
	var again root
	require.NoError(t, Load(&again, Sources{File: write(t, out.String())}))
	cfg.Key = "[hidden]"
	require.Equal(t, cfg, again)

	out.Reset()
	d := defaults()
	cfg = defaults()
	cfg.Batch.MaxEvents = 7
	require.NoError(t, Diff(&out, &cfg, &d))
	require.Equal(t, "batch:\n  # Most events. (SYNAPSE_BATCH_MAX_EVENTS)\n  max_events: 7\n", out.String())
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]Bytes{"0": 0, "1024": 1024, "1KiB": 1024, "8GiB": 8 << 30} {
		got, err := ParseBytes(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "-1", "1.5MiB", "9999999999GiB", "1MB"} {
		_, err := ParseBytes(in)
		require.Error(t, err, in)
	}
	require.Equal(t, "64MiB", Bytes(64<<20).String())
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("batch:\n  max_events: 3\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("[1, 2]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := defaults()
		l := loader{fields: map[string]Field{}}
		for _, fd := range Fields(&cfg) {
			l.fields[fd.Path] = fd
		}
		l.yaml("fuzz", data)
	})
}
