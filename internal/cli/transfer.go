package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/schema"
	"github.com/synapse-analytics/synapse/internal/transfer"
	authtransfer "github.com/synapse-analytics/synapse/services/auth/store/transfer"
	querytransfer "github.com/synapse-analytics/synapse/services/query/store/transfer"
)

// transferTell is how often a transfer without a terminal says how far it is.
const transferTell = 10 * time.Second

func transferCommand(g *globals) *cobra.Command {
	var f serverFlags
	var from, to, only string
	var restart bool
	c := &cobra.Command{
		Use:   "transfer --from sqlite --to postgres",
		Short: "Move everything that a stopped server keeps from SQLite files to PostgreSQL",
		Long: "Copies what auth and query keep in the data folder into the databases of\n" +
			"stores.auth.url and stores.query.url, and compares both sides: users, sessions,\n" +
			"keys, events, charts, the balance and how far the queue was read. The server must\n" +
			"be stopped. The files are only read, so going back is a change of configuration.\n\n" +
			"A transfer that was cut off goes on where it stood, by the same command. The\n" +
			"databases must be empty. Keep the data folder: the queue stays in it.",
		Example: "  synapse transfer --from sqlite --to postgres --config synapse.yaml\n" +
			"  synapse transfer --from sqlite --to postgres --only query --set stores.query.url=postgres://synapse@db/synapse_query",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from != "sqlite" || to != "postgres" {
				return usage("only --from sqlite --to postgres is possible", "synapse transfer --from sqlite --to postgres")
			}
			cfg, err := f.load(cmd, g)
			if err != nil {
				return err
			}
			moves, err := movesOf(cfg, only)
			if err != nil {
				return err
			}
			unlock, err := app.LockData(cfg.Data)
			if err != nil {
				return hint(err, "stop the server first; its files must not change meanwhile")
			}
			defer unlock()
			t := &transferJob{g: g, out: cmd.OutOrStdout(), progress: cmd.ErrOrStderr(), restart: restart}
			for _, m := range moves {
				if err := t.move(cmd.Context(), m); err != nil {
					return err
				}
			}
			return t.summary(moves)
		},
	}
	f.register(c)
	p := c.Flags()
	p.StringVar(&from, "from", "", "where the data is: sqlite")
	p.StringVar(&to, "to", "", "where it goes: postgres")
	p.StringVar(&only, "only", "", "auth or query; default: both")
	p.BoolVar(&restart, "restart", false, "remove what a transfer that was cut off has copied, and begin anew")
	return c
}

// move is what one role keeps.
type move struct {
	role, path string
	c          pgdb.Config
	run        func(ctx context.Context, path string, c pgdb.Config, log *slog.Logger, o transfer.Options) (transfer.Report, error)
}

