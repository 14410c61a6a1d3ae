package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

var (
	someTexts    = []string{"", "a", "A", "late delivery", "LATE Delivery", "déjà", "DÉJÀ", "x\ty", "%_", "\u2028", "it's", `say "no"`, "\U0001F600", "b\\n"}
	someEmotions = []string{"joy", "joyful", "anger"}
	someKeys     = []string{"plan", "a.b", `q"uote`, "é", "$", "k'"}
	someValues   = []string{"", "pro", "Pro", "10", "9", "it's", "é"}
)

// literal writes a string of the filter language.
func literal(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(s) + `"`
}

// values are what a filter sees of an event.
func values(e *query.Event) *filter.Values {
	return &filter.Values{
		ID: e.ID, Text: e.Text, Source: e.Source, UserID: e.UserID, Language: e.Language, ModelVersion: e.Model,
		Label: int64(e.Label), ScoreE4: int64(e.ScoreE4), OccurredUS: e.OccurredUS, AcceptedUS: e.AcceptedUS, Attributes: e.Attributes,
		Mixed: e.Mixed, Emotions: e.Emotions,
	}
}

// drawTerm makes a comparison; dims keeps to dimensions.
func drawTerm(rt *rapid.T, dims bool) string {
	op := rapid.SampledFrom([]string{"=", "!=", "<", "<=", ">", ">="}).Draw(rt, "op")
	text := literal(rapid.SampledFrom(someTexts).Draw(rt, "literal"))
	fields := []string{"source", "language", "model_version", "label"}
	if !dims {
		fields = append(fields, "id", "user_id", "text", "text:", "score", "occurred_at", "accepted_at", "attributes", "attributes:", "attributes.*", "mixed", "emotion")
	}
	key := literal(rapid.SampledFrom(someKeys).Draw(rt, "key"))
	value := literal(rapid.SampledFrom(someValues).Draw(rt, "value"))
	switch f := rapid.SampledFrom(fields).Draw(rt, "field"); f {
	case "label":
		return fmt.Sprintf("label %s %s", rapid.SampledFrom([]string{"=", "!="}).Draw(rt, "labelop"), rapid.SampledFrom([]string{"NEGATIVE", `"NEUTRAL"`, "POSITIVE"}).Draw(rt, "label"))
	case "source", "language", "model_version":
		return fmt.Sprintf("%s %s %s", f, op, literal(rapid.SampledFrom([]string{"", "web", "en", "m1", "M1", "a"}).Draw(rt, "dim")))
	case "mixed":
		return fmt.Sprintf("mixed %s %s", rapid.SampledFrom([]string{"=", "!="}).Draw(rt, "mixedop"), rapid.SampledFrom([]string{"true", `"false"`}).Draw(rt, "mixed"))
	case "emotion":
		return fmt.Sprintf("emotion %s %s", rapid.SampledFrom([]string{":", "=", "!="}).Draw(rt, "emotionop"), literal(rapid.SampledFrom(append(someEmotions, "jo", "")).Draw(rt, "emotion")))
	case "text:":
		return "text:" + text
	case "score":
		return fmt.Sprintf("score %s %s", op, rapid.SampledFrom([]string{"0", "-1", "1", "0.5", "-0.5", "0.50005", "-0.00001", "0.0003", "7"}).Draw(rt, "score"))
	case "occurred_at", "accepted_at":
		return fmt.Sprintf("%s %s %s", f, op, rapid.SampledFrom([]string{`"2026-11-18T00:00:00Z"`, `"2026-11-18T00:00:00.000001Z"`, `"2026-11-18T00:00:00.0000015Z"`, `"2026-11-18T01:00:00.000002+01:00"`, `"2026-11-19"`}).Draw(rt, "time"))
	case "attributes":
		return fmt.Sprintf("attributes.%s %s %s", key, op, value)
	case "attributes:":
		return "attributes:" + key
	case "attributes.*":
		return "attributes." + key + ":" + rapid.SampledFrom([]string{"*", value}).Draw(rt, "has")
	default:
		return fmt.Sprintf("%s %s %s", f, op, text)
	}
}

func drawFilter(rt *rapid.T, dims bool, depth int) string {
	if depth == 0 || rapid.IntRange(0, 2).Draw(rt, "leaf") == 0 {
		return rapid.SampledFrom([]string{"", "", "NOT ", "-"}).Draw(rt, "not") + drawTerm(rt, dims)
	}
	join := rapid.SampledFrom([]string{" AND ", " OR "}).Draw(rt, "join")
	s := drawFilter(rt, dims, depth-1) + join + drawFilter(rt, dims, depth-1)
	if rapid.Bool().Draw(rt, "group") {
		s = rapid.SampledFrom([]string{"", "NOT "}).Draw(rt, "notgroup") + "(" + s + ")"
	}
	return s
}

