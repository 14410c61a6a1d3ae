package jetstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// pubAck is the server's answer to a publish.
type pubAck struct {
	seq       uint64
	duplicate bool
}

// Error codes of the server (its errors.json).
const (
	codeAccountExceeded       = 10002
	codeInsufficientResources = 10023
	codeMemoryExceeded        = 10028
	codeStorageExceeded       = 10047
	codeMessageTooLarge       = 10054
	codeStreamStoreFailed     = 10077
	codeHeaderTooLarge        = 10097
	codeIDInProcess           = 10158
)

// errInProcess says that a cluster is still storing a message with the same id: whether
// it will is told to who asks again.
var errInProcess = fmt.Errorf("%w: a message with this id is being stored", queue.ErrUnavailable)

// parsePubAck reads the answer {"stream":"S","seq":1}, with "duplicate":true
// for a known id, or {"error":{…}}. Its errors wrap those of package queue.
func parsePubAck(data []byte) (pubAck, error) {
	if ack, ok := fastPubAck(data); ok {
		return ack, nil
	}
	var r struct {
		Error     *jetstream.APIError `json:"error"`
		Stream    string              `json:"stream"`
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return pubAck{}, fmt.Errorf("%w: the answer is no acknowledgement", queue.ErrUnavailable)
	}
	if r.Error != nil {
		return pubAck{}, publishError(r.Error)
	}
	if r.Stream == "" || r.Seq == 0 {
		// A duplicate with sequence 0 is one that is not stored yet, or never
		// will be: it proves nothing.
		return pubAck{}, fmt.Errorf("%w: acknowledgement without a sequence; try again", queue.ErrUnavailable)
	}
	return pubAck{seq: r.Seq, duplicate: r.Duplicate}, nil
}

var (
	ackStream = []byte(`{"stream":"`)
	ackSeq    = []byte(`","seq":`)
)

// fastPubAck reads the plain form, which is nearly every answer, and says
// whether it was one.
func fastPubAck(data []byte) (pubAck, bool) {
	rest, ok := bytes.CutPrefix(data, ackStream)
	if !ok {
		return pubAck{}, false
	}
	i := bytes.IndexByte(rest, '"')
	if i <= 0 || bytes.IndexByte(rest[:i], '\\') >= 0 {
		return pubAck{}, false
	}
	digits, ok := bytes.CutPrefix(rest[i:], ackSeq)
	if !ok || len(digits) < 2 || len(digits) > 20 || digits[0] == '0' || digits[len(digits)-1] != '}' {
		return pubAck{}, false
	}
	var seq uint64
	for _, d := range digits[:len(digits)-1] {
		if d < '0' || d > '9' {
			return pubAck{}, false
		}
		seq = seq*10 + uint64(d-'0')
	}
	return pubAck{seq: seq}, true
}

// publishError maps a refusal of the server.
func publishError(e *jetstream.APIError) error {
	kind := queue.ErrUnavailable
	switch e.ErrorCode {
	case codeIDInProcess:
		return errInProcess
	case codeMessageTooLarge, codeHeaderTooLarge:
		kind = queue.ErrTooLarge
	case codeAccountExceeded, codeInsufficientResources, codeMemoryExceeded, codeStorageExceeded:
		kind = queue.ErrFull
	case codeStreamStoreFailed:
		if strings.Contains(e.Description, "maximum") || strings.Contains(e.Description, "no space") {
			kind = queue.ErrFull
		}
	}
	return fmt.Errorf("%w: %w", kind, errors.New(e.Description))
}
