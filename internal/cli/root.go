// Package cli is the command `synapse`: the client of a running server, the
// offline scorer, and the way to start the server. One file per command; each
// reads flags, calls, and prints.
//
// Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 overloaded or
// unavailable. An error ends with `try: …`.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitUnavailable = 5
)

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	f := describe(err)
	if !f.silent {
		fmt.Fprintf(errOut, "error: %s\n", f.message)
		for _, d := range f.details {
			fmt.Fprintf(errOut, "  %s\n", d)
		}
		if f.try != "" {
			fmt.Fprintf(errOut, "try: %s\n", f.try)
		}
	}
	return f.code
}

// globals are the flags that all commands share.
type globals struct {
	data    string
	config  string
	server  string
	key     string
	project string
	output  string
}

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "synapse",
		Short: "Real-time sentiment analytics: stream what your users say, see how they feel, and why",
		Long: "Synapse scores a stream of texts and shows how its writers feel.\n\n" +
			"  synapse serve           run everything in one process\n" +
			"  synapse demo            the same with sample reviews\n" +
			"  synapse send \"Love it\"  send one event\n" +
			"  synapse tail            watch events as they are scored\n\n" +
			"Client commands find the server and a key in --server and --key, the\n" +
			"environment (SYNAPSE_SERVER, SYNAPSE_KEY), or the credentials.json of the data\n" +
			"folder on this machine.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error(), cmd.CommandPath()+" --help")
	})
	p := root.PersistentFlags()
	p.StringVar(&g.data, "data", envOr("SYNAPSE_DATA", "data"), "data folder of a server on this machine (SYNAPSE_DATA)")
	p.StringVar(&g.config, "config", os.Getenv("SYNAPSE_CONFIG"), "configuration file of the server (SYNAPSE_CONFIG)")
	p.StringVar(&g.server, "server", os.Getenv("SYNAPSE_SERVER"), "gRPC address of the server (SYNAPSE_SERVER)")
	p.StringVar(&g.key, "key", os.Getenv("SYNAPSE_KEY"), "API key or token (SYNAPSE_KEY)")
	p.StringVar(&g.project, "project", envOr("SYNAPSE_PROJECT", "-"), "project id; - is the key's own (SYNAPSE_PROJECT)")
	p.StringVar(&g.output, "output", "", "table, json or jsonl; default: table on a terminal, jsonl in a pipe")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		switch g.output {
		case "", "table", "json", "jsonl":
			return nil
		}
		return usage(fmt.Sprintf("--output %q is not known", g.output), "--output table, json or jsonl")
	}
	root.AddCommand(
		serveCommand(g), demoCommand(g), scoreCommand(g), sendCommand(g), importCommand(g), tailCommand(g),
		queryCommand(g), eventsCommand(g), balanceCommand(g), verifyCommand(g), keyCommand(g), projectCommand(g),
		modelsCommand(g), configCommand(g), migrateCommand(g), transferCommand(g), backupCommand(g), restoreCommand(g), rebuildCommand(g), doctorCommand(g), versionCommand(g),
	)
	for _, c := range root.Commands() {
		wrapArgs(c)
	}
	return root
}

// wrapArgs makes a wrong number of arguments a usage error.
func wrapArgs(c *cobra.Command) {
	check := c.Args
	if check == nil && !c.HasSubCommands() {
		check = cobra.NoArgs
	}
	if check == nil {
		check = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q", args[0])
			}
			return nil
		}
		if c.RunE == nil {
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage(err.Error(), cmd.CommandPath()+" --help")
		}
		return nil
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

// usageError is a wrong call.
type usageError struct{ message, try string }

func (e *usageError) Error() string { return e.message }

func usage(message, try string) error { return &usageError{message, try} }

// failedError is a command that ran and found something wrong, which it has
// already said.
type failedError struct{ code int }

func (e *failedError) Error() string { return "failed" }

// hintError adds what to try to an error.
type hintError struct {
	err error
	try string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func hint(err error, try string) error {
	if err == nil {
		return nil
	}
	return &hintError{err, try}
}

type failure struct {
	code    int
	message string
	details []string
	try     string
	silent  bool
}

func describe(err error) failure {
	var fe *failedError
	if errors.As(err, &fe) {
		return failure{code: fe.code, silent: true}
	}
	var ue *usageError
	if errors.As(err, &ue) {
		return failure{code: exitUsage, message: ue.message, try: ue.try}
	}
	if strings.HasPrefix(err.Error(), "unknown command") {
		return failure{code: exitUsage, message: err.Error(), try: "synapse --help"}
	}
	f := describeStatus(err)
	var he *hintError
	if errors.As(err, &he) && f.try == "" {
		f.try = he.try
	}
	return f
}
