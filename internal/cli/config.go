package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/config"
)

// clientEnv are variables of the product that are no fields of a server.
var clientEnv = []string{
	"SYNAPSE_CONFIG", "SYNAPSE_SERVER", "SYNAPSE_KEY", "SYNAPSE_PROJECT", "SYNAPSE_EMAIL", "SYNAPSE_PASSWORD", "SYNAPSE_DATASETS",
}

// serverFlags are the flags that name fields of the server's configuration.
type serverFlags struct {
	httpAddr, grpcAddr, adminAddr string
	set                           []string
}

func (f *serverFlags) register(cmd *cobra.Command) {
	p := cmd.PersistentFlags()
	p.StringVar(&f.httpAddr, "http-addr", "", "address of REST and the dashboard (SYNAPSE_HTTP_ADDR; 127.0.0.1:8080)")
	p.StringVar(&f.grpcAddr, "grpc-addr", "", "address of gRPC (SYNAPSE_GRPC_ADDR; 127.0.0.1:9090)")
	p.StringVar(&f.adminAddr, "admin-addr", "", "address of metrics, health and profiles (SYNAPSE_ADMIN_ADDR; 127.0.0.1:9100)")
	p.StringArrayVar(&f.set, "set", nil, "SECTION.FIELD=VALUE of the configuration; may be repeated")
}

// load reads the server's configuration from file, environment and flags.
func (f *serverFlags) load(cmd *cobra.Command, g *globals) (app.Config, error) {
	cfg := app.DefaultConfig()
	flags := map[string]string{}
	if cmd.Flags().Changed("data") {
		flags["data"] = g.data
	}
	for path, v := range map[string]string{"http_addr": f.httpAddr, "grpc_addr": f.grpcAddr, "admin_addr": f.adminAddr} {
		if v != "" {
			flags[path] = v
		}
	}
	for _, kv := range f.set {
		k, v, ok := cut(kv, '=')
		if !ok {
			return cfg, usage(fmt.Sprintf("--set %q is not SECTION.FIELD=VALUE", kv), "--set ingest.batch.max_delay=2ms")
		}
		flags[k] = v
	}
	err := config.Load(&cfg, config.Sources{File: g.config, Env: os.Environ(), IgnoreEnv: clientEnv, Flags: flags})
	if err != nil {
		return cfg, usage(err.Error(), "synapse config print")
	}
	return cfg, nil
}

func cut(s string, sep byte) (before, after string, ok bool) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func configCommand(g *globals) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{Use: "config", Short: "Check and print the server's configuration"}
	f.register(c)
	check := &cobra.Command{
		Use:   "check",
		Short: "Report everything that is wrong, each with its remedy",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := f.load(cmd, g); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the configuration is valid")
			return nil
		},
	}
	show := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration in force, with what each field means",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd, g)
			if err != nil {
				return err
			}
			return config.Print(cmd.OutOrStdout(), &cfg)
		},
	}
	diff := &cobra.Command{
		Use:   "diff",
		Short: "Print only what differs from the defaults",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd, g)
			if err != nil {
				return err
			}
			base := app.DefaultConfig()
			return config.Diff(cmd.OutOrStdout(), &cfg, &base)
		},
	}
	c.AddCommand(check, show, diff)
	return c
}
