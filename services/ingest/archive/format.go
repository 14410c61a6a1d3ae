package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// An object is a zstd stream of: magic, a frame for each message, and an end frame.
// A frame is the length of its body (4 bytes), the CRC-32C of the body (4 bytes) and
// the body: epoch, sequence and time in microseconds since 1970 (8 bytes each), the
// number of headers (2 bytes), for each the length (2 bytes) and bytes of its name
// and of its value, and the data up to the end. The end frame has length 0, and in
// place of the checksum the number of messages. Numbers are little endian.
const (
	magic = "SYNARC01"
	// maxBody is more than a message takes: data, headers, and the fixed part.
	maxBody = queue.MaxMessageBytes + queue.MaxHeaderBytes + 64<<10
	fixed   = 26
	frame   = 8
	// window bounds the memory that reading takes.
	window = 8 << 20
)

// ErrFormat says that an object is none of the archive, or damaged.
var ErrFormat = errors.New("archive: object can not be read")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writer packs messages.
type writer struct {
	zip  *zstd.Encoder
	body []byte
	n    uint32
}

func newWriter(w io.Writer) (*writer, error) {
	zip, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window/2))
	if err != nil {
		return nil, err
	}
	_, err = zip.Write([]byte(magic))
	return &writer{zip: zip}, err
}

// add appends a message.
func (w *writer) add(m *queue.Message) error {
	b := append(w.body[:0], make([]byte, frame)...)
	b = binary.LittleEndian.AppendUint64(b, m.Position.Epoch)
	b = binary.LittleEndian.AppendUint64(b, m.Position.Sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Time.UnixMicro()))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.Header)))
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		for _, s := range []string{name, m.Header[name]} {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(s)))
			b = append(b, s...)
		}
	}
	b = append(b, m.Data...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-frame))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[frame:], castagnoli))
	w.body = b
	w.n++
	_, err := w.zip.Write(b)
	return err
}

func (w *writer) close() error {
	_, err := w.zip.Write(binary.LittleEndian.AppendUint32(make([]byte, 4), w.n))
	return errors.Join(err, w.zip.Close())
}

// Reader reads an object.
type Reader struct {
	zip *zstd.Decoder
	in  *bufio.Reader
	n   uint32
}

// NewReader returns a reader of an object; it must be closed. It takes at most some
// 20 MiB of memory.
func NewReader(r io.Reader) (*Reader, error) {
	zip, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	out := &Reader{zip: zip, in: bufio.NewReader(zip)}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(out.in, head); err != nil {
		zip.Close()
		return nil, broken(err)
	}
	if !bytes.Equal(head, []byte(magic)) {
		zip.Close()
		return nil, fmt.Errorf("%w: it is no object of the archive, or of a later version", ErrFormat)
	}
	return out, nil
}

// Next returns the next message, and io.EOF after the last one of a whole object.
// Of the message are set Stream, Position, Time, Header and Data.
func (r *Reader) Next() (*queue.Message, error) {
	head := make([]byte, frame)
	if _, err := io.ReadFull(r.in, head); err != nil {
		return nil, broken(err)
	}
	length, check := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:])
	if length == 0 {
		if check != r.n {
			return nil, fmt.Errorf("%w: it has %d messages and should have %d", ErrFormat, r.n, check)
		}
		switch _, err := r.in.ReadByte(); {
		case err == nil:
			return nil, fmt.Errorf("%w: something follows its end", ErrFormat)
		case !errors.Is(err, io.EOF):
			return nil, broken(err)
		}
		return nil, io.EOF
	}
	if length < fixed || length > maxBody {
		return nil, fmt.Errorf("%w: a message of %d bytes", ErrFormat, length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r.in, body); err != nil {
		return nil, broken(err)
	}
	if crc32.Checksum(body, castagnoli) != check {
		return nil, fmt.Errorf("%w: a message was changed", ErrFormat)
	}
	r.n++
	return parse(body)
}

// Close releases the reader, not what it reads from.
func (r *Reader) Close() { r.zip.Close() }

// broken names the error of reading: what the blob store said stays in it.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

func parse(b []byte) (*queue.Message, error) {
	m := &queue.Message{
		Stream:   queue.Events,
		Position: queue.Position{Epoch: binary.LittleEndian.Uint64(b), Sequence: binary.LittleEndian.Uint64(b[8:])},
		Time:     time.UnixMicro(int64(binary.LittleEndian.Uint64(b[16:]))),
	}
	n := int(binary.LittleEndian.Uint16(b[24:]))
	b = b[fixed:]
	next := func() (string, bool) {
		if len(b) < 2 {
			return "", false
		}
		size := int(binary.LittleEndian.Uint16(b))
		if b = b[2:]; len(b) < size {
			return "", false
		}
		s := string(b[:size])
		b = b[size:]
		return s, true
	}
	for range n {
		name, ok := next()
		value, ok2 := next()
		if !ok || !ok2 {
			return nil, fmt.Errorf("%w: headers that do not fit their message", ErrFormat)
		}
		if m.Header == nil {
			m.Header = map[string]string{}
		}
		m.Header[name] = value
	}
	m.Data = b
	return m, nil
}
