package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/services/ingest/archive"
)

func rebuildCommand(g *globals) *cobra.Command {
	var f serverFlags
	var from, to string
	var dryRun bool
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Fill an empty store of events and charts from the archive",
		Long: "For when the store of query is lost and the queue no longer holds everything.\n" +
			"Reads the archive in the blob store, scores and stores every event again with its\n" +
			"id and times, and compares the charts with the events. Takes the server's\n" +
			"configuration (--config, --set). Stop the server first; of roles that run apart\n" +
			"scoring and query, the others may go on. A rebuild that was cut off goes on where\n" +
			"it stood.",
		Example: "  synapse rebuild --config synapse.yaml\n  synapse rebuild --config synapse.yaml --dry-run --from 2026-01-01",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd, g)
			if err != nil {
				return err
			}
			if cfg.Blob.URL == "" {
				return usage("blob.url is empty: there is no archive", "--config FILE or --set blob.url=FOLDER")
			}
			var r archive.Range
			var badFrom, badTo error
			r.From, badFrom = parseMoment(from)
			r.To, badTo = parseMoment(to)
			if err := errors.Join(badFrom, badTo); err != nil {
				return usage(err.Error(), "--from 2026-01-31 or --from 2026-01-31T12:00:00Z")
			}
			if !r.To.IsZero() && !r.From.Before(r.To) {
				return usage("--from is not before --to: nothing would be read, and the streams be emptied", "--from 2026-01-01 --to 2026-02-01")
			}
			if cfg.Telemetry.LogLevel == app.DefaultConfig().Telemetry.LogLevel {
				cfg.Telemetry.LogLevel = "warn" // progress is shown otherwise
			}
			job := &rebuildJob{progress: cmd.ErrOrStderr(), began: time.Now()}
			if err := job.measure(cmd, cfg.Blob, r); err != nil {
				return err
			}
			opts := app.RebuildOptions{Range: r, Stage: job.stage, Progress: job.show}
			var report app.RebuildReport
			if dryRun {
				report.Totals, err = job.check(cmd, cfg.Blob, opts)
			} else {
				report, err = app.Rebuild(cmd.Context(), cfg, cmd.ErrOrStderr(), opts)
			}
			job.finish()
			return errors.Join(err, job.print(g, cmd.OutOrStdout(), report, dryRun, err == nil))
		},
	}
	f.register(c)
	p := c.Flags()
	p.StringVar(&from, "from", "", "only what was accepted at this time or later: a date or RFC 3339")
	p.StringVar(&to, "to", "", "only what was accepted before this time")
	p.BoolVar(&dryRun, "dry-run", false, "read and check every object, change nothing")
	return c
}

// parseMoment reads a date or a time; nothing is the zero time.
func parseMoment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a date nor a time of RFC 3339", s)
}

type rebuildJob struct {
	progress io.Writer
	bar      *progressbar.ProgressBar
	began    time.Time
}

// measure finds out how much there is to read.
func (j *rebuildJob) measure(cmd *cobra.Command, c blob.Config, r archive.Range) error {
	store, err := app.OpenBlob(c)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	var messages int64
	err = archive.Objects(cmd.Context(), store, r, func(o archive.Object) error { messages += int64(o.Messages); return nil })
	if err != nil {
		return fmt.Errorf("list the archive: %w", err)
	}
	if isTerminal(j.progress) {
		j.bar = progressbar.NewOptions64(messages, progressbar.OptionSetWriter(j.progress), progressbar.OptionShowCount(),
			progressbar.OptionSetDescription("messages"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return nil
}

func (j *rebuildJob) check(cmd *cobra.Command, c blob.Config, opts app.RebuildOptions) (archive.Totals, error) {
	store, err := app.OpenBlob(c)
	if err != nil {
		return archive.Totals{}, err
	}
	totals, err := app.CheckArchive(cmd.Context(), store, opts)
	return totals, errors.Join(err, store.Close())
}

func (j *rebuildJob) stage(text string) {
	if j.bar != nil {
		_ = j.bar.Clear()
	}
	fmt.Fprintf(j.progress, "%s\n", text)
}

func (j *rebuildJob) show(t archive.Totals) {
	if j.bar != nil {
		_ = j.bar.Set64(t.Messages + t.Repeated)
	}
}

func (j *rebuildJob) finish() {
	if j.bar != nil {
		_ = j.bar.Finish()
	}
}

// print writes the summary; a store that is not what the archive holds is a failure.
func (j *rebuildJob) print(g *globals, out io.Writer, r app.RebuildReport, dryRun, whole bool) error {
	problem := ""
	if whole && !dryRun {
		problem = r.Problem()
	}
	took := time.Since(j.began).Seconds()
	if g.format(out) != "table" {
		line := map[string]any{
			"objects": r.Objects, "bytes": r.Bytes, "messages": r.Messages, "events": r.Events, "repeated": r.Repeated,
			"complete": whole, "seconds": took,
		}
		if !dryRun {
			line["accepted"], line["stored"], line["duplicate"], line["deadLetter"] = r.Accepted, r.Stored, r.Duplicate, r.DeadLetter
			line["rollups"], line["differences"], line["inFlight"] = r.Rollups, r.Differences, r.InFlight
		}
		if problem != "" {
			line["problem"] = problem
		}
		if err := json.NewEncoder(out).Encode(line); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s objects (%s bytes), %s messages, %s events read in %.1f s (%s events/s)\n", thin(float64(r.Objects)), thin(float64(r.Bytes)),
			thin(float64(r.Messages)), thin(float64(r.Events)), took, thin(float64(r.Events)/took))
		switch {
		case dryRun && whole:
			fmt.Fprintln(out, "every object is whole; nothing was changed")
		case whole:
			fmt.Fprintf(out, "%s events stored, %s known already, %s dead letters; %s rollups compared, %d differ\n", thin(float64(r.Stored)),
				thin(float64(r.Duplicate)), thin(float64(r.DeadLetter)), thin(float64(r.Rollups)), r.Differences)
			if r.InFlight {
				fmt.Fprintln(out, "events come meanwhile: start scoring and query, then compare accepted and stored by `synapse balance`")
			}
		case !dryRun:
			fmt.Fprintln(out, "cut off: the same command goes on from there")
		}
		if problem != "" {
			fmt.Fprintf(out, "the store is not what the archive holds: %s\n", problem)
		}
	}
	if problem != "" {
		return &failedError{exitFailed}
	}
	return nil
}