// movesOf checks what is to be moved before anything is.
func movesOf(cfg app.Config, only string) ([]move, error) {
	all := []move{
		{"auth", filepath.Join(cfg.Data, "auth.db"), cfg.Stores.Auth, authtransfer.Run},
		{"query", filepath.Join(cfg.Data, "query.db"), cfg.Stores.Query, querytransfer.Run},
	}
	var list []move
	for _, m := range all {
		if only != "" && only != m.role {
			continue
		}
		if m.c.URL == "" {
			return nil, usage(fmt.Sprintf("stores.%s.url is not set: where does its data go?", m.role),
				fmt.Sprintf("--set stores.%s.url=postgres://USER@HOST/DATABASE, or --only the other role", m.role))
		}
		if _, err := os.Stat(m.path); err != nil {
			return nil, hint(fmt.Errorf("there is nothing of %s to move: %w", m.role, err), "--data with the data folder of the server, or --only the other role")
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		return nil, usage(fmt.Sprintf("--only %q is not known", only), "--only auth or query")
	}
	return list, nil
}

type transferJob struct {
	g             *globals
	out, progress io.Writer
	restart       bool

	bar   *progressbar.ProgressBar
	stage transfer.Progress // of which the bar or the last line tells
	there int64             // rows that were there when the bar began
	told  time.Time
	done  []movedRole
}

// movedRole is what is said of a role at the end.
type movedRole struct {
	Role           string           `json:"role"`
	Rows           int64            `json:"rows"`
	Tables         map[string]int64 `json:"tables,omitempty"`
	CopySeconds    float64          `json:"copySeconds"`
	RowsPerSecond  float64          `json:"rowsPerSecond"`
	CompareSeconds float64          `json:"compareSeconds"`
	Resumed        int64            `json:"resumed"`
	MovedBefore    bool             `json:"movedBefore"`
}

func (t *transferJob) move(ctx context.Context, m move) error {
	o := transfer.Options{Restart: t.restart, Progress: func(p transfer.Progress) { t.tell(m.role, p) }}
	log := slog.New(slog.NewTextHandler(t.progress, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r, err := m.run(ctx, m.path, m.c, log, o)
	t.endStage(m.role)
	if err != nil {
		return transferHint(fmt.Errorf("move %s: %w", m.role, err), m.role)
	}
	moved := movedRole{
		Role: m.role, Rows: r.Rows(), Tables: map[string]int64{}, CopySeconds: r.Copy.Seconds(), CompareSeconds: r.Verify.Seconds(),
		Resumed: r.Resumed, MovedBefore: r.Already,
	}
	if s := r.Copy.Seconds(); s > 0 {
		moved.RowsPerSecond = float64(moved.Rows-moved.Resumed) / s
	}
	for _, table := range r.Tables {
		moved.Tables[table.Name] = table.Rows
	}
	t.done = append(t.done, moved)
	return nil
}

// transferHint says what to do about an error.
func transferHint(err error, role string) error {
	var old *schema.Error
	switch {
	case errors.As(err, &old):
		return hint(err, "synapse migrate up")
	case errors.Is(err, transfer.ErrNotEmpty):
		return hint(err, fmt.Sprintf("create an empty database and set stores.%s.url to it", role))
	case errors.Is(err, transfer.ErrChanged), errors.Is(err, transfer.ErrDiffers):
		return hint(err, "the same command with --restart")
	}
	return hint(err, "the same command again: it goes on where it stood")
}

// tell shows how far a table is.
func (t *transferJob) tell(role string, p transfer.Progress) {
	if p.Table != t.stage.Table || p.Compare != t.stage.Compare {
		t.endStage(role)
		t.told = time.Now()
		if isTerminal(t.progress) && p.Total > p.Rows { // of what is left: what was there took no time
			t.there = p.Rows
			t.bar = progressbar.NewOptions64(p.Total-p.Rows, progressbar.OptionSetWriter(t.progress), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
				progressbar.OptionSetDescription(stageName(role, p)), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		}
	}
	t.stage = p
	switch {
	case t.bar != nil:
		_ = t.bar.Set64(p.Rows - t.there)
	case time.Since(t.told) >= transferTell:
		t.told = time.Now()
		fmt.Fprintf(t.progress, "%s: %s of %s rows\n", stageName(role, p), thin(float64(p.Rows)), thin(float64(p.Total)))
	}
}

// endStage leaves a line for a table that is done.
func (t *transferJob) endStage(role string) {
	if t.bar != nil {
		_ = t.bar.Finish()
		t.bar = nil
	}
	if p := t.stage; p.Table != "" && p.Rows == p.Total {
		fmt.Fprintf(t.progress, "%s: %s rows\n", stageName(role, p), thin(float64(p.Rows)))
	}
	t.stage = transfer.Progress{}
}

func stageName(role string, p transfer.Progress) string {
	if p.Compare {
		return "compare " + role + " " + p.Table
	}
	return "copy " + role + " " + p.Table
}

func (t *transferJob) summary(moves []move) error {
	if t.g.format(t.out) != "table" {
		return json.NewEncoder(t.out).Encode(map[string]any{"moved": t.done})
	}
	for _, d := range t.done {
		if d.MovedBefore {
			fmt.Fprintf(t.out, "%s was moved before; nothing is left to do\n", d.Role)
			continue
		}
		fmt.Fprintf(t.out, "%s: %s rows in %.1f s (%s/s), compared with their source in %.1f s: both sides are the same\n",
			d.Role, thin(float64(d.Rows)), d.CopySeconds, thin(d.RowsPerSecond), d.CompareSeconds)
		if d.Resumed > 0 {
			fmt.Fprintf(t.out, "  %s of them were there already\n", thin(float64(d.Resumed)))
		}
	}
	fmt.Fprintln(t.out, "Start the server on the same data folder, which holds the queue, with")
	fmt.Fprintln(t.out, "stores:")
	for _, m := range moves {
		fmt.Fprintf(t.out, "  %s: { url: %q }\n", m.role, m.c.URL)
	}
	fmt.Fprintln(t.out, "The SQLite files are as they were; without these lines the server goes on with them.")
	return nil
}
