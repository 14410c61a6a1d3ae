package cli

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/app"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// sampleReviews were written for this project, one JSON object a line.
//
//go:embed sample/reviews.jsonl
var sampleReviews string

// sampleReview is a line of the sample; HoursAgo places it in the last days.
type sampleReview struct {
	ID       string  `json:"id"`
	HoursAgo float64 `json:"hoursAgo"`
	Source   string  `json:"source"`
	User     string  `json:"user"`
	Product  string  `json:"product"`
	Text     string  `json:"text"`
}

func demoCommand(g *globals) *cobra.Command {
	var f serverFlags
	var exit bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run the server with sample reviews, show what they say, and stay up",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("data") {
				g.data = "data/demo"
				if err := cmd.Flags().Set("data", g.data); err != nil {
					return err
				}
			}
			cfg, err := f.load(cmd, g)
			if err != nil {
				return err
			}
			if !isSet(f.set, "telemetry.log_level") {
				cfg.Telemetry.LogLevel = "warn" // the terminal is for the summary
			}
			a, err := app.New(cfg, app.AllRoles(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			var shown error
			runErr := a.Run(ctx, func() {
				shown = g.showDemo(ctx, a, cmd.OutOrStdout(), exit)
				if exit || shown != nil {
					cancel()
				}
			})
			if shown != nil {
				return shown
			}
			return runErr
		},
	}
	f.register(c)
	c.Flags().BoolVar(&exit, "exit", false, "end after showing the summary")
	return c
}

func isSet(set []string, path string) bool {
	for _, kv := range set {
		if strings.HasPrefix(kv, path+"=") {
			return true
		}
	}
	return false
}

func sampleEvents(now time.Time) ([]*typev1.EventInput, error) {
	var out []*typev1.EventInput
	for i, line := range strings.Split(strings.TrimSpace(sampleReviews), "\n") {
		var r sampleReview
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("sample line %d: %w", i+1, err)
		}
		out = append(out, &typev1.EventInput{
			Id: r.ID, Text: r.Text, Source: r.Source, UserId: r.User,
			OccurredAt: timestamppb.New(now.Add(-time.Duration(r.HoursAgo * float64(time.Hour)))),
			Attributes: map[string]string{"product": r.Product, "sample": "true"},
		})
	}
	return out, nil
}

// showDemo sends the sample, waits until it is counted, and prints what it says.
func (g *globals) showDemo(ctx context.Context, a *app.App, out io.Writer, exit bool) error {
	events, err := sampleEvents(time.Now())
	if err != nil {
		return err
	}
	creds, _ := a.Credentials()
	conn, err := dial(a.GRPCAddr())
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx = bearer(ctx, creds.AdminKey)
	started := time.Now()
	for i := 0; i < len(events); i += 500 {
		if _, err := ingestv1.NewIngestServiceClient(conn).IngestEvents(ctx, &ingestv1.IngestEventsRequest{
			Parent: "projects/-", Events: events[i:min(i+500, len(events))],
		}); err != nil {
			return fmt.Errorf("send the sample: %w", err)
		}
	}
	q := queryv1.NewQueryServiceClient(conn)
	bal, err := waitSettled(ctx, q)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d sample reviews were sent, scored and counted in %.0f ms (%s events stored, difference %s)\n\n",
		len(events), time.Since(started).Seconds()*1000, thin(bal.GetTotal().GetStored()), thin(bal.GetDifference()))
	for _, by := range []string{"source", "language"} {
		res, err := q.QueryTimeSeries(ctx, &queryv1.QueryTimeSeriesRequest{
			Parent: "projects/-", GroupBy: []string{by}, Step: durationpb.New(24 * time.Hour),
			StartTime: timestamppb.New(time.Now().Add(-30 * 24 * time.Hour)), EndTime: timestamppb.Now(),
		})
		if err != nil {
			return err
		}
		printGroups(out, by, res)
	}
	fmt.Fprintf(out, "charts    %s\nsign in   %s\npassword  %s\n\n", a.HTTPURL(), creds.AdminEmail, creds.AdminPassword)
	if !exit {
		fmt.Fprintf(out, "send one more:  synapse send \"Not bad at all\" --data %s --wait\nCtrl-C stops it.\n", g.data)
	}
	return nil
}

// waitSettled polls the balance until nothing is in flight, for at most 60 s.
func waitSettled(ctx context.Context, q queryv1.QueryServiceClient) (*queryv1.Balance, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		b, err := q.GetBalance(ctx, &queryv1.GetBalanceRequest{Name: "projects/-/balance"})
		if err != nil {
			return nil, err
		}
		if t := b.GetTotal(); t.GetInFlight() == 0 && t.GetAccepted() > 0 {
			return b, nil
		}
		select {
		case <-ctx.Done():
			return nil, hint(fmt.Errorf("the sample is not stored after 60 s"), "synapse doctor")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func printGroups(w io.Writer, by string, res *queryv1.QueryTimeSeriesResponse) {
	rows := make([][]string, 0, len(res.GetSeries()))
	for _, s := range res.GetSeries() {
		var n, neg, neu, pos, sum float64
		for _, p := range s.GetPoints() {
			n += float64(p.GetCount())
			neg, neu, pos = neg+float64(p.GetNegative()), neu+float64(p.GetNeutral()), pos+float64(p.GetPositive())
			sum += p.GetMean() * float64(p.GetCount())
		}
		if n == 0 {
			continue
		}
		rows = append(rows, []string{
			oneLine(s.GetGroup()[by], 20), thin(n), fmt.Sprintf("%.0f %%", 100*neg/n), fmt.Sprintf("%.0f %%", 100*neu/n), fmt.Sprintf("%.0f %%", 100*pos/n),
			signed((pos - neg) / n), bar((pos - neg) / n),
		})
	}
	table(w, strings.ToUpper(by)+" EVENTS NEGATIVE NEUTRAL POSITIVE NET −1·····0·····+1", rows)
	fmt.Fprintln(w)
}
