package query_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
)

func reason(t *testing.T, err error) errs.Reason {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return errs.Reason(i.Reason)
		}
	}
	return ""
}

func TestPath(t *testing.T) {
	w := newWorld(t)
	w.start()
	defer w.scorer()()
	ctx := as(t.Context(), "shop")
	const messages, per = 12, 50
	for m := range messages {
		var events []*pipelinev1.QueuedEvent
		for i := range per {
			e := queued("shop", fmt.Sprintf("e-%d-%d", m, i), []string{"bad thing", "good thing", "thing"}[i%3])
			e.Event.Attributes = map[string]string{"n": fmt.Sprint(i)}
			if i == 0 {
				e.Project = "other"
			}
			events = append(events, e)
		}
		w.ingest(events...)
	}
	b := w.settled("shop")
	require.Equal(t, float64(messages*(per-1)), b.Total.Accepted, "what was acknowledged is in the first answer that is settled")
	require.Equal(t, b.Total.Accepted, b.Total.Stored)
	require.Zero(t, b.Difference)
	require.Equal(t, float64(messages), w.settled("other").Total.Stored)
	// Other projects' events may have been on their way at that moment.
	require.Eventually(t, func() bool { return w.balance("shop").CompleteTo != nil }, patience, time.Millisecond)
	w.ready()

	e, err := w.api.GetEvent(ctx, &queryv1.GetEventRequest{Name: "projects/-/events/e-3-3"})
	require.NoError(t, err)
	require.Equal(t, "projects/shop/events/e-3-3", e.Name)
	require.Equal(t, typev1.Sentiment_NEGATIVE, e.Sentiment.Label)
	require.InDelta(t, 0.7, e.Sentiment.Confidence, 1e-9)
	require.InDelta(t, 0.1, e.Sentiment.Probabilities.Neutral, 1e-9)
	require.Equal(t, map[string]string{"n": "3"}, e.Attributes)
	_, err = w.api.GetEvent(as(t.Context(), "other"), &queryv1.GetEventRequest{Name: "projects/other/events/e-3-3"})
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = w.api.GetEvent(as(t.Context(), ""), &queryv1.GetEventRequest{Name: "projects/shop/events/e-3-3"})
	require.Equal(t, codes.PermissionDenied, status.Code(err))

	trail, err := w.api.GetEventTrail(ctx, &queryv1.GetEventTrailRequest{Name: "projects/shop/events/e-3-3/trail"})
	require.NoError(t, err)
	require.Equal(t, "projects/shop/events/e-3-3/trail", trail.Name)
	require.Len(t, trail.Hops, 5)
	for i, h := range trail.Hops {
		require.Equal(t, queryv1.EventTrail_Hop_Stage(i+1), h.Stage)
		if i > 0 {
			require.False(t, h.Time.AsTime().Before(trail.Hops[i-1].Time.AsTime()))
			require.Equal(t, h.Time.AsTime().Sub(trail.Hops[i-1].Time.AsTime()), h.Elapsed.AsDuration())
		}
	}
	require.Contains(t, trail.Hops[1].Detail, "message 4 of EVENTS")

	// A walk with a filter in small pages.
	var ids []string
	req := &queryv1.ListEventsRequest{Parent: "projects/shop", Filter: `label = NEGATIVE AND score < -0.4 AND attributes.n = "3"`, PageSize: 5}
	for {
		page, err := w.api.ListEvents(ctx, req)
		require.NoError(t, err)
		for _, e := range page.Events {
			ids = append(ids, e.Id)
		}
		if page.NextPageToken == "" {
			break
		}
		req.PageToken = page.NextPageToken
	}
	require.Len(t, ids, messages)
	require.Equal(t, "e-11-3", ids[0])
	require.Equal(t, "e-0-3", ids[messages-1])

	series, err := w.api.QueryTimeSeries(ctx, &queryv1.QueryTimeSeriesRequest{
		Parent: "projects/shop", GroupBy: []string{"label"}, Step: durationpb.New(24 * time.Hour), StartTime: timestamppb.New(time.Now().Add(-time.Hour)),
		EndTime: timestamppb.New(time.Now().Add(time.Hour)),
	})
	require.NoError(t, err)
	var count uint32
	for _, p := range series.Points {
		count += p.Count
		require.Equal(t, p.Count, p.Negative+p.Neutral+p.Positive)
	}
	require.EqualValues(t, messages*(per-1), count)
	require.Len(t, series.Series, 3)
	// The size decides, then the name: 17 positive, 16 negative, 16 neutral a message.
	for i, label := range []string{"POSITIVE", "NEGATIVE", "NEUTRAL"} {
		require.Equal(t, map[string]string{"label": label}, series.Series[i].Group)
	}

	v, err := w.api.VerifyRollups(ctx, &queryv1.VerifyRollupsRequest{Parent: "projects/shop"})
	require.NoError(t, err)
	require.Zero(t, v.DifferenceCount, v.Differences)
	require.EqualValues(t, messages*(per-1), v.Events)
	require.Positive(t, v.Rollups)
}

