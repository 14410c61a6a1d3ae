package authn_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/authn"
)

var keyForm = regexp.MustCompile(`^syn_sk_[a-z0-9]{12}_[0-9A-Za-z]{36}$`)

func TestGenerateKey(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		key, secret, err := authn.GenerateKey()
		require.NoError(t, err)
		require.Regexp(t, keyForm, secret)
		require.False(t, seen[secret] || seen[key.ID])
		seen[secret], seen[key.ID] = true, true

		parsed, err := authn.ParseKey(secret)
		require.NoError(t, err)
		require.Equal(t, key.ID, parsed.ID)
		require.Equal(t, sha256.Sum256([]byte(secret)), parsed.Hash())
		require.Equal(t, key.Hash(), parsed.Hash())
		require.Equal(t, "syn_sk_"+key.ID, authn.Prefix(secret))
	}
}

// Every single changed, swapped or lost character is found without a look-up.
func TestParseKeyFindsTypos(t *testing.T) {
	_, secret, err := authn.GenerateKey()
	require.NoError(t, err)
	for i := range secret {
		for _, c := range "0aZ_ é" {
			if typo := secret[:i] + string(c) + secret[i+1:]; typo != secret {
				_, err := authn.ParseKey(typo)
				require.ErrorIs(t, err, authn.ErrKeyMalformed, "%q", typo)
			}
		}
		_, err := authn.ParseKey(secret[:i] + secret[i+1:])
		require.Error(t, err)
		if i > 0 && secret[i-1] != secret[i] {
			_, err = authn.ParseKey(secret[:i-1] + string(secret[i]) + string(secret[i-1]) + secret[i+1:])
			require.Error(t, err)
		}
	}
	for _, s := range []string{"", "syn_sk_", "syn_pk_" + secret[7:], " " + secret, secret + " ", secret + "\n", strings.ToUpper(secret), secret + secret} {
		_, err := authn.ParseKey(s)
		require.Error(t, err)
		require.Empty(t, authn.Prefix(s))
	}
}

func TestKeyDoesNotPrintItsSecret(t *testing.T) {
	key, secret, err := authn.GenerateKey()
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", key)
	j, err := json.Marshal(map[string]any{"key": key})
	require.NoError(t, err)
	hidden := secret[len("syn_sk_")+13:]
	for _, text := range []string{
		log.String(), string(j), key.String(), fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s %q %x %d", key, key, key, key, key, key, key),
	} {
		require.NotContains(t, text, hidden)
		require.NotContains(t, text, fmt.Sprintf("%x", hidden))
		require.Contains(t, text, key.ID)
	}
}

func FuzzParseKey(f *testing.F) {
	_, secret, err := authn.GenerateKey()
	require.NoError(f, err)
	for _, s := range []string{secret, secret[:len(secret)-1] + "x", "syn_sk_", "", "syn_sk_abcdefghijkl_" + strings.Repeat("0", 36), "\xff" + secret} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := authn.ParseKey(s)
		if err != nil {
			require.ErrorIs(t, err, authn.ErrKeyMalformed)
			require.Empty(t, key.ID)
			return
		}
		require.Regexp(t, keyForm, s)
		require.Equal(t, s, string(key.Secret))
		require.True(t, strings.HasPrefix(s, authn.Prefix(s)))
	})
}

func BenchmarkParseKey(b *testing.B) {
	_, secret, err := authn.GenerateKey()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := authn.ParseKey(secret); err != nil {
			b.Fatal(err)
		}
	}
}
