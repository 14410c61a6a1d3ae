package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/big"
	"strings"
)

// An API key reads
//
//	syn_sk_<id>_<random><check>
//
// where id is 12 characters of [a-z0-9] and public, random is 30 characters of
// base62 (178 bits) and check is the CRC-32 (IEEE) of all before it as 6
// characters of base62. The check lets a scanner tell a leaked key from chance,
// and a server refuse a mistyped one without a look-up; it protects nothing.
const (
	// KeyPrefix starts every API key.
	KeyPrefix = "syn_sk_"
	// KeyIDLength is the number of characters of a key's id.
	KeyIDLength = 12

	keyRandomLength = 30
	keyCheckLength  = 6
	keyLength       = len(KeyPrefix) + KeyIDLength + 1 + keyRandomLength + keyCheckLength
	keyCheckStart   = keyLength - keyCheckLength

	base36 = "abcdefghijklmnopqrstuvwxyz0123456789"
	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ErrKeyMalformed says that a string has not the form of an API key, or that
// its check does not fit.
var ErrKeyMalformed = errors.New("authn: not the form of an API key")

// Key is an API key that has the right form; only the auth service can say
// whether it exists. It prints without its secret.
type Key struct {
	// ID is the public part, [a-z0-9]{12}.
	ID string
	// Secret is the whole key as it is sent. Compare it only by Hash.
	Secret []byte
}

// GenerateKey makes a new key from the system's random source. secret is what
// its owner gets, once. It fails only if the random source does.
func GenerateKey() (key Key, secret string, err error) {
	id, err := randomString(base36, KeyIDLength)
	if err != nil {
		return Key{}, "", err
	}
	random, err := randomString(base62, keyRandomLength)
	if err != nil {
		return Key{}, "", err
	}
	body := KeyPrefix + id + "_" + random
	check := keyCheck(body)
	secret = body + string(check[:])
	return Key{ID: id, Secret: []byte(secret)}, secret, nil
}

// ParseKey checks the form and the check of a key, without any look-up. Every
// error is ErrKeyMalformed, which does not hold the string.
func ParseKey(s string) (Key, error) {
	id, ok := splitKey(s)
	if !ok {
		return Key{}, ErrKeyMalformed
	}
	return Key{ID: id, Secret: []byte(s)}, nil
}

// Hash returns the SHA-256 of the whole key: what the auth service stores. A
// plain hash is enough, since a key has 178 random bits.
func (k Key) Hash() [sha256.Size]byte { return sha256.Sum256(k.Secret) }

// Prefix returns the public first characters of a key, by which its owner can
// tell it from others; empty for a string that is no key.
func Prefix(secret string) string {
	if _, ok := splitKey(secret); !ok {
		return ""
	}
	return secret[:len(KeyPrefix)+KeyIDLength]
}

// String returns the public part only.
func (k Key) String() string { return KeyPrefix + k.ID + "_…" }

// Format implements fmt.Formatter, so that no verb prints the secret.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue implements slog.LogValuer with the public part only.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements encoding.TextMarshaler with the public part only.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// splitKey is ParseKey without allocations: it runs on every call.
func splitKey(s string) (id string, ok bool) {
	if len(s) != keyLength || !strings.HasPrefix(s, KeyPrefix) {
		return "", false
	}
	id, rest := s[len(KeyPrefix):len(KeyPrefix)+KeyIDLength], s[len(KeyPrefix)+KeyIDLength:]
	if rest[0] != '_' {
		return "", false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "", false
		}
	}
	for i := 1; i < len(rest); i++ {
		if !isBase62(rest[i]) {
			return "", false
		}
	}
	check := keyCheck(s[:keyCheckStart])
	return id, string(check[:]) == s[keyCheckStart:]
}

func isBase62(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// keyCheck is the CRC-32 of s in base62, padded with zeros: 62^6 > 2^32.
func keyCheck(s string) [keyCheckLength]byte {
	var (
		buf [keyCheckStart]byte // no allocation for the conversion
		out [keyCheckLength]byte
	)
	sum := crc32.ChecksumIEEE(buf[:copy(buf[:], s)])
	for i := keyCheckLength - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return out
}

// randomString draws n characters of the alphabet, each with the same
// probability.
func randomString(alphabet string, n int) (string, error) {
	out := make([]byte, n)
	size := big.NewInt(int64(len(alphabet)))
	for i := range out {
		k, err := rand.Int(rand.Reader, size)
		if err != nil {
			return "", fmt.Errorf("authn: random source: %w", err)
		}
		out[i] = alphabet[k.Int64()]
	}
	return string(out), nil
}