// What goes with an event comes back with it, and can be searched for.
func TestExtras(t *testing.T) {
	w := newWorld(t)
	w.start()
	defer w.scorer()()
	ctx := as(t.Context(), "shop")
	full := queued("shop", "full", "good \U0001F600 one")
	full.Event.Language, full.Event.Targets = "pt-BR", []string{"one", "price"}
	w.ingest(full, queued("shop", "plain", "bad one"))
	w.stored("shop", 2)
	e, err := w.api.GetEvent(ctx, &queryv1.GetEventRequest{Name: "projects/-/events/full"})
	require.NoError(t, err)
	require.Equal(t, []float64{0.1, 0.1, 0.1, 0.2, 0.5}, e.Sentiment.Stars)
	require.Equal(t, map[string]float64{"joy": 0.8123}, e.Emotions)
	require.Len(t, e.TargetSentiments, 2)
	want := &typev1.TargetSentiment{
		Target: "price", Label: typev1.Sentiment_POSITIVE, Score: 0.6, Mentioned: true, StartByte: 5, EndByte: 9, StartUtf16: 5, EndUtf16: 7,
		Probabilities: &typev1.Probabilities{Negative: 0.1, Neutral: 0.2, Positive: 0.7},
	}
	require.True(t, proto.Equal(want, e.TargetSentiments[1]), "%v", e.TargetSentiments[1])
	for f, ids := range map[string]int{"emotion:joy": 1, "emotions:joy": 1, "emotion:anger": 0, "emotion != joy": 1, "mixed = false": 2, "mixed = true": 0} {
		page, err := w.api.ListEvents(ctx, &queryv1.ListEventsRequest{Parent: "projects/-", Filter: f})
		require.NoError(t, err)
		require.Len(t, page.Events, ids, f)
	}

	x, err := w.api.ExplainEvent(ctx, &queryv1.ExplainEventRequest{Name: "projects/-/events/full"})
	require.NoError(t, err)
	require.Equal(t, "projects/shop/events/full", x.Name)
	require.Equal(t, "m2", x.Sentiment.ModelVersion)
	require.Equal(t, map[string]float64{"joy": 0.75}, x.Emotions)
	require.Len(t, x.Evidence, 1)
	require.Len(t, x.Sentences, 1)
	require.Len(t, x.Targets, 1)
	require.InDelta(t, 0.25, x.Bias, 0)
	require.InDelta(t, 0.5, x.LogitDifference, 0)
	require.Equal(t, "en", x.Language)
	require.True(t, x.LanguageSupported)
	require.Equal(t, "m1", w.explainer.version)
	require.Equal(t, "good \U0001F600 one", w.explainer.asked.Text)
	require.Equal(t, "web", w.explainer.asked.Source)
	require.Equal(t, "pt-BR", w.explainer.asked.Language, "the sender's hint, not what was found")
	require.Equal(t, []string{"one", "price"}, w.explainer.asked.Targets)
	require.Len(t, w.explainer.asked.Extras, 4)
	_, err = w.api.ExplainEvent(as(t.Context(), "other"), &queryv1.ExplainEventRequest{Name: "projects/other/events/full"})
	require.Equal(t, codes.NotFound, status.Code(err))
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.start()
	defer w.scorer()()
	w.ingest(queued("p", "a", "x"), queued("p", "b", "x"), queued("q", "a", "x"))
	w.settled("p")
	ctx := as(t.Context(), "p")
	first, err := w.api.ListEvents(ctx, &queryv1.ListEventsRequest{Parent: "projects/p", PageSize: 1, Filter: `source = web`})
	require.NoError(t, err)
	require.NotEmpty(t, first.NextPageToken)
	list := func(ctx context.Context, filter, token string, size int32) error {
		_, err := w.api.ListEvents(ctx, &queryv1.ListEventsRequest{Parent: "projects/p", PageSize: size, Filter: filter, PageToken: token})
		return err
	}
	require.NoError(t, list(ctx, `source = web`, first.NextPageToken, 5))
	for name, tc := range map[string]struct {
		err  error
		want errs.Reason
	}{
		"other filter":  {list(ctx, `source = "web"`, first.NextPageToken, 1), errs.InvalidPageToken},
		"no filter":     {list(ctx, ``, first.NextPageToken, 1), errs.InvalidPageToken},
		"other project": {list(as(t.Context(), "q"), `source = web`, first.NextPageToken, 1), errs.InvalidPageToken},
		"changed":       {list(ctx, `source = web`, changed(first.NextPageToken, 5), 1), errs.InvalidPageToken},
		"no token":      {list(ctx, ``, "%%%", 1), errs.InvalidPageToken},
		"filter":        {list(ctx, `sorce = web`, "", 1), errs.InvalidFilter},
		"size":          {list(ctx, ``, "", 1001), errs.InvalidField},
		"negative size": {list(ctx, ``, "", -1), errs.InvalidField},
	} {
		require.Equal(t, codes.InvalidArgument, status.Code(tc.err), name)
		require.Equal(t, tc.want, reason(t, tc.err), name)
	}
	err = list(ctx, `source = web AND sorce = web`, "", 1)
	require.ErrorContains(t, err, "column 18")
}

