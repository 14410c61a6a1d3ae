// Package blobtest checks that an engine keeps the promises of blob.Store.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/blob"
)

// Harness is an engine under test.
type Harness struct {
	// Open opens an empty store.
	Open func(t *testing.T) blob.Store
	// Corrupt changes a byte of an object where the store keeps it.
	Corrupt func(t *testing.T, s blob.Store, key string)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"RoundTrip", testRoundTrip}, {"Overwrite", testOverwrite}, {"Concurrent", testConcurrent}, {"List", testList},
		{"NotFound", testNotFound}, {"BadKeys", testBadKeys}, {"CutOff", testCutOff}, {"Corrupt", testCorrupt}, {"ContextEnded", testContextEnded},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// Bytes returns n bytes that a seed makes.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

// Put puts an object that must be taken.
func Put(t *testing.T, s blob.Store, key string, data []byte) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), sha256.Sum256(data)))
}

// Get returns an object that must be there.
func Get(t *testing.T, s blob.Store, key string) []byte {
	t.Helper()
	data, err := get(t.Context(), s, key)
	require.NoError(t, err)
	return data
}

func get(ctx context.Context, s blob.Store, key string) ([]byte, error) {
	r, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func testRoundTrip(t *testing.T, h Harness) {
	s := h.Open(t)
	for i, n := range []int{0, 1, 47, 48, 4096, 1<<20 + 1, 20 << 20} {
		data := Bytes(uint64(i), n)
		key := fmt.Sprintf("a/b=%d/x_y-z.%d", i, n)
		Put(t, s, key, data)
		require.True(t, bytes.Equal(data, Get(t, s, key)), "%d bytes", n)
		// A reader that can not begin again does too.
		require.NoError(t, s.Put(t.Context(), key, io.MultiReader(bytes.NewReader(data)), int64(n), sha256.Sum256(data)))
		require.True(t, bytes.Equal(data, Get(t, s, key)), "%d bytes", n)
		page, err := s.List(t.Context(), key, "", 10)
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, key, page[0].Key)
		require.EqualValues(t, n, page[0].Size)
		require.WithinDuration(t, time.Now(), page[0].Modified, 5*time.Minute)
	}
}

func testOverwrite(t *testing.T, h Harness) {
	s := h.Open(t)
	Put(t, s, "k", Bytes(1, 5000))
	Put(t, s, "k", []byte("shorter"))
	require.Equal(t, "shorter", string(Get(t, s, "k")))
	require.NoError(t, s.Delete(t.Context(), "k"))
	_, err := s.Get(t.Context(), "k")
	require.ErrorIs(t, err, blob.ErrNotFound)
}

// testConcurrent: many put other objects, and all the same one, which is always one
// of theirs as a whole.
func testConcurrent(t *testing.T, h Harness) {
	s := h.Open(t)
	const n = 8
	Put(t, s, "same", Bytes(0, 100_000))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			data := Bytes(uint64(i), 100_000+i)
			for _, key := range []string{fmt.Sprintf("own/%d", i), "same"} {
				if err := s.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), sha256.Sum256(data)); err != nil {
					t.Error(err)
				}
			}
			if _, err := get(t.Context(), s, "same"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range n {
		require.True(t, bytes.Equal(Bytes(uint64(i), 100_000+i), Get(t, s, fmt.Sprintf("own/%d", i))))
	}
	same := Get(t, s, "same")
	require.True(t, bytes.Equal(Bytes(uint64(len(same)-100_000), len(same)), same))
}

func testList(t *testing.T, h Harness) {
	s := h.Open(t)
	page, err := s.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Empty(t, page)
	// In the order of bytes: - and . come before the slash, letters after it.
	want := []string{"A/x", "a-b/1", "a.b", "a/1", "a/2", "a/b-c", "a/b/1", "a/b/2/x", "a/bc", "a/c", "a0", "b/1"}
	for i := range want {
		Put(t, s, want[(i*5)%len(want)], []byte("x"))
	}
	keys := func(prefix, after string, limit int) []string {
		page, err := s.List(t.Context(), prefix, after, limit)
		require.NoError(t, err)
		out := []string{}
		for _, i := range page {
			out = append(out, i.Key)
		}
		return out
	}
	require.Equal(t, want, keys("", "", 1000))
	require.Equal(t, want[3:10], keys("a/", "", 1000))
	require.Equal(t, []string{"a/b-c", "a/b/1", "a/b/2/x", "a/bc"}, keys("a/b", "", 1000))
	require.Equal(t, []string{"a/b/1", "a/b/2/x"}, keys("a/b/", "", 1000))
	require.Empty(t, keys("none/", "", 1000))
	require.Empty(t, keys("", "zz", 1000))
	require.Equal(t, want[7:], keys("", "a/b/1", 1000))
	require.Equal(t, want[6:8], keys("", "a/b-c", 2))
	require.Equal(t, []string{"a/c"}, keys("a/", "a/bzz", 1000), "after need not be there")
	for _, limit := range []int{1, 2, 5, 12} {
		var all []string
		after := ""
		for {
			page := keys("", after, limit)
			require.LessOrEqual(t, len(page), limit)
			all = append(all, page...)
			if len(page) < limit {
				break
			}
			after = page[len(page)-1]
		}
		require.Equal(t, want, all, "in pages of %d", limit)
	}
	for _, limit := range []int{0, blob.MaxPage + 1} {
		_, err := s.List(t.Context(), "", "", limit)
		require.Error(t, err)
	}
}

