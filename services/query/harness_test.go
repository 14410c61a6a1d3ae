package query_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// patience bounds waiting for what other goroutines do.
const patience = time.Minute

// world is a query service on the real queue and store, called over gRPC.
type world struct {
	t     *testing.T
	dir   string
	cfg   query.Config
	log   *slog.Logger
	queue *jetstream.Queue
	store query.Store
	// open opens the store; nil opens a SQLite file.
	open func() query.Store
	// wrap may put something between the service and its store.
	wrap func(query.Store) query.Store
	deps func(*query.Deps)
	// explainer answers ExplainEvent.
	explainer *explainer
	svc       *query.Service
	api       queryv1.QueryServiceClient
	close     []func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), cfg: query.DefaultConfig(), explainer: &explainer{}, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	w.openQueue()
	t.Cleanup(func() {
		w.stop()
		require.NoError(t, w.queue.Close())
	})
	return w
}

func (w *world) openQueue() {
	w.t.Helper()
	cfg := jetstream.DefaultConfig()
	cfg.Dir = filepath.Join(w.dir, "queue")
	cfg.EventsMaxBytes, cfg.ScoredMaxBytes, cfg.DeadMaxBytes, cfg.FreeFloorBytes = 64<<20, 64<<20, 64<<20, 0
	q, err := jetstream.Open(context.Background(), cfg, quiet)
	require.NoError(w.t, err)
	w.queue = q
}

// start opens the store and runs the service and its server.
func (w *world) start() {
	w.t.Helper()
	if w.open == nil {
		w.open = func() query.Store {
			s, err := sqlite.Open(context.Background(), filepath.Join(w.dir, "query.db"), sqlite.Options{Logger: quiet})
			require.NoError(w.t, err)
			return s
		}
	}
	w.store = w.open()
	s, store := w.store, w.store
	if w.wrap != nil {
		store = w.wrap(s)
	}
	d := query.Deps{Config: w.cfg, Logger: w.log, Queue: w.queue, Store: store, Explainer: w.explainer}
	if w.deps != nil {
		w.deps(&d)
	}
	var err error
	w.svc, err = query.New(d)
	require.NoError(w.t, err)
	require.NoError(w.t, w.svc.Start(w.t.Context()))
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		return h(asProject(ctx), req)
	}), grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		return h(srv, stream{ss, asProject(ss.Context())})
	}))
	w.svc.Register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	require.NoError(w.t, err)
	w.api = queryv1.NewQueryServiceClient(conn)
	w.close = append(w.close, func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(w.t, w.svc.Stop(ctx))
		require.NoError(w.t, conn.Close())
		srv.Stop()
		<-served
		require.NoError(w.t, s.Close())
	})
}

// stop stops everything but the queue.
func (w *world) stop() {
	for len(w.close) > 0 {
		f := w.close[len(w.close)-1]
		w.close = w.close[:len(w.close)-1]
		f()
	}
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

const projectKey = "test-project"

// asProject does what the interceptors of a real server do.
func asProject(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	p := ""
	if v := md.Get(projectKey); len(v) > 0 {
		p = v[0]
	}
	return authn.NewContext(ctx, &authn.Principal{}, p)
}

// as makes the context of a caller of the project.
func as(ctx context.Context, project string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, projectKey, project)
}

// explainer answers with one of each part, and keeps what it was asked.
type explainer struct {
	mu      sync.Mutex
	version string
	asked   *scoringv1.ScoreTextRequest
}

func (x *explainer) Explain(_ context.Context, version string, req *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.version, x.asked = version, req
	return &scoringv1.ScoredText{
		Sentiment: &typev1.Sentiment{Label: typev1.Sentiment_POSITIVE, ModelVersion: "m2"}, Language: "en", LanguageSupported: true,
		Evidence: []*typev1.Evidence{{EndByte: 1}}, Bias: 0.25, LogitDifference: 0.5, Emotions: map[string]float64{"joy": 0.75},
		Sentences: []*typev1.Sentence{{EndByte: 2}}, Targets: []*typev1.TargetSentiment{{Target: "x"}},
	}, nil
}

// scorer stands for the scoring role: it answers each message of EVENTS with one
// of SCORED, and with letters for texts that say "poison".
func (w *world) scorer() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c, err := w.queue.Consume(ctx, queue.ConsumerConfig{Stream: queue.Events, Name: "scoring"})
	require.NoError(w.t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			messages, err := c.Fetch(ctx, 16)
			if err != nil {
				return
			}
			for _, m := range messages { // also when stopping: they would come again only much later
				if err := w.score(context.WithoutCancel(ctx), m); err != nil {
					w.t.Error(err)
				}
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		require.NoError(w.t, c.Close())
	}
}

func (w *world) score(ctx context.Context, m queue.Message) error {
	var in pipelinev1.EventBatch
	if err := proto.Unmarshal(m.Data, &in); err != nil {
		return err
	}
	out := &pipelinev1.ScoredBatch{SourceSequence: m.Position.Sequence, SourceEpoch: m.Position.Epoch, QueuedAtUs: m.Time.UnixMicro()}
	for i, e := range in.Events {
		if e.Event.Text == "poison" {
			data, err := proto.Marshal(&pipelinev1.DeadLetter{
				Stage: "scoring", Reason: "UNPROCESSABLE", Queued: e, Events: 1, SourceSequence: m.Position.Sequence, SourceEpoch: m.Position.Epoch,
			})
			if err != nil {
				return err
			}
			id := fmt.Sprintf("d-%d-%d-%d-%d", m.Position.Epoch, m.Position.Sequence, m.Time.UnixMicro(), i)
			if _, _, err := w.queue.Publish(ctx, queue.Dead, queue.Outgoing{ID: id, Data: data}); err != nil {
				return err
			}
			continue
		}
		out.Events = append(out.Events, scored(e))
	}
	data, err := proto.Marshal(out)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("s-%d-%d-%d", m.Position.Epoch, m.Position.Sequence, m.Time.UnixMicro())
	if _, _, err := w.queue.Publish(ctx, queue.Scored, queue.Outgoing{ID: id, Data: data}); err != nil {
		return err
	}
	return m.Ack()
}

