// Package s3 keeps objects in a bucket of a server that speaks S3. An object is one
// request; its SHA-256 is part of the request, which the server checks, and is kept
// as metadata, which Get compares.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/synapse-analytics/synapse/internal/blob"
)

const (
	// tries of a call that may succeed later.
	tries = 3
	// slowest is the least speed that a transfer must keep, in bytes a second.
	slowest = 256 << 10
	// sumName is the metadata that holds the checksum.
	sumName = "Synapse-Sha256"
)

// Store implements blob.Store.
type Store struct {
	api            minio.Core
	transport      *http.Transport
	bucket, prefix string
	timeout        time.Duration
}

var _ blob.Store = (*Store)(nil)

// Open prepares the calls; the server is not asked. cfg must be valid and of S3.
func Open(cfg blob.Config) (*Store, error) {
	bucket, prefix, ok := cfg.Bucket()
	if !ok {
		return nil, errors.New("blob: url does not begin with s3://; correct it")
	}
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("blob: endpoint: %w; correct it", err)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("blob: ca_file: %w; name a PEM file", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("blob: ca_file: holds no certificate; name a PEM file")
		}
	}
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}).DialContext, TLSClientConfig: trust,
		TLSHandshakeTimeout: cfg.Timeout, ResponseHeaderTimeout: cfg.Timeout, ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost: 16, MaxConnsPerHost: 64, IdleConnTimeout: time.Minute, DisableCompression: true,
	}
	lookup := minio.BucketLookupDNS
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), ""),
		Secure: endpoint.Scheme == "https", Region: cfg.Region, BucketLookup: lookup, Transport: transport, MaxRetries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Store{api: minio.Core{Client: client}, transport: transport, bucket: bucket, prefix: prefix, timeout: cfg.Timeout}, nil
}

// bounded bounds a call that moves so many bytes, with its repetitions.
func (s *Store) bounded(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	one := s.timeout + time.Duration(float64(size)/slowest*float64(time.Second))
	return context.WithTimeout(ctx, tries*one)
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64, sum blob.Sum) error {
	if err := blob.CheckPut(key, size); err != nil {
		return err
	}
	if size == 0 { // the client does not read what has no bytes
		if _, err := io.Copy(io.Discard, blob.Verify(r, size, sum)); err != nil {
			return err
		}
	}
	call, cancel := s.bounded(ctx, size)
	defer cancel()
	text := hex.EncodeToString(sum[:])
	src := newSource(r, size, sum)
	_, err := s.api.PutObject(call, s.bucket, s.prefix+key, src.body(), size, "", text, minio.PutObjectOptions{
		UserMetadata: map[string]string{sumName: text}, ContentType: "application/octet-stream", DisableContentSha256: true, // of chunks: the whole has one
	})
	if fault := src.fault(); err != nil && fault != nil {
		return fault
	}
	return s.failed(ctx, "put", key, err)
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	call, cancel := context.WithCancel(ctx)
	// The wait for the next bytes is bounded, not the whole: that may be large.
	idle := time.AfterFunc(tries*s.timeout, cancel)
	body, info, header, err := s.api.GetObject(call, s.bucket, s.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		idle.Stop()
		cancel()
		return nil, s.failed(ctx, "get", key, err)
	}
	o := &object{s: s, ctx: ctx, key: key, body: body, idle: idle, cancel: cancel}
	want, err := hex.DecodeString(header.Get("X-Amz-Meta-" + sumName))
	if err != nil || len(want) != len(blob.Sum{}) {
		return nil, errors.Join(fmt.Errorf("%s: %w: it has no checksum", key, blob.ErrCorrupt), o.Close())
	}
	o.verified = blob.Verify(body, info.Size, blob.Sum(want))
	return o, nil
}

// object is an object that is being read.
type object struct {
	s        *Store
	ctx      context.Context
	key      string
	body     io.ReadCloser
	verified io.Reader
	idle     *time.Timer
	cancel   context.CancelFunc
}

func (o *object) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err // what is buffered could still be read
	}
	o.idle.Reset(o.s.timeout)
	n, err := o.verified.Read(p)
	o.idle.Stop()
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, blob.ErrCorrupt) {
		return n, err
	}
	return n, o.s.failed(o.ctx, "get", o.key, err)
}

func (o *object) Close() error {
	o.idle.Stop()
	o.cancel()
	return o.body.Close()
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if err := blob.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	call, cancel := s.bounded(ctx, 0)
	defer cancel()
	opts := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, MaxKeys: limit}
	if after != "" {
		opts.StartAfter = s.prefix + after
	}
	var out []blob.Info
	for o := range s.api.ListObjectsIter(call, s.bucket, opts) {
		if o.Err != nil {
			return nil, s.failed(ctx, "list", prefix, o.Err)
		}
		key, ours := strings.CutPrefix(o.Key, s.prefix)
		if !ours || blob.CheckKey(key) != nil {
			continue // not put by us
		}
		out = append(out, blob.Info{Key: key, Size: o.Size, Modified: o.LastModified})
		if len(out) == limit {
			break
		}
	}
	if err := call.Err(); err != nil {
		return nil, s.failed(ctx, "list", prefix, err)
	}
	return out, nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	call, cancel := s.bounded(ctx, 0)
	defer cancel()
	err := s.failed(ctx, "delete", key, s.api.RemoveObject(call, s.bucket, s.prefix+key, minio.RemoveObjectOptions{}))
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}

// Close implements blob.Store.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// failed names what a call met.
func (s *Store) failed(ctx context.Context, call, key string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) || answer.StatusCode == 0 {
		return fmt.Errorf("%w: %s %s: %w; look at the server and at endpoint", blob.ErrUnavailable, call, key, err)
	}
	switch {
	case answer.Code == minio.NoSuchKey:
		return fmt.Errorf("%w: %s", blob.ErrNotFound, key)
	case answer.Code == "XAmzContentSHA256Mismatch", answer.Code == "BadDigest":
		return fmt.Errorf("%w: %s", blob.ErrCorrupt, key)
	case answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("blob: %s %s: there is no bucket %s; make it, or correct url", call, key, s.bucket)
	case answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("blob: %s %s: the server refuses (%s); check access_key, secret_key, region and the rights on bucket %s", call, key, answer.Code, s.bucket)
	case answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s %s: %w; try again later", blob.ErrUnavailable, call, key, err)
	}
	return fmt.Errorf("blob: %s %s: %w", call, key, err)
}
