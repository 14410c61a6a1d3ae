package e2e

import (
	"fmt"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// testExplanation follows one text from the REST call to what its page shows.
func testExplanation(t *testing.T, c *harness.Cluster) {
	const text = "👍🏽 The food was delicious. But the waiter was terribly rude and I am so angry!"
	id := fmt.Sprintf("explain-%s", c.Shape)
	c.Ingest(map[string]any{"id": id, "text": text, "source": "review", "targets": []string{"waiter", "garden"}})

	ev := c.Event(id)
	targets := ev["targets"].([]any)
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
	require.Equal(t, ev["sentiment"], why["sentiment"], "the same model gives the same answer")
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
}
