package queuetest

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// kills is how often the crash test kills its child.
const kills = 5

// childPublishers publish at the same time.
const childPublishers = 8

// Child publishes to EVENTS until it is killed. Each id is written to the file
// ledger after it was acknowledged. The test binary of an engine calls it in the
// process that Harness.Crash starts. It returns only an error.
func Child(q queue.Queue, ledger string) error {
	f, err := os.OpenFile(ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	defer f.Close()
	errs := make(chan error, childPublishers)
	var wg sync.WaitGroup
	for p := range childPublishers {
		wg.Go(func() {
			data := make([]byte, 4096)
			_, _ = rand.Read(data)
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), p, i)
				m := queue.Outgoing{ID: id, Header: map[string]string{"Id": id}, Data: data[:mrand.IntN(len(data))]}
				// Every third is published twice at the same time.
				if i%3 == 0 {
					go func() { _, _, _ = q.Publish(context.Background(), queue.Events, m) }()
				}
				if _, _, err := q.Publish(context.Background(), queue.Events, m); err != nil {
					errs <- err
					return
				}
				if _, err := fmt.Fprintln(f, id); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	return <-errs
}

// testCrash kills a publishing process at random moments. Every acknowledged id
// must be there once, also when it is published again after the crash.
func testCrash(t *testing.T, h Harness) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	if h.Crash == nil {
		t.Skip("the harness has no Crash")
	}
	ledger := filepath.Join(t.TempDir(), "ledger")
	seed := mrand.Uint64()
	rnd := mrand.New(mrand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for round := range kills {
		known := len(readLedger(t, ledger))
		cmd := h.Crash(t, ledger)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		// Wait for its first acknowledgements, then for a random moment.
		deadline := time.Now().Add(patience)
		for len(readLedger(t, ledger)) < known+10 {
			if time.Now().After(deadline) {
				_ = cmd.Process.Kill()
				t.Fatal("the child acknowledged nothing")
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		var state interface{ ExitCode() int }
		err := cmd.Wait()
		require.ErrorAs(t, err, &state)
		require.Equal(t, -1, state.ExitCode(), "the child ended before it was killed")

		acked := readLedger(t, ledger)
		start := time.Now()
		q := h.Open(t)
		opened := time.Since(start)
		// Who got no answer publishes again; so does who is not sure.
		for _, id := range acked[max(0, len(acked)-20):] {
			_, dup, err := q.Publish(within(t), queue.Events, queue.Outgoing{ID: id, Header: map[string]string{"Id": id}})
			require.NoError(t, err)
			require.True(t, dup, "id %s was acknowledged and is not known", id)
		}
		times := readIDs(t, q)
		for _, id := range acked {
			require.Equal(t, 1, times[id], "round %d: acknowledged id %s is there %d times", round, id, times[id])
		}
		for id, n := range times {
			require.Equal(t, 1, n, "round %d: id %s", round, id)
		}
		t.Logf("round %d: %d acknowledged, %d stored, opened in %s", round, len(acked), len(times), opened.Round(time.Millisecond))
		require.NoError(t, q.Close())
	}
}

// readLedger returns the complete lines.
func readLedger(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	end := strings.LastIndexByte(string(b), '\n')
	if end < 0 {
		return nil
	}
	var out []string
	s := bufio.NewScanner(strings.NewReader(string(b[:end])))
	for s.Scan() {
		out = append(out, s.Text())
	}
	require.NoError(t, s.Err())
	return out
}

// readIDs reads the whole stream and counts the ids.
func readIDs(t *testing.T, q queue.Queue) map[string]int {
	t.Helper()
	ctx := within(t)
	info, err := q.Info(ctx, queue.Events)
	require.NoError(t, err)
	c, err := q.Consume(ctx, queue.ConsumerConfig{Stream: queue.Events, Name: "check", StartAfter: &queue.Position{}, HeadersOnly: true})
	require.NoError(t, err)
	times := map[string]int{}
	for last := uint64(0); last < info.Last; {
		ms, err := c.Fetch(ctx, 200)
		require.NoError(t, err)
		follows(t, last, ms)
		last = ms[len(ms)-1].Position.Sequence
		for _, m := range ms {
			times[m.Header["Id"]]++
		}
		ackAll(t, ms[len(ms)-1:])
	}
	require.NoError(t, c.Close())
	return times
}
