package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/emptypb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	// maxProjects bounds the projects of a user, and with them the size of tokens.
	maxProjects     = 100
	maxDisplayBytes = 100
	projectKind     = "projects/"
)

var projectID = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CreateProject implements authv1.AuthServiceServer.
func (s *Service) CreateProject(ctx context.Context, req *authv1.CreateProjectRequest) (*authv1.Project, error) {
	p, err := person(ctx)
	if err != nil {
		return nil, err
	}
	if !projectID.MatchString(req.GetProjectId()) {
		return nil, errs.Invalid(errs.Violation{
			Field: "project_id", Rule: "must be 1 to 63 lower-case letters, digits and hyphens, the first a letter, the last no hyphen",
			Remedy: "choose another id, for example team-1",
		})
	}
	if err := checkDisplayName("project.display_name", req.GetProject().GetDisplayName()); err != nil {
		return nil, err
	}
	project := Project{ID: req.GetProjectId(), DisplayName: req.GetProject().GetDisplayName(), CreateTime: s.now()}
	err = s.store.CreateProject(ctx, project, p.ID, maxProjects)
	switch {
	case errors.Is(err, ErrExists):
		return nil, errs.Taken("the project id %q is or was in use", project.ID)
	case errors.Is(err, ErrLimit):
		return nil, errs.Exhausted(errs.RateLimited, "the person has as many projects as allowed", "delete one that is not used", 0,
			&errs.Quota{Subject: "user:" + p.ID, Description: fmt.Sprintf("%d projects of %d", maxProjects, maxProjects)})
	case err != nil:
		return nil, edge(err)
	}
	s.log.InfoContext(ctx, "project created", "audit", true, "project", project.ID, "by", p.ID)
	return projectProto(project, ownerScopes()), nil
}

// ListProjects implements authv1.AuthServiceServer.
func (s *Service) ListProjects(ctx context.Context, _ *authv1.ListProjectsRequest) (*authv1.ListProjectsResponse, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	projects, err := s.projectsOf(ctx, p)
	if err != nil {
		return nil, edge(err)
	}
	return &authv1.ListProjectsResponse{Projects: projects}, nil
}

// projectsOf returns the projects that the credential knows of and that exist.
func (s *Service) projectsOf(ctx context.Context, p *authn.Principal) ([]*authv1.Project, error) {
	ids := slices.Sorted(maps.Keys(p.Projects))
	found, err := s.store.ProjectsByID(ctx, ids[:min(len(ids), maxProjects)])
	if err != nil {
		return nil, err
	}
	out := make([]*authv1.Project, 0, len(found))
	for _, f := range found {
		out = append(out, projectProto(f, p.Projects[f.ID]))
	}
	return out, nil
}

// GetProject implements authv1.AuthServiceServer.
func (s *Service) GetProject(ctx context.Context, _ *authv1.GetProjectRequest) (*authv1.Project, error) {
	p, id, err := in(ctx, typev1.Access_READ)
	if err != nil {
		return nil, err
	}
	return s.project(ctx, p, id)
}

func (s *Service) project(ctx context.Context, p *authn.Principal, id string) (*authv1.Project, error) {
	found, err := s.store.ProjectsByID(ctx, []string{id})
	switch {
	case err != nil:
		return nil, edge(err)
	case len(found) == 0: // deleted while the caller's token lasts
		return nil, errs.Denied("a scope in it")
	}
	return projectProto(found[0], p.Projects[id]), nil
}

// UpdateProject implements authv1.AuthServiceServer.
func (s *Service) UpdateProject(ctx context.Context, req *authv1.UpdateProjectRequest) (*authv1.Project, error) {
	p, id, err := in(ctx, typev1.Access_MANAGE)
	if err != nil {
		return nil, err
	}
	for _, path := range req.GetUpdateMask().GetPaths() {
		if path != "display_name" && path != "*" {
			return nil, errs.Invalid(errs.Violation{
				Field: "update_mask", Rule: fmt.Sprintf("names %q, which can not be changed", path), Remedy: "name display_name only",
			})
		}
	}
	name := req.GetProject().GetDisplayName()
	if err := checkDisplayName("project.display_name", name); err != nil {
		return nil, err
	}
	if len(req.GetUpdateMask().GetPaths()) == 0 && name == "" { // nothing is named and nothing is set
		return s.project(ctx, p, id)
	}
	project, err := s.store.UpdateProject(ctx, id, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, errs.Denied("the scope MANAGE")
	case err != nil:
		return nil, edge(err)
	}
	s.log.InfoContext(ctx, "project changed", "audit", true, "project", id, "by", p.ID)
	return projectProto(project, p.Projects[id]), nil
}

// DeleteProject implements authv1.AuthServiceServer.
func (s *Service) DeleteProject(ctx context.Context, _ *authv1.DeleteProjectRequest) (*emptypb.Empty, error) {
	p, id, err := in(ctx, typev1.Access_MANAGE)
	if err != nil {
		return nil, err
	}
	switch err := s.store.DeleteProject(ctx, id, s.now()); {
	case errors.Is(err, ErrNotFound):
		return nil, errs.Denied("the scope MANAGE")
	case err != nil:
		return nil, edge(err)
	}
	s.announce.tell(ctx, projectChanged(id))
	s.log.InfoContext(ctx, "project deleted", "audit", true, "project", id, "by", p.ID)
	return &emptypb.Empty{}, nil
}

func checkDisplayName(field, name string) error {
	if len(name) > maxDisplayBytes || !utf8.ValidString(name) {
		return errs.Invalid(errs.Violation{
			Field: field, Rule: fmt.Sprintf("must be at most %d bytes of UTF-8", maxDisplayBytes), Remedy: "choose a shorter name",
		})
	}
	return nil
}

func projectProto(p Project, scopes []typev1.Access_Scope) *authv1.Project {
	return &authv1.Project{
		Name: projectKind + p.ID, ProjectId: p.ID, DisplayName: p.DisplayName,
		CreateTime: stamp(p.CreateTime), Scopes: slices.Clone(scopes),
	}
}
