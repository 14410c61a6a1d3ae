package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
)

func testBigBatch(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	traffic := NewTraffic(8)
	traffic.Text = 2000
	b := traffic.Batch(20_011, 1000)
	again := clone(b)
	out := apply(t, s, b)
	require.Len(t, out.Stored, 20_011)
	for i := range again.Sources {
		again.Sources[i].Epoch++
	}
	out = apply(t, s, again)
	require.Equal(t, 20_011, out.Duplicates)
	big := event("big", string(bytes.Repeat([]byte("y"), 65536)))
	apply(t, s, batchOf(5000, big))
	e, err := s.GetEvent(t.Context(), "p", "big")
	require.NoError(t, err)
	require.Len(t, e.Text, 65536)
	verify(t, s)
}

// testReadsDuringWrites: every read sees whole transactions: the counters, the
// rollups and the position belong together at each moment.
func testReadsDuringWrites(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	traffic := NewTraffic(9)
	traffic.Projects, traffic.Text = []string{"p"}, 10
	const batches, rows, per = 40, 200, 20
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				st, err := s.Balance(context.Background(), "p", 48)
				if err != nil || st.Total.Stored != int64(st.Positions[queue.Scored].Sequence)*per {
					t.Errorf("balance of a half transaction: %+v, %v", st, err)
					return
				}
				var minutes, days int64
				sum := func(n *int64) func(query.SeriesRow) error {
					return func(r query.SeriesRow) error {
						*n += r.Cells[0].Count + r.Cells[1].Count + r.Cells[2].Count
						return nil
					}
				}
				q := query.SeriesQuery{Project: "p", Grain: query.Day, StartUS: 0, EndUS: 50_000 * query.Day.US()}
				err = s.Series(context.Background(), q, sum(&days))
				q.Grain, q.GroupBy = query.Minute, []query.Dimension{query.BySource}
				err = errors.Join(err, s.Series(context.Background(), q, sum(&minutes)))
				if err != nil || days%rows != 0 || minutes%rows != 0 || days < st.Total.Stored || minutes < days {
					t.Errorf("series of a half transaction: %d, %d after %d, %v", days, minutes, st.Total.Stored, err)
					return
				}
				if _, err := s.ListEvents(context.Background(), query.ListQuery{Project: "p", Limit: 50}); err != nil {
					t.Error(err)
					return
				}
				if r, err := s.Verify(context.Background(), "p"); err != nil || r.Count != 0 {
					t.Errorf("verify during writes: %v, %v", r.Differences, err)
					return
				}
			}
		})
	}
	for range batches {
		if _, err := s.Apply(t.Context(), traffic.Batch(rows, per)); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	readers.Wait()
	require.EqualValues(t, batches*rows, total(t, s, "p").Stored)
	verify(t, s)
}

// Child writes batches into the store until it is killed, and a byte after each
// commit. The batches follow from the position, as a replay of a queue would.
func Child(s query.Store, committed io.Writer) error {
	for {
		at, err := s.Positions(context.Background())
		if err != nil {
			return err
		}
		b := crashBatch(at[queue.Scored].Sequence)
		if _, err := s.Apply(context.Background(), b); err != nil {
			return err
		}
		// Each stream goes on from its own position.
		for n := at[queue.Events].Sequence; n < b.Position.Sequence; n++ {
			hours := []query.HourCount{{Project: "p", Hour: 1, Events: crashRows}}
			if err := s.ApplyAccepted(context.Background(), query.AcceptedBatch{Counts: hours, Position: Position(n+1, 1)}); err != nil {
				return err
			}
		}
		if err := expireSome(s, b.Position.Sequence); err != nil {
			return err
		}
		if _, err := committed.Write([]byte{'.'}); err != nil {
			return err
		}
	}
}

const crashRows = 300

// crashBatch is the batch after a position.
func crashBatch(after uint64) *query.Batch {
	var events []query.Event
	for i := range crashRows {
		n := int64(after)*crashRows + int64(i)
		e := event(fmt.Sprintf("e-%09d", n), fmt.Sprintf("text %d", n))
		e.OccurredUS += n * 1e6
		e.AcceptedUS += crashDay(after+1) * query.Day.US()
		e.Source = fmt.Sprint("s", n%5)
		events = append(events, e)
	}
	return agedBatch(after+1, events...)
}

// testKill: a process is killed in the middle of transactions, again and again.
// Afterwards everything that was told as committed is there, rows, rollups and
// counters agree with the position, and the next batch goes on from it.
func testKill(t *testing.T, h Harness) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	promised := uint64(0)
	for range 6 {
		cmd := h.Crash(dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		// A few commits, then a moment in the middle of the next.
		told := 0
		buf := make([]byte, 1)
		for told < 1+rnd.IntN(8) {
			_, err := io.ReadFull(out, buf)
			require.NoError(t, err, "the child ended by itself")
			told++
		}
		time.Sleep(time.Duration(rnd.IntN(15_000)) * time.Microsecond)
		require.NoError(t, cmd.Process.Kill())
		rest, err := io.ReadAll(out)
		require.NoError(t, err)
		_ = cmd.Wait() // it was killed
		promised += uint64(told + len(rest))

		s := h.Open(t, dir)
		at, err := s.Positions(t.Context())
		require.NoError(t, err)
		n := at[queue.Scored].Sequence
		require.GreaterOrEqual(t, n, promised)
		require.Equal(t, int64(n*crashRows), total(t, s, "p").Stored)
		require.Equal(t, int64(at[queue.Events].Sequence*crashRows), total(t, s, "p").Accepted)
		require.Len(t, list(t, s, "p"), int(n*crashRows))
		verify(t, s)
		// What the position does not cover comes again; what it does is known.
		require.Empty(t, apply(t, s, crashBatch(n-1)).Stored)
		require.NoError(t, s.Close())
		// The repeat took the position back to n: nothing else has changed.
		promised = n
	}
}
