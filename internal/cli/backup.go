package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/backup"
)

func backupCommand(g *globals) *cobra.Command {
	var f serverFlags
	var to, tools string
	c := &cobra.Command{
		Use:   "backup --to DIR [auth|query…]",
		Short: "Copy the stores into a new folder while the server runs",
		Long: "Copies the SQLite files of the data folder, or the PostgreSQL databases that the\n" +
			"configuration names, each as it is at one moment, and credentials.json. The folder\n" +
			"appears when it is complete and on disk; its manifest has the SHA-256 of each file.\n" +
			"It holds every key and text: keep it as safe as the stores.\n\n" +
			"The queue is not copied: after a restore the server reads from it what the copy\n" +
			"lacks. Run it on the machine of the data folder, as the user of the server.",
		Example:   "  synapse backup --data /var/lib/synapse --to /backups/monday",
		ValidArgs: storeRoles,
		Args:      cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usage("--to is missing", "--to DIR with a folder that does not exist")
			}
			cfg, roles, err := f.loadStores(cmd, g, args)
			if err != nil {
				return err
			}
			m, err := app.Backup(cmd.Context(), cfg, roles, to, tools)
			if err != nil {
				return hint(fmt.Errorf("backup: %w", err), "synapse doctor, and check --data, stores and the disk of --to")
			}
			return g.printManifest(cmd.OutOrStdout(), "backup "+to+" is complete", m)
		},
	}
	f.register(c)
	c.Flags().StringVar(&to, "to", "", "folder to make; its parent must exist")
	c.Flags().StringVar(&tools, "pg-bin", "", "folder of pg_dump and pg_restore; default: the newest that is installed")
	return c
}

func restoreCommand(g *globals) *cobra.Command {
	var f serverFlags
	var from, tools string
	var verify bool
	c := &cobra.Command{
		Use:   "restore --from DIR",
		Short: "Put a backup into an empty data folder or empty databases",
		Long: "Checks every file of the backup, then fills the places that the configuration\n" +
			"names. A place that is not empty is refused. Start the server afterwards with the\n" +
			"queue that it had: it reads from there what was accepted after the backup.",
		Example: "  synapse restore --from /backups/monday --verify\n  synapse restore --from /backups/monday --data /var/lib/synapse-new",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return usage("--from is missing", "--from DIR with the folder of a backup")
			}
			out := cmd.OutOrStdout()
			if verify {
				m, err := backup.Open(from)
				if err == nil {
					err = m.Verify(cmd.Context(), from)
				}
				if err != nil {
					return hint(err, "another backup: this one can not be relied on")
				}
				return g.printManifest(out, "backup "+from+" is undamaged", m)
			}
			cfg, err := f.load(cmd, g)
			if err != nil {
				return err
			}
			m, err := app.Restore(cmd.Context(), cfg, from, tools)
			if err != nil {
				return hint(fmt.Errorf("restore: %w", err), "synapse restore --verify to look at the backup; empty places for it")
			}
			if err := g.printManifest(out, "restored "+from, m); err != nil {
				return err
			}
			if g.format(out) == "table" {
				fmt.Fprintf(out, "next:\n"+
					"  give the server the queue that it had: keep queue.url, or move the folder queue into %s\n"+
					"  start it; it reads what was accepted after the backup from the queue\n"+
					"  synapse balance, and synapse verify, say when everything is there\n", cfg.Data)
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&from, "from", "", "folder of the backup")
	c.Flags().BoolVar(&verify, "verify", false, "only check the backup")
	c.Flags().StringVar(&tools, "pg-bin", "", "folder of pg_dump and pg_restore; default: the newest that is installed")
	return c
}

func (g *globals) printManifest(out io.Writer, title string, m backup.Manifest) error {
	if g.format(out) != "table" {
		return json.NewEncoder(out).Encode(m)
	}
	fmt.Fprintf(out, "%s: version %s, %s to %s\n", title, m.Version, m.Start.Local().Format(time.RFC3339), m.End.Local().Format(time.RFC3339))
	for _, s := range m.Stores {
		fmt.Fprintf(out, "  %s: %s, schema up to %s\n", s.Role, s.Engine, s.Schema[len(s.Schema)-1])
		for _, stream := range slices.Sorted(maps.Keys(s.Positions)) {
			fmt.Fprintf(out, "    %s up to %d\n", stream, s.Positions[stream].Sequence)
		}
	}
	for _, x := range m.Files {
		fmt.Fprintf(out, "  %s  %s bytes  sha256 %s\n", x.Name, thin(float64(x.Bytes)), x.SHA256)
	}
	return nil
}
