package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// body reads a request's body, unpacked, within its bounds: bytes as sent, bytes
// unpacked, their ratio, the time between two reads and for all of it. Its
// errors are ready to be answered.
type body struct {
	c        *call
	control  *http.ResponseController
	deadline time.Time
	packed   int64
	unpacked int64
	timed    bool
	// unpack is nil for a body that is not packed.
	unpack io.Reader
	close  func()
}

// ratioFloor is the unpacked size from which the ratio is looked at: a small
// body of equal lines packs well without being an attack.
const ratioFloor = 1 << 20

// openBody prepares the body of a call for reading. close must be called.
func (c *call) openBody() (*body, error) {
	cfg := &c.g.cfg
	b := &body{c: c, close: func() {}}
	if c.r.ContentLength > int64(cfg.MaxBody) {
		return nil, errTooLarge("as sent", int64(cfg.MaxBody))
	}
	encoding := c.r.Header["Content-Encoding"]
	if len(encoding) > 1 {
		return nil, errs.Unsupported("the body is packed more than once", "send it plain, or packed with gzip or zstd")
	}
	if len(encoding) == 0 || encoding[0] == "" || strings.EqualFold(encoding[0], "identity") {
		return b, nil
	}
	if c.r.ContentLength == 0 {
		return b, nil
	}
	switch strings.ToLower(strings.TrimSpace(encoding[0])) {
	case "gzip", "x-gzip":
		zr, _ := gzips.Get().(*gzip.Reader)
		if zr == nil {
			zr = new(gzip.Reader)
		}
		b.close = func() { gzips.Put(zr) }
		if err := zr.Reset(bufio.NewReaderSize(packedReader{b}, 16<<10)); err != nil {
			return b, b.broken("gzip", err)
		}
		b.unpack = zr
	case "zstd":
		zr, err := c.g.zstd()
		if err != nil {
			return nil, err
		}
		b.close = func() { c.g.zstds.Put(zr) }
		if err := zr.Reset(packedReader{b}); err != nil {
			return b, b.broken("zstd", err)
		}
		b.unpack = zr
	default:
		return nil, errs.Unsupported("the Content-Encoding of the body is not one that is read", "send it plain, or packed with gzip or zstd")
	}
	return b, nil
}

var gzips sync.Pool

// zstd takes an unpacker from the pool. It works in the caller's goroutine.
func (g *Gateway) zstd() (*zstd.Decoder, error) {
	if zr, ok := g.zstds.Get().(*zstd.Decoder); ok {
		return zr, nil
	}
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(uint64(g.cfg.MaxBodyUnpacked)))
	if err != nil {
		return nil, errs.Fault(fmt.Errorf("zstd: %w", err))
	}
	return zr, nil
}

// packedReader reads what the caller sent.
type packedReader struct{ b *body }

func (p packedReader) Read(buf []byte) (int, error) { return p.b.raw(buf) }

// raw reads what the caller sent. The deadline moves with each read, up to that
// of the whole body, and is lifted at the end, since it would end the request.
func (b *body) raw(buf []byte) (int, error) {
	now := time.Now()
	if b.control == nil {
		b.control = http.NewResponseController(b.c.ResponseWriter)
		b.deadline = now.Add(b.c.g.cfg.BodyTimeout)
	}
	next := now.Add(b.c.g.cfg.BodyReadTimeout)
	if next.After(b.deadline) {
		next = b.deadline
	}
	b.timed = b.control.SetReadDeadline(next) == nil
	n, err := b.c.r.Body.Read(buf)
	b.packed += int64(n)
	if b.packed > int64(b.c.g.cfg.MaxBody) {
		return 0, errTooLarge("as sent", int64(b.c.g.cfg.MaxBody))
	}
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, errSlowBody()
	case !errors.Is(err, io.ErrUnexpectedEOF) && b.c.r.Context().Err() != nil:
		return n, errs.GaveUp(err)
	default:
		e := errs.Malformed("the body ends before its declared length, or its chunks are broken")
		e.Remedy = "send the whole body"
		return n, e.With(err)
	}
}

// Read implements io.Reader.
func (b *body) Read(buf []byte) (int, error) {
	if b.unpack == nil {
		return b.raw(buf)
	}
	n, err := b.unpack.Read(buf)
	b.unpacked += int64(n)
	cfg := &b.c.g.cfg
	if b.unpacked > int64(cfg.MaxBodyUnpacked) {
		return 0, errTooLarge("unpacked", int64(cfg.MaxBodyUnpacked))
	}
	if b.unpacked > ratioFloor && b.unpacked > b.packed*int64(cfg.MaxPackRatio) {
		return 0, errRatio(cfg.MaxPackRatio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, b.broken("packed", err)
	}
	return n, err
}

// broken turns an error of an unpacker into ours.
func (b *body) broken(what string, err error) error {
	switch {
	case errs.As(err) != nil:
		return err // of raw
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return errTooLarge("unpacked", int64(b.c.g.cfg.MaxBodyUnpacked)).With(err)
	}
	e := errs.Malformed("the %s body is broken or ends too early", what)
	e.Remedy = "pack it again, as its Content-Encoding says"
	return e.With(err)
}

// done lifts the read deadline and gives the unpacker back.
func (b *body) done() {
	if b.timed {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	b.close()
}

// memoryFloor is the size up to which a body does not count against the body
// memory: max_requests bounds those.
const memoryFloor = 64 << 10

// hold takes n bytes of the gateway's body memory until the request ends.
func (c *call) hold(n int64) error {
	if c.g.bodyBytes.Add(n) > int64(c.g.cfg.BodyMemory) {
		c.g.bodyBytes.Add(-n)
		return errBusy("bytes of bodies", int(c.g.cfg.BodyMemory))
	}
	c.held += n
	return nil
}

func (c *call) release() {
	if c.held > 0 {
		c.g.bodyBytes.Add(-c.held)
		c.held = 0
	}
}

// buffers are for reading small bodies.
var buffers = sync.Pool{New: func() any { b := make([]byte, memoryFloor); return &b }}

// readBody reads the whole body as a string; limit bounds its unpacked size.
func (c *call) readBody(limit int64) (string, error) {
	b, err := c.openBody()
	if b != nil {
		defer b.done()
	}
	if err != nil {
		return "", err
	}
	pooled, _ := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	first, n := *pooled, 0
	for n < len(first) {
		m, err := b.Read(first[n:])
		n += m
		if errors.Is(err, io.EOF) {
			if int64(n) > limit {
				return "", errTooLarge("unpacked", limit)
			}
			return string(first[:n]), nil
		}
		if err != nil {
			return "", err
		}
	}
	return c.readLarge(b, first, limit)
}

// readLarge reads on after the first memoryFloor bytes.
func (c *call) readLarge(b *body, first []byte, limit int64) (string, error) {
	var s strings.Builder
	if size := c.r.ContentLength; b.unpack == nil && size > 0 && size <= limit {
		if err := c.hold(size); err != nil {
			return "", err
		}
		s.Grow(int(size))
	}
	s.Write(first)
	buf := first // what was in it has been copied
	for {
		n, err := b.Read(buf)
		if int64(s.Len()+n) > limit {
			return "", errTooLarge("unpacked", limit)
		}
		if s.Len()+n > s.Cap() {
			if herr := c.hold(int64(s.Cap() + n)); herr != nil { // growing doubles
				return "", herr
			}
		}
		s.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return s.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
}
