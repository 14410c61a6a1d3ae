package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// A page token is base64url(version, creation time in microseconds, key id, MAC).
// The MAC is HMAC-SHA256, cut to 16 bytes, over the method, the project and all
// that comes before: a token of another project, or a changed one, is refused.
const (
	pageTokenVersion = 1
	pageTokenMAC     = 16
	pageTokenHead    = 1 + 8
)

type pageTokens struct{ key []byte }

func (p pageTokens) mac(project string, body []byte) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte("ListApiKeys\x00" + project + "\x00"))
	h.Write(body)
	return h.Sum(nil)[:pageTokenMAC]
}

func (p pageTokens) encode(project string, c KeyCursor) string {
	b := make([]byte, 0, pageTokenHead+len(c.ID)+pageTokenMAC)
	b = append(b, pageTokenVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(c.CreateTime.UnixMicro()))
	b = append(b, c.ID...)
	b = append(b, p.mac(project, b)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// decode reads a token; an empty one is the start. Any other that encode did not
// make for the project is INVALID_PAGE_TOKEN.
func (p pageTokens) decode(project, token string) (KeyCursor, error) {
	if token == "" {
		return KeyCursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if strings.ContainsAny(token, "\r\n") || err != nil || len(b) <= pageTokenHead+pageTokenMAC || b[0] != pageTokenVersion {
		return KeyCursor{}, errs.BadPageToken("page_token")
	}
	body, mac := b[:len(b)-pageTokenMAC], b[len(b)-pageTokenMAC:]
	if subtle.ConstantTimeCompare(mac, p.mac(project, body)) != 1 {
		return KeyCursor{}, errs.BadPageToken("page_token")
	}
	us := binary.BigEndian.Uint64(body[1:pageTokenHead])
	return KeyCursor{CreateTime: time.UnixMicro(int64(us)).UTC(), ID: string(body[pageTokenHead:])}, nil
}