// TestRepeats: what is published twice, by the queue or by scoring, counts once.
func TestRepeats(t *testing.T) {
	w := newWorld(t)
	w.start()
	stop := w.scorer()
	a, b := queued("p", "a", "x"), queued("p", "b", "x")
	at := w.ingest(a, b)
	w.stored("p", 2)
	stop()
	again := &pipelinev1.ScoredBatch{SourceEpoch: at.Epoch, SourceSequence: at.Sequence, Events: []*pipelinev1.ScoredEvent{scored(a), scored(b)}}
	all, err := w.store.EventsAfter(t.Context(), query.AfterQuery{Project: "p", UpTo: 1 << 60, Limit: 9})
	require.NoError(t, err)
	again.QueuedAtUs = all[0].QueuedUS
	w.publishScored(again)
	bal := w.settled("p")
	require.Equal(t, []float64{2, 2, 0}, []float64{bal.Total.Accepted, bal.Total.Stored, bal.Total.Duplicate})

	// Sent again by the caller it is a duplicate, with another text a conflict.
	defer w.scorer()()
	w.ingest(queued("p", "a", "x"), queued("p", "b", "y"), queued("p", "c", "poison"))
	bal = w.settled("p")
	require.Equal(t, []float64{5, 2, 2, 1, 1}, []float64{bal.Total.Accepted, bal.Total.Stored, bal.Total.Duplicate, bal.Total.Conflict, bal.Total.DeadLetter})
	require.Zero(t, bal.Difference)
}

