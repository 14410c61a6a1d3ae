package natstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// access writes the files of clients and servers and returns the part of the
// configuration that says who may connect and how.
func (c *Cluster) access(o Options) (string, error) {
	var b strings.Builder
	if o.User != "" {
		fmt.Fprintf(&b, "authorization { user: %q, password: %q }\n", o.User, o.Password)
	}
	if o.TLS || o.MutualTLS {
		c.scheme = "tls"
		text, err := c.certificates(o.MutualTLS)
		if err != nil {
			return "", fmt.Errorf("make certificates: %w", err)
		}
		b.WriteString(text)
	}
	if o.NKey {
		key, err := nkeys.CreateUser()
		if err != nil {
			return "", err
		}
		public, err := key.PublicKey()
		if err != nil {
			return "", err
		}
		seed, err := key.Seed()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "authorization { users: [ { nkey: %s } ] }\n", public)
		c.NKeyFile = filepath.Join(c.dir, "client.nk")
		if err := os.WriteFile(c.NKeyFile, seed, 0o600); err != nil {
			return "", err
		}
	}
	if o.Credentials {
		text, err := c.credentials()
		if err != nil {
			return "", fmt.Errorf("make credentials: %w", err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// certificates makes an authority, a server's certificate and a client's.
func (c *Cluster) certificates(mutual bool) (string, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return "", err
	}
	path := func(name string) string { return filepath.Join(c.dir, name) }
	c.CAFile = path("ca.pem")
	if err := writePEM(c.CAFile, "CERTIFICATE", der); err != nil {
		return "", err
	}
	leaf := func(serial int64, name string, usage x509.ExtKeyUsage) error {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		cert := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		der, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
		if err != nil {
			return err
		}
		if err := writePEM(path(name+".pem"), "CERTIFICATE", der); err != nil {
			return err
		}
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		return writePEM(path(name+"-key.pem"), "PRIVATE KEY", raw)
	}
	if err := leaf(2, "server", x509.ExtKeyUsageServerAuth); err != nil {
		return "", err
	}
	text := fmt.Sprintf("cert_file: %q, key_file: %q", path("server.pem"), path("server-key.pem"))
	if mutual {
		if err := leaf(3, "client", x509.ExtKeyUsageClientAuth); err != nil {
			return "", err
		}
		c.CertFile, c.KeyFile = path("client.pem"), path("client-key.pem")
		text += fmt.Sprintf(", ca_file: %q, verify: true", c.CAFile)
	}
	return "tls { " + text + " }\n", nil
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// credentials makes an operator, an account with JetStream, one for the system,
// and a user of the first.
func (c *Cluster) credentials() (string, error) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return "", err
	}
	operatorID, err := operator.PublicKey()
	if err != nil {
		return "", err
	}
	account := func(name string, jetStream bool) (nkeys.KeyPair, string, string, error) {
		key, err := nkeys.CreateAccount()
		if err != nil {
			return nil, "", "", err
		}
		id, err := key.PublicKey()
		if err != nil {
			return nil, "", "", err
		}
		claims := jwt.NewAccountClaims(id)
		claims.Name = name
		if jetStream {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
		}
		token, err := claims.Encode(operator)
		return key, id, token, err
	}
	_, systemID, system, err := account("SYS", false)
	if err != nil {
		return "", err
	}
	key, appID, app, err := account("synapse", true)
	if err != nil {
		return "", err
	}
	claims := jwt.NewOperatorClaims(operatorID)
	claims.Name, claims.SystemAccount = "test", systemID
	operatorToken, err := claims.Encode(operator)
	if err != nil {
		return "", err
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	userID, err := user.PublicKey()
	if err != nil {
		return "", err
	}
	userToken, err := jwt.NewUserClaims(userID).Encode(key)
	if err != nil {
		return "", err
	}
	seed, err := user.Seed()
	if err != nil {
		return "", err
	}
	creds, err := jwt.FormatUserConfig(userToken, seed)
	if err != nil {
		return "", err
	}
	c.CredsFile = filepath.Join(c.dir, "client.creds")
	if err := os.WriteFile(c.CredsFile, creds, 0o600); err != nil {
		return "", err
	}
	return fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload { %s: %s, %s: %s }\n",
		operatorToken, systemID, systemID, system, appID, app), nil
}
