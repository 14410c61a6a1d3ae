package transfer_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/sqldb"
	generic "github.com/synapse-analytics/synapse/internal/transfer"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
	"github.com/synapse-analytics/synapse/services/query/store/transfer"
)

// childPath and childURL make this binary the process that the kill test kills.
const childPath, childURL = "TRANSFER_TEST_PATH", "TRANSFER_TEST_URL"

// small makes many pieces of little data.
var small = generic.Options{Rows: 200, Bytes: 40_000}

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		o := small
		o.Progress = func(generic.Progress) { fmt.Print(".") }
		_, err := transfer.Run(context.Background(), path, pgtest.Config(os.Getenv(childURL)), quiet, o)
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(pgtest.Main(m.Run))
}

const baseUS = int64(20_775 * 86400e6)

// odd is an event with all that an event can have, in the letters that are hardest to
// carry.
func odd(id string) query.Event {
	return query.Event{
		Project: "p'\"\\", ID: id, Text: "täxt \U0001F600 'q' \"d\" \\ \\N \\. \t\r\n\u2028 <b>\x7f", Source: "a,b;'c'", UserID: "u\\1", Language: "pt-BR", Model: "m\"1",
		Label: query.Positive, ScoreE4: 10000, NegativeE6: 1, PositiveE6: 999_998, Mixed: true, LanguageHint: "pt", LanguageSupported: true,
		StarsE4: [5]int32{1, 2, 3, 4, 9990}, Emotions: []filter.Emotion{{Name: "joy", ProbabilityE4: 10_000}, {Name: "anger", ProbabilityE4: 1}},
		Targets: []string{"ünit", "x\\y"}, TargetScores: []query.TargetScore{{Label: query.Negative, NegativeE4: 9999, Start: 3, End: 9}, {Label: query.Neutral}},
		Attributes: map[string]string{"k": "v", "": "", "b\\": "\u2028 'x' <y> \"z\" \\u0041", "a": "1.0", "ü": "\U0001F600"},
		TraceID:    []byte("0123456789abcdef"), SpanID: []byte("01234567"), EventsSequence: 1, ScoredSequence: 1<<63 + 1,
		OccurredUS: baseUS + 1, AcceptedUS: baseUS + 2, QueuedUS: baseUS + 3, ScoredUS: baseUS + 4,
	}
}

func bare(id string, day int64) query.Event {
	return query.Event{
		Project: "q", ID: id, Text: "x", Language: "und", Model: "m1", Label: query.Neutral, ScoreE4: -3,
		OccurredUS: baseUS - day*86400e6, AcceptedUS: baseUS + day*86400e6, QueuedUS: 1, ScoredUS: 1,
	}
}

func batch(sequence uint64, events ...query.Event) *query.Batch {
	return &query.Batch{
		Sources:  []query.Source{{Epoch: storetest.Epoch, Sequence: sequence, QueuedUS: int64(sequence), Events: events}},
		Position: storetest.Position(sequence, int64(sequence)), StoredUS: baseUS + int64(sequence),
	}
}

func letter(id string, sequence uint64) query.Letter {
	e := odd(id)
	return query.Letter{
		Epoch: storetest.Epoch, Sequence: sequence, Digest: e.Digest(), Project: e.Project, EventID: id, AcceptedUS: e.AcceptedUS, Stage: "scoring", Reason: "UNPROCESSABLE",
		Detail: "it's \"odd\" \\", Attempts: 5, FailedUS: baseUS, Counts: []query.HourCount{{Project: e.Project, Hour: baseUS / query.Hour.US(), Events: 1}},
	}
}

