package ingest

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
)

func decodeOne(t testing.TB, b []byte) *pipelinev1.QueuedEvent {
	t.Helper()
	batch := &pipelinev1.EventBatch{}
	require.NoError(t, proto.Unmarshal(b, batch))
	require.Len(t, batch.Events, 1)
	return batch.Events[0]
}

func TestIDs(t *testing.T) {
	var g idSource
	var last string
	for range 3 {
		ids := g.generate(testNow, 1000)
		require.Len(t, ids, 1000*uuidLen)
		for i := range 1000 {
			id := ids[i*uuidLen : (i+1)*uuidLen]
			u, err := uuid.Parse(id)
			require.NoError(t, err)
			require.Equal(t, uuid.Version(7), u.Version())
			require.Equal(t, uuid.RFC4122, u.Variant())
			require.Greater(t, id, last, "ids must grow, also within a tick and across calls")
			require.True(t, validID(id))
			last = id
		}
	}
	u := uuid.MustParse(last)
	sec, nsec := u.Time().UnixTime()
	require.WithinDuration(t, testNow, time.Unix(sec, nsec), 2*time.Millisecond)
	require.Greater(t, g.generate(testNow.Add(-time.Hour), 1), last, "a clock set back must not repeat")
}

func TestIDsOfConcurrentCallsDiffer(t *testing.T) {
	var g idSource
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				ids := g.generate(testNow, 20)
				mu.Lock()
				for i := range 20 {
					seen[ids[i*uuidLen:(i+1)*uuidLen]] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, seen, 8*50*20)
}
