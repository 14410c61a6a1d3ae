package jetstream

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/config"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

func TestDiskFloor(t *testing.T) {
	var looks atomic.Int32
	free, fail := uint64(100), error(nil)
	d := &diskFloor{dir: "d", floor: 50, free: func(string) (uint64, error) { looks.Add(1); return free, fail }}
	now := time.Unix(1, 0)
	require.NoError(t, d.check(now))
	free = 49
	require.NoError(t, d.check(now.Add(floorEvery-1)), "one look counts for a while")
	require.EqualValues(t, 1, looks.Load())
	now = now.Add(floorEvery)
	err := d.check(now)
	require.ErrorIs(t, err, queue.ErrFull)
	require.ErrorContains(t, err, "free_floor_bytes")
	free = 50
	require.ErrorIs(t, d.check(now), queue.ErrFull)
	now = now.Add(floorEvery)
	require.NoError(t, d.check(now), "it ends by itself")
	free, fail = 0, errors.New("no such folder")
	require.NoError(t, d.check(now.Add(floorEvery)))
	require.NoError(t, (*diskFloor)(nil).check(now))

	real, err := freeBytes(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, real)
	_, err = freeBytes("/no/such/folder")
	require.Error(t, err)
}

func TestFloorRefuses(t *testing.T) {
	cfg := withDir(t)
	cfg.FreeFloorBytes = 1 << 60 // no disk has that
	q := openClosed(t, cfg)
	_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{})
	require.ErrorIs(t, err, queue.ErrFull)
	require.ErrorContains(t, err, "free_floor_bytes")
	require.ErrorIs(t, q.Ready(t.Context()), queue.ErrFull)
	require.EqualValues(t, 1, q.Stats().RefusedFull)
	info, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.Zero(t, info.Messages)
}

// TestSmallDisk fills a small file system, which it mounts.
func TestSmallDisk(t *testing.T) {
	root := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=48m", "none", root).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: may not mount a small file system: %v: %s", err, out)
	}
	t.Cleanup(func() { require.NoError(t, exec.CommandContext(context.Background(), "umount", root).Run()) })
	cfg := testConfig()
	cfg.EventsMaxBytes, cfg.FreeFloorBytes = 1<<30, 16<<20
	cfg.Dir = filepath.Join(root, "queue")
	q := mustOpen(t, cfg)
	data := make([]byte, 256<<10)
	fill := func() (stored int, err error) {
		for i := range 4096 {
			if _, _, err = q.Publish(t.Context(), queue.Events, queue.Outgoing{ID: strconv.Itoa(i), Data: data}); err != nil {
				return i, err
			}
			time.Sleep(5 * time.Millisecond) // the floor looks 4 times a second
		}
		return 0, errors.New("not full")
	}
	stored, err := fill()
	require.ErrorIs(t, err, queue.ErrFull)
	require.ErrorContains(t, err, "free_floor_bytes")
	require.Empty(t, q.srv.log.Fault(), "it refused before the disk was full")
	info, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, stored, info.Messages)
	require.NoError(t, q.Trim(t.Context(), queue.Events, info.Last))
	require.Eventually(t, func() bool { return q.Ready(t.Context()) == nil }, 30*time.Second, 50*time.Millisecond, "it goes on by itself")

	// Without the floor the disk fills up: Ready must tell it, and what was
	// acknowledged must be there after a restart.
	require.NoError(t, q.Close())
	cfg.FreeFloorBytes, cfg.PublishTimeout = 0, time.Second
	q = mustOpen(t, cfg)
	before := info.Last
	stored, err = fill()
	t.Logf("full after %d messages: %v", stored, err)
	require.Error(t, err)
	require.Eventually(t, func() bool { return q.Ready(t.Context()) != nil }, 10*time.Second, 50*time.Millisecond)
	t.Log(q.Ready(t.Context()))
	require.NoError(t, q.Close())
	q = openClosed(t, cfg)
	info, err = q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.GreaterOrEqual(t, info.Messages, uint64(stored), "what was acknowledged is there")
	t.Logf("%d of %d there after the restart; first %d, last %d before the fill", info.Messages, stored, info.First, before)
}

func TestDirInUse(t *testing.T) {
	cfg := withDir(t)
	q := openClosed(t, cfg)
	_, err := Open(t.Context(), cfg, quiet())
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, q.Ready(t.Context()))
	cfg.Dir = "/dev/null/x"
	_, err = Open(t.Context(), cfg, quiet())
	require.ErrorContains(t, err, "dir: ")
}

func TestServerLogFault(t *testing.T) {
	l := &serverLog{log: quiet()}
	l.Noticef("disk is fine")
	l.Warnf("JetStream cluster is slow")
	l.Errorf("something minor")
	l.Debugf("will be DISABLED")
	require.Empty(t, l.Fault())
	l.Errorf("JetStream out of %s resources, will be DISABLED", "file")
	l.Fatalf("second")
	require.Equal(t, "JetStream out of file resources, will be DISABLED", l.Fault(), "the first is kept")

	q := openClosed(t, withDir(t))
	q.srv.log.Errorf("JetStream stream '%s' critical write error: %v", "EVENTS", "input/output error")
	err := q.Ready(t.Context())
	require.ErrorIs(t, err, queue.ErrUnavailable)
	require.ErrorContains(t, err, "input/output error")
	require.ErrorContains(t, err, "restart")
	_, _, err = q.Publish(t.Context(), queue.Events, queue.Outgoing{})
	require.ErrorIs(t, err, queue.ErrUnavailable, "at once")
	require.ErrorContains(t, err, "input/output error")
}