// fill gives a store something of everything: several days and projects, repeats,
// conflicts, dead letters, attributes, and what has none of them.
func fill(t testing.TB, s query.Store, n int) {
	t.Helper()
	apply := func(b *query.Batch) {
		_, err := s.Apply(t.Context(), b)
		require.NoError(t, err)
	}
	apply(batch(90_000, bare("removed", -40_000)))
	traffic := storetest.NewTraffic(11)
	traffic.StepUS = 86400e6 / 400 // several days
	apply(traffic.Batch(n, 50))
	apply(batch(90_001, odd("odd"), bare("bare", 0), bare("before 1970", -30_000), bare("later", 400)))
	conflict := odd("odd")
	conflict.Text = "another text"
	apply(batch(90_002, odd("odd"), conflict, bare("bare", 7), bare("", 3)))
	raw := query.Letter{Epoch: 1 << 63, Sequence: 1<<64 - 1, Digest: query.RawDigest([]byte("junk")), FailedUS: -1, Counts: []query.HourCount{{Project: "only dead", Hour: -5, Events: 40}}}
	_, err := s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{letter("dead", 4), letter("dead 2", 5), raw}, Position: storetest.Position(1<<63+5, 5)})
	require.NoError(t, err)
	require.NoError(t, s.ApplyAccepted(t.Context(), query.AcceptedBatch{
		Counts: []query.HourCount{{Project: "q", Hour: baseUS / query.Hour.US(), Events: 9}}, Position: storetest.Position(8, 8),
	}))
	for removed, more := 0, true; more || removed != 1; {
		out, err := s.Expire(t.Context(), query.ExpireQuery{BeforeUS: baseUS - 35_000*86400e6, Limit: 10})
		require.NoError(t, err)
		require.True(t, more, "removed %d", removed)
		removed, more = removed+out.Events, out.More
	}
}

// source makes a filled file and returns its path.
func source(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "query.db")
	s := openSource(t, path)
	fill(t, s, n)
	require.NoError(t, s.Close())
	return path
}

func openSource(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: quiet})
	require.NoError(t, err)
	return s
}

func openTarget(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), pgtest.Config(url), quiet)
	require.NoError(t, err)
	return s
}

func database(t testing.TB) string {
	t.Helper()
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	return url
}

func change(t testing.TB, url, text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), text)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

// copied is how many rows an unfinished transfer has copied.
func copied(t testing.TB, url string) (rows int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT sum(rows)::bigint FROM transfer_tables").Scan(&rows))
	require.NoError(t, conn.Close(t.Context()))
	return rows
}

func run(t testing.TB, path, url string, o generic.Options) (generic.Report, error) {
	t.Helper()
	return transfer.Run(t.Context(), path, pgtest.Config(url), quiet, o)
}

// same opens both sides and compares them, now and after they have gone on.
func same(t testing.TB, path, url string) {
	t.Helper()
	a, b := openSource(t, path), openTarget(t, url)
	defer func() { require.NoError(t, a.Close()); require.NoError(t, b.Close()) }()
	storetest.Same(t, a, b, 1)
	// What was applied is known, what is new gets the same places, also of new
	// projects and dimensions.
	fresh, repeat := odd("new"), odd("odd")
	fresh.Source, fresh.Project = "new source", "new project"
	for _, next := range []func() *query.Batch{
		func() *query.Batch { return batch(90_002, odd("odd")) },
		func() *query.Batch { return batch(4, odd("dead"), fresh, repeat, bare("next", 1), bare("next", 500)) },
	} {
		want, err := a.Apply(t.Context(), next())
		require.NoError(t, err)
		got, err := b.Apply(t.Context(), next())
		require.NoError(t, err)
		want.Stored, got.Stored = append([]*query.Event{}, want.Stored...), append([]*query.Event{}, got.Stored...)
		require.Equal(t, want, got)
	}
	for _, s := range []query.Store{a, b} {
		n, err := s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{letter("dead", 4), letter("odd", 1), letter("dead 3", 5)}, Position: storetest.Position(9, 9)})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	storetest.Same(t, a, b, 1)
}

func TestRun(t *testing.T) {
	path, url := source(t, 1000), database(t)
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	told := map[string]int64{}
	o := small
	o.Progress = func(p generic.Progress) {
		require.LessOrEqual(t, p.Rows, p.Total)
		if !p.Compare {
			require.GreaterOrEqual(t, p.Rows, told[p.Table])
			told[p.Table] = p.Rows
		}
	}
	r, err := run(t, path, url, o)
	require.NoError(t, err)
	for _, table := range r.Tables {
		require.Equal(t, told[table.Name], table.Rows)
		require.Positive(t, table.Rows, "%s has nothing to test with", table.Name)
	}
	require.Equal(t, told["events"], told["event_ids"])
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, file, after, "the source stays as it was")
	require.NoFileExists(t, path+"-wal")

	again, err := run(t, path, url, small)
	require.NoError(t, err)
	require.True(t, again.Already)
	same(t, path, url)
	_, err = run(t, path, url, small)
	require.ErrorIs(t, err, generic.ErrNotEmpty, "both went on")
}

