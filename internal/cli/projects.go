package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
)

func projectCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "project",
		Short: "Create and list projects, as the administrator of this machine or SYNAPSE_EMAIL",
	}
	c.AddCommand(projectCreateCommand(g), projectListCommand(g))
	return c
}

func projectCreateCommand(g *globals) *cobra.Command {
	var display string
	c := &cobra.Command{
		Use:   "create ID",
		Short: "Create a project",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := g.signIn(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			p, err := authv1.NewAuthServiceClient(conn).CreateProject(ctx, &authv1.CreateProjectRequest{
				ProjectId: args[0], Project: &authv1.Project{DisplayName: display},
			})
			if err != nil {
				return err
			}
			return g.printProjects(cmd, []*authv1.Project{p})
		},
	}
	c.Flags().StringVar(&display, "name", "", "what people call it")
	return c
}

func projectListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the projects that you may use",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := g.signIn(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			res, err := authv1.NewAuthServiceClient(conn).ListProjects(ctx, &authv1.ListProjectsRequest{})
			if err != nil {
				return err
			}
			return g.printProjects(cmd, res.GetProjects())
		},
	}
}

func (g *globals) printProjects(cmd *cobra.Command, list []*authv1.Project) error {
	out := cmd.OutOrStdout()
	format := g.format(out)
	rows := make([][]string, 0, len(list))
	for _, p := range list {
		if format != "table" {
			if err := printMessage(out, format, p); err != nil {
				return err
			}
			continue
		}
		scopes := make([]string, 0, len(p.GetScopes()))
		for _, s := range p.GetScopes() {
			scopes = append(scopes, strings.ToLower(s.String()))
		}
		rows = append(rows, []string{
			p.GetProjectId(), oneLine(p.GetDisplayName(), 30), p.GetCreateTime().AsTime().Local().Format(time.DateOnly), strings.Join(scopes, ","),
		})
	}
	if format == "table" {
		table(out, "ID NAME CREATED SCOPES", rows)
	}
	return nil
}
