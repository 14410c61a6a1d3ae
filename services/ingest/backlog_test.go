package ingest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
)

func backlogInfo(bytes, last, scored, counted uint64) queue.Info {
	return queue.Info{
		Epoch: 1, Messages: last, Bytes: bytes, MaxBytes: 1 << 40, First: 1, Last: last,
		FirstTime: testNow.Add(-time.Minute), LastTime: testNow,
		Consumers: map[string]queue.ConsumerInfo{"scoring": {AckFloor: scored}, "balance": {AckFloor: counted}},
	}
}

func TestBacklog(t *testing.T) {
	const mib = 1 << 20
	for name, tc := range map[string]struct {
		info    queue.Info
		refused string
	}{
		"empty":             {queue.Info{First: 1}, ""},
		"all scored":        {backlogInfo(1000*mib, 1000, 1000, 1000), ""},
		"below high water":  {backlogInfo(79*mib, 79, 0, 0), ""},
		"not scored":        {backlogInfo(1000*mib, 1000, 920, 1000), "scored"},
		"not counted":       {backlogInfo(1000*mib, 1000, 1000, 920), "counted"},
		"few of many":       {backlogInfo(1000*mib, 1000, 921, 930), ""},
		"no consumer yet":   {queue.Info{Messages: 80, Bytes: 80 * mib, First: 1, Last: 80}, "scored"},
		"smaller own bound": {queue.Info{Messages: 80, Bytes: 9 * mib, MaxBytes: 10 * mib, First: 1, Last: 80}, "scored"},
	} {
		t.Run(name, func(t *testing.T) {
			q := &memory{info: tc.info}
			s := newService(t, q, func(d *Deps) {
				d.Config.MaxBacklogBytes, d.Config.BacklogInterval = 100*mib, 10*time.Second
				d.Now = func() time.Time { return testNow }
			})
			_, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent("", "x")))
			st, statusErr := s.GetIngestStatus(callerCtx(t.Context(), project), &ingestv1.GetIngestStatusRequest{})
			require.NoError(t, statusErr)
			if tc.refused == "" {
				require.NoError(t, err)
				require.True(t, st.Accepting)
				return
			}
			e := typed(t, err)
			require.Equal(t, errs.BacklogFull, e.Reason)
			require.Contains(t, e.Message, tc.refused)
			require.Positive(t, e.RetryAfter)
			require.Contains(t, e.Quota.Description, "limit")
			require.Contains(t, e.Quota.Description, "used")
			require.False(t, st.Accepting)
			require.Contains(t, st.Refusal, tc.refused)
			require.Empty(t, q.messages)
		})
	}
}

func TestBacklogShrinksBeforeItAccepts(t *testing.T) {
	q := &memory{info: backlogInfo(100, 100, 15, 100)}
	cfg := DefaultConfig()
	cfg.MaxBacklogBytes = 100
	b := newBacklog(cfg, q, noLogger(), func() time.Time { return testNow })
	b.look(t.Context())
	require.NotNil(t, b.refusal())
	q.info = backlogInfo(100, 100, 22, 100)
	b.look(t.Context())
	require.NotNil(t, b.refusal(), "78 of 100: not before 75")
	q.info = backlogInfo(100, 100, 26, 100)
	b.look(t.Context())
	require.Nil(t, b.refusal())
	q.infoErr = errors.New("away")
	b.look(t.Context())
	require.Nil(t, b.refusal(), "what is not known refuses nothing")
	require.NoError(t, b.ready())
}

func TestLag(t *testing.T) {
	now := testNow
	q := &memory{}
	b := newBacklog(DefaultConfig(), q, noLogger(), func() time.Time { return now })
	q.info = backlogInfo(100, 100, 50, 0)
	b.look(t.Context())
	require.InDelta(t, 30, b.state.Load().lag.Seconds(), 1, "half of what came evenly in a minute")
	for i := range uint64(10) {
		now = now.Add(time.Second)
		q.info.Last, q.info.Messages = 101+i, 101+i
		b.look(t.Context())
	}
	q.info.Consumers["scoring"] = queue.ConsumerInfo{AckFloor: 105}
	b.look(t.Context())
	require.Equal(t, 4*time.Second, b.state.Load().lag, "message 106 was first seen 4 s ago")
	q.info.Consumers["scoring"] = queue.ConsumerInfo{AckFloor: 110}
	b.look(t.Context())
	require.Zero(t, b.state.Load().lag)
	for i := range uint64(3 * maxMarks) {
		b.remember(mark{200 + i, now})
	}
	require.LessOrEqual(t, len(b.marks), maxMarks)
}

func TestReadyNamesTheQueue(t *testing.T) {
	now := testNow
	q := &memory{infoErr: errors.New("away")}
	s := newService(t, q, func(d *Deps) {
		d.Config.BacklogInterval = 10 * time.Second
		d.Now = func() time.Time { return now }
	})
	require.ErrorContains(t, s.Ready(t.Context()), "queue")
}
