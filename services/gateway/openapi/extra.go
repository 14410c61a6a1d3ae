package openapi

import (
	"fmt"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// What the contracts do not say about REST.

func ref(name string) obj { return obj{"$ref": "#/components/schemas/" + name} }

func content(kind string, schema obj) obj { return obj{kind: obj{"schema": schema}} }

func problemResponse() obj {
	return obj{
		"description": "What went wrong, why, and what to do.",
		"content":     content("application/problem+json", ref("Problem")),
		"headers": obj{
			"Retry-After": obj{"description": "Seconds to wait, with 429 and 503.", "schema": obj{"type": "integer"}},
		},
	}
}

func problemSchema() obj {
	text := func(doc string) obj { return obj{"type": "string", "description": doc} }
	reasons := []any{}
	for _, r := range errs.Reasons() {
		reasons = append(reasons, string(r))
	}
	return obj{
		"type": "object", "description": "An error as in RFC 9457.",
		"required": []any{"type", "title", "status", "detail", "code", "reason", "violations", "retryable"},
		"properties": obj{
			"type":   text("Address of the page that explains the reason."),
			"title":  text("The reason in words."),
			"status": obj{"type": "integer", "description": "The HTTP status."},
			"detail": text("What happened and why."),
			"code":   text("The gRPC code, for example INVALID_ARGUMENT."),
			"reason": obj{"type": "string", "enum": reasons, "description": "Why, one of a closed list."},
			"remedy": text("What to do."),
			"violations": obj{
				"type": "array", "description": "The fields that break rules.",
				"items": obj{"type": "object", "properties": obj{
					"field": text("Path of the field."), "rule": text("The rule that it breaks."), "remedy": text("What to do."),
				}},
			},
			"retryable": obj{"type": "boolean", "description": "Whether the same request can succeed later."},
			"quota": obj{"type": "object", "description": "The limit that was hit.", "properties": obj{
				"subject": text("Whose limit it is."), "description": text("Limit, unit and what was used."),
			}},
			"traceId": text("Trace of the request, 32 hexadecimal digits."),
		},
	}
}

const (
	pathIngest = "/v1/projects/{project}/events:ingest"
	pathTail   = "/v1/projects/{project}/events:tail"
)

// extra adds the routes and forms that only the gateway knows.
func extra(paths obj) error {
	item, _ := paths[pathIngest].(obj)
	post, _ := item["post"].(obj)
	body, _ := post["requestBody"].(obj)
	forms, _ := body["content"].(obj)
	if forms == nil {
		return fmt.Errorf("%s has no body", pathIngest)
	}
	if js, ok := forms["application/json"].(obj); ok {
		js["example"] = obj{"events": []any{obj{"text": "Love it", "source": "review"}}}
	}
	forms["application/x-ndjson"] = obj{
		"schema":  obj{"type": "string", "description": "One event as JSON a line. Each line has its own verdict, whose index counts the lines that are not blank."},
		"example": "{\"text\":\"Love it\"}\n{\"text\":\"Hate it\"}\n",
	}
	cloud := obj{
		"type": "object", "description": "A CloudEvent 1.0. `data` is the text, or an object with `text`, and if wanted `userId`, `language`, `attributes` and `targets`.",
		"required": []any{"specversion", "id", "source", "type", "data"},
		"properties": obj{
			"specversion": obj{"const": "1.0"}, "id": obj{"type": "string"}, "source": obj{"type": "string"}, "type": obj{"type": "string"},
			"time": obj{"type": "string", "format": "date-time"}, "data": obj{"type": []any{"string", "object"}},
		},
	}
	example := obj{
		"specversion": "1.0", "id": "review-1", "source": "shop", "type": "com.example.review", "data": obj{"text": "Love it"},
	}
	forms["application/cloudevents+json"] = obj{"schema": cloud, "example": example}
	forms["application/cloudevents-batch+json"] = obj{"schema": obj{"type": "array", "items": cloud}, "example": []any{example}}
	params, _ := post["parameters"].([]any)
	post["parameters"] = append(params,
		obj{"name": "fullResults", "in": "query", "schema": obj{"type": "boolean"}, "description": "For NDJSON and CloudEvents: whether the answer lists every event."},
		obj{"name": "Content-Encoding", "in": "header", "schema": obj{"type": "string", "enum": []any{"gzip", "zstd"}}, "description": "How the body is packed; left out, it is plain."},
	)
	project := obj{
		"name": "project", "in": "path", "required": true, "example": "-", "schema": obj{"type": "string"},
		"description": "Id of the project; `-` is the project of the caller's key.",
	}
	paths[pathTail] = obj{"get": obj{
		"tags": []any{"QueryService"}, "operationId": "QueryService_TailEvents", "x-synapse-access": "scope READ",
		"summary":     "Follows events as they are scored, as server-sent events.",
		"description": "Events are `event` (data: an Event), `gap` (events were withheld: `withheld`, `reason`), `resync` (the cursor is too old; it goes on from now), `end` (connect again) and `error` (data: a Problem). `id` is the cursor. A comment comes after 15 seconds without an event. A stream without `end` or `error` was cut.",
		"parameters": []any{
			project,
			obj{"name": "filter", "in": "query", "schema": obj{"type": "string"}, "description": "Only events that match this AIP-160 filter."},
			obj{"name": "cursor", "in": "query", "schema": obj{"type": "string"}, "description": "Go on after this cursor; left out, from now on."},
			obj{"name": "Last-Event-ID", "in": "header", "schema": obj{"type": "string"}, "description": "The same as `cursor`, and stronger: what a browser sends when it connects again."},
		},
		"responses": obj{
			"200": obj{"description": "The events.", "content": content("text/event-stream", obj{"type": "string"})}, "default": problemResponse(),
		},
	}}
	gateway := func(path, id, summary string, responses obj) {
		paths[path] = obj{"get": obj{
			"tags": []any{"Gateway"}, "operationId": id, "summary": summary, "security": []any{}, "x-synapse-access": "public",
			"responses": responses,
		}}
	}
	gateway("/healthz", "Gateway_Health", "Says that the process is alive.", obj{
		"200": obj{"description": "It is.", "content": content("application/json", obj{"type": "object"})},
	})
	ready := obj{"type": "object", "properties": obj{
		"ready": obj{"type": "boolean"},
		"parts": obj{"type": "array", "items": obj{"type": "object", "properties": obj{
			"name": obj{"type": "string"}, "ready": obj{"type": "boolean"}, "error": obj{"type": "string"}, "remedy": obj{"type": "string"},
		}}},
	}}
	gateway("/readyz", "Gateway_Ready", "Says which parts can do their work, and what to do about one that can not.", obj{
		"200": obj{"description": "All can.", "content": content("application/json", ready)},
		"503": obj{"description": "One can not.", "content": content("application/json", ready)},
	})
	return nil
}
