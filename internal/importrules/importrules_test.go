// Package importrules checks who may import whom, so that each service stays
// deployable on its own and each driver stays behind its port.
package importrules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/synapse-analytics/synapse/"

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "-deps=false", module+"...")
	cmd.Env = append(cmd.Environ(), "GOFLAGS=-buildvcs=false")
	out, err := cmd.Output()
	require.NoError(t, err)
	var list []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else {
			require.NoError(t, err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		list = append(list, p)
	}
}

func service(path string) string {
	if rest, ok := strings.CutPrefix(path, "services/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	return ""
}

func under(path string, roots ...string) bool {
	for _, r := range roots {
		if path == r || strings.HasPrefix(path, r+"/") {
			return true
		}
	}
	return false
}

func TestImportRules(t *testing.T) {
	list := packages(t)
	require.NotEmpty(t, list)
	for _, p := range list {
		for _, full := range p.Imports {
			imp, ours := strings.CutPrefix(full, module)
			if ours {
				if s := service(imp); s != "" {
					switch {
					case service(p.ImportPath) != "":
						require.Equal(t, s, service(p.ImportPath), "%s imports another service: %s", p.ImportPath, imp)
					case under(p.ImportPath, "internal/app", "internal/cli", "bench", "e2e"):
					default:
						t.Errorf("%s imports %s: only internal/app and internal/cli put services together", p.ImportPath, imp)
					}
				}
				if imp == "internal/redisdb" && !under(p.ImportPath, "internal/redisdb", "internal/limits/redis", "internal/cache/redis", "internal/app", "internal/cli", "bench") {
					t.Errorf("%s imports %s: only the engines on Redis do", p.ImportPath, imp)
				}
				if imp == "internal/app" && !under(p.ImportPath, "cmd", "internal/cli", "e2e") {
					t.Errorf("%s imports internal/app", p.ImportPath)
				}
				if under(imp, "model") && !under(p.ImportPath, "model", "services/scoring", "internal/app", "internal/cli", "bench") {
					t.Errorf("%s imports %s: the model belongs to scoring", p.ImportPath, imp)
				}
				if under(p.ImportPath, "gen") && !under(imp, "gen") {
					t.Errorf("%s imports %s: generated code stands alone", p.ImportPath, imp)
				}
				continue
			}
			if under(full, "github.com/nats-io") && !under(p.ImportPath, "internal/queue/jetstream", "internal/queue/natstest", "bench", "e2e") {
				t.Errorf("%s imports %s: only the queue engine does", p.ImportPath, full)
			}
			if under(full, "github.com/jackc/pgx") && !under(p.ImportPath, "internal/pgdb", "internal/transfer", "services/auth/store/postgres", "services/query/store/postgres", "bench") {
				t.Errorf("%s imports %s: only the PostgreSQL engines do", p.ImportPath, full)
			}
			if under(full, "github.com/redis/go-redis") && !under(p.ImportPath, "internal/redisdb") {
				t.Errorf("%s imports %s: only internal/redisdb does", p.ImportPath, full)
			}
			if under(full, "github.com/minio/minio-go") && !under(p.ImportPath, "internal/blob/s3") {
				t.Errorf("%s imports %s: only the S3 engine does", p.ImportPath, full)
			}
			if under(full, "github.com/mattn/go-sqlite3", "modernc.org/sqlite") && !under(p.ImportPath, "internal/sqldb") {
				t.Errorf("%s imports %s: only internal/sqldb does", p.ImportPath, full)
			}
			if under(full, "google.golang.org/grpc/status", "google.golang.org/grpc/codes") &&
				!under(p.ImportPath, "gen", "internal/errs", "internal/grpcserver", "internal/grpcclient", "internal/grpcproxy", "internal/grpctelemetry", "internal/authn", "internal/validation", "services/gateway", "internal/cli", "bench", "e2e") {
				t.Errorf("%s imports %s: services make errors by internal/errs", p.ImportPath, full)
			}
		}
		if p.ImportPath == "model" {
			for _, dep := range p.Deps {
				if strings.Contains(dep, "grpc") || strings.HasPrefix(dep, module+"internal") {
					t.Errorf("model depends on %s: it is a pure library", dep)
				}
			}
		}
	}
}
