package jetstream

import (
	"strconv"
	"strings"
	"time"
)

// delivery is what the server puts into the reply subject of a message.
type delivery struct {
	deliveries  int       // of this message, from 1
	stream      uint64    // the message's sequence in the stream
	consumer    uint64    // the delivery's number in the consumer, without gaps
	time        time.Time // when the stream had it
	outstanding uint64    // messages of the stream not delivered yet
}

const ackPrefix = "$JS.ACK."

// isDelivery says whether a reply subject is that of a message; without one the
// server says something about the request itself.
func isDelivery(reply string) bool { return strings.HasPrefix(reply, ackPrefix) }

// parseDelivery reads
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time ns>.<outstanding>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<deliveries>.…[.<more>]
//
// and says whether the subject has one of these forms.
func parseDelivery(reply string) (d delivery, ok bool) {
	rest, found := strings.CutPrefix(reply, ackPrefix)
	if !found {
		return d, false
	}
	skip := 2
	switch n := strings.Count(rest, ".") + 1; {
	case n == 7:
	case n >= 9:
		skip = 4
	default:
		return d, false
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	var v [5]uint64
	for i := range v {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		n, err := strconv.ParseUint(token, 10, 63)
		if err != nil {
			return d, false
		}
		v[i] = n
	}
	d = delivery{
		deliveries: int(v[0]),
		stream:     v[1], consumer: v[2],
		time:        time.Unix(0, int64(v[3])),
		outstanding: v[4],
	}
	return d, d.deliveries > 0 && d.stream > 0 && d.consumer > 0
}
