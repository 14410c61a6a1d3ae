package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
)

const (
	// CredentialsFile is the name of the file in the data folder.
	CredentialsFile = "credentials.json"
	// pendingFile is written before the store's commit and becomes the
	// credentials file after it.
	pendingFile = CredentialsFile + ".pending"

	bootstrapProject = "default"
	bootstrapEmail   = "admin@localhost"
	maxCredentials   = 64 << 10
)

// BootstrapInput is what the first start needs to know.
type BootstrapInput struct {
	// DataDir is the folder of the credentials file; it must exist.
	DataDir string
	// HTTPURL and GRPCAddr are where this machine's clients find the server.
	HTTPURL, GRPCAddr string
}

// Credentials is the content of the credentials file. It prints without its
// secrets.
type Credentials struct {
	Project       string `json:"project"`
	IngestKey     string `json:"ingestKey"`
	ReadKey       string `json:"readKey"`
	AdminKey      string `json:"adminKey"`
	AdminEmail    string `json:"adminEmail"`
	AdminPassword string `json:"adminPassword"`
	HTTPURL       string `json:"httpUrl"`
	GRPCAddr      string `json:"grpcAddr"`
}

// String leaves the secrets out.
func (c Credentials) String() string {
	return fmt.Sprintf("credentials of project %s for %s (secrets not shown)", c.Project, c.AdminEmail)
}

// GoString leaves the secrets out.
func (c Credentials) GoString() string { return c.String() }

// Bootstrap fills an empty store with the project `default`, an administrator and
// three keys, and writes their secrets to the credentials file (mode 0600);
// created is then true, and the caller shows them once. On a store that is not
// empty it returns what the file holds, with this start's addresses, or nil when
// there is no file.
//
// It can be stopped at any point without locking anybody out: the secrets are on
// disk, under another name, before the store knows their hashes, and the name
// changes after the commit. A start that finds that other name and a store which
// knows its keys finishes the job and reports created.
func (s *Service) Bootstrap(ctx context.Context, in BootstrapInput) (*Credentials, bool, error) {
	c, created, err := s.bootstrap(ctx, in)
	if err != nil {
		return nil, false, fmt.Errorf("auth: bootstrap: %w", err)
	}
	return c, created, nil
}

func (s *Service) bootstrap(ctx context.Context, in BootstrapInput) (*Credentials, bool, error) {
	empty, err := s.store.Empty(ctx)
	if err != nil {
		return nil, false, err
	}
	if empty {
		c, first, err := s.firstCredentials(ctx, in)
		if err != nil {
			return nil, false, err
		}
		if err := writeCredentials(in.DataDir, pendingFile, c); err != nil {
			return nil, false, err
		}
		switch err := s.store.CreateFirst(ctx, first); {
		case errors.Is(err, ErrNotEmpty):
			// Another process, on another folder, was faster: the keys of this one's
			// file were never valid.
			s.log.InfoContext(ctx, "another process has filled the store; its data folder holds the credentials")
			return nil, false, os.Remove(filepath.Join(in.DataDir, pendingFile))
		case err != nil:
			return nil, false, err
		}
		s.log.InfoContext(ctx, "project, administrator and keys created", "audit", true, "project", bootstrapProject)
		return c, true, finishCredentials(in.DataDir)
	}
	return s.existingCredentials(ctx, in)
}

// existingCredentials finishes an interrupted bootstrap, or reads the file.
func (s *Service) existingCredentials(ctx context.Context, in BootstrapInput) (*Credentials, bool, error) {
	pending, err := readCredentials(in.DataDir, pendingFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.WarnContext(ctx, "the pending credentials can not be read", "error", err)
	}
	if err == nil {
		known, err := s.knows(ctx, pending)
		if err != nil {
			return nil, false, err
		}
		if known {
			// With the file there too, only a change of addresses was cut short.
			old, err := readCredentials(in.DataDir, CredentialsFile)
			created := err != nil || old.AdminKey != pending.AdminKey
			return pending, created, finishCredentials(in.DataDir)
		}
	}
	c, err := readCredentials(in.DataDir, CredentialsFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	if (in.HTTPURL != "" && c.HTTPURL != in.HTTPURL) || (in.GRPCAddr != "" && c.GRPCAddr != in.GRPCAddr) {
		c.HTTPURL, c.GRPCAddr = in.HTTPURL, in.GRPCAddr
		if err := writeCredentials(in.DataDir, pendingFile, c); err != nil {
			return nil, false, err
		}
		return c, false, finishCredentials(in.DataDir)
	}
	return c, false, os.Chmod(filepath.Join(in.DataDir, CredentialsFile), 0o600)
}

// knows says whether the store holds the administrator's key, good or not.
func (s *Service) knows(ctx context.Context, c *Credentials) (bool, error) {
	key, err := authn.ParseKey(c.AdminKey)
	if errors.Is(err, authn.ErrKeyMalformed) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	stored, _, err := s.store.KeyByID(ctx, key.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return stored.Hash == key.Hash(), nil
}

func (s *Service) firstCredentials(ctx context.Context, in BootstrapInput) (*Credentials, First, error) {
	now := s.now()
	user, password, err := s.newUser(ctx, bootstrapEmail, "")
	if err != nil {
		return nil, First{}, err
	}
	c := &Credentials{
		Project: bootstrapProject, AdminEmail: bootstrapEmail, AdminPassword: password,
		HTTPURL: in.HTTPURL, GRPCAddr: in.GRPCAddr,
	}
	first := First{Project: Project{ID: bootstrapProject, DisplayName: "Default", CreateTime: now}, User: user}
	for i, k := range []struct {
		name   string
		scopes []typev1.Access_Scope
		secret *string
	}{
		{"ingest (made at the first start)", []typev1.Access_Scope{typev1.Access_INGEST}, &c.IngestKey},
		{"read (made at the first start)", []typev1.Access_Scope{typev1.Access_READ, typev1.Access_SCORE}, &c.ReadKey},
		{"admin (made at the first start)", ownerScopes(), &c.AdminKey},
	} {
		key, secret, err := generateKey(bootstrapProject, APIKey{DisplayName: k.name, Scopes: k.scopes}, now.Add(time.Duration(i)*time.Microsecond))
		if err != nil {
			return nil, First{}, err
		}
		*k.secret = secret
		first.Keys = append(first.Keys, key)
	}
	return c, first, nil
}

// writeCredentials writes and syncs a file that only its owner can read.
func writeCredentials(dir, name string, c *Credentials) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	// A file left from before may have another mode, or be a link.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncDir(dir)
}

// finishCredentials gives the pending file its name.
func finishCredentials(dir string) error {
	if err := os.Rename(filepath.Join(dir, pendingFile), filepath.Join(dir, CredentialsFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

func readCredentials(dir, name string) (*Credentials, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	var c Credentials
	if len(b) > maxCredentials || json.Unmarshal(b, &c) != nil {
		// without the parser's text, which may quote what it read
		return nil, fmt.Errorf("%s is not readable as credentials; move it away", filepath.Join(dir, name))
	}
	return &c, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