// TestPoison: what can not be read neither blocks nor hides.
func TestPoison(t *testing.T) {
	w := newWorld(t)
	w.start()
	defer w.scorer()()
	hour := time.Now().Unix() / 3600
	// A message of SCORED that is no protobuf, with and without a count.
	for _, header := range []map[string]string{{queue.CountsHeader: fmt.Sprintf("p@%d=3", hour)}, nil} {
		_, _, err := w.queue.Publish(t.Context(), queue.Scored, queue.Outgoing{Header: header, Data: []byte("\xff\xff")})
		require.NoError(t, err)
	}
	good := scored(queued("p", "good", "x"))
	noLabel, noProject, noID, wild := scored(queued("p", "l", "x")), scored(queued("", "p", "x")), scored(queued("p", "", "x")), scored(queued("p", "w", "x"))
	noLabel.Sentiment.Label = 0
	wild.Sentiment.Score = 7
	w.publishScored(&pipelinev1.ScoredBatch{SourceSequence: 1 << 40, SourceEpoch: 1, Events: []*pipelinev1.ScoredEvent{noLabel, noProject, good, noID, nil, wild}})
	_, _, err := w.queue.Publish(t.Context(), queue.Dead, queue.Outgoing{Data: []byte("\xff\xff"), Header: map[string]string{queue.CountsHeader: fmt.Sprintf("p@%d=2", hour)}})
	require.NoError(t, err)
	_, _, err = w.queue.Publish(t.Context(), queue.Events, queue.Outgoing{Data: nil}) // no header
	require.NoError(t, err)
	w.ingest(queued("p", "after", "x"))
	w.stored("p", 2)
	require.Eventually(t, func() bool { return w.balance("p").Total.DeadLetter == 3+3+2 }, patience, time.Millisecond)
	b := w.settled("p")
	require.Equal(t, 1-(2+8.0), b.Difference, "they were never accepted")
	w.ready()
}

func TestInFlight(t *testing.T) {
	w := newWorld(t)
	w.start()
	// scoring exists and does nothing.
	c, err := w.queue.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "scoring"})
	require.NoError(t, err)
	require.Zero(t, w.balance("p").Total.Accepted)
	w.ingest(queued("p", "a", "x"), queued("p", "b", "x"), queued("q", "a", "x"))
	b := w.balance("p")
	require.Equal(t, []float64{2, 2, 0}, []float64{b.Total.Accepted, b.Total.InFlight, b.Difference}, "at once")
	require.Equal(t, 2.0, b.Hours[0].InFlight)
	require.NoError(t, c.Close())
	before := time.Now()
	defer w.scorer()()
	b = w.settled("p")
	require.Equal(t, []float64{2, 2, 0}, []float64{b.Total.Accepted, b.Total.Stored, b.Difference})
	require.Eventually(t, func() bool { return w.settled("p").CompleteTo.AsTime().After(before) }, patience, time.Millisecond)

	// Series tell their freshness too.
	require.Eventually(t, func() bool {
		s, err := w.api.QueryTimeSeries(as(t.Context(), "p"), &queryv1.QueryTimeSeriesRequest{Parent: "projects/p"})
		require.NoError(t, err)
		return s.CompleteTo != nil && s.CompleteTo.AsTime().After(before)
	}, patience, time.Millisecond)

	// What vanishes between the roles is a difference, not in flight.
	_, _, err = w.queue.Publish(t.Context(), queue.Events, queue.Outgoing{
		Header: map[string]string{queue.CountsHeader: fmt.Sprintf("p@%d=5", time.Now().Unix()/3600)}, Data: nil,
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return w.settled("p").Difference == 5 }, patience, time.Millisecond)
}