// scored gives texts that begin with "bad" or "good" that label.
func scored(e *pipelinev1.QueuedEvent) *pipelinev1.ScoredEvent {
	s := &typev1.Sentiment{Label: typev1.Sentiment_NEUTRAL, Score: 0, ModelVersion: "m1", Probabilities: &typev1.Probabilities{Neutral: 1}}
	switch {
	case len(e.Event.Text) >= 3 && e.Event.Text[:3] == "bad":
		s.Label, s.Score, s.Probabilities = typev1.Sentiment_NEGATIVE, -0.5, &typev1.Probabilities{Negative: 0.7, Neutral: 0.1, Positive: 0.2}
	case len(e.Event.Text) >= 4 && e.Event.Text[:4] == "good":
		s.Label, s.Score, s.Probabilities = typev1.Sentiment_POSITIVE, 0.25, &typev1.Probabilities{Negative: 0.25, Neutral: 0.25, Positive: 0.5}
	}
	out := &pipelinev1.ScoredEvent{
		Queued: e, Sentiment: s, Language: "en", LanguageSupported: true, ScoredAtUs: time.Now().UnixMicro(), StarsE4: []uint32{1000, 1000, 1000, 2000, 5000},
	}
	if s.Label == typev1.Sentiment_POSITIVE {
		out.Emotions = []*pipelinev1.ScoredEmotion{{Name: "joy", ProbabilityE4: 8123}}
	}
	for range e.Event.Targets {
		out.Targets = append(out.Targets, &pipelinev1.ScoredTarget{Label: s.Label, NegativeE4: 1000, PositiveE4: 7000, StartByte: 5, EndByte: 9})
	}
	return out
}

func queued(project, id, text string) *pipelinev1.QueuedEvent {
	now := time.Now()
	return &pipelinev1.QueuedEvent{
		Project: project, AcceptedAtUs: now.UnixMicro(),
		Event: &typev1.EventInput{Id: id, Text: text, Source: "web", OccurredAt: timestamppb.New(now.Truncate(time.Microsecond))},
	}
}

// ingest publishes a message of EVENTS as ingest does.
func (w *world) ingest(events ...*pipelinev1.QueuedEvent) queue.Position {
	w.t.Helper()
	counts := map[queue.HourCount]uint32{}
	for _, e := range events {
		counts[queue.HourCount{Project: e.Project, Hour: e.AcceptedAtUs / 3600e6}]++
	}
	var list []queue.HourCount
	for k, n := range counts {
		k.Count = n
		list = append(list, k)
	}
	data, err := proto.Marshal(&pipelinev1.EventBatch{Events: events})
	require.NoError(w.t, err)
	at, _, err := w.queue.Publish(context.Background(), queue.Events, queue.Outgoing{
		Header: map[string]string{queue.CountsHeader: queue.FormatCounts(list)}, Data: data,
	})
	require.NoError(w.t, err)
	return at
}

// publishScored publishes a message of SCORED.
func (w *world) publishScored(b *pipelinev1.ScoredBatch) {
	w.t.Helper()
	data, err := proto.Marshal(b)
	require.NoError(w.t, err)
	_, _, err = w.queue.Publish(context.Background(), queue.Scored, queue.Outgoing{Data: data})
	require.NoError(w.t, err)
}

func (w *world) balance(project string) *queryv1.Balance {
	w.t.Helper()
	b, err := w.api.GetBalance(as(w.t.Context(), project), &queryv1.GetBalanceRequest{Name: "projects/" + project + "/balance"})
	require.NoError(w.t, err)
	adds(w.t, b)
	return b
}

// adds checks that a balance adds up, in total and in each hour.
func adds(t *testing.T, b *queryv1.Balance) {
	t.Helper()
	c := b.Total
	require.Equal(t, c.Accepted, c.Stored+c.Duplicate+c.DeadLetter+c.InFlight+c.Erased+b.Difference, "%v", b)
	for _, h := range b.Hours {
		require.GreaterOrEqual(t, h.InFlight, 0.0)
	}
}

// settled waits until nothing of the project is in flight.
func (w *world) settled(project string) *queryv1.Balance {
	w.t.Helper()
	var b *queryv1.Balance
	require.Eventually(w.t, func() bool {
		b = w.balance(project)
		return b.Total.InFlight == 0
	}, patience, time.Millisecond)
	return b
}

// stored waits until so many events of the project are stored.
func (w *world) stored(project string, n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.balance(project).Total.Stored == float64(n) }, patience, time.Millisecond)
}

// ready waits until every reader has opened its stream.
func (w *world) ready() {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.svc.Ready(w.t.Context()) == nil }, patience, time.Millisecond)
}

// changed is the token with another character of base64 at i.
func changed(token string, i int) string {
	c := "A"
	if token[i] == 'A' {
		c = "B"
	}
	return token[:i] + c + token[i+1:]
}
