package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// TestTour runs the README's tour as a newcomer would: `make demo` in one
// terminal, every command of the tour in another, on the default ports.
func TestTour(t *testing.T) {
	for _, port := range []string{"8080", "9090", "9100"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		require.NoError(t, err, "the tour needs the default ports")
		require.NoError(t, l.Close())
	}
	root := filepath.Dir(filepath.Dir(harness.Bin(t, "synapse")))
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	tour := regexp.MustCompile("(?s)```sh tour\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, tour, "the README has no tour")
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(root, "bin"), filepath.Join(dir, "bin")))

	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SYNAPSE_") && !strings.HasPrefix(kv, "OTEL_") {
			env = append(env, kv)
		}
	}
	env = append(env, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	demo := exec.Command("./bin/synapse", "demo")
	demo.Dir, demo.Env = dir, env
	demo.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := demo.StdoutPipe()
	require.NoError(t, err)
	demo.Stderr = os.Stderr
	require.NoError(t, demo.Start())
	shown := make(chan string, 1)
	go func() {
		var all strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			all.Write(buf[:n])
			if strings.Contains(all.String(), "Ctrl-C stops it.") || err != nil {
				shown <- all.String()
				for err == nil { // keep reading, so that the demo never blocks
					_, err = out.Read(buf)
				}
				return
			}
		}
	}()
	select {
	case s := <-shown:
		require.Contains(t, s, "difference 0")
		require.Contains(t, s, "charts    http://127.0.0.1:8080")
		require.Contains(t, s, "app-store")
		t.Logf("demo:\n%s", regexp.MustCompile(`password  \S+`).ReplaceAllString(s, "password  …"))
	case <-time.After(60 * time.Second):
		t.Fatal("the demo shows nothing after 60 s")
	}

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	sh := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", string(tour[1]))
	sh.Dir, sh.Env = dir, env
	b, err := sh.CombinedOutput()
	require.NoError(t, err, "%s", b)
	for _, want := range []string{"POSITIVE", `"accepted":1`, "Crashes", "trail", "source=ticket", "What a lovely morning", "2 accepted", "difference 0", "0 differences"} {
		require.Contains(t, string(b), want)
	}
	t.Logf("tour:\n%s", b)

	require.NoError(t, demo.Process.Signal(syscall.SIGTERM))
	require.NoError(t, demo.Wait(), "the demo ends in good order")
}
