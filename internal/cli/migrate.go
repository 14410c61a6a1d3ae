package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/internal/app"
)

func migrateCommand(g *globals) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Show and apply the steps of the stores' schemas",
		Long: "Servers apply missing steps when they start, unless stores.migrate is check: then\n" +
			"they wait for `synapse migrate up`. There is no way back; the version before runs\n" +
			"on the schema of the version after.\n\n" +
			"Without a role, the stores of auth and query are meant; the configuration says\n" +
			"where they are.",
		Example: "  synapse migrate status --data /var/lib/synapse\n  synapse migrate up query --config synapse.yaml",
	}
	f.register(c)
	status := &cobra.Command{
		Use:       "status [auth|query…]",
		Short:     "List what is applied and what is missing; exit 1 when something is",
		ValidArgs: storeRoles,
		Args:      cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, roles, err := f.loadStores(cmd, g, args)
			if err != nil {
				return err
			}
			return g.printSchemas(cmd, cfg, roles)
		},
	}
	up := &cobra.Command{
		Use:       "up [auth|query…]",
		Short:     "Apply what is missing; servers may run meanwhile",
		ValidArgs: storeRoles,
		Args:      cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, roles, err := f.loadStores(cmd, g, args)
			if err != nil {
				return err
			}
			if err := app.Migrate(cmd.Context(), cfg, roles, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))); err != nil {
				return hint(err, "synapse migrate status, and synapse doctor")
			}
			return g.printSchemas(cmd, cfg, roles)
		},
	}
	c.AddCommand(status, up)
	return c
}

// storeRoles are the roles that keep data.
var storeRoles = []string{"auth", "query"}

// loadStores reads the configuration and which roles' stores are meant; none is all.
func (f *serverFlags) loadStores(cmd *cobra.Command, g *globals, args []string) (app.Config, []app.Role, error) {
	if len(args) == 0 {
		args = storeRoles
	}
	roles, err := app.ParseRoles(args)
	if err != nil {
		return app.Config{}, nil, usage(err.Error(), cmd.CommandPath()+" auth query")
	}
	cfg, err := f.load(cmd, g)
	return cfg, roles, err
}

func (g *globals) printSchemas(cmd *cobra.Command, cfg app.Config, roles []app.Role) error {
	list, err := app.Schemas(cmd.Context(), cfg, roles)
	if err != nil {
		return hint(err, "synapse doctor, and check --data and stores")
	}
	if err := g.writeSchemas(cmd.OutOrStdout(), list); err != nil {
		return err
	}
	for _, s := range list {
		if len(s.Missing) > 0 {
			return &failedError{exitFailed}
		}
	}
	return nil
}

func (g *globals) writeSchemas(out io.Writer, list []app.StoreSchema) error {
	if g.format(out) != "table" {
		for _, s := range list {
			if err := json.NewEncoder(out).Encode(s); err != nil {
				return err
			}
		}
		return nil
	}
	for _, s := range list {
		fmt.Fprintf(out, "%s: %s %s\n", s.Role, s.Engine, s.Place)
		for _, name := range s.Applied {
			fmt.Fprintf(out, "  applied  %s\n", name)
		}
		for _, name := range s.Missing {
			fmt.Fprintf(out, "  missing  %s\n", name)
		}
		if s.Later > 0 {
			fmt.Fprintf(out, "  applied  %d of a later version\n", s.Later)
		}
	}
	return nil
}
