package grpcserver

import (
	"strings"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	projectsPrefix = "projects/"
	onlyProject    = "-"
	maxProjectID   = 63
)

// field is the path of what names the project, as violations tell it.
func (s projectSource) field() string {
	switch s {
	case fromParent:
		return "parent"
	case fromName:
		return "name"
	default:
		return "project.name"
	}
}

// read returns what names the project in a request; "" if it does not.
func (s projectSource) read(req any) string {
	switch s {
	case fromParent:
		if r, ok := req.(interface{ GetParent() string }); ok {
			return r.GetParent()
		}
	case fromName:
		if r, ok := req.(interface{ GetName() string }); ok {
			return r.GetName()
		}
	case fromProject:
		if r, ok := req.(interface{ GetProject() *authv1.Project }); ok {
			return r.GetProject().GetName()
		}
	}
	return ""
}

// projectOf returns the id of the project that a request names, with "-"
// resolved for the caller.
func (s projectSource) projectOf(req any, p *authn.Principal) (string, *errs.Error) {
	id, ok := projectID(s.read(req))
	switch {
	case !ok:
		return "", errs.Invalid(errs.Violation{
			Field: s.field(), Rule: "must begin with projects/{project}",
			Remedy: "name the project; projects/- is the credential's only project",
		})
	case id != onlyProject:
		return id, nil
	}
	if id, ok = p.OnlyProject(); !ok {
		return "", errs.Ambiguous(s.field())
	}
	return id, nil
}

// projectID returns the id in a resource name, `projects/{id}` or
// `projects/{id}/…`; ok is false if the name has another form.
func projectID(name string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(name, projectsPrefix)
	if !ok {
		return "", false
	}
	id, _, _ = strings.Cut(rest, "/")
	if id == onlyProject {
		return id, true
	}
	n := len(id)
	if n == 0 || n > maxProjectID || id[0] < 'a' || id[0] > 'z' || id[n-1] == '-' {
		return "", false
	}
	for i := range n {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", false
		}
	}
	return id, true
}
