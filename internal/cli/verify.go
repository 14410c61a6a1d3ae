package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	querysqlite "github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

func verifyCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Recount the charts from the events; exit 1 and a report when anything differs",
		Long: "Asks a running server, or with --data DIR reads the folder of a stopped one,\n" +
			"whether every rollup is exactly what its events add up to.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("data") && g.server == "" && !g.serverRuns(cmd.Context()) {
				return g.verifyFolder(cmd.Context(), cmd.OutOrStdout())
			}
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			res, err := queryv1.NewQueryServiceClient(conn).VerifyRollups(ctx, &queryv1.VerifyRollupsRequest{Parent: g.parent()})
			if err != nil {
				return err
			}
			return g.printVerdict(cmd.OutOrStdout(), res)
		},
	}
}

// serverRuns says whether the server of the data folder answers.
func (g *globals) serverRuns(ctx context.Context) bool {
	c, err := g.credentials()
	return err == nil && probeTCP(ctx, c.GRPCAddr) == nil
}

func (g *globals) verifyFolder(ctx context.Context, out io.Writer) error {
	store, err := querysqlite.OpenReadOnly(ctx, filepath.Join(g.data, "query.db"), querysqlite.Options{})
	if err != nil {
		return hint(err, "--data with the data folder of a server")
	}
	defer store.Close()
	r, err := store.Verify(ctx, "")
	if err != nil {
		return err
	}
	return g.printVerdict(out, &queryv1.VerifyRollupsResponse{
		Events: float64(r.Events), Rollups: float64(r.Rollups), DifferenceCount: int32(r.Count), Differences: r.Differences,
	})
}

func (g *globals) printVerdict(out io.Writer, res *queryv1.VerifyRollupsResponse) error {
	if f := g.format(out); f != "table" {
		if err := printMessage(out, f, res); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s events, %s rollups, %d differences\n", thin(res.GetEvents()), thin(res.GetRollups()), res.GetDifferenceCount())
		for _, d := range res.GetDifferences() {
			fmt.Fprintf(out, "  %s\n", d)
		}
	}
	if res.GetDifferenceCount() > 0 {
		return &failedError{exitFailed}
	}
	return nil
}