// Nothing is lost on the way through PgBouncer, and an empty store is one too.
func TestPooler(t *testing.T) {
	server := pgtest.Shared(t)
	port := server.Pool(t)
	for name, n := range map[string]int{"filled": 200, "empty": 0} {
		t.Run(name, func(t *testing.T) {
			path, url := filepath.Join(t.TempDir(), "query.db"), database(t)
			s := openSource(t, path)
			if n > 0 {
				fill(t, s, n)
			}
			require.NoError(t, s.Close())
			require.NoError(t, openTarget(t, url).Close(), "a database that was opened is empty still, but for its secret")
			c := pgtest.Config(strings.Replace(url, fmt.Sprint(":", server.Port), fmt.Sprint(":", port), 1))
			c.Pooler = true
			_, err := transfer.Run(t.Context(), path, c, quiet, small)
			require.NoError(t, err)
			a, b := openSource(t, path), openTarget(t, url)
			defer func() { require.NoError(t, a.Close()); require.NoError(t, b.Close()) }()
			storetest.Same(t, a, b, int64(min(n, 1)))
			for _, s := range []query.Store{a, b} {
				out, err := s.Apply(t.Context(), batch(99_999, bare("first", 0)))
				require.NoError(t, err)
				require.Len(t, out.Stored, 1)
			}
			storetest.Same(t, a, b, int64(min(n, 1)))
		})
	}
}

// TestKill kills the process of a transfer again and again, wherever it is; the last
// one ends what the others began.
func TestKill(t *testing.T) {
	path, url := source(t, 1000), database(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	const kills = 8
	before := int64(0)
	for kill := range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childPath+"="+path, childURL+"="+url)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		// A finished table tells its number of rows once; what is left tells a piece each.
		_, err = io.ReadFull(out, make([]byte, 1+kill+rnd.IntN(8)))
		require.NoError(t, err, "the child ended by itself")
		time.Sleep(time.Duration(rnd.IntN(20_000)) * time.Microsecond)
		require.NoError(t, cmd.Process.Kill())
		_, _ = io.Copy(io.Discard, out)
		require.Error(t, cmd.Wait(), "it was killed")
		_, err = postgres.Open(t.Context(), pgtest.Config(url), quiet)
		require.ErrorIs(t, err, generic.ErrUnfinished, "what is half there is not opened")
		rows := copied(t, url)
		require.GreaterOrEqual(t, rows, before, "what was there is gone on with")
		before = rows
	}
	require.Positive(t, before)
	r, err := run(t, path, url, small)
	require.NoError(t, err)
	require.Equal(t, before, r.Resumed)
	t.Logf("%d of %d rows were there after %d kills", before, r.Rows(), kills)
	same(t, path, url)
}

// A server that goes away in the middle is an error, after which the transfer goes on.
func TestServerKilled(t *testing.T) {
	server, err := pgtest.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	path, url := source(t, 1000), server.URL("postgres")
	for _, at := range []string{"dims", "events", "rollups"} {
		o := small
		o.Progress = func(p generic.Progress) {
			if p.Table == at && p.Rows > p.Total/2 && !p.Compare {
				at = ""
				require.NoError(t, server.Kill())
			}
		}
		_, err := run(t, path, url, o)
		require.Error(t, err)
		require.NoError(t, server.Run())
	}
	r, err := run(t, path, url, small)
	require.NoError(t, err)
	require.Positive(t, r.Resumed)
	same(t, path, url)
}

