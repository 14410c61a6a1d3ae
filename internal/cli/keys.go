package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func keyCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Create, list, rotate and revoke API keys"}
	c.AddCommand(keyCreateCommand(g), keyListCommand(g), keyRevokeCommand(g), keyRotateCommand(g), keyPrintCommand(g))
	return c
}

func keyCreateCommand(g *globals) *cobra.Command {
	var scopes []string
	var expires time.Duration
	c := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create an API key; its secret is shown once",
		Example: "  synapse key create \"web shop\" --scope ingest",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key := &authv1.ApiKey{DisplayName: args[0]}
			for _, s := range scopes {
				v, ok := typev1.Access_Scope_value[strings.ToUpper(s)]
				if !ok || v == 0 {
					return usage(fmt.Sprintf("scope %q is not known", s), "--scope ingest, read, score or manage")
				}
				key.Scopes = append(key.Scopes, typev1.Access_Scope(v))
			}
			if expires > 0 {
				key.ExpireTime = timestamppb.New(time.Now().Add(expires))
			}
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			res, err := authv1.NewAuthServiceClient(conn).CreateApiKey(ctx, &authv1.CreateApiKeyRequest{Parent: g.parent(), ApiKey: key})
			if err != nil {
				return err
			}
			return g.printSecret(cmd, res)
		},
	}
	c.Flags().StringSliceVar(&scopes, "scope", []string{"ingest"}, "what it may do: ingest, read, score, manage; may be repeated")
	c.Flags().DurationVar(&expires, "expires", 0, "when it ends, for example 720h; 0 is never")
	return c
}

func (g *globals) printSecret(cmd *cobra.Command, res *authv1.ApiKeyWithSecret) error {
	out := cmd.OutOrStdout()
	if f := g.format(out); f != "table" {
		return printMessage(out, f, res)
	}
	fmt.Fprintf(out, "%s\n  %s\nkeep it now: it is not shown again\n", res.GetApiKey().GetName(), res.GetSecret())
	return nil
}

func keyListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the API keys of the project",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			out := cmd.OutOrStdout()
			format := g.format(out)
			req := &authv1.ListApiKeysRequest{Parent: g.parent(), PageSize: 1000}
			var rows [][]string
			for {
				res, err := authv1.NewAuthServiceClient(conn).ListApiKeys(ctx, req)
				if err != nil {
					return err
				}
				for _, k := range res.GetApiKeys() {
					if format != "table" {
						if err := printMessage(out, format, k); err != nil {
							return err
						}
						continue
					}
					rows = append(rows, keyRow(k))
				}
				if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
			if format == "table" {
				table(out, "ID NAME SCOPES STATE LAST-USED", rows)
			}
			return nil
		},
	}
}

func keyRow(k *authv1.ApiKey) []string {
	scopes := make([]string, 0, len(k.GetScopes()))
	for _, s := range k.GetScopes() {
		scopes = append(scopes, strings.ToLower(s.String()))
	}
	state, used := "active", "never"
	switch {
	case k.GetRevokeTime() != nil:
		state = "revoked"
	case k.GetExpireTime() != nil && k.GetExpireTime().AsTime().Before(time.Now()):
		state = "expired"
	}
	if k.GetLastUseTime() != nil {
		used = k.GetLastUseTime().AsTime().Local().Format("2006-01-02 15:04")
	}
	return []string{lastPart(k.GetName()), oneLine(k.GetDisplayName(), 30), strings.Join(scopes, ","), state, used}
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func keyRevokeCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an API key; it is refused everywhere within a second",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := authv1.NewAuthServiceClient(conn).RevokeApiKey(ctx, &authv1.RevokeApiKeyRequest{Name: g.parent() + "/apiKeys/" + args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "revoked %s\n", args[0])
			return nil
		},
	}
}

func keyRotateCommand(g *globals) *cobra.Command {
	var overlap time.Duration
	c := &cobra.Command{
		Use:   "rotate ID",
		Short: "Replace an API key by a new one with the same scopes",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			res, err := authv1.NewAuthServiceClient(conn).RotateApiKey(ctx, &authv1.RotateApiKeyRequest{
				Name: g.parent() + "/apiKeys/" + args[0], Overlap: durationpb.New(overlap),
			})
			if err != nil {
				return err
			}
			return g.printSecret(cmd, res)
		},
	}
	c.Flags().DurationVar(&overlap, "overlap", 0, "how long the old key works on, at most 168h")
	return c
}

func keyPrintCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:       "print ingest|read|admin",
		Short:     "Print a first key of the server on this machine, for scripts",
		ValidArgs: []string{"ingest", "read", "admin"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.credentials()
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), map[string]string{"ingest": c.IngestKey, "read": c.ReadKey, "admin": c.AdminKey}[args[0]])
			return nil
		},
	}
}
