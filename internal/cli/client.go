package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// credentials is what a server on this machine wrote for its users.
type credentials struct {
	Project       string `json:"project"`
	IngestKey     string `json:"ingestKey"`
	ReadKey       string `json:"readKey"`
	AdminKey      string `json:"adminKey"`
	AdminEmail    string `json:"adminEmail"`
	AdminPassword string `json:"adminPassword"`
	HTTPURL       string `json:"httpUrl"`
	GRPCAddr      string `json:"grpcAddr"`
}

func (g *globals) credentials() (credentials, error) {
	var c credentials
	path := filepath.Join(g.data, "credentials.json")
	b, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return c, hint(fmt.Errorf("no key is given and %s does not exist", path),
				"start a server with `synapse serve`, or give --server and --key")
		}
		return c, hint(err, "run as the user that started the server, or give --server and --key")
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, hint(fmt.Errorf("%s can not be read: %w", path, err), "give --server and --key")
	}
	return c, nil
}

// connect dials the server and returns a context with the caller's credential.
// Without --key it takes the admin key of the server on this machine.
func (g *globals) connect(ctx context.Context) (context.Context, *grpc.ClientConn, error) {
	server, key := g.server, g.key
	if server == "" || key == "" {
		c, err := g.credentials()
		if err != nil {
			return nil, nil, err
		}
		if server == "" {
			server = c.GRPCAddr
		}
		if key == "" {
			key = c.AdminKey
		}
	}
	conn, err := dial(server)
	if err != nil {
		return nil, nil, err
	}
	return bearer(ctx, key), conn, nil
}

// signIn dials the server and signs in as a person, for what a key may not do.
func (g *globals) signIn(ctx context.Context) (context.Context, *grpc.ClientConn, error) {
	server, email, password := g.server, os.Getenv("SYNAPSE_EMAIL"), os.Getenv("SYNAPSE_PASSWORD")
	if server == "" || email == "" || password == "" {
		c, err := g.credentials()
		if err != nil {
			return nil, nil, hint(err, "give --server, SYNAPSE_EMAIL and SYNAPSE_PASSWORD")
		}
		if server == "" {
			server = c.GRPCAddr
		}
		if email == "" || password == "" {
			email, password = c.AdminEmail, c.AdminPassword
		}
	}
	conn, err := dial(server)
	if err != nil {
		return nil, nil, err
	}
	s, err := authv1.NewAuthServiceClient(conn).SignIn(ctx, &authv1.SignInRequest{Email: email, Password: password})
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return bearer(ctx, s.GetAccessToken()), conn, nil
}

func dial(server string) (*grpc.ClientConn, error) {
	conn, err := grpcclient.Dial(server, grpcclient.Options{})
	if err != nil {
		return nil, hint(fmt.Errorf("server %q: %w", server, err), "--server host:port")
	}
	return conn, nil
}

func bearer(ctx context.Context, credential string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+credential)
}

// parent is the resource name of the project that is asked about.
func (g *globals) parent() string { return "projects/" + g.project }
