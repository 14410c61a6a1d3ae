package jetstream

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

func TestParsePubAck(t *testing.T) {
	for _, c := range []struct {
		text string
		want pubAck
		err  error
	}{
		{`{"stream":"EVENTS","seq":1}`, pubAck{seq: 1}, nil},
		{`{"stream":"EVENTS","seq":1234567890123456789}`, pubAck{seq: 1234567890123456789}, nil},
		{`{"stream":"EVENTS","domain":"d","seq":7}`, pubAck{seq: 7}, nil},
		{`{"stream":"EVENTS","seq":7,"duplicate": true}`, pubAck{seq: 7, duplicate: true}, nil},
		{`{"stream":"EVENTS","seq":0,"duplicate":true}`, pubAck{}, queue.ErrUnavailable},
		{`{"stream":"EVENTS","seq":0}`, pubAck{}, queue.ErrUnavailable},
		{`{"stream":"","seq":5}`, pubAck{}, queue.ErrUnavailable},
		{``, pubAck{}, queue.ErrUnavailable},
		{`+OK`, pubAck{}, queue.ErrUnavailable},
		{`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"EVENTS","seq":0}`, pubAck{}, queue.ErrFull},
		{`{"error":{"code":503,"err_code":10077,"description":"write: no space left on device"}}`, pubAck{}, queue.ErrFull},
		{`{"error":{"code":503,"err_code":10077,"description":"input/output error"}}`, pubAck{}, queue.ErrUnavailable},
		{`{"error":{"code":500,"err_code":10047,"description":"insufficient storage resources available"}}`, pubAck{}, queue.ErrFull},
		{`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`, pubAck{}, queue.ErrTooLarge},
		{`{"error":{"code":503,"err_code":10076,"description":"JetStream not enabled"}}`, pubAck{}, queue.ErrUnavailable},
	} {
		got, err := parsePubAck([]byte(c.text))
		require.ErrorIs(t, err, c.err, c.text)
		require.Equal(t, c.want, got, c.text)
	}
}

// FuzzParsePubAck compares with encoding/json: the fast way must never see
// what that does not.
func FuzzParsePubAck(f *testing.F) {
	for _, s := range []string{
		`{"stream":"EVENTS","seq":1}`, `{"stream":"EVENTS","seq":7,"duplicate":true}`, `{"stream":"E\"","seq":1}`, `{"stream":"E","seq":01}`,
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, `{"stream":"E","seq":}`, `{"stream":"E","seq":18446744073709551615}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parsePubAck(b)
		if err != nil {
			return
		}
		require.NotZero(t, got.seq)
		var want struct {
			Error     *jetstream.APIError
			Stream    string
			Seq       uint64
			Duplicate bool
		}
		if json.Unmarshal(b, &want) != nil {
			// Only the stream's name may be what JSON does not allow.
			ack, ok := fastPubAck(b)
			require.True(t, ok)
			require.Equal(t, ack, got)
			return
		}
		require.Nil(t, want.Error)
		require.Equal(t, pubAck{seq: want.Seq, duplicate: want.Duplicate}, got)
	})
}

func TestParseDelivery(t *testing.T) {
	want := delivery{deliveries: 2, stream: 30, consumer: 40, time: time.Unix(0, 1795564056469404672), outstanding: 6}
	for _, s := range []string{
		"$JS.ACK.EVENTS.reader.2.30.40.1795564056469404672.6",
		"$JS.ACK._.aBcDeF.EVENTS.reader.2.30.40.1795564056469404672.6",
		"$JS.ACK.hub.aBcDeF.EVENTS.reader.2.30.40.1795564056469404672.6.x1y2",
	} {
		got, ok := parseDelivery(s)
		require.True(t, ok, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{
		"", "$JS.ACK.", "_INBOX.a.b", "$JS.ACK.EVENTS.reader.2.30.40.1795564056469404672", "$JS.ACK.EVENTS.reader.2.30.40.x.6",
		"$JS.ACK.EVENTS.reader.0.30.40.1.6", "$JS.ACK.EVENTS.reader.1.0.40.1.6", "$JS.ACK.EVENTS.reader.1.1.0.1.6", "$JS.ACK.EVENTS.reader.1.-1.1.1.6",
		"$JS.ACK.a.EVENTS.reader.2.30.40.1.6", "$JS.ACK.EVENTS.reader.2.99999999999999999999.40.1.6",
	} {
		_, ok := parseDelivery(s)
		require.False(t, ok, s)
	}
}

func FuzzParseDelivery(f *testing.F) {
	f.Add("$JS.ACK.EVENTS.reader.2.30.40.1795564056469404672.6")
	f.Add("$JS.ACK._.aBcDeF.EVENTS.reader.2.30.40.1795564056469404672.6.x")
	f.Add("$JS.ACK.......")
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseDelivery(s); ok {
			require.True(t, isDelivery(s))
			require.Positive(t, d.deliveries)
			require.Positive(t, d.stream)
			require.Positive(t, d.consumer)
		}
	})
}

func TestValidHeader(t *testing.T) {
	require.True(t, validHeader(queue.CountsHeader, "a@1=2"))
	require.True(t, validHeader("A_1", ""))
	for _, h := range [][2]string{{"", "a"}, {"Nats-Msg-Id", "a"}, {"nats-rollup", "all"}, {"Status", "1"}, {"a b", "c"}, {"a", " b"}, {"a", "b\t"}, {"a", "b\nc"}, {"ä", "b"}} {
		require.False(t, validHeader(h[0], h[1]), "%q", h)
	}
}
