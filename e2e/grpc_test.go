package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func dial(t *testing.T, c *harness.Cluster, key string) (context.Context, *grpc.ClientConn) {
	t.Helper()
	conn, err := grpc.NewClient(c.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key), conn
}

func testGRPC(t *testing.T, c *harness.Cluster) {
	ctx, conn := dial(t, c, c.Creds.AdminKey)
	in, q := ingestv1.NewIngestServiceClient(conn), queryv1.NewQueryServiceClient(conn)

	t.Run("ingest and get", func(t *testing.T) {
		res, err := in.IngestEvents(ctx, &ingestv1.IngestEventsRequest{Parent: "projects/default", Events: []*typev1.EventInput{{Id: "grpc-1", Text: "terrible service"}}})
		require.NoError(t, err)
		require.EqualValues(t, 1, res.GetAccepted())
		c.Event("grpc-1")
		ev, err := q.GetEvent(ctx, &queryv1.GetEventRequest{Name: "projects/-/events/grpc-1"})
		require.NoError(t, err)
		require.Equal(t, typev1.Sentiment_NEGATIVE, ev.GetSentiment().GetLabel())
	})
	t.Run("errors carry details", func(t *testing.T) {
		_, err := in.IngestEvents(ctx, &ingestv1.IngestEventsRequest{Parent: "Projects/x", Events: []*typev1.EventInput{{Text: "x"}}})
		st := status.Convert(err)
		require.Equal(t, codes.InvalidArgument, st.Code(), "%v", err)
		var info *errdetails.ErrorInfo
		var bad *errdetails.BadRequest
		for _, d := range st.Details() {
			switch d := d.(type) {
			case *errdetails.ErrorInfo:
				info = d
			case *errdetails.BadRequest:
				bad = d
			}
		}
		require.NotNil(t, info)
		require.Equal(t, "parent", bad.GetFieldViolations()[0].GetField())
	})
	t.Run("stream with cumulative acknowledgements", func(t *testing.T) {
		st, err := in.StreamEvents(ctx)
		require.NoError(t, err)
		const batches, size = 50, 100
		for b := range batches {
			req := &ingestv1.StreamEventsRequest{Sequence: int64(b + 1)}
			if b == 0 {
				req.Parent = "projects/-"
			}
			for i := range size {
				req.Events = append(req.Events, &typev1.EventInput{Id: fmt.Sprintf("stream-%d-%d", b, i), Text: "a stream of words"})
			}
			require.NoError(t, st.Send(req))
		}
		require.NoError(t, st.CloseSend())
		var acked, accepted int64
		for {
			r, err := st.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.GreaterOrEqual(t, r.GetAcknowledgedSequence(), acked)
			acked, accepted = r.GetAcknowledgedSequence(), r.GetAccepted()
		}
		require.EqualValues(t, batches, acked)
		require.EqualValues(t, batches*size, accepted)
		c.Event(fmt.Sprintf("stream-%d-%d", batches-1, size-1))
	})
	t.Run("sequence gap", func(t *testing.T) {
		st, err := in.StreamEvents(ctx)
		require.NoError(t, err)
		require.NoError(t, st.Send(&ingestv1.StreamEventsRequest{Parent: "projects/-", Sequence: 2, Events: []*typev1.EventInput{{Text: "x"}}}))
		_, err = st.Recv()
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	})
	t.Run("status and models", func(t *testing.T) {
		s, err := in.GetIngestStatus(ctx, &ingestv1.GetIngestStatusRequest{Name: "projects/-/ingestStatus"})
		require.NoError(t, err)
		require.True(t, s.GetAccepting())
		m, err := scoringv1.NewScoringServiceClient(conn).ListModels(ctx, &scoringv1.ListModelsRequest{})
		require.NoError(t, err)
		require.NotEmpty(t, m.GetModels()[0].GetMetrics())
	})
	t.Run("verify", func(t *testing.T) {
		c.Settle()
		v, err := q.VerifyRollups(ctx, &queryv1.VerifyRollupsRequest{Parent: "projects/-"})
		require.NoError(t, err)
		require.Zero(t, v.GetDifferenceCount(), "%v", v.GetDifferences())
		require.Greater(t, v.GetEvents(), 5000.0)
	})
}

func testGrpcurl(t *testing.T, c *harness.Cluster) {
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(harness.Bin(t, "grpcurl"), args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	services := run("-plaintext", c.GRPC, "list")
	for _, s := range []string{"auth.v1.AuthService", "ingest.v1.IngestService", "scoring.v1.ScoringService", "query.v1.QueryService"} {
		require.Contains(t, services, "synapse."+s)
	}
	require.Contains(t, run("-plaintext", c.GRPC, "describe", "synapse.ingest.v1.IngestService.IngestEvents"), "events:ingest")
	out := run("-plaintext", "-H", "authorization: Bearer "+c.Creds.IngestKey, "-d", `{"parent":"projects/-","events":[{"id":"curl-1","text":"Love it"}]}`,
		c.GRPC, "synapse.ingest.v1.IngestService/IngestEvents")
	require.Contains(t, out, `"accepted": 1`)
	c.Event("curl-1")
	out = run("-plaintext", "-d", `{"service":""}`, c.GRPC, "grpc.health.v1.Health/Check")
	require.Contains(t, out, "SERVING")
	b, err := exec.Command(harness.Bin(t, "grpcurl"), "-plaintext", c.GRPC, "synapse.query.v1.QueryService/GetBalance").CombinedOutput()
	require.Error(t, err)
	require.True(t, strings.Contains(string(b), "Unauthenticated"), "%s", b)
}
