package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// TestKill kills the all-in-one process at random moments under load. Every
// event that was acknowledged must be stored and counted exactly once: the
// test's own ledger, the rows, the rollups and the balance agree.
// KILLS sets the number of kills (20), SEED repeats a run.
func TestKill(t *testing.T) {
	kills := envInt("KILLS", 20)
	testKills(t, harness.AllInOne, kills, kills*100, func(c *harness.Cluster, _ int) string {
		c.Kill("synapse")
		c.StartProcess("synapse")
		return "synapse"
	})
}

// TestKillApart is TestKill with each role and each server killed in turn, twice.
func TestKillApart(t *testing.T) {
	names := []string{"postgres", "nats-server", "synapse-query", "synapse-scoring", "synapse-ingest", "synapse-auth", "synapse-gateway"}
	testKills(t, harness.Apart, 2*len(names), 1000, func(c *harness.Cluster, k int) string {
		name := names[k%len(names)]
		if name == "postgres" {
			c.RestartPostgres()
			return name
		}
		c.Kill(name)
		c.StartProcess(name)
		return name
	})
}

// testKills lets kill kill and start something again under load, and compares what
// the callers know with what is there.
func testKills(t *testing.T, shape harness.Shape, kills, least int, kill func(c *harness.Cluster, k int) string) {
	seed := uint64(envInt("SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("seed %d, %d kills", seed, kills)
	rng := rand.New(rand.NewPCG(seed, 1))
	c := harness.Start(t, shape)

	l := newLedger(c)
	const writers = 8
	for w := range writers {
		l.wg.Go(func() { l.write(w) })
	}
	for k := range kills {
		time.Sleep(time.Duration(100+rng.IntN(700)) * time.Millisecond)
		start := time.Now()
		name := kill(c, k)
		back, before := time.Since(start), l.count()
		for l.count() == before {
			require.Less(t, time.Since(start), time.Minute, "nothing is accepted after %s was killed", name)
			time.Sleep(time.Millisecond)
		}
		t.Logf("%s back after %s, events accepted after %s, %d in all", name, back.Round(time.Millisecond), time.Since(start).Round(time.Millisecond), before)
	}
	l.check(t, least)
}

// TestFailover: the database's primary is lost, and a replica promoted that is
// seconds behind. What it did not have is read again from the queue.
func TestFailover(t *testing.T) {
	c := harness.Start(t, harness.Apart, harness.WithStandby())
	l := newLedger(c)
	for w := range 8 {
		l.wg.Go(func() { l.write(w) })
	}
	time.Sleep(2 * time.Second)
	c.DetachStandby()
	kept := l.count()
	time.Sleep(5 * time.Second)
	lost := l.count() - kept
	start := time.Now()
	c.Failover()
	for before := l.count(); l.count() == before; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(start), time.Minute, "nothing is accepted after the failover")
	}
	t.Logf("about %d events behind; accepted again after %s", lost, time.Since(start).Round(time.Millisecond))
	time.Sleep(2 * time.Second)
	l.check(t, 1000)
}

// check stops the writers and compares what they know with what is there.
func (l *ledger) check(t *testing.T, least int) {
	close(l.stop)
	l.wg.Wait()
	c := l.c
	total := c.Settle()
	acked, unknown := l.count(), l.unknowns()
	t.Logf("%d acknowledged, %d never answered, stored %v, duplicate %v", acked, unknown, total["stored"], total["duplicate"])
	require.Greater(t, acked, least, "too little load to prove anything")

	stored := l.storedIDs(t)
	for id := range l.acked {
		if stored[id] == 0 {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	for id, n := range stored {
		if n != 1 {
			t.Errorf("%s is stored %d times", id, n)
		}
		if !l.open[id] {
			t.Errorf("%s was never sent and is stored", id)
		}
	}
	require.EqualValues(t, len(stored), total["stored"])
	out, errOut, code := c.CLI("verify", "--output", "json")
	require.Equal(t, 0, code, "%s%s", out, errOut)
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.EqualValues(t, len(stored), v["events"])
}

func envInt(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

// ledger is what the writers know: which ids were acknowledged, and which were
// sent and never answered.
type ledger struct {
	c    *harness.Cluster
	stop chan struct{}
	wg   sync.WaitGroup
	http http.Client

	mu    sync.Mutex
	acked map[string]bool
	open  map[string]bool
}

func newLedger(c *harness.Cluster) *ledger {
	return &ledger{
		c: c, stop: make(chan struct{}), acked: map[string]bool{}, open: map[string]bool{},
		http: http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

func (l *ledger) unknowns() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for id := range l.open {
		if !l.acked[id] {
			n++
		}
	}
	return n
}

// write sends batches until stop; a batch without an answer is sent again with
// the same ids, half of the time.
func (l *ledger) write(w int) {
	size := []int{1, 10, 100}[w%3]
	for b := 0; ; b++ {
		var ids []string
		var events []map[string]any
		for i := range size {
			id := fmt.Sprintf("w%d-%d-%d", w, b, i)
			ids = append(ids, id)
			events = append(events, map[string]any{"id": id, "text": "I like it, number " + id, "source": fmt.Sprintf("writer-%d", w)})
		}
		body, _ := json.Marshal(map[string]any{"events": events})
		l.mu.Lock()
		for _, id := range ids {
			l.open[id] = true
		}
		l.mu.Unlock()
		for try := 0; ; try++ {
			select {
			case <-l.stop:
				return
			default:
			}
			if l.send(body) {
				l.mu.Lock()
				for _, id := range ids {
					l.acked[id] = true
				}
				l.mu.Unlock()
				break
			}
			time.Sleep(20 * time.Millisecond)
			if try > 0 && b%2 == 0 { // leave some unanswered
				break
			}
		}
	}
}

// send says whether every event of the batch was acknowledged.
func (l *ledger) send(body []byte) bool {
	req, err := http.NewRequest("POST", l.c.URL+"/v1/projects/-/events:ingest", strings.NewReader(string(body)))
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+l.c.Creds.IngestKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := l.http.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	var ans struct {
		Rejected int `json:"rejected"`
	}
	return res.StatusCode == 200 && json.NewDecoder(res.Body).Decode(&ans) == nil && ans.Rejected == 0
}

// storedIDs lists every stored event by the public list and counts each id.
func (l *ledger) storedIDs(t *testing.T) map[string]int {
	stored := map[string]int{}
	token := ""
	for {
		a := l.c.Call("GET", "/v1/projects/-/events?pageSize=1000&pageToken="+token, l.c.Creds.ReadKey, nil)
		require.Equal(t, 200, a.Status, "%s", a.Body)
		var page struct {
			Events []struct {
				ID string `json:"id"`
			} `json:"events"`
			Next string `json:"nextPageToken"`
		}
		require.NoError(t, json.Unmarshal(a.Body, &page))
		for _, e := range page.Events {
			stored[e.ID]++
		}
		if token = page.Next; token == "" {
			return stored
		}
	}
}
