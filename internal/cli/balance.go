package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
)

func balanceCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "balance",
		Short: "Show what was accepted against what became of it; exit 1 when it does not close",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			b, err := queryv1.NewQueryServiceClient(conn).GetBalance(ctx, &queryv1.GetBalanceRequest{Name: g.parent() + "/balance"})
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if f := g.format(out); f != "table" {
				if err := printMessage(out, f, b); err != nil {
					return err
				}
			} else {
				t := b.GetTotal()
				rows := [][]string{balanceRow("total", t.GetAccepted(), t.GetStored(), t.GetDuplicate(), t.GetConflict(), t.GetDeadLetter(), t.GetInFlight(), t.GetErased())}
				for _, h := range b.GetHours() {
					rows = append(rows, balanceRow(h.GetStartTime().AsTime().Local().Format("2006-01-02 15:04"),
						h.GetAccepted(), h.GetStored(), h.GetDuplicate(), h.GetConflict(), h.GetDeadLetter(), h.GetInFlight(), h.GetErased()))
				}
				table(out, "HOUR ACCEPTED STORED DUPLICATE CONFLICT DEAD-LETTER IN-FLIGHT ERASED", rows)
				fmt.Fprintf(out, "difference %s, complete to %s\n", thin(b.GetDifference()), b.GetCompleteTo().AsTime().Local().Format(time.RFC3339))
			}
			if b.GetDifference() != 0 {
				return &failedError{exitFailed}
			}
			return nil
		},
	}
}

func balanceRow(name string, counts ...float64) []string {
	row := []string{name}
	for _, c := range counts {
		row = append(row, thin(c))
	}
	return row
}
