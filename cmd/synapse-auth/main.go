// Command synapse-auth runs the role auth; see `synapse-auth --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/synapse-analytics/synapse/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Role(ctx, "auth", os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
