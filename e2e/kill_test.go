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
	for _, profile := range harness.Profiles(harness.Embedded) {
		c := harness.Start(t, profile)
		var kills []outage
		for range envInt("KILLS", 20) {
			kills = append(kills, outage{"synapse", func() { c.Kill("synapse"); c.StartProcess("synapse") }, func() {}})
		}
		testOutages(t, c, kills, len(kills)*100)
	}
}

// TestKillApart kills each server and each process in turn. A server that the
// product has once is started again at once; while one of several is away, the
// others go on.
func TestKillApart(t *testing.T) {
	for _, profile := range harness.Profiles(harness.Servers, harness.Clustered) {
		t.Run(string(profile), func(t *testing.T) {
			c := harness.Start(t, profile)
			var list []outage
			for _, k := range c.ServerKills() {
				list = append(list, outage{k.Name, k.Kill, k.Heal})
			}
			for _, name := range c.Processes() {
				list = append(list, outage{name, func() { c.Kill(name) }, func() { c.StartProcess(name) }})
			}
			testOutages(t, c, list, 1000)
		})
	}
}

// outage makes something fail; heal is called when events are accepted and stored
// again.
type outage struct {
	name       string
	make, heal func()
}

// testOutages makes things fail under load, and compares what the callers know with
// what is there.
func testOutages(t *testing.T, c *harness.Cluster, list []outage, least int) {
	seed := uint64(envInt("SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("seed %d, %d outages", seed, len(list))
	rng := rand.New(rand.NewPCG(seed, 1))
	l := newLedger(c)
	const writers = 8
	for w := range writers {
		l.wg.Go(func() { l.write(w) })
	}
	for _, o := range list {
		time.Sleep(time.Duration(100+rng.IntN(700)) * time.Millisecond)
		start := time.Now()
		o.make()
		made := time.Since(start)
		wait := func(what string, done func() bool) time.Duration {
			for !done() {
				require.Less(t, time.Since(start), time.Minute, "nothing is %s after %s", what, o.name)
				time.Sleep(time.Millisecond)
			}
			return time.Since(start).Round(time.Millisecond)
		}
		before := l.count()
		accepted := wait("accepted", func() bool { return l.count() > before })
		first, known := c.Stored()
		stored := wait("stored", func() bool {
			n, ok := c.Stored()
			if !known {
				first, known = n, ok
			}
			return ok && known && n > first
		})
		o.heal()
		t.Logf("%s (%s): events accepted after %s, stored after %s, %d in all", o.name, made.Round(time.Millisecond), accepted, stored, before)
	}
	l.check(t, least)
}

// TestFailover: the database's primary is lost, and a replica promoted that is
// seconds behind. What it did not have is read again from the queue.
func TestFailover(t *testing.T) {
	for _, profile := range harness.Profiles(harness.Clustered) {
		testFailover(t, harness.Start(t, profile))
	}
}

func testFailover(t *testing.T, c *harness.Cluster) {
	l := newLedger(c)
	for w := range 8 {
		l.wg.Go(func() { l.write(w) })
	}
	time.Sleep(2 * time.Second)
	c.DetachStandby()
	kept := l.count()
	time.Sleep(5 * time.Second)
	lost := l.count() - kept
	require.Positive(t, lost, "the replica lacks nothing")
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
	// pause of a writer after each batch: what is tested is not the throughput.
	pause time.Duration

	mu    sync.Mutex
	acked map[string]bool
	open  map[string]bool
}

func newLedger(c *harness.Cluster) *ledger {
	return &ledger{
		c: c, stop: make(chan struct{}), pause: 10 * time.Millisecond, acked: map[string]bool{}, open: map[string]bool{},
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
			if l.send(w+try, body) {
				l.mu.Lock()
				for _, id := range ids {
					l.acked[id] = true
				}
				l.mu.Unlock()
				time.Sleep(l.pause)
				break
			}
			time.Sleep(20 * time.Millisecond)
			if try > 0 && b%2 == 0 { // leave some unanswered
				break
			}
		}
	}
}

// send says whether every event of the batch was acknowledged; each try may take
// another gateway.
func (l *ledger) send(try int, body []byte) bool {
	req, err := http.NewRequest("POST", l.c.URLs[try%len(l.c.URLs)]+"/v1/projects/-/events:ingest", strings.NewReader(string(body)))
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
