package cli

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func queryCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "query", Short: "Ask for charts"}
	c.AddCommand(timeSeriesCommand(g))
	return c
}

func timeSeriesCommand(g *globals) *cobra.Command {
	var start, end, filter string
	var last, step time.Duration
	var groupBy []string
	c := &cobra.Command{
		Use:     "timeseries",
		Short:   "Counts and means per bucket of time",
		Example: "  synapse query timeseries --last 24h --step 1h --group-by source",
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := &queryv1.QueryTimeSeriesRequest{Parent: g.parent(), Filter: filter, GroupBy: groupBy}
			now := time.Now()
			if last > 0 {
				req.StartTime, req.EndTime = timestamppb.New(now.Add(-last)), timestamppb.New(now)
			}
			for _, p := range []struct {
				flag, value string
				into        **timestamppb.Timestamp
			}{{"start", start, &req.StartTime}, {"end", end, &req.EndTime}} {
				if p.value == "" {
					continue
				}
				t, err := time.Parse(time.RFC3339, p.value)
				if err != nil {
					return usage("--"+p.flag+" is not an RFC 3339 time", "--"+p.flag+" 2026-01-31T12:00:00Z")
				}
				*p.into = timestamppb.New(t)
			}
			if step > 0 {
				req.Step = durationpb.New(step)
			}
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			res, err := queryv1.NewQueryServiceClient(conn).QueryTimeSeries(ctx, req)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if f := g.format(out); f != "table" {
				return printMessage(out, f, res)
			}
			printSeries(out, res)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&start, "start", "", "start of the range (RFC 3339)")
	f.StringVar(&end, "end", "", "end of the range (RFC 3339); default: now")
	f.DurationVar(&last, "last", 0, "the range that ends now, for example 24h")
	f.DurationVar(&step, "step", 0, "length of a bucket, for example 1h")
	f.StringSliceVar(&groupBy, "group-by", nil, "source, label, language or model_version; at most 2")
	f.StringVar(&filter, "filter", "", "an AIP-160 filter over these dimensions")
	return c
}

func printSeries(w io.Writer, res *queryv1.QueryTimeSeriesResponse) {
	rows := make([][]string, 0, len(res.GetPoints()))
	add := func(group string, points []*queryv1.TimeSeriesPoint) {
		for _, p := range points {
			row := []string{
				p.GetStartTime().AsTime().Local().Format("2006-01-02 15:04"), thin(float64(p.GetCount())), signed(p.GetMean()), signed(p.GetNet()),
				thin(float64(p.GetNegative())), thin(float64(p.GetNeutral())), thin(float64(p.GetPositive())), bar(p.GetNet()),
			}
			if group != "" {
				row = append([]string{group}, row...)
			}
			rows = append(rows, row)
		}
	}
	head := "START COUNT MEAN NET NEGATIVE NEUTRAL POSITIVE −1·····0·····+1"
	if len(res.GetSeries()) > 0 {
		head = "GROUP " + head
		for _, s := range res.GetSeries() {
			add(groupName(s.GetGroup()), s.GetPoints())
		}
	} else {
		add("", res.GetPoints())
	}
	table(w, head, rows)
	fmt.Fprintf(w, "complete to %s\n", res.GetCompleteTo().AsTime().Local().Format(time.RFC3339))
}

func groupName(group map[string]string) string {
	parts := make([]string, 0, len(group))
	for k, v := range group {
		parts = append(parts, k+"="+oneLine(v, 24))
	}
	sort.Strings(parts)
	return strings.Join(parts, ",")
}

// bar draws a value in [-1, 1] around a middle line.
func bar(x float64) string {
	cells := []rune("······|······")
	n := int(abs(x)*6 + 0.5)
	for i := 1; i <= n && i <= 6; i++ {
		if x < 0 {
			cells[6-i] = '▇'
		} else {
			cells[6+i] = '▇'
		}
	}
	return string(cells)
}
