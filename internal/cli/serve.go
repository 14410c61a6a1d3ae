package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/internal/app"
)

func serveCommand(g *globals) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "serve [all|auth|ingest|scoring|query|gateway…]",
		Short: "Run the server: every role in one process, or some of them",
		Long: "Runs the named roles; all, the default, runs everything on embedded engines with\n" +
			"nothing to install. Roles that run apart need the addresses of the others\n" +
			"(--set peers.auth=host:port …) and a NATS server (--set queue.url=nats://host:4222).\n\n" +
			"On an empty data folder it creates the project `default`, an administrator and\n" +
			"three API keys, prints them once and writes them to credentials.json there.",
		Example:   "  synapse serve\n  synapse serve --data /var/lib/synapse --http-addr 0.0.0.0:8080",
		ValidArgs: []string{"all", "auth", "ingest", "scoring", "query", "gateway"},
		Args:      cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return serve(cmd, g, &f, args)
		},
	}
	f.register(c)
	return c
}

func serve(cmd *cobra.Command, g *globals, f *serverFlags, roleNames []string) error {
	roles, err := app.ParseRoles(roleNames)
	if err != nil {
		return usage(err.Error(), "synapse serve all")
	}
	cfg, err := f.load(cmd, g)
	if err != nil {
		return err
	}
	a, err := app.New(cfg, roles, cmd.ErrOrStderr())
	if err != nil {
		return usage(err.Error(), "synapse serve all")
	}
	return a.Run(cmd.Context(), func() { printWelcome(cmd.OutOrStdout(), a, cfg) })
}

// printWelcome tells where the server is, and the first time its credentials.
func printWelcome(w io.Writer, a *app.App, cfg app.Config) {
	if url := a.HTTPURL(); url != "" {
		fmt.Fprintf(w, "synapse is ready: %s\n", url)
	}
	c, created := a.Credentials()
	if c == nil {
		return
	}
	if !created {
		fmt.Fprintf(w, "credentials: %s/credentials.json\n", cfg.Data)
		return
	}
	fmt.Fprintf(w, "  sign in     %s\n  password    %s\n  ingest key  %s\n  read key    %s\n  admin key   %s\n  all of it is in %s/credentials.json; it is not shown again\n",
		c.AdminEmail, c.AdminPassword, c.IngestKey, c.ReadKey, c.AdminKey, cfg.Data)
}

// Role runs one role as a program of its own: `synapse-ingest` is
// `synapse serve ingest`.
func Role(ctx context.Context, role string, args []string, out, errOut io.Writer) int {
	return Main(ctx, append([]string{"serve", role}, args...), nil, out, errOut)
}
