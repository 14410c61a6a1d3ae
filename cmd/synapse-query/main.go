// Command synapse-query runs the role query; see `synapse-query --help`.
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
	code := cli.Role(ctx, "query", os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
