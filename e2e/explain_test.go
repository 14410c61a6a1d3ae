package e2e

import (
	"fmt"
	"net/url"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

const mixedText = "👍🏽 The food was delicious. But the waiter was terribly rude and I am so angry!"

// testExplanation follows one text from the REST call to what its page shows; by
// gRPC it gives the same.
func testExplanation(t *testing.T, c *harness.Cluster) {
	const text = mixedText
	id := fmt.Sprintf("explain-%s", c.Profile)
	c.Ingest(map[string]any{"id": id, "text": text, "source": "review", "targets": []string{"waiter", "garden"}})

	ev := c.Event(id)
	require.Equal(t, []any{"waiter", "garden"}, ev["targets"])
	targets := ev["targetSentiments"].([]any)
	require.Len(t, targets, 2, "those given, stored with the event")
	waiter, garden := targets[0].(map[string]any), targets[1].(map[string]any)
	require.Equal(t, "waiter", waiter["target"])
	require.Equal(t, "NEGATIVE", waiter["label"])
	require.Equal(t, true, waiter["mentioned"])
	require.Equal(t, "garden", garden["target"])
	require.NotEqual(t, true, garden["mentioned"])
	require.NotEmpty(t, ev["emotions"])
	require.Contains(t, ev["emotions"], "anger")

	a := c.Call("GET", "/v1/projects/-/events/"+id+":explain", c.Creds.ReadKey, nil)
	require.Equal(t, 200, a.Status, "%s", a.Body)
	why := a.JSON()
	stored, anew := ev["sentiment"].(map[string]any), why["sentiment"].(map[string]any)
	for _, field := range []string{"label", "score", "mixed", "modelVersion"} {
		require.Equal(t, stored[field], anew[field], "the same model gives the same answer")
	}
	for i, p := range anew["stars"].([]any) {
		require.InDelta(t, p, stored["stars"].([]any)[i], 1e-4)
	}
	sum := why["bias"].(float64)
	for _, e := range why["evidence"].([]any) {
		sum += e.(map[string]any)["weight"].(float64)
	}
	require.InDelta(t, why["logitDifference"], sum, 1e-5)
	require.Len(t, why["emotions"], 28)

	units := utf16.Encode([]rune(text))
	part := func(of any) string {
		m := of.(map[string]any)
		at := func(k string) int { n, _ := m[k].(float64); return int(n) }
		bytes := text[at("startByte"):at("endByte")]
		require.Equal(t, bytes, string(utf16.Decode(units[at("startUtf16"):at("endUtf16")])), "the offsets agree")
		return bytes
	}
	sentences := why["sentences"].([]any)
	require.Len(t, sentences, 2)
	require.Equal(t, "👍🏽 The food was delicious.", part(sentences[0]))
	require.Equal(t, "POSITIVE", sentences[0].(map[string]any)["label"])
	require.Equal(t, "NEGATIVE", sentences[1].(map[string]any)["label"])

	found := map[string]string{}
	for _, v := range why["targets"].([]any) {
		m := v.(map[string]any)
		if m["mentioned"] == true {
			require.Equal(t, m["target"], part(m))
			found[m["target"].(string)] = m["label"].(string)
		}
		if m["target"] == "waiter" {
			var words []string
			for _, o := range m["opinions"].([]any) {
				words = append(words, part(o))
			}
			require.Contains(t, words, "rude")
		}
	}
	require.Equal(t, "NEGATIVE", found["waiter"])
	require.Equal(t, "POSITIVE", found["food"], "found, not given")

	ctx, conn := dial(t, c, c.Creds.AdminKey)
	_, err := ingestv1.NewIngestServiceClient(conn).IngestEvents(ctx, &ingestv1.IngestEventsRequest{Parent: "projects/-", Events: []*typev1.EventInput{
		{Id: id + "-grpc", Text: text, Source: "review", Targets: []string{"waiter", "garden"}},
	}})
	require.NoError(t, err)
	again := c.Event(id + "-grpc")
	for _, field := range []string{"sentiment", "emotions", "targetSentiments", "language"} {
		require.Equal(t, ev[field], again[field], field)
	}
	x, err := queryv1.NewQueryServiceClient(conn).ExplainEvent(ctx, &queryv1.ExplainEventRequest{Name: "projects/-/events/" + id + "-grpc"})
	require.NoError(t, err)
	require.Equal(t, why["logitDifference"], x.GetLogitDifference())
	require.Len(t, x.GetEvidence(), len(why["evidence"].([]any)))
	require.Len(t, x.GetSentences(), len(sentences))
	require.Len(t, x.GetTargets(), len(why["targets"].([]any)))
	require.Equal(t, "rude", text[x.GetTargets()[0].GetOpinions()[0].GetStartByte():x.GetTargets()[0].GetOpinions()[0].GetEndByte()])
	for name, p := range why["emotions"].(map[string]any) {
		require.Equal(t, p, x.GetEmotions()[name], name)
	}
}

// TestExtras: the configuration says what is kept with an event; an explanation
// tells everything all the same.
func TestExtras(t *testing.T) {
	c := harness.Start(t, harness.Embedded, harness.WithEnv("SYNAPSE_SCORING_EXTRAS=emotions", "SYNAPSE_SCORING_EMOTION_BAR=0.01"))
	c.Ingest(map[string]any{"id": "extras", "text": mixedText, "targets": []string{"waiter"}})
	ev := c.Event("extras")
	require.Empty(t, ev["targetSentiments"])
	require.Equal(t, []any{"waiter"}, ev["targets"])
	emotions := ev["emotions"].(map[string]any)
	require.Greater(t, len(emotions), 5, "the bar is low")
	for _, p := range emotions {
		require.GreaterOrEqual(t, p, 0.01)
	}
	why := c.Call("GET", "/v1/projects/-/events/extras:explain", c.Creds.ReadKey, nil).JSON()
	require.Len(t, why["emotions"], 28)
	require.Equal(t, "waiter", why["targets"].([]any)[0].(map[string]any)["target"])
	list := c.Call("GET", "/v1/projects/-/events?filter="+url.QueryEscape("emotion:anger"), c.Creds.ReadKey, nil).JSON()
	require.Len(t, list["events"], 1)
}
