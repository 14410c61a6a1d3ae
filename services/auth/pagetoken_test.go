package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/auth"
)

var pageKey = []byte("a key of 32 bytes for page tokens")

func TestPageToken(t *testing.T) {
	c := auth.KeyCursor{CreateTime: time.UnixMicro(1234567890123456).UTC(), ID: "abcdef012345"}
	token := auth.EncodePage(pageKey, "p", c)
	got, err := auth.DecodePage(pageKey, "p", token)
	require.NoError(t, err)
	require.Equal(t, c, got)
	got, err = auth.DecodePage(pageKey, "p", "")
	require.NoError(t, err)
	require.Zero(t, got)
	for i := range token { // every character counts
		flip := byte('A')
		if token[i] == flip {
			flip = 'B'
		}
		_, err := auth.DecodePage(pageKey, "p", token[:i]+string(flip)+token[i+1:])
		require.Equal(t, errs.InvalidPageToken, errs.ReasonOf(err), i)
	}
	_, err = auth.DecodePage(pageKey, "q", token)
	require.Equal(t, errs.InvalidPageToken, errs.ReasonOf(err))
	_, err = auth.DecodePage([]byte("another key"), "p", token)
	require.Equal(t, errs.InvalidPageToken, errs.ReasonOf(err))
}

// FuzzPageToken: no string crashes, and only what was made is accepted.
func FuzzPageToken(f *testing.F) {
	good := auth.EncodePage(pageKey, "p", auth.KeyCursor{CreateTime: time.UnixMicro(1), ID: "k"})
	for _, s := range []string{"", "x", good, good + "A", strings.Repeat("A", 100), "\x00", "====", good[:10]} {
		f.Add("p", s)
	}
	f.Add("q", good)
	f.Fuzz(func(t *testing.T, project, token string) {
		c, err := auth.DecodePage(pageKey, project, token)
		if err != nil {
			if errs.ReasonOf(err) != errs.InvalidPageToken {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		if token != "" && auth.EncodePage(pageKey, project, c) != token {
			t.Fatalf("accepted a token that was not made: %q", token)
		}
	})
}

// FuzzPasswordHash: no stored string crashes the reader or asks for more than
// the bounds.
func FuzzPasswordHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$c2FsdHNhbHRzYWx0c2FsdA")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = auth.ParseHash(s) })
}
