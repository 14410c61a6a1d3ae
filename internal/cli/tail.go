package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
)

func tailCommand(g *globals) *cobra.Command {
	var filter, cursor string
	var limit int
	c := &cobra.Command{
		Use:     "tail",
		Short:   "Watch events as they are scored",
		Example: "  synapse tail --filter 'label = \"NEGATIVE\"'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			t := tailer{g: g, out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), cursor: cursor, left: limit}
			q := queryv1.NewQueryServiceClient(conn)
			for {
				err := t.once(ctx, q, filter)
				if err == nil || ctx.Err() != nil {
					return nil
				}
				delay, again := retryDelay(err)
				if !again && !errors.Is(err, errEnded) {
					return err
				}
				fmt.Fprintf(t.errOut, "connection lost, going on: %s\n", describe(err).message)
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(max(delay, 200*time.Millisecond)):
				}
			}
		},
	}
	c.Flags().StringVar(&filter, "filter", "", "an AIP-160 filter")
	c.Flags().StringVar(&cursor, "cursor", "", "go on after this cursor")
	c.Flags().IntVar(&limit, "limit", 0, "end after this many events; 0 is never")
	return c
}

// errEnded: the server ended the stream in good order.
var errEnded = errors.New("the server ended the stream")

type tailer struct {
	g           *globals
	out, errOut io.Writer
	cursor      string
	left        int
}

// once follows one stream; nil means that the wanted number was seen.
func (t *tailer) once(ctx context.Context, q queryv1.QueryServiceClient, filter string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := q.TailEvents(ctx, &queryv1.TailEventsRequest{Parent: t.g.parent(), Filter: filter, Cursor: t.cursor})
	if err != nil {
		return err
	}
	format := t.g.format(t.out)
	on := colour(t.out)
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errEnded
		}
		if err != nil {
			return err
		}
		if m.GetCursor() != "" {
			t.cursor = m.GetCursor()
		}
		switch {
		case m.GetEvent() != nil:
			ev := m.GetEvent()
			if format != "table" {
				if err := printMessage(t.out, "jsonl", ev); err != nil {
					return err
				}
			} else {
				s := ev.GetSentiment().GetScore()
				fmt.Fprintf(t.out, "%s  %s  %-12s %s\n", ev.GetAcceptedAt().AsTime().Local().Format("15:04:05"),
					paint(on, s, fmt.Sprintf("%-8s %s", ev.GetSentiment().GetLabel(), signed(s))), oneLine(ev.GetSource(), 12), oneLine(ev.GetText(), 100))
			}
			if t.left > 0 {
				if t.left--; t.left == 0 {
					return nil
				}
			}
		case m.GetGap() != nil:
			fmt.Fprintf(t.errOut, "withheld %d events: %s\n", m.GetGap().GetWithheld(), m.GetGap().GetReason())
		case m.GetResync() != nil:
			fmt.Fprintf(t.errOut, "events were missed: %s\n", m.GetResync().GetReason())
		case m.GetEnd() != nil:
			return errEnded
		}
	}
}
