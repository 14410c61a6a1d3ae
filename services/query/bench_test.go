package query_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

// BenchmarkWriter moves a backlog of 200,000 events, 100 a message, from the
// queue into the store: fetch, decode, commit, acknowledge.
func BenchmarkWriter(b *testing.B) {
	const messages, per = 2000, 100
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		cfg := jetstream.DefaultConfig()
		cfg.Dir, cfg.Sync, cfg.FreeFloorBytes = filepath.Join(dir, "queue"), jetstream.SyncInterval, 0
		q, err := jetstream.Open(b.Context(), cfg, quiet)
		require.NoError(b, err)
		now := time.Now().UnixMicro()
		text := strings.Repeat("a text of a tweet ", 8)
		var wg sync.WaitGroup
		for p := range 8 {
			wg.Go(func() {
				for m := p; m < messages; m += 8 {
					batch := &pipelinev1.ScoredBatch{SourceSequence: uint64(m + 1), SourceEpoch: 1, QueuedAtUs: now}
					for i := range per {
						e := queued(fmt.Sprint("p", i%5), uuid.Must(uuid.NewV7()).String(), text)
						e.Event.Source = fmt.Sprint("s", i%4)
						batch.Events = append(batch.Events, scored(e))
					}
					data, err := proto.Marshal(batch)
					require.NoError(b, err)
					_, _, err = q.Publish(b.Context(), queue.Scored, queue.Outgoing{Data: data})
					require.NoError(b, err)
				}
			})
		}
		wg.Wait()
		s, err := sqlite.Open(b.Context(), filepath.Join(dir, "query.db"), sqlite.Options{Logger: quiet})
		require.NoError(b, err)
		svc, err := query.New(query.Deps{Config: query.DefaultConfig(), Logger: quiet, Queue: q, Store: s, Explainer: &explainer{}})
		require.NoError(b, err)
		b.StartTimer()
		start := time.Now()
		require.NoError(b, svc.Start(b.Context()))
		for {
			at, err := s.Positions(b.Context())
			require.NoError(b, err)
			if at[queue.Scored].Sequence == messages {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		b.ReportMetric(messages*per/time.Since(start).Seconds(), "events/s")
		b.StopTimer()
		last, err := s.LastSeq(b.Context())
		require.NoError(b, err)
		require.EqualValues(b, messages*per, last)
		require.NoError(b, svc.Stop(b.Context()))
		require.NoError(b, s.Close())
		require.NoError(b, q.Close())
		b.StartTimer()
	}
}
