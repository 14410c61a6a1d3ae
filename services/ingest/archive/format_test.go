package archive

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

func message(seq uint64, data string) *queue.Message {
	return &queue.Message{
		Stream: queue.Events, Position: queue.Position{Epoch: 7, Sequence: seq}, Time: time.UnixMicro(int64(seq) * 1e6),
		Header: map[string]string{queue.CountsHeader: "default@0=1", "B": ""}, Data: []byte(data),
	}
}

func packed(t testing.TB, messages ...*queue.Message) []byte {
	var buf bytes.Buffer
	w, err := newWriter(&buf)
	require.NoError(t, err)
	for _, m := range messages {
		require.NoError(t, w.add(m))
	}
	require.NoError(t, w.close())
	return buf.Bytes()
}

func unpacked(b []byte) (out []*queue.Message, err error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, ErrFormat) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, m)
	}
}

func TestFormat(t *testing.T) {
	want := []*queue.Message{message(1, "one"), message(2, ""), message(1<<63, string(make([]byte, queue.MaxMessageBytes)))}
	want[1].Header, want[1].Data = nil, []byte{}
	b := packed(t, want...)
	got, err := unpacked(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, err = unpacked(packed(t))
	require.NoError(t, err)
	require.Empty(t, got)
}

// TestDamaged: no part and no change of an object passes for a whole one.
func TestDamaged(t *testing.T) {
	b := packed(t, message(1, "one"), message(2, "two"))
	for n := range b {
		_, err := unpacked(b[:n])
		require.ErrorIs(t, err, ErrFormat, "%d bytes", n)
		changed := bytes.Clone(b)
		changed[n] ^= 0x10
		if got, err := unpacked(changed); err == nil { // a bit that means nothing
			require.Len(t, got, 2)
			require.Equal(t, "one", string(got[0].Data))
		}
	}
	// What the compression does not notice.
	zip, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	dec, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer dec.Close()
	raw, err := dec.DecodeAll(b, nil)
	require.NoError(t, err)
	for n := range raw {
		_, err := unpacked(zip.EncodeAll(raw[:n], nil))
		require.ErrorIs(t, err, ErrFormat, "%d bytes", n)
		changed := bytes.Clone(raw)
		changed[n] ^= 0x10
		_, err = unpacked(zip.EncodeAll(changed, nil))
		require.ErrorIs(t, err, ErrFormat, "byte %d", n)
	}
	_, err = unpacked(zip.EncodeAll(append(bytes.Clone(raw), 0), nil))
	require.ErrorIs(t, err, ErrFormat)
}

// FuzzReader: any input ends with messages or ErrFormat, without much memory.
func FuzzReader(f *testing.F) {
	zip, err := zstd.NewWriter(nil)
	require.NoError(f, err)
	f.Add([]byte(magic), true)
	f.Add(packed(f, message(1, "one"), message(2, "two")), false)
	f.Fuzz(func(t *testing.T, b []byte, compress bool) {
		if compress {
			b = zip.EncodeAll(b, nil)
		}
		got, err := unpacked(b)
		if err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		again, err := unpacked(packed(t, got...))
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

func TestPublished(t *testing.T) {
	p := Published{}
	for _, seq := range []uint64{5, 1, 2, 9, 3, 4, 4, 7} {
		p.add(1, seq)
	}
	require.Equal(t, [][2]uint64{{1, 5}, {7, 7}, {9, 9}}, p[1])
	require.True(t, p.covers(1, 2, 5))
	require.False(t, p.covers(1, 2, 6))
	require.False(t, p.covers(1, 8, 8))
	require.False(t, p.covers(2, 1, 1))
	p.add(1, 8)
	p.add(1, 6)
	require.Equal(t, [][2]uint64{{1, 9}}, p[1])
}
