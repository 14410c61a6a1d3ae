package query

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest identifies an accepted event among those of its message: two events of
// one message with the same id still differ in the time of acceptance or in
// their text.
func (e *Event) Digest() [16]byte { return EventDigest(e.Project, e.ID, e.AcceptedUS, e.Text) }

// EventDigest is the first half of the SHA-256 of the fields, each after its
// length.
func EventDigest(project, id string, acceptedUS int64, text string) [16]byte {
	h := sha256.New()
	var n [8]byte
	for _, s := range []string{project, id, text} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	binary.BigEndian.PutUint64(n[:], uint64(acceptedUS))
	h.Write(n[:])
	var d [16]byte
	copy(d[:], h.Sum(nil))
	return d
}

// RawDigest identifies a message that could not be read.
func RawDigest(data []byte) [16]byte {
	sum := sha256.Sum256(data)
	var d [16]byte
	copy(d[:], sum[:])
	return d
}