func TestRefuses(t *testing.T) {
	path := source(t, 300)
	t.Run("other data", func(t *testing.T) {
		url := database(t)
		s := openTarget(t, url)
		_, err := s.Apply(t.Context(), batch(1, bare("x", 1)))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = run(t, path, url, generic.Options{Restart: true})
		require.ErrorIs(t, err, generic.ErrNotEmpty)
		require.ErrorContains(t, err, "give an empty database")
	})
	t.Run("changed source", func(t *testing.T) {
		url := database(t)
		interrupted(t, path, url)
		s := openSource(t, path)
		_, err := s.Apply(t.Context(), batch(99, bare("x", 1)))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = run(t, path, url, small)
		require.ErrorIs(t, err, generic.ErrChanged)
		require.ErrorContains(t, err, "--restart")
		o := small
		o.Restart = true
		r, err := run(t, path, url, o)
		require.NoError(t, err)
		require.Zero(t, r.Resumed)
		same(t, path, url)
	})
	t.Run("two at once", func(t *testing.T) {
		path, url := source(t, 300), database(t)
		o := small
		o.Progress = func(p generic.Progress) {
			if p.Table == "events" && p.Rows > p.Total/2 && !p.Compare {
				o.Progress = nil
				interrupted(t, path, url)
			}
		}
		_, err := run(t, path, url, o)
		require.ErrorContains(t, err, "another transfer")
		_, err = run(t, path, url, small)
		require.NoError(t, err)
		same(t, path, url)
	})
	t.Run("no file", func(t *testing.T) {
		_, err := run(t, filepath.Join(t.TempDir(), "query.db"), database(t), small)
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("column of a later version", func(t *testing.T) {
		path, url := source(t, 50), database(t)
		alter(t, path, "ALTER TABLE events ADD COLUMN mood TEXT")
		_, err := run(t, path, url, small)
		require.ErrorContains(t, err, "events.mood")
	})
}

// interrupted leaves a transfer in the middle of the events.
func interrupted(t testing.TB, path, url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := small
	o.Progress = func(p generic.Progress) {
		if p.Table == "rollups" || p.Compare {
			cancel()
		}
	}
	_, err := transfer.Run(ctx, path, pgtest.Config(url), quiet, o)
	require.ErrorIs(t, err, context.Canceled)
}

func alter(t testing.TB, path, text string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), path, sqldb.Options{Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, db.WithTx(t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(text); return err }))
	require.NoError(t, db.Close())
}

// TestDamaged: what became different after it was copied is noticed, and the table
// named.
func TestDamaged(t *testing.T) {
	path := source(t, 300)
	for table, damage := range map[string]string{
		"meta":            "UPDATE meta SET value = value || '\\x00'",
		"projects":        "UPDATE projects SET name = name || ' ' WHERE id = 1",
		"dims":            "UPDATE dims SET fold = fold + 1 WHERE id = 2",
		"events":          "UPDATE events SET attributes = attributes || '{\"k\": \"w\"}' WHERE id = 'odd'",
		"event_ids":       "UPDATE event_ids SET seq = seq + 1 WHERE id = 'odd'",
		"rollups":         "UPDATE rollups SET h03 = h03 + 1, h04 = h04 - 1 WHERE (project, grain, bucket, dims) = (SELECT project, grain, bucket, dims FROM rollups LIMIT 1)",
		"balance":         "UPDATE balance SET duplicate = duplicate + 1 WHERE hour = (SELECT max(hour) FROM balance)",
		"applied_sources": "DELETE FROM applied_sources WHERE sequence = 3",
		"dead_letters":    "UPDATE dead_letters SET detail = '' WHERE event_id = 'dead'",
		"positions":       "UPDATE positions SET sequence = sequence + 1 WHERE stream = 'EVENTS'",
	} {
		t.Run(table, func(t *testing.T) {
			url := database(t)
			o := small
			o.Progress = func(p generic.Progress) {
				if p.Table == "positions" && p.Rows == p.Total && !p.Compare { // all is copied
					change(t, url, damage)
				}
			}
			_, err := run(t, path, url, o)
			require.ErrorIs(t, err, generic.ErrDiffers)
			require.ErrorContains(t, err, "table "+table+" ")
			_, err = postgres.Open(t.Context(), pgtest.Config(url), quiet)
			require.ErrorIs(t, err, generic.ErrUnfinished)
			o = small
			o.Restart = true
			_, err = run(t, path, url, o)
			require.NoError(t, err)
		})
	}
	t.Run("source", func(t *testing.T) { // both sides agree, and the service would not
		path, url := source(t, 100), database(t)
		alter(t, path, "UPDATE rollups SET n1 = n1 + 1 WHERE grain = 1")
		_, err := run(t, path, url, small)
		require.ErrorIs(t, err, generic.ErrDiffers)
		require.ErrorContains(t, err, "table rollups is not what the events add up to")
	})
}