func drawEvent(rt *rapid.T, id int) query.Event {
	e := event(fmt.Sprintf("%d-%s", id, rapid.SampledFrom([]string{"a", "A", "z"}).Draw(rt, "idtail")), rapid.SampledFrom(someTexts).Draw(rt, "text"))
	e.UserID = rapid.SampledFrom(someTexts).Draw(rt, "user")
	e.Source = rapid.SampledFrom([]string{"", "web", "a"}).Draw(rt, "source")
	e.Language = rapid.SampledFrom([]string{"en", "de"}).Draw(rt, "language")
	e.Model = rapid.SampledFrom([]string{"m1", "m2"}).Draw(rt, "model")
	e.Label = query.Label(rapid.IntRange(1, 3).Draw(rt, "label"))
	e.ScoreE4 = rapid.SampledFrom([]int32{-10000, -5000, -1, 0, 3, 5000, 5001, 10000}).Draw(rt, "score")
	e.Mixed = rapid.Bool().Draw(rt, "mixed")
	for _, name := range someEmotions {
		if rapid.Bool().Draw(rt, name) {
			e.Emotions = append(e.Emotions, filter.Emotion{Name: name, ProbabilityE4: 5000})
		}
	}
	e.OccurredUS = baseUS + rapid.Int64Range(0, 3).Draw(rt, "occurred")
	e.AcceptedUS = baseUS + rapid.Int64Range(0, 3).Draw(rt, "accepted")
	for range rapid.IntRange(0, 3).Draw(rt, "attributes") {
		if e.Attributes == nil {
			e.Attributes = map[string]string{}
		}
		e.Attributes[rapid.SampledFrom(someKeys).Draw(rt, "key")] = rapid.SampledFrom(someValues).Draw(rt, "value")
	}
	return e
}

// testFilters: the store finds exactly the events that the filter matches in
// memory.
func testFilters(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	check := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		check++
		p := fmt.Sprintf("p%d", check) // each check has a project of its own
		b := batchOf(check)
		for i := range rapid.IntRange(1, 40).Draw(rt, "events") {
			e := drawEvent(rt, i)
			e.Project = p
			b.Sources[0].Events = append(b.Sources[0].Events, e)
		}
		apply(t, s, b)
		all := list(t, s, p)
		for range 20 {
			text := drawFilter(rt, false, 3)
			f, err := filter.Parse(text, filter.Events)
			require.NoError(rt, err, text)
			want := []string{}
			for _, e := range all {
				if f.Match(values(e)) {
					want = append(want, e.ID)
				}
			}
			page, err := s.ListEvents(t.Context(), query.ListQuery{Project: p, Filter: f, Limit: 1000})
			require.NoError(rt, err, text)
			got := []string{}
			for _, e := range page.Events {
				got = append(got, e.ID)
			}
			require.Equal(rt, want, got, text)
			after, err := s.EventsAfter(t.Context(), query.AfterQuery{Project: p, Filter: f, UpTo: 1 << 60, Limit: 1000})
			require.NoError(rt, err, text)
			require.Len(rt, after, len(want), text)
		}
	})
}

// testRollupFilters: a series with a filter sums exactly the events that it
// matches.
func testRollupFilters(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	check := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		check++
		p := fmt.Sprintf("p%d", check) // each check has a project of its own
		b := batchOf(check)
		for i := range rapid.IntRange(1, 40).Draw(rt, "events") {
			e := drawEvent(rt, i)
			e.Project = p
			b.Sources[0].Events = append(b.Sources[0].Events, e)
		}
		apply(t, s, b)
		for range 20 {
			text := drawFilter(rt, true, 3)
			f, err := filter.Parse(text, filter.Dimensions)
			require.NoError(rt, err, text)
			m := newModel()
			for _, e := range b.Sources[0].Events {
				if f.Match(values(&e)) {
					m.events[e.ID] = e
				}
			}
			for _, by := range [][]query.Dimension{nil, {query.BySource}, {query.ByModel, query.ByLanguage}} {
				got := series(t, s, query.SeriesQuery{
					Project: p, Grain: query.Minute, StartUS: baseUS, EndUS: baseUS + query.Hour.US(), StepUS: query.Minute.US(), GroupBy: by, Filter: f,
				})
				require.Equal(rt, m.seriesOf(p, query.Minute, by), got, text)
			}
		}
	})
}
