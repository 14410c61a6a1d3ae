package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/model"
)

func modelsCommand(g *globals) *cobra.Command {
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the built-in model: languages and figures on validation sets",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			card := model.Info()
			if g.format(out) != "table" {
				return json.NewEncoder(out).Encode(card)
			}
			fmt.Fprintf(out, "%s, languages %s\n", card.Version, strings.Join(card.Languages, " "))
			rows := make([][]string, 0, len(card.Metrics))
			for _, m := range card.Metrics {
				rows = append(rows, []string{m.Set, m.Metric, fmt.Sprintf("%.3f", m.Value), fmt.Sprintf("%.3f", m.Baseline)})
			}
			table(out, "SET METRIC OURS VADER", rows)
			return nil
		},
	}
	c := &cobra.Command{Use: "models", Short: "Look at the models"}
	c.AddCommand(show)
	return c
}
