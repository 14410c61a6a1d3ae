package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func sendCommand(g *globals) *cobra.Command {
	var (
		event typev1.EventInput
		at    string
		attrs []string
		trace bool
		wait  bool
	)
	c := &cobra.Command{
		Use:     "send TEXT",
		Short:   "Send one event; - reads the text from standard input",
		Example: "  synapse send \"Love it\" --source app-store --wait\n  synapse send \"Crashes on start\" --trace",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			event.Text = args[0]
			if args[0] == "-" {
				b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 65537))
				if err != nil {
					return err
				}
				event.Text = strings.TrimRight(string(b), "\n")
			}
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return usage("--at is not an RFC 3339 time", "--at 2026-01-31T12:00:00Z")
				}
				event.OccurredAt = timestamppb.New(t)
			}
			for _, kv := range attrs {
				k, v, ok := strings.Cut(kv, "=")
				if !ok {
					return usage(fmt.Sprintf("--attr %q is not KEY=VALUE", kv), "--attr plan=pro")
				}
				if event.Attributes == nil {
					event.Attributes = map[string]string{}
				}
				event.Attributes[k] = v
			}
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			return g.send(ctx, conn, cmd.OutOrStdout(), &event, trace, wait)
		},
	}
	f := c.Flags()
	f.StringVar(&event.Id, "id", "", "the event's id, to make a repeat harmless")
	f.StringVar(&event.Source, "source", "", "where the text comes from, for example app-store")
	f.StringVar(&event.UserId, "user", "", "whose text it is")
	f.StringVar(&event.Language, "language", "", "its language, for example en")
	f.StringVar(&at, "at", "", "when it was said (RFC 3339); default: now")
	f.StringArrayVar(&attrs, "attr", nil, "KEY=VALUE to keep with the event; may be repeated")
	f.BoolVar(&trace, "trace", false, "trace this event whatever the sampling says, and print the trace id")
	f.BoolVar(&wait, "wait", false, "wait until the event is stored and print its score")
	return c
}

func (g *globals) send(ctx context.Context, conn grpc.ClientConnInterface, out io.Writer, event *typev1.EventInput, trace, wait bool) error {
	callCtx, traceID := ctx, ""
	if trace {
		var ids [24]byte
		_, _ = rand.Read(ids[:]) // never fails since Go 1.24
		traceID = hex.EncodeToString(ids[:16])
		callCtx = metadata.AppendToOutgoingContext(ctx, "traceparent",
			fmt.Sprintf("00-%s-%s-01", traceID, hex.EncodeToString(ids[16:])))
	}
	res, err := ingestv1.NewIngestServiceClient(conn).IngestEvents(callCtx, &ingestv1.IngestEventsRequest{
		Parent: g.parent(), Events: []*typev1.EventInput{event}, FullResults: true,
	})
	if err != nil {
		return err
	}
	format := g.format(out)
	if r := res.GetResults()[0]; r.GetStatus() == ingestv1.IngestResult_REJECTED {
		e := fmt.Errorf("the event was refused: %s", r.GetReason())
		for _, v := range r.GetViolations() {
			e = hint(fmt.Errorf("%w: %s %s", e, v.GetField(), v.GetRule()), v.GetRemedy())
		}
		return e
	}
	if traceID == "" {
		traceID = res.GetTraceId()
	}
	id := res.GetResults()[0].GetId()
	if !wait {
		if format != "table" {
			return printMessage(out, format, res)
		}
		fmt.Fprintf(out, "%s %s\n", strings.ToLower(res.GetResults()[0].GetStatus().String()), id)
		if traceID != "" {
			fmt.Fprintf(out, "trace %s\n", traceID)
		}
		return nil
	}
	ev, err := waitForEvent(ctx, conn, g.parent()+"/events/"+id)
	if err != nil {
		return err
	}
	if format != "table" {
		return printMessage(out, format, ev)
	}
	printEvent(out, ev)
	return nil
}

// waitForEvent polls until the event is stored, for at most 30 s.
func waitForEvent(ctx context.Context, conn grpc.ClientConnInterface, name string) (*typev1.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		ev, err := queryv1.NewQueryServiceClient(conn).GetEvent(ctx, &queryv1.GetEventRequest{Name: name})
		if err == nil {
			return ev, nil
		}
		if st, ok := statusOf(err); !ok || st.Code() != codes.NotFound {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, hint(fmt.Errorf("the event was accepted but is not stored after 30 s"), "synapse doctor")
		case <-time.After(delay):
		}
	}
}
