package query

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// tokens makes and reads page tokens and tail cursors. They are opaque: a
// version, the bytes that tell the place, and a MAC over those and over what the
// token is bound to, so a token that was changed, or is of another project,
// filter or kind, is refused.
type tokens struct {
	key []byte
	// store marks cursors with the store that made them.
	store [4]byte
}

const (
	tokenVersion = 1
	macBytes     = 16
)

// Kinds of tokens; a token of one kind is not one of another.
const (
	kindPage   = "page"
	kindCursor = "cursor"
)

func newTokens(secret []byte) *tokens {
	t := &tokens{key: secret}
	copy(t.store[:], t.mac("store", "", "", nil))
	return t
}

// mac binds the parts; each is preceded by its length.
func (t *tokens) mac(kind, project, filter string, place []byte) []byte {
	h := hmac.New(sha256.New, t.key)
	var n [8]byte
	for _, part := range [][]byte{[]byte(kind), []byte(project), []byte(filter), place} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	return h.Sum(nil)[:macBytes]
}

func encodeToken(place, mac []byte) string {
	b := append(append([]byte{tokenVersion}, place...), mac...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeToken(s string) (place, mac []byte, ok bool) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder would skip: a token has one spelling
		return nil, nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 1+macBytes || b[0] != tokenVersion {
		return nil, nil, false
	}
	return b[1 : len(b)-macBytes], b[len(b)-macBytes:], true
}

func varints(b []byte, n int) ([]int64, bool) {
	out := make([]int64, n)
	for i := range out {
		v, size := binary.Varint(b)
		if size <= 0 {
			return nil, false
		}
		out[i], b = v, b[size:]
	}
	return out, len(b) == 0
}

// page makes the token of a place in a list.
func (t *tokens) page(project, filter string, k ListKey) string {
	place := binary.AppendVarint(binary.AppendVarint(nil, k.OccurredUS), k.Seq)
	return encodeToken(place, t.mac(kindPage, project, filter, place))
}

// parsePage reads it.
func (t *tokens) parsePage(project, filter, token string) (*ListKey, error) {
	place, mac, ok := decodeToken(token)
	if !ok || !hmac.Equal(mac, t.mac(kindPage, project, filter, place)) {
		return nil, invalidToken("page_token", "pass next_page_token of the page before, with the same project and filter, or leave it out")
	}
	v, ok := varints(place, 2)
	if !ok {
		return nil, invalidToken("page_token", "leave it out")
	}
	return &ListKey{OccurredUS: v[0], Seq: v[1]}, nil
}

// cursor makes the token of a place in the order of storing.
func (t *tokens) cursor(project string, seq int64) string {
	place := binary.AppendVarint(append(make([]byte, 0, 16), t.store[:]...), seq)
	return encodeToken(place, t.mac(kindCursor, project, "", place))
}

// parseCursor reads it. known is false for one of another store: it may be
// genuine, yet says nothing here.
func (t *tokens) parseCursor(project, token string) (seq int64, known bool, err error) {
	const remedy = "pass the cursor of a message of a tail of the same project, or leave it out"
	place, mac, ok := decodeToken(token)
	if !ok || len(place) < len(t.store) {
		return 0, false, invalidToken("cursor", remedy)
	}
	v, ok := varints(place[len(t.store):], 1)
	switch {
	case !ok:
		return 0, false, invalidToken("cursor", remedy)
	case [4]byte(place) != t.store:
		return 0, false, nil
	case !hmac.Equal(mac, t.mac(kindCursor, project, "", place)):
		return 0, false, invalidToken("cursor", remedy)
	}
	return v[0], true, nil
}

func invalidToken(field, remedy string) error {
	e := errs.Invalid(errs.Violation{Field: field, Rule: "was changed, or is of another project or query", Remedy: remedy})
	e.Reason = errs.InvalidPageToken
	e.Remedy = remedy
	return e
}
