package blob

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
)

// Config says where objects are kept.
type Config struct {
	URL       string        `config:"url" doc:"Where objects are kept: the path of a folder, or s3://bucket or s3://bucket/prefix; empty for nowhere."`
	Endpoint  string        `config:"endpoint" doc:"S3 only: address of the server, https://host or http://host:port."`
	Region    string        `config:"region" doc:"S3 only: region of the bucket."`
	AccessKey string        `config:"access_key" doc:"S3 only: access key id."`
	SecretKey config.Secret `config:"secret_key" doc:"S3 only: secret of the access key."`
	PathStyle bool          `config:"path_style" doc:"S3 only: whether the bucket is part of the path, as most servers other than Amazon's want it, and not of the host name."`
	CAFile    string        `config:"ca_file" doc:"S3 only: PEM file of the authorities that may sign the server's certificate; empty takes the system's."`
	Timeout   time.Duration `config:"timeout" doc:"S3 only: how long the server may take to answer or to move the next bytes, 1s to 5m; a call is tried 3 times."`
}

// DefaultConfig returns the defaults: no objects are kept.
func DefaultConfig() Config {
	return Config{Endpoint: "https://s3.amazonaws.com", Region: "us-east-1", Timeout: 15 * time.Second}
}

// Bucket returns the bucket and the prefix, which is empty or ends with a slash; ok
// says whether URL is one of S3.
func (c Config) Bucket() (bucket, prefix string, ok bool) {
	rest, ok := strings.CutPrefix(c.URL, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return bucket, prefix, ok
}

// Validate returns all problems, each as "field: rule; remedy".
func (c Config) Validate() error {
	var problems []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	bad(c.Timeout >= time.Second && c.Timeout <= 5*time.Minute, "timeout: must be 1s to 5m, is %s; 15s is a good value", c.Timeout)
	bucket, prefix, s3 := c.Bucket()
	if !s3 {
		bad(!strings.Contains(c.URL, "://"), "url: must be the path of a folder or begin with s3://; correct it")
		bad(c.SecretKey == "", "secret_key: needs an url that begins with s3://; set url")
		return errors.Join(problems...)
	}
	bad(len(bucket) >= 3 && len(bucket) <= 63, "url: the bucket must have 3 to 63 characters; write s3://bucket/prefix")
	if prefix != "" {
		bad(CheckKey(strings.TrimSuffix(prefix, "/")) == nil && len(prefix) <= 256, "url: the prefix may have letters, digits, slashes and . _ = - only, at most 256; correct it")
	}
	u, err := url.Parse(c.Endpoint)
	bad(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.User == nil,
		"endpoint: must be https://host or http://host:port; correct it")
	bad(c.Region != "", "region: must not be empty; us-east-1 does for most servers")
	bad(c.AccessKey != "" && c.SecretKey != "", "access_key: must be set together with secret_key; set both")
	return errors.Join(problems...)
}
