package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// WithBin takes the product's programs from a folder instead of the built ones.
func WithBin(dir string) Option { return func(c *Cluster) { c.binDir = dir } }

// binary returns the path of a program of the cluster.
func (c *Cluster) binary(name string) string {
	if p := filepath.Join(c.binDir, name); c.binDir != "" {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return Bin(c.t, name)
}

// BuildPrevious builds the programs of the previous commit, or of UPGRADE_FROM, and
// returns their folder and the commit. It skips the test, loudly, in a checkout without
// history.
func BuildPrevious(t testing.TB) (dir, commit string) {
	t.Helper()
	ref := os.Getenv("UPGRADE_FROM")
	if ref == "" {
		ref = "HEAD~1"
	}
	root := filepath.Join(moduleDir(t), "..")
	out, err := exec.Command("git", "-C", root, "rev-parse", "--verify", "--quiet", ref+"^{commit}").Output()
	if err != nil {
		if os.Getenv("UPGRADE_FROM") != "" {
			t.Fatalf("UPGRADE_FROM: there is no commit %s", ref)
		}
		t.Skipf("NOT TESTED: N-1 beside N. This checkout has no commit before its last one: fetch at least two (git fetch --depth 2), or give UPGRADE_FROM")
	}
	commit = strings.TrimSpace(string(out))
	source := t.TempDir()
	dir = filepath.Join(source, "bin")
	require.NoError(t, os.Mkdir(dir, 0o700))
	script := fmt.Sprintf("git -C %q archive %s | tar -x -C %q && cd %q && go build -trimpath -ldflags='-s -w' -o bin/ ./cmd/...", root, commit, source, source)
	build := exec.Command("bash", "-o", "pipefail", "-c", script)
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return dir, commit
}

// WithReplicas sets how many processes of each role run apart.
func WithReplicas(n int) Option { return func(c *Cluster) { c.replicas = n } }

// Beside returns the roles once more, to be started by StartAll in processes of their
// own beside those of a cluster that runs apart, on the same queue and stores. They are
// stopped when the test ends, before the cluster.
func (c *Cluster) Beside(opts ...Option) *Cluster {
	c.t.Helper()
	b := &Cluster{
		Profile: c.Profile, t: c.t, replicas: c.replicas, Dir: c.t.TempDir(), Creds: c.Creds,
		procs: map[string]*Process{}, args: map[string][]string{},
	}
	for _, o := range opts {
		o(b)
	}
	c.t.Cleanup(b.stopAll)
	replace := []string{c.example(string(c.Profile)), b.example(string(b.Profile)), c.Dir, b.Dir}
	for _, name := range c.Processes() {
		for i, a := range c.args[name] {
			if a == "--grpc-addr" || a == "--admin-addr" {
				replace = append(replace, c.args[name][i+1], FreeAddr(c.t))
			}
		}
	}
	for _, url := range c.URLs {
		replace = append(replace, strings.TrimPrefix(url, "http://"), FreeAddr(c.t))
	}
	replacer := strings.NewReplacer(replace...)
	for _, name := range c.Processes() {
		for _, a := range c.args[name] {
			b.args[name] = append(b.args[name], replacer.Replace(a))
		}
	}
	for _, url := range c.URLs {
		b.URLs = append(b.URLs, replacer.Replace(url))
	}
	for _, addr := range c.GRPCs {
		b.GRPCs = append(b.GRPCs, replacer.Replace(addr))
	}
	b.URL, b.GRPC = b.URLs[0], b.GRPCs[0]
	return b
}
