package s3

import (
	"errors"
	"io"
	"sync"

	"github.com/synapse-analytics/synapse/internal/blob"
)

// source is what a Put reads from: it checks the bytes and keeps the error with
// which reading failed, which the client does not pass on.
type source struct {
	r    io.Reader
	size int64
	sum  blob.Sum

	mu       sync.Mutex // the transport may still read when Put returns
	verified io.Reader
	failed   error
}

func newSource(r io.Reader, size int64, sum blob.Sum) *source {
	return &source{r: r, size: size, sum: sum, verified: blob.Verify(r, size, sum)}
}

// body returns the reader for the client: one that can begin again if r can.
func (s *source) body() io.Reader {
	if _, ok := s.r.(io.Seeker); ok {
		return seekable{s}
	}
	return s
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.verified.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

func (s *source) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

type seekable struct{ *source }

// Seek implements io.Seeker; the client only goes back to the start and asks where
// it is.
func (s seekable) Seek(offset int64, whence int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.r.(io.Seeker).Seek(offset, whence)
	if err == nil && at == 0 {
		s.verified, s.failed = blob.Verify(s.r, s.size, s.sum), nil
	}
	return at, err
}
