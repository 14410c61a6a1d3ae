package auth_test

import (
	"encoding/base64"
	"hash/crc32"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

func argonSum(t *testing.T, password, salt string, passes, memoryKiB uint32, lanes uint8) string {
	t.Helper()
	return base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), []byte(salt), passes, memoryKiB, lanes, 32))
}

// sameID returns a well-formed API key with the id of the given one and another
// secret.
func sameID(key string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	body := key[:len("syn_sk_")+13] + strings.Repeat("0", 30)
	sum, check := crc32.ChecksumIEEE([]byte(body)), make([]byte, 6)
	for i := 5; i >= 0; i-- {
		check[i] = digits[sum%62]
		sum /= 62
	}
	return body + string(check)
}
