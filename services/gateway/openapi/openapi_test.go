package openapi

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestDocumentIsCurrent(t *testing.T) {
	want, err := Merge(os.DirFS("../../../gen/openapi"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(Document()), "run: go run ./services/gateway/openapi/gen")
}

func TestDocument(t *testing.T) {
	var doc struct {
		Paths      map[string]map[string]map[string]any `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(Document(), &doc))
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		variables := regexp.MustCompile(`\{([^}]+)\}`).FindAllStringSubmatch(path, -1)
		for method, op := range item {
			id, _ := op["operationId"].(string)
			require.False(t, ids[id], "operation %s is there twice", id)
			ids[id] = true
			require.NotEmpty(t, op["summary"], "%s %s", method, path)
			require.NotEmpty(t, op["x-synapse-access"], "%s %s", method, path)
			names := map[string]bool{}
			params, _ := op["parameters"].([]any)
			for _, p := range params {
				m, _ := p.(map[string]any)
				if m["in"] == "path" {
					names[m["name"].(string)] = true
				}
			}
			for _, v := range variables {
				require.True(t, names[v[1]], "%s %s does not declare {%s}", method, path, v[1])
			}
			require.Len(t, names, len(variables), "%s %s", method, path)
		}
	}
	for _, want := range []string{
		"/v1/projects/{project}/events:ingest", "/v1/projects/{project}/events:tail", "/v1/projects/{project}/events/{event}",
		"/v1/projects/{project}/events/{event}/trail", "/v1/projects/{project}/apiKeys/{key}:rotate", "/v1/sessions", "/readyz", "/v1/models/{model}",
	} {
		require.Contains(t, doc.Paths, want)
	}
	// Every reference leads somewhere.
	for _, m := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(string(Document()), -1) {
		require.Contains(t, doc.Components.Schemas, m[1])
	}
	require.NotContains(t, string(Document()), "google.rpc.Status")
}

func TestMergeRefuses(t *testing.T) {
	one := `{"paths":{"/a":{"get":{"operationId":"IngestService_IngestEvents","responses":{}}}}}`
	for name, files := range map[string]fstest.MapFS{
		"none":       {},
		"broken":     {"a.openapi.json": {Data: []byte("{")}},
		"same path":  {"a.openapi.json": {Data: []byte(one)}, "b.openapi.json": {Data: []byte(one)}},
		"no access":  {"a.openapi.json": {Data: []byte(strings.Replace(one, "IngestEvents", "Nope", 1))}},
		"no ingest":  {"a.openapi.json": {Data: []byte(one)}},
		"no answers": {"a.openapi.json": {Data: []byte(`{"paths":{"/a":{"get":{}}}}`)}},
	} {
		_, err := Merge(files)
		require.Error(t, err, name)
	}
}