func TestServerRefusals(t *testing.T) {
	cfg := testConfig()
	cfg.OpenTimeout = time.Second

	small := startServers(t, natstest.Options{MaxPayload: "1MB"})
	cfg.URL = small.URL()
	_, err := Open(t.Context(), cfg, quiet())
	require.ErrorContains(t, err, "max_payload: 8MB")

	cfg.URL = "nats://127.0.0.1:1"
	_, err = Open(t.Context(), cfg, quiet())
	require.ErrorIs(t, err, queue.ErrUnavailable)
	require.ErrorContains(t, err, "url")

	secret := startServers(t, natstest.Options{User: "me", Password: "pw"})
	cfg.URL = secret.URL()
	_, err = Open(t.Context(), cfg, quiet())
	require.Error(t, err)
	cfg.User, cfg.Password = "me", config.Secret("pw")
	openClosed(t, cfg)

	keyed := startServers(t, natstest.Options{NKey: true})
	cfg = configOf(keyed, natstest.Options{})
	cfg.OpenTimeout = time.Second
	openClosed(t, cfg)
	cfg.NKeyFile = keyed.NKeyFile + ".none"
	_, err = Open(t.Context(), cfg, quiet())
	require.ErrorContains(t, err, "nkey_file: ")
	cfg.NKeyFile = ""
	_, err = Open(t.Context(), cfg, quiet())
	require.Error(t, err)
}

// TestUnfitStreams: streams that would lose messages are refused, others are
// brought to the configuration; no message goes.
func TestUnfitStreams(t *testing.T) {
	cfg := configOf(startServers(t, natstest.Options{}), natstest.Options{})
	cfg.OpenTimeout = 5 * time.Second
	q := mustOpen(t, cfg)
	for range 5 {
		_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{Data: make([]byte, 4<<20-100)})
		require.NoError(t, err)
	}
	before, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.NoError(t, q.Close())

	// Smaller than what it holds: it refuses until it is trimmed.
	cfg.EventsMaxBytes = minStreamBytes
	q = mustOpen(t, cfg)
	after, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, minStreamBytes, after.MaxBytes)
	require.Equal(t, before.Messages, after.Messages)
	require.Equal(t, before.Epoch, after.Epoch)
	_, _, err = q.Publish(t.Context(), queue.Events, queue.Outgoing{Data: []byte("x")})
	require.ErrorIs(t, err, queue.ErrFull)
	require.ErrorIs(t, q.Ready(t.Context()), queue.ErrFull)

	for what, spoil := range map[string]func(*natsjs.StreamConfig){
		"retention":    func(c *natsjs.StreamConfig) { c.Retention = natsjs.WorkQueuePolicy },
		"persist_mode": func(c *natsjs.StreamConfig) { c.PersistMode = natsjs.AsyncPersistMode },
		"memory":       func(c *natsjs.StreamConfig) { c.Storage = natsjs.MemoryStorage },
	} {
		bad := q.streamConfig(queue.Dead)
		spoil(&bad)
		require.NoError(t, q.js.DeleteStream(t.Context(), bad.Name))
		_, err := q.js.CreateStream(t.Context(), bad)
		require.NoError(t, err, what)
		_, err = Open(t.Context(), cfg, quiet())
		require.ErrorContains(t, err, what)
	}
	old := q.streamConfig(queue.Dead)
	old.MaxAge, old.Discard = time.Hour, natsjs.DiscardOld
	require.NoError(t, q.js.DeleteStream(t.Context(), old.Name))
	_, err = q.js.CreateStream(t.Context(), old)
	require.NoError(t, err)
	require.NoError(t, q.Close())
	q = openClosed(t, cfg)
	st, err := q.js.Stream(t.Context(), old.Name)
	require.NoError(t, err)
	require.Zero(t, st.CachedInfo().Config.MaxAge)
	require.Equal(t, natsjs.DiscardNew, st.CachedInfo().Config.Discard)
}

func TestConcurrentOpen(t *testing.T) {
	cfg := configOf(startServers(t, natstest.Options{}), natstest.Options{})
	type opened struct {
		q   *Queue
		err error
	}
	got := make(chan opened)
	const n = 8
	for range n {
		go func() {
			q, err := Open(t.Context(), cfg, quiet())
			got <- opened{q, err}
		}()
	}
	epochs := map[uint64]bool{}
	for range n {
		o := <-got
		require.NoError(t, o.err)
		info, err := o.q.Info(t.Context(), queue.Events)
		require.NoError(t, err)
		epochs[info.Epoch] = true
		require.NoError(t, o.q.Close())
	}
	require.Len(t, epochs, 1)
}
