package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
)

// Tools are PostgreSQL's own programs pg_dump and pg_restore.
type Tools struct{ dir string }

// FindTools finds them: in dir if that is given, else those of the newest server that
// is installed as Debian does, else on the path.
func FindTools(dir string) (Tools, error) {
	folders := []string{dir}
	if dir == "" {
		folders, _ = filepath.Glob("/usr/lib/postgresql/*/bin")
		slices.SortFunc(folders, func(a, b string) int { return release(b) - release(a) })
		if path, err := exec.LookPath("pg_dump"); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, d := range folders {
		_, err1 := exec.LookPath(filepath.Join(d, "pg_dump"))
		_, err2 := exec.LookPath(filepath.Join(d, "pg_restore"))
		if err1 == nil && err2 == nil {
			return Tools{dir: d}, nil
		}
	}
	return Tools{}, errors.New("pg_dump and pg_restore were not found: install PostgreSQL's client programs, or name their folder")
}

// release is the number in /usr/lib/postgresql/15/bin.
func release(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// Dump writes the tables of the namespace that the URL leads to into a file, which
// must not exist, as one snapshot; look sees the same snapshot. Writers go on
// meanwhile.
func (db *DB) Dump(ctx context.Context, tools Tools, path string, look func(ctx context.Context, tx *sql.Tx, namespace string) error) (err error) {
	if db.cfg.Pooler {
		return errPooler
	}
	cfg := db.pool.Config().ConnConfig.Copy()
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0" // the snapshot is held as long as it takes
	own := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, own.Close()) }()
	tx, err := own.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return withContext(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	var namespace, snapshot string
	if err := tx.QueryRowContext(ctx, "SELECT current_schema(), pg_export_snapshot()").Scan(&namespace, &snapshot); err != nil {
		return withContext(ctx, err)
	}
	if err := look(ctx, tx, namespace); err != nil {
		return withContext(ctx, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // for its mode
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// More compression takes many times as long for a fifth less.
	return db.tool(ctx, tools, "pg_dump", "--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--no-password",
		"--schema="+quoted(namespace), "--snapshot="+snapshot, "--file="+path)
}

// Restore puts the tables of a file of Dump into the namespace that the URL leads to,
// which must have the name that it had and no table. All of it is kept or nothing.
func (db *DB) Restore(ctx context.Context, tools Tools, path, namespace string) error {
	if err := db.CheckEmpty(ctx, namespace); err != nil {
		return err
	}
	err := db.tool(ctx, tools, "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password",
		"--schema="+namespace, path)
	if err != nil {
		return err
	}
	// A dump has no statistics, without which the first reads are planned badly. If this
	// fails, the server does it by itself later.
	_, _ = db.pool.Exec(ctx, "ANALYZE")
	return nil
}

// CheckEmpty says whether Restore could put a file of the namespace here.
func (db *DB) CheckEmpty(ctx context.Context, namespace string) error {
	if db.cfg.Pooler {
		return errPooler
	}
	var here sql.NullString
	var tables int
	err := db.pool.QueryRow(ctx, "SELECT current_schema(), (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema())::int").Scan(&here, &tables)
	switch {
	case err != nil:
		return withContext(ctx, err)
	case here.String != namespace:
		return fmt.Errorf("the tables were in schema %q, url leads to %q: create the schema and add search_path=%s to url", namespace, here.String, url.QueryEscape(namespace))
	case tables > 0:
		return fmt.Errorf("schema %q of the database has %d tables already: give an empty database", namespace, tables)
	}
	return nil
}

var errPooler = errors.New("PostgreSQL's own programs do not work through a pooler: for this command give the url of the server itself and pooler: false")

// quoted keeps a name from being read as a pattern.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// tool runs one of the programs. The password goes by the environment: arguments are
// seen by every user of the machine.
func (db *DB) tool(ctx context.Context, tools Tools, name string, args ...string) error {
	target, options := libpqURL(db.cfg.URL)
	cmd := exec.CommandContext(ctx, filepath.Join(tools.dir, name), append([]string{"--dbname=" + target}, args...)...) //nolint:gosec // G204: the operator's own programs
	cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT="+strconv.Itoa(max(2, int(db.cfg.ConnectTimeout.Seconds()))))
	if options != "" {
		cmd.Env = append(cmd.Env, "PGOPTIONS="+options)
	}
	if p := db.pool.Config().ConnConfig.Password; p != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+p)
	}
	out := &lastBytes{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out.b)))
	}
	return nil
}

// libpqKeys are the parameters of a URL that libpq knows; others are pgx's, or
// settings of the session.
var libpqKeys = []string{
	"application_name", "channel_binding", "client_encoding", "connect_timeout", "gssencmode", "host", "hostaddr", "keepalives", "keepalives_count",
	"keepalives_idle", "keepalives_interval", "krbsrvname", "passfile", "port", "require_auth", "service", "sslcert", "sslcrl", "sslkey", "sslmode",
	"sslrootcert", "sslsni", "target_session_attrs", "tcp_user_timeout", "user", "dbname",
}

// libpqURL makes of a URL of pgx one that libpq reads, and the options of the session
// that it can not say.
func libpqURL(text string) (target, options string) {
	base, query, found := strings.Cut(text, "?")
	if !found {
		return text, ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return text, ""
	}
	keep := url.Values{}
	var set []string
	for key, v := range values {
		switch {
		case slices.Contains(libpqKeys, key):
			keep[key] = v
		case key == "options":
			set = append(set, v...)
		case strings.HasPrefix(key, "pool_"), strings.HasPrefix(key, "statement_cache"), strings.HasPrefix(key, "description_cache"), key == "default_query_exec_mode":
		default:
			set = append(set, "-c "+key+"="+strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(v[0]))
		}
	}
	slices.Sort(set)
	if len(keep) > 0 {
		// libpq does not read + as a space.
		base += "?" + strings.ReplaceAll(keep.Encode(), "+", "%20")
	}
	return base, strings.Join(set, " ")
}

// lastBytes keeps the end of what is written.
type lastBytes struct{ b []byte }

func (l *lastBytes) Write(p []byte) (int, error) {
	const most = 2000
	l.b = append(l.b, p...)
	if len(l.b) > most {
		l.b = l.b[len(l.b)-most:]
	}
	return len(p), nil
}
