package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

func eventsCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "events", Short: "Look at stored events"}
	c.AddCommand(eventsGetCommand(g), eventsListCommand(g), eventsExplainCommand(g))
	return c
}

func eventsGetCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show one event",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			ev, err := queryv1.NewQueryServiceClient(conn).GetEvent(ctx, &queryv1.GetEventRequest{Name: g.parent() + "/events/" + args[0]})
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if f := g.format(out); f != "table" {
				return printMessage(out, f, ev)
			}
			printEvent(out, ev)
			return nil
		},
	}
}

func eventsListCommand(g *globals) *cobra.Command {
	var filter string
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List events, the latest occurred first",
		Example: "  synapse events list --filter 'label = \"NEGATIVE\" AND source = \"app-store\"' --limit 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("--limit must be at least 1", "--limit 20")
			}
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			out := cmd.OutOrStdout()
			format := g.format(out)
			req := &queryv1.ListEventsRequest{Parent: g.parent(), Filter: filter}
			var rows [][]string
			for limit > 0 {
				req.PageSize = int32(min(limit, 1000))
				res, err := queryv1.NewQueryServiceClient(conn).ListEvents(ctx, req)
				if err != nil {
					return err
				}
				for _, ev := range res.GetEvents() {
					if format == "table" {
						rows = append(rows, eventRow(ev))
					} else if err := printMessage(out, format, ev); err != nil {
						return err
					}
				}
				limit -= len(res.GetEvents())
				if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
			if format == "table" {
				table(out, "OCCURRED LABEL SCORE SOURCE ID TEXT", rows)
			}
			return nil
		},
	}
	c.Flags().StringVar(&filter, "filter", "", "an AIP-160 filter, for example 'score < -0.5'")
	c.Flags().IntVar(&limit, "limit", 50, "the most events to list")
	return c
}

func eventRow(ev *typev1.Event) []string {
	return []string{
		ev.GetOccurredAt().AsTime().Local().Format(time.DateTime), ev.GetSentiment().GetLabel().String(),
		signed(ev.GetSentiment().GetScore()), oneLine(ev.GetSource(), 16), ev.GetId(), oneLine(ev.GetText(), 60),
	}
}

func printEvent(w io.Writer, ev *typev1.Event) {
	s := ev.GetSentiment()
	on := colour(w)
	fmt.Fprintf(w, "%s %s  %s\n", paint(on, s.GetScore(), s.GetLabel().String()), paint(on, s.GetScore(), signed(s.GetScore())), oneLine(ev.GetText(), 500))
	fmt.Fprintf(w, "  id        %s\n", ev.GetId())
	fmt.Fprintf(w, "  occurred  %s\n", ev.GetOccurredAt().AsTime().Local().Format(time.RFC3339))
	fmt.Fprintf(w, "  language  %s%s\n", ev.GetLanguage(), map[bool]string{true: "", false: " (not supported)"}[ev.GetLanguageSupported()])
	p := s.GetProbabilities()
	fmt.Fprintf(w, "  negative %.2f  neutral %.2f  positive %.2f  (%s)\n", p.GetNegative(), p.GetNeutral(), p.GetPositive(), s.GetModelVersion())
	if s.GetMixed() {
		fmt.Fprintf(w, "  mixed     speaks both well and badly\n")
	}
	if felt := emotionList(ev.GetEmotions(), 0); felt != "" {
		fmt.Fprintf(w, "  emotions  %s\n", felt)
	}
	for _, t := range ev.GetTargetSentiments() {
		fmt.Fprintf(w, "  target    %s %s\n", paint(on, t.GetScore(), signed(t.GetScore())), oneLine(t.GetTarget(), 40))
	}
	if ev.GetSource() != "" {
		fmt.Fprintf(w, "  source    %s\n", oneLine(ev.GetSource(), 64))
	}
	if ev.GetTraceId() != "" {
		fmt.Fprintf(w, "  trace     %s\n", ev.GetTraceId())
	}
}

func eventsExplainCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Show why an event has its score: words, sentences, targets, emotions; and its trail",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			q := queryv1.NewQueryServiceClient(conn)
			name := g.parent() + "/events/" + args[0]
			ev, err := q.GetEvent(ctx, &queryv1.GetEventRequest{Name: name})
			if err != nil {
				return err
			}
			trail, err := q.GetEventTrail(ctx, &queryv1.GetEventTrailRequest{Name: name + "/trail"})
			if err != nil {
				return err
			}
			why, err := q.ExplainEvent(ctx, &queryv1.ExplainEventRequest{Name: name})
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if f := g.format(out); f != "table" {
				if err := printMessage(out, f, ev); err != nil {
					return err
				}
				if err := printMessage(out, f, trail); err != nil {
					return err
				}
				return printMessage(out, f, why)
			}
			printEvent(out, ev)
			printEvidence(out, ev, why)
			printParts(out, ev, why)
			printTrail(out, trail)
			return nil
		},
	}
}

// printEvidence lists the spans that moved the score most, the strongest first.
func printEvidence(w io.Writer, ev *typev1.Event, scored *queryv1.EventExplanation) {
	if scored.GetSentiment().GetModelVersion() != ev.GetSentiment().GetModelVersion() {
		fmt.Fprintf(w, "\nwords (as %s sees them now)\n", scored.GetSentiment().GetModelVersion())
	} else {
		fmt.Fprintf(w, "\nwords\n")
	}
	on := colour(w)
	for _, e := range strongest(scored.GetEvidence(), 8) {
		if int(e.GetEndByte()) > len(ev.GetText()) || e.GetStartByte() > e.GetEndByte() {
			continue
		}
		bar := strings.Repeat("▇", min(24, int(1+8*abs(e.GetWeight()))))
		fmt.Fprintf(w, "  %s %-20s %s\n", signed(e.GetWeight()), oneLine(ev.GetText()[e.GetStartByte():e.GetEndByte()], 20), paint(on, e.GetWeight(), bar))
	}
}

// printParts lists the sentences, the targets and the emotions that are present.
func printParts(w io.Writer, ev *typev1.Event, why *queryv1.EventExplanation) {
	on := colour(w)
	part := func(from, to int32) string {
		if from < 0 || from > to || int(to) > len(ev.GetText()) {
			return ""
		}
		return ev.GetText()[from:to]
	}
	if len(why.GetSentences()) > 0 {
		fmt.Fprintf(w, "\nsentences\n")
	}
	for _, s := range why.GetSentences() {
		fmt.Fprintf(w, "  %s %s\n", paint(on, s.GetScore(), signed(s.GetScore())), oneLine(part(s.GetStartByte(), s.GetEndByte()), 100))
	}
	if len(why.GetTargets()) > 0 {
		fmt.Fprintf(w, "\ntargets\n")
	}
	for _, t := range why.GetTargets() {
		var words []string
		for _, o := range t.GetOpinions() {
			words = append(words, oneLine(part(o.GetStartByte(), o.GetEndByte()), 30))
		}
		note := strings.Join(words, ", ")
		if !t.GetMentioned() {
			note = "not mentioned: as the whole text"
		}
		fmt.Fprintf(w, "  %s %-20s %-5s  %s\n", paint(on, t.GetScore(), signed(t.GetScore())), oneLine(t.GetTarget(), 20), map[bool]string{true: "found", false: "given"}[t.GetFound()], note)
	}
	if felt := emotionList(why.GetEmotions(), 0.5); felt != "" {
		fmt.Fprintf(w, "\nemotions\n  %s\n", felt)
	}
}

// emotionList names the emotions from a probability on, the strongest first.
func emotionList(all map[string]float64, bar float64) string {
	var names []string
	for name, p := range all {
		if p >= bar {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %.2f", oneLine(name, 32), all[name])
	}
	return strings.Join(names, ", ")
}

func printTrail(w io.Writer, trail *queryv1.EventTrail) {
	fmt.Fprintf(w, "\ntrail\n")
	for _, h := range trail.GetHops() {
		fmt.Fprintf(w, "  %-9s %s  +%7.3f ms  %s\n", strings.ToLower(h.GetStage().String()),
			h.GetTime().AsTime().Local().Format("15:04:05.000000"), float64(h.GetElapsed().AsDuration())/1e6, h.GetDetail())
	}
	if trail.GetTraceId() != "" {
		fmt.Fprintf(w, "  trace     %s\n", trail.GetTraceId())
	}
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}

func strongest(list []*typev1.Evidence, n int) []*typev1.Evidence {
	out := append([]*typev1.Evidence(nil), list...)
	for i := 1; i < len(out); i++ {
		for j := i; j > 0 && abs(out[j].GetWeight()) > abs(out[j-1].GetWeight()); j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out[:min(n, len(out))]
}