// TestCompleteTo: every event acknowledged before complete_to is counted, while
// events come and scoring stalls now and then.
func TestCompleteTo(t *testing.T) {
	w := newWorld(t)
	w.start()
	stop := w.scorer()
	const messages = 400
	acked := make([]atomic.Int64, messages) // time of the acknowledgement, 0: not yet
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range messages {
			w.ingest(queued("p", fmt.Sprint(i), "x"))
			acked[i].Store(time.Now().UnixMicro())
		}
	}()
	check := func(to *timestamppb.Timestamp, counted float64) {
		if to == nil {
			return
		}
		must := 0
		for i := range acked {
			if us := acked[i].Load(); us != 0 && us < to.AsTime().UnixMicro() {
				must++
			}
		}
		require.GreaterOrEqual(t, counted, float64(must), "complete_to %v", to.AsTime())
	}
	told := 0
	for i := 0; ; i++ {
		b := w.balance("p")
		check(b.CompleteTo, b.Total.Stored)
		s, err := w.api.QueryTimeSeries(as(t.Context(), "p"), &queryv1.QueryTimeSeriesRequest{Parent: "projects/p", Step: durationpb.New(24 * time.Hour)})
		require.NoError(t, err)
		var n uint32
		for _, p := range s.Points {
			n += p.Count
		}
		check(s.CompleteTo, float64(n))
		if s.CompleteTo != nil {
			told++
		}
		if i%40 == 20 {
			stop()
			stop = w.scorer()
		}
		if b.Total.Stored == messages {
			break
		}
	}
	<-done
	stop()
	require.Positive(t, told)
	require.Zero(t, w.settled("p").Difference)
}

// TestRestart: a service goes on at the store's position, whatever was
// acknowledged.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.start()
	stop := w.scorer()
	w.ingest(queued("p", "a", "x"))
	w.stored("p", 1)
	w.stop()
	for i := range 20 {
		w.ingest(queued("p", fmt.Sprint("b", i), "x"), queued("p", "a", "x"))
	}
	w.start()
	b := w.settled("p")
	require.Equal(t, []float64{41, 21, 20, 0}, []float64{b.Total.Accepted, b.Total.Stored, b.Total.Duplicate, b.Difference})
	stop()

	// The queue is lost and made anew: all of the new one is read.
	w.stop()
	require.NoError(t, w.queue.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "queue")))
	w.openQueue()
	defer w.scorer()()
	w.ingest(queued("p", "c", "x"), queued("p", "a", "x"))
	w.start()
	b = w.settled("p")
	require.Equal(t, []float64{43, 22, 21, 0}, []float64{b.Total.Accepted, b.Total.Stored, b.Total.Duplicate, b.Difference})
	w.ready()
}

// TestLoss: messages that vanished before they were stored stop the reader until
// an operator decides.
func TestLoss(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.publishScored(&pipelinev1.ScoredBatch{SourceSequence: 1, SourceEpoch: 1, Events: []*pipelinev1.ScoredEvent{scored(queued("p", "a", "x"))}})
	w.stored("p", 1)
	w.stop()
	for i := range uint64(3) {
		w.publishScored(&pipelinev1.ScoredBatch{SourceSequence: 2 + i, SourceEpoch: 1, Events: []*pipelinev1.ScoredEvent{scored(queued("p", fmt.Sprint("b", i), "x"))}})
	}
	require.NoError(t, w.queue.Trim(t.Context(), queue.Scored, 3))
	w.log = quiet
	w.start()
	require.Eventually(t, func() bool {
		err := w.svc.Ready(t.Context())
		return errors.Is(err, queue.ErrPositionLost)
	}, patience, time.Millisecond)
	require.ErrorContains(t, w.svc.Ready(t.Context()), "resume_after_loss")
	require.Equal(t, 1.0, w.balance("p").Total.Stored)
	w.stop()
	w.cfg.ResumeAfterLoss = true
	w.start()
	w.stored("p", 2)
	w.ready()
}

func TestLifecycle(t *testing.T) {
	w := newWorld(t)
	_, err := query.New(query.Deps{Config: query.DefaultConfig()})
	require.Error(t, err)
	_, err = query.New(query.Deps{Config: query.Config{}, Queue: w.queue})
	require.ErrorContains(t, err, "max_rows")
	w.start()
	require.Error(t, w.svc.Start(t.Context()))
	svc := w.svc
	w.stop()
	require.Error(t, svc.Ready(t.Context()))
	_, err = svc.GetBalance(as(t.Context(), "p"), &queryv1.GetBalanceRequest{})
	require.Error(t, err)
	require.NoError(t, svc.Stop(t.Context()), "again is harmless")
}
