package gateway

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
)

// route is one address template with one method.
type route struct {
	method string
	// template as in the contract, for example
	// "/v1/{parent=projects/*}/events:ingest". It names the route in spans,
	// metrics and logs.
	template string
	// segments of the path; "*" stands for one id.
	segments []string
	// verb is what follows the colon at the end; may be empty.
	verb string
	// query holds the names of the query parameters that are known; nil for a
	// route outside the API, which does not look at them.
	query map[string]struct{}
	// serve answers.
	serve func(*call)
	// bare routes count against no limit: health.
	bare bool
	// span is the name of the route's spans.
	span string
}

func (r *route) spanName(method string) string {
	if method == r.method {
		return r.span
	}
	return method + " " + r.template
}

func newRoute(method, template string, serve func(*call)) *route {
	r := &route{method: method, template: template, serve: serve, span: method + " " + template, query: map[string]struct{}{}}
	path := flatten(template)
	last := strings.LastIndexByte(path, '/')
	if i := strings.IndexByte(path[last:], ':'); i >= 0 {
		path, r.verb = path[:last+i], path[last+i+1:]
	}
	r.segments = strings.Split(path[1:], "/")
	return r
}

// flatten turns "/v1/{name=projects/*}/x" into "/v1/projects/*/x".
func flatten(template string) string {
	var b strings.Builder
	for {
		head, rest, ok := strings.Cut(template, "{")
		b.WriteString(head)
		if !ok {
			return b.String()
		}
		variable, tail, _ := strings.Cut(rest, "}")
		if _, pattern, ok := strings.Cut(variable, "="); ok {
			b.WriteString(pattern)
		} else {
			b.WriteByte('*')
		}
		template = tail
	}
}

// match says whether the path, split at its slashes, is one of the route's. An
// id holds no colon, so a verb that the route does not have is no part of one.
func (r *route) match(parts []string) bool {
	if len(parts) != len(r.segments) {
		return false
	}
	for i, seg := range r.segments {
		part := parts[i]
		if i == len(parts)-1 && r.verb != "" {
			var ok bool
			if part, ok = strings.CutSuffix(part, r.verb); !ok {
				return false
			}
			if part, ok = strings.CutSuffix(part, ":"); !ok {
				return false
			}
		}
		if seg == "*" {
			if part == "" || strings.IndexByte(part, ':') >= 0 {
				return false
			}
		} else if part != seg {
			return false
		}
	}
	return true
}

// contracts are the services whose RPCs have REST routes.
func contracts() []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	for _, f := range []protoreflect.FileDescriptor{
		authv1.File_synapse_auth_v1_auth_proto, ingestv1.File_synapse_ingest_v1_ingest_proto,
		scoringv1.File_synapse_scoring_v1_scoring_proto, queryv1.File_synapse_query_v1_query_proto,
	} {
		for i := range f.Services().Len() {
			out = append(out, f.Services().Get(i))
		}
	}
	return out
}

// contractRoutes reads the routes from the google.api.http annotations, so that
// a route exists exactly if the contract declares it.
func contractRoutes(serve func(*call)) []*route {
	var out []*route
	for _, s := range contracts() {
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
			if !ok || rule == nil {
				continue
			}
			for _, b := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
				method, template := binding(b)
				if method == "" {
					continue
				}
				r := newRoute(method, template, serve)
				if b.GetBody() != "*" {
					queryNames(r.query, m.Input(), "", 0, pathFields(template), b.GetBody())
				}
				out = append(out, r)
			}
		}
	}
	return out
}

func binding(b *annotations.HttpRule) (method, template string) {
	switch p := b.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	}
	return "", ""
}

// pathFields lists the fields that the path sets.
func pathFields(template string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(template, "{")
		if !ok {
			return out
		}
		variable, tail, _ := strings.Cut(rest, "}")
		field, _, _ := strings.Cut(variable, "=")
		out = append(out, field)
		template = tail
	}
}

// queryNames collects the names by which a request's fields can be given in the
// query: both spellings, nested ones with a dot, without those that path and
// body set.
func queryNames(names map[string]struct{}, md protoreflect.MessageDescriptor, prefix string, depth int, path []string, body string) {
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		full := prefix + string(f.Name())
		if slices.Contains(path, full) || depth == 0 && string(f.Name()) == body {
			continue
		}
		sub := f.Message()
		if sub != nil && !f.IsList() && !f.IsMap() && !strings.HasPrefix(string(sub.FullName()), "google.protobuf.") {
			if depth < 2 {
				queryNames(names, sub, full+".", depth+1, path, "")
			}
			continue
		}
		names[full] = struct{}{}
		names[prefix+f.JSONName()] = struct{}{}
	}
}
