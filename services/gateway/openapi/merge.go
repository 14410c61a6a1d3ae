package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	// The contracts, for what their descriptors say about access.
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	_ "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// obj is a JSON object.
type obj = map[string]any

// Merge makes one document of the generated ones below the root of in.
func Merge(in fs.FS) ([]byte, error) {
	paths, schemas := obj{}, obj{}
	var tags []any
	err := fs.WalkDir(in, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".openapi.json") {
			return err
		}
		data, err := fs.ReadFile(in, name)
		if err != nil {
			return err
		}
		var doc struct {
			Paths      obj   `json:"paths"`
			Tags       []any `json:"tags"`
			Components struct {
				Schemas obj `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for p, item := range doc.Paths {
			if _, taken := paths[p]; taken {
				return fmt.Errorf("%s: the path %s is in another document too", name, p)
			}
			paths[p] = item
		}
		for n, s := range doc.Components.Schemas {
			schemas[n] = s
		}
		tags = append(tags, doc.Tags...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no generated documents (*.openapi.json) found")
	}
	delete(schemas, "google.rpc.Status") // the answer to errors is a Problem
	if err := finish(paths, schemas); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err = enc.Encode(obj{
		"openapi": "3.1.0",
		"info": obj{
			"title": "Synapse", "version": "v1",
			"description": "Real-time sentiment analytics. Errors are RFC 9457 problems with a closed list of reasons. Numbers of 64 bits are written as strings, as protobuf's JSON mapping does.",
			"license":     obj{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{obj{"url": "/"}},
		"security": []any{obj{"bearer": []any{}}, obj{"session": []any{}}},
		"tags":     append(tags, obj{"name": "Gateway", "description": "Answered by the gateway itself."}),
		"paths":    paths,
		"components": obj{
			"schemas": schemas,
			"securitySchemes": obj{
				"bearer": obj{
					"type": "http", "scheme": "bearer",
					"description": "An API key (syn_sk_…) or a token. A key never works in an address.",
				},
				"session": obj{
					"type": "apiKey", "in": "cookie", "name": "synapse_session",
					"description": "The dashboard's session. Methods that change something also need the header X-Synapse-Csrf: 1 and the same origin.",
				},
			},
		},
	})
	return buf.Bytes(), err
}

// finish turns the generated paths into those that the gateway serves.
func finish(paths, schemas obj) error {
	for p, item := range paths {
		methods, ok := item.(obj)
		if !ok {
			return fmt.Errorf("%s is not an object", p)
		}
		for _, op := range methods {
			if err := operation(op.(obj)); err != nil { //nolint:forcetypeassert // generated
				return fmt.Errorf("%s: %w", p, err)
			}
		}
	}
	// The generated names of path parameters repeat the field's; ids are clearer.
	for _, p := range sortedKeys(paths) {
		renamed := p
		for _, r := range pathNames(p) {
			renamed = strings.Replace(renamed, "{"+r.from+"}", "{"+r.to+"}", 1)
			for _, op := range paths[p].(obj) { //nolint:forcetypeassert // checked above
				renameParameter(op.(obj), r.from, r.to) //nolint:forcetypeassert // checked above
			}
		}
		if renamed != p {
			item := paths[p]
			delete(paths, p)
			if prior, taken := paths[renamed].(obj); taken {
				for m, op := range item.(obj) { //nolint:forcetypeassert // checked above
					prior[m] = op
				}
			} else {
				paths[renamed] = item
			}
		}
	}
	schemas["Problem"] = problemSchema()
	return extra(paths)
}

type rename struct{ from, to string }

// pathNames says how the variables of a path are called, by the word before
// each.
func pathNames(p string) []rename {
	words := map[string]string{"projects": "project", "events": "event", "apiKeys": "key", "models": "model"}
	var out []rename
	segs := strings.Split(p, "/")
	for i, s := range segs {
		name, _, ok := strings.Cut(strings.TrimPrefix(s, "{"), "}")
		if !ok || !strings.HasPrefix(s, "{") || i == 0 {
			continue
		}
		if to, known := words[segs[i-1]]; known {
			out = append(out, rename{name, to})
		}
	}
	return out
}

func renameParameter(op obj, from, to string) {
	params, _ := op["parameters"].([]any)
	for _, p := range params {
		if m, ok := p.(obj); ok && m["in"] == "path" && m["name"] == from {
			m["name"] = to
			m["description"] = map[string]string{
				"project": "Id of the project; `-` is the project of the caller's key.",
				"event":   "Id of the event.", "key": "Id of the API key.", "model": "Version of the model.",
			}[to]
			if to == "project" {
				m["example"] = "-"
			}
		}
	}
}

// operation gives an operation its problems, its security and its access rule.
func operation(op obj) error {
	id, _ := op["operationId"].(string)
	responses, _ := op["responses"].(obj)
	if responses == nil {
		return fmt.Errorf("%s has no responses", id)
	}
	responses["default"] = problemResponse()
	access, ok := accessOf(id)
	if !ok {
		return fmt.Errorf("%s declares no access", id)
	}
	op["x-synapse-access"] = access
	if access == "public" {
		op["security"] = []any{}
	}
	return nil
}

// accessOf reads the access rule of an RPC by its operation id, Service_Method.
func accessOf(id string) (string, bool) {
	service, method, _ := strings.Cut(id, "_")
	var found *typev1.Access
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "synapse.") {
			return true
		}
		if s := f.Services().ByName(protoreflect.Name(service)); s != nil {
			if m := s.Methods().ByName(protoreflect.Name(method)); m != nil {
				found, _ = proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access)
			}
		}
		return found == nil
	})
	switch r := found.GetRule().(type) {
	case *typev1.Access_Public:
		return "public", true
	case *typev1.Access_Authenticated:
		return "any credential", true
	case *typev1.Access_User:
		return "a signed-in person", true
	case *typev1.Access_Scope_:
		return "scope " + r.Scope.String(), true
	}
	return "", false
}

func sortedKeys(m obj) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
