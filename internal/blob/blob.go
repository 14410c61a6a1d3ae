// Package blob is the store of objects: what is written once, kept long and read
// as a whole, such as the archive of accepted events. Engines are a folder and S3;
// package blobtest checks what each promises.
package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
)

// Errors of every engine.
var (
	// ErrNotFound: there is no object of that key.
	ErrNotFound = errors.New("blob: not found")
	// ErrCorrupt: the bytes do not fit size and checksum.
	ErrCorrupt = errors.New("blob: bytes do not fit size and checksum")
	// ErrUnavailable: the engine does not answer in time or fails; try again.
	ErrUnavailable = errors.New("blob: unavailable")
	// ErrKey: the key or prefix is not allowed.
	ErrKey = errors.New("blob: key is not allowed")
)

const (
	// MaxObjectBytes bounds an object: what S3 takes in one request.
	MaxObjectBytes = 5 << 30
	// MaxPage bounds the objects of one List.
	MaxPage = 1000

	maxKeyBytes     = 512
	maxSegmentBytes = 200
)

// Sum is the SHA-256 of an object.
type Sum = [sha256.Size]byte

// Info is an object of a list.
type Info struct {
	// Key of the object.
	Key string
	// Size in bytes.
	Size int64
	// Modified is when it was put.
	Modified time.Time
}

// Store is what an engine offers. It is safe for concurrent use. A key is 1 to 512
// bytes: segments of at most 200 letters, digits and the signs . _ = - joined by
// slashes, none of which begins with a dot. No key may be the folder of another.
type Store interface {
	// Put stores an object of size bytes with the checksum sum, and replaces one
	// of the same key. It is there whole or not at all, and durable when Put
	// returns. When r gives other bytes the error is ErrCorrupt, when it fails its
	// own error, and nothing is changed. Only an r that is an io.Seeker, and begins
	// at its start, is sent again after a failure.
	Put(ctx context.Context, key string, r io.Reader, size int64, sum Sum) error
	// Get returns an object; the reader must be closed. It ends with io.EOF only
	// when all bytes fit the checksum that was put, otherwise with ErrCorrupt.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// List returns at most limit (1 to MaxPage) objects whose keys begin with the
	// prefix and are greater than after, in the order of their bytes. Fewer than
	// limit means that there are no more.
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	// Close releases what the engine holds.
	Close() error
}

// All calls f for every object below the prefix that comes after a key, in order,
// until f returns an error, which it returns.
func All(ctx context.Context, s Store, prefix, after string, f func(Info) error) error {
	for {
		page, err := s.List(ctx, prefix, after, MaxPage)
		if err != nil {
			return err
		}
		for _, i := range page {
			if err := f(i); err != nil {
				return err
			}
			after = i.Key
		}
		if len(page) < MaxPage {
			return nil
		}
	}
}

// CheckPut returns what is wrong with the arguments of a Put, nil for nothing.
func CheckPut(key string, size int64) error {
	if size < 0 || size > MaxObjectBytes {
		return fmt.Errorf("blob: an object has 0 to %d bytes, not %d; split it", int64(MaxObjectBytes), size)
	}
	return CheckKey(key)
}

// CheckKey returns ErrKey with the rule that the key breaks, nil for none.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKeyBytes {
		return fmt.Errorf("%w: it must have 1 to %d bytes", ErrKey, maxKeyBytes)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if err := checkSegment(segment); err != nil {
			return err
		}
	}
	return nil
}

// CheckList returns what is wrong with the arguments of a List, nil for nothing. A
// prefix is empty or the beginning of a key.
func CheckList(prefix, after string, limit int) error {
	if limit < 1 || limit > MaxPage {
		return fmt.Errorf("blob: a page has 1 to %d objects, not %d", MaxPage, limit)
	}
	if after != "" {
		if err := CheckKey(after); err != nil {
			return fmt.Errorf("after: %w", err)
		}
	}
	if prefix != "" {
		if err := CheckKey(strings.TrimSuffix(prefix, "/")); err != nil {
			return fmt.Errorf("prefix: %w", err)
		}
	}
	return nil
}

func checkSegment(s string) error {
	if s == "" || len(s) > maxSegmentBytes || s[0] == '.' {
		return fmt.Errorf("%w: between slashes must be 1 to %d bytes that do not begin with a dot", ErrKey, maxSegmentBytes)
	}
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("._=-", c) < 0 {
			return fmt.Errorf("%w: it may have letters, digits and . _ = - only", ErrKey)
		}
	}
	return nil
}

// Verify returns a reader of r that ends with io.EOF only after exactly size bytes
// with the checksum, otherwise with ErrCorrupt.
func Verify(r io.Reader, size int64, sum Sum) io.Reader {
	return &verifier{r: r, left: size, sum: sum, hash: sha256.New()}
}

type verifier struct {
	r    io.Reader
	left int64
	sum  Sum
	hash hash.Hash
}

// Read holds the last bytes back until it is known that they are the last and that
// all fit, so that who copies them never has a whole object that is wrong.
func (v *verifier) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if v.left == 0 {
		return 0, v.end()
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	switch v.left -= int64(n); {
	case v.left < 0:
		return 0, errMore
	case v.left == 0 && (err == nil || errors.Is(err, io.EOF)):
		if err := v.end(); !errors.Is(err, io.EOF) {
			return 0, err
		}
		return n, io.EOF
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%w: %d are missing", ErrCorrupt, v.left)
	}
	return n, err
}

var errMore = fmt.Errorf("%w: there are more", ErrCorrupt)

// end returns io.EOF when r is at its end and all bytes fit.
func (v *verifier) end() error {
	switch n, err := io.ReadFull(v.r, make([]byte, 1)); {
	case n > 0:
		return errMore
	case !errors.Is(err, io.EOF):
		return err
	case Sum(v.hash.Sum(nil)) != v.sum:
		return fmt.Errorf("%w: they were changed", ErrCorrupt)
	}
	return io.EOF
}
