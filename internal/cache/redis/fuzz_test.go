package redis

import (
	"bytes"
	"testing"
)

// FuzzUnwrap: what Redis holds is a value or a miss, whatever it is; what was written
// is read back.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte("abc"))
	f.Add(append([]byte{compressed}, make([]byte, 100)...))
	f.Add(bytes.Repeat([]byte("x"), 2000))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v := unwrap(b); len(v) > MaxValue {
			t.Fatalf("%d bytes", len(v))
		}
		if got := unwrap(wrap(b)); got == nil || !bytes.Equal(got, b) {
			t.Fatalf("%q came back as %q", b, got)
		}
	})
}
