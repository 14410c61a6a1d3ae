package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/model"
)

func modelsCommand(g *globals) *cobra.Command {
	show := &cobra.Command{
		Use:   "show [VERSION]",
		Short: "Show a built-in model: languages, training sets and figures on validation sets",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			version := model.Models()[0]
			if len(args) > 0 {
				version = args[0]
			}
			card, ok := cardOf(version)
			if !ok {
				return usage(fmt.Sprintf("there is no model %.80q", version), "synapse models show "+strings.Join(model.Models(), " or "))
			}
			out := cmd.OutOrStdout()
			if g.format(out) != "table" {
				return json.NewEncoder(out).Encode(card)
			}
			return printCard(out, &card)
		},
	}
	c := &cobra.Command{
		Use:   "models",
		Short: "List the built-in models, the default first",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			var rows [][]string
			for i, version := range model.Models() {
				card, _ := cardOf(version)
				if f := g.format(out); f != "table" {
					if err := json.NewEncoder(out).Encode(card); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{version, map[bool]string{true: "yes"}[i == 0], thin(float64(card.Bytes)), strings.Join(card.Languages, " ")})
			}
			if rows != nil {
				table(out, "VERSION DEFAULT BYTES LANGUAGES", rows)
			}
			return nil
		},
	}
	c.AddCommand(show)
	return c
}

// cardOf returns the card of a version; only its name where the program holds no
// more of it.
func cardOf(version string) (model.Card, bool) {
	if c := model.Info(); c.Version == version {
		return c, true
	}
	for _, v := range model.Models() {
		if v == version {
			return model.Card{Version: v}, true
		}
	}
	return model.Card{}, false
}

func printCard(w io.Writer, card *model.Card) error {
	fmt.Fprintf(w, "%s, %s bytes, SHA-256 %s\n", card.Version, thin(float64(card.Bytes)), card.SHA256)
	fmt.Fprintf(w, "  languages   %s\n  trained on  %s\n", strings.Join(card.Languages, " "), strings.Join(card.Trained, ", "))
	for i := range card.Tables {
		fmt.Fprintln(w)
		if err := card.Tables[i].Write(w); err != nil {
			return err
		}
	}
	return nil
}
