package ingest

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// idSource gives UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, 12 bits of the
// fraction of the millisecond (method 3), 62 random bits. In one process they
// only grow, also within a millisecond and when the clock is set back.
type idSource struct {
	last atomic.Uint64 // the last 60-bit time that was given
}

const uuidLen = 36

// reserve returns the first of n consecutive 60-bit times.
func (g *idSource) reserve(now time.Time, n int) uint64 {
	us := uint64(now.UnixMicro())
	t := us/1000<<12 | us%1000*4096/1000
	for {
		last := g.last.Load()
		first := max(t, last+1)
		if g.last.CompareAndSwap(last, first+uint64(n)-1) {
			return first
		}
	}
}

// generate returns n ids as one string of 36 n bytes: one allocation for a call.
func (g *idSource) generate(now time.Time, n int) string {
	first := g.reserve(now, n)
	b := make([]byte, 0, n*uuidLen)
	for i := range uint64(n) {
		// The random bits make ids of different processes differ; they are no
		// secret, so the fast generator (ChaCha8, seeded by the system) will do.
		b = appendUUID(b, first+i, rand.Uint64()) //nolint:gosec // G404: not a secret
	}
	return string(b)
}

const hexDigits = "0123456789abcdef"

// appendUUID appends the text form.
func appendUUID(b []byte, t, random uint64) []byte {
	hi := t>>12<<16 | 7<<12 | t&0xfff
	lo := random&(1<<62-1) | 1<<63
	for i := 60; i >= 0; i -= 4 {
		if i == 28 || i == 12 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[hi>>i&0xf])
	}
	for i := 60; i >= 0; i -= 4 {
		if i == 60 || i == 44 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[lo>>i&0xf])
	}
	return b
}
