package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/internal/app"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
)

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Try    string `json:"try,omitempty"`
}

// tolerableLag is for how long what was accepted may wait to be stored.
const tolerableLag = 10 * time.Second

func doctorCommand(g *globals) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, disk and server, and say what to do about each fault",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd, g)
			findings := []finding{check("configuration", "valid", err, "synapse config check")}
			if err == nil {
				findings = append(findings, checkFolder(cfg), checkDisk(cfg))
				findings = append(findings, checkStores(cmd.Context(), cfg)...)
				findings = append(findings, checkQueue(cmd.Context(), cfg)...)
				findings = append(findings, checkRedis(cmd.Context(), cfg)...)
				findings = append(findings, checkBlob(cmd.Context(), cfg)...)
			}
			findings = append(findings, g.checkServer(cmd.Context())...)
			bad := false
			out := cmd.OutOrStdout()
			format := g.format(out)
			for _, x := range findings {
				bad = bad || !x.OK
				if format != "table" {
					if err := json.NewEncoder(out).Encode(x); err != nil {
						return err
					}
					continue
				}
				mark := "ok  "
				if !x.OK {
					mark = "FAIL"
				}
				fmt.Fprintf(out, "%s  %-14s %s\n", mark, x.Check, x.Detail)
				if x.Try != "" {
					fmt.Fprintf(out, "      %-14s try: %s\n", "", x.Try)
				}
			}
			if bad {
				return &failedError{exitFailed}
			}
			return nil
		},
	}
	f.register(c)
	return c
}

func check(name, good string, err error, try string) finding {
	if err != nil {
		return finding{Check: name, Detail: describe(err).message, Try: try}
	}
	return finding{Check: name, OK: true, Detail: good}
}

func checkFolder(cfg app.Config) finding {
	f, err := os.CreateTemp(cfg.Data, ".doctor-*")
	if os.IsNotExist(err) {
		return finding{Check: "data folder", OK: true, Detail: cfg.Data + " does not exist yet; serve makes it"}
	}
	if err != nil {
		return check("data folder", "", err, "give the user that runs synapse the right to write there")
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	return finding{Check: "data folder", OK: true, Detail: cfg.Data + " can be written"}
}

func checkDisk(cfg app.Config) finding {
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return check("disk", "", err, "--data with a folder")
	}
	var st syscall.Statfs_t
	for syscall.Statfs(dir, &st) != nil {
		if dir == filepath.Dir(dir) {
			return finding{Check: "disk", Detail: "no folder above " + cfg.Data + " exists", Try: "--data with a folder"}
		}
		dir = filepath.Dir(dir)
	}
	free := float64(st.Bavail) * float64(st.Bsize)
	floor := float64(cfg.Queue.FreeFloorBytes)
	detail := fmt.Sprintf("%.1f GiB free, events are refused below %.1f GiB", free/(1<<30), floor/(1<<30))
	if free < floor {
		return finding{Check: "disk", Detail: detail, Try: "free some space, or lower queue.free_floor_bytes"}
	}
	return finding{Check: "disk", OK: true, Detail: detail}
}

func (g *globals) checkServer(ctx context.Context) []finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	callCtx, conn, err := g.connect(ctx)
	if err != nil {
		return []finding{check("server", "", err, describe(err).try)}
	}
	defer conn.Close()
	start := time.Now()
	h, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return []finding{check("server", "", err, "start it with `synapse serve`, or check --server")}
	}
	out := []finding{{
		Check: "server", OK: h.GetStatus() == healthpb.HealthCheckResponse_SERVING,
		Detail: fmt.Sprintf("%s says %s in %.1f ms", conn.Target(), h.GetStatus(), time.Since(start).Seconds()*1000),
	}}
	if !out[0].OK {
		out[0].Try = "GET /readyz on the admin port names the part that does not work"
	}
	_, err = authv1.NewAuthServiceClient(conn).GetProject(callCtx, &authv1.GetProjectRequest{Name: g.parent()})
	out = append(out, check("credential", "is accepted", err, "--key with a key of this server"))
	if err != nil {
		return out
	}
	b, err := queryv1.NewQueryServiceClient(conn).GetBalance(callCtx, &queryv1.GetBalanceRequest{Name: g.parent() + "/balance"})
	if err != nil {
		return append(out, check("balance", "", err, ""))
	}
	lag := time.Since(b.GetCompleteTo().AsTime())
	behind := lag > tolerableLag
	f := finding{Check: "balance", OK: b.GetDifference() == 0 && !behind, Detail: fmt.Sprintf("difference %s, %s in flight, complete to %.1f s ago",
		thin(b.GetDifference()), thin(b.GetTotal().GetInFlight()), lag.Seconds())}
	switch {
	case behind:
		f.Try = "GET /readyz on the admin ports of scoring and query, which names a reader that waits; if all are ready, add scoring processes"
	case !f.OK:
		f.Try = "synapse balance, and synapse verify"
	}
	return append(out, f)
}

// probeTCP says whether something listens at an address.
func probeTCP(ctx context.Context, addr string) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}