func testNotFound(t *testing.T, h Harness) {
	s := h.Open(t)
	_, err := s.Get(t.Context(), "no/such")
	require.ErrorIs(t, err, blob.ErrNotFound)
	require.NoError(t, s.Delete(t.Context(), "no/such"))
	Put(t, s, "a/b", nil)
	_, err = s.Get(t.Context(), "a")
	require.ErrorIs(t, err, blob.ErrNotFound, "a folder is no object")
}

func testBadKeys(t *testing.T, h Harness) {
	s := h.Open(t)
	long := string(bytes.Repeat([]byte("x"), 201))
	for _, key := range []string{"", "/", "/a", "a/", "a//b", "..", "a/../b", ".", "a/.b", ".hidden", "a b", "a\\b", "é", "a\x00", "a\n", "a*", long, long[:150] + "/" + long[:150] + "/" + long[:150] + "/" + long[:150]} {
		require.ErrorIs(t, s.Put(t.Context(), key, bytes.NewReader(nil), 0, sha256.Sum256(nil)), blob.ErrKey, "%q", key)
		_, err := s.Get(t.Context(), key)
		require.ErrorIs(t, err, blob.ErrKey, "%q", key)
		require.ErrorIs(t, s.Delete(t.Context(), key), blob.ErrKey, "%q", key)
	}
	for _, prefix := range []string{"/", "../", "a//", "é"} {
		_, err := s.List(t.Context(), prefix, "", 10)
		require.ErrorIs(t, err, blob.ErrKey, "%q", prefix)
	}
	require.Error(t, s.Put(t.Context(), "a", bytes.NewReader(nil), -1, sha256.Sum256(nil)))
	require.Error(t, s.Put(t.Context(), "a", bytes.NewReader(nil), blob.MaxObjectBytes+1, sha256.Sum256(nil)))
	page, err := s.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Empty(t, page)
}

// testCutOff: a Put whose reader fails, ends early, gives too much or other bytes
// changes nothing, whether there was an object or not.
func testCutOff(t *testing.T, h Harness) {
	s := h.Open(t)
	Put(t, s, "old", []byte("before"))
	data := Bytes(7, 300_000)
	sum := sha256.Sum256(data)
	mine := errors.New("my own fault")
	other := bytes.Clone(data)
	other[150_000] ^= 1
	for name, c := range map[string]struct {
		r    func() io.Reader
		want error
	}{
		"fails":      {func() io.Reader { return io.MultiReader(bytes.NewReader(data[:200_000]), iotest.ErrReader(mine)) }, mine},
		"ends early": {func() io.Reader { return bytes.NewReader(data[:299_999]) }, blob.ErrCorrupt},
		"is empty":   {func() io.Reader { return bytes.NewReader(nil) }, blob.ErrCorrupt},
		"too much":   {func() io.Reader { return bytes.NewReader(append(bytes.Clone(data), 'x')) }, blob.ErrCorrupt},
		"other":      {func() io.Reader { return bytes.NewReader(other) }, blob.ErrCorrupt},
	} {
		for _, key := range []string{"new", "old"} {
			err := s.Put(t.Context(), key, c.r(), int64(len(data)), sum)
			require.ErrorIs(t, err, c.want, "%s, %s", name, key)
			require.NotErrorIs(t, err, blob.ErrUnavailable, "%s, %s: trying again does not help", name, key)
		}
	}
	require.ErrorIs(t, s.Put(t.Context(), "new", bytes.NewReader([]byte("x")), 0, sha256.Sum256(nil)), blob.ErrCorrupt)
	_, err := s.Get(t.Context(), "new")
	require.ErrorIs(t, err, blob.ErrNotFound)
	require.Equal(t, "before", string(Get(t, s, "old")))
	page, err := s.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Len(t, page, 1)
}

func testCorrupt(t *testing.T, h Harness) {
	s := h.Open(t)
	data := Bytes(3, 100_000)
	Put(t, s, "x/y", data)
	h.Corrupt(t, s, "x/y")
	_, err := get(t.Context(), s, "x/y")
	require.ErrorIs(t, err, blob.ErrCorrupt)
	Put(t, s, "x/y", data)
	require.Equal(t, data, Get(t, s, "x/y"))
}

func testContextEnded(t *testing.T, h Harness) {
	s := h.Open(t)
	Put(t, s, "k", Bytes(1, 1<<20))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Put(ended, "n", bytes.NewReader(nil), 0, sha256.Sum256(nil)), context.Canceled)
	require.NotErrorIs(t, s.Put(ended, "n", bytes.NewReader(nil), 0, sha256.Sum256(nil)), blob.ErrUnavailable)
	_, err := s.Get(ended, "k")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.List(ended, "", "", 10)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Delete(ended, "k"), context.Canceled)

	// It ends on the way.
	ctx, cancel := context.WithCancel(t.Context())
	data := Bytes(2, 4<<20)
	r := io.MultiReader(bytes.NewReader(data[:2<<20]), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), bytes.NewReader(data[2<<20:]))
	require.ErrorIs(t, s.Put(ctx, "n", r, int64(len(data)), sha256.Sum256(data)), context.Canceled)
	_, err = s.Get(t.Context(), "n")
	require.ErrorIs(t, err, blob.ErrNotFound)
	Put(t, s, "small", []byte("x"))
	for _, key := range []string{"k", "small"} {
		ctx, cancel = context.WithCancel(t.Context())
		o, err := s.Get(ctx, key)
		require.NoError(t, err)
		cancel()
		_, err = io.ReadAll(o)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, blob.ErrUnavailable)
		require.NoError(t, o.Close())
	}
}

// readerFunc gives nothing once and then ends.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) {
	if _, err := f(p); err != nil {
		return 0, err
	}
	return 0, io.EOF
}
