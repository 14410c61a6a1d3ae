package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/pgdb"
)

// What doctor finds worth a word: an answer that slow makes every call slow, and
// clocks that far apart make times of events and of their storing contradict.
const (
	slowAnswer = 20 * time.Millisecond
	clockApart = time.Second
)

// checkStores looks at the databases that the configuration names.
func checkStores(ctx context.Context, cfg app.Config) []finding {
	var out []finding
	for _, s := range []struct {
		name  string
		c     pgdb.Config
		conns int
	}{{"auth", cfg.Stores.Auth, cfg.Stores.Auth.MaxConns}, {"query", cfg.Stores.Query, cfg.Stores.Query.MaxConns + 3}} {
		if s.c.URL != "" {
			out = append(out, checkStore(ctx, "store "+s.name, s.c, s.conns))
		}
		out = append(out, checkSchema(ctx, cfg, s.name)...)
	}
	return out
}

// checkSchema looks whether the schema of a role's store is complete. A store that can
// not be asked is another finding's.
func checkSchema(ctx context.Context, cfg app.Config, role string) []finding {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := app.Schemas(ctx, cfg, []app.Role{app.Role(role)})
	if err != nil {
		return nil
	}
	var out []finding
	for _, s := range list {
		f := finding{Check: "schema " + role, OK: true, Detail: fmt.Sprintf("all %d steps are applied", len(s.Applied))}
		if len(s.Missing) > 0 {
			f.OK, f.Detail = cfg.Stores.MigratesAtStart(), "lacks "+strings.Join(s.Missing, ", ")
			f.Try = "synapse migrate up"
			if f.OK {
				f.Detail, f.Try = f.Detail+"; serve applies them", ""
			}
		}
		out = append(out, f)
	}
	return out
}

func checkStore(ctx context.Context, name string, c pgdb.Config, conns int) finding {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	db, err := pgdb.Open(ctx, c, "synapse doctor", slog.New(slog.DiscardHandler))
	if err != nil {
		return check(name, "", err, "start the server, or correct url and password below stores")
	}
	defer func() { _ = db.Close() }()
	h, err := db.Look(ctx)
	if err != nil {
		return check(name, "", err, "look at the server's log")
	}
	f := finding{Check: name, OK: true, Detail: fmt.Sprintf("PostgreSQL %s answers in %.1f ms, clocks %d ms apart, %d of %d connections used",
		h.Version, h.Answer.Seconds()*1000, h.Clock.Abs().Milliseconds(), h.Used, h.Max)}
	switch {
	case h.Standby:
		f.OK, f.Try = false, "this is a replica: give the URL of the primary, or both with target_session_attrs=read-write"
	case h.Clock.Abs() > clockApart:
		f.OK, f.Try = false, "keep both clocks by NTP"
	case h.Max-h.Used < conns:
		f.OK, f.Try = false, fmt.Sprintf("the role opens up to %d connections: raise the server's max_connections or lower max_conns", conns)
	case h.Answer > slowAnswer:
		f.Try = "put the server nearer, or look at its load"
	}
	return f
}
