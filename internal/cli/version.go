package cli

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/model"
)

func versionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the program and of its model",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if g.format(out) == "table" || g.output == "" {
				fmt.Fprintf(out, "synapse %s (%s, %s/%s), model %s\n", app.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, model.Default().Version())
				return nil
			}
			return json.NewEncoder(out).Encode(map[string]string{
				"version": app.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "model": model.Default().Version(),
			})
		},
	}
}
