package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"google.golang.org/grpc"
)

// prepared is how many different requests each worker makes before the load, so
// that making them is not measured.
const prepared = 64

var seeds atomic.Uint64

func grpcBatches(t *target) caller { return unaryCaller(t.conn, t.auth) }

func unaryCaller(conn grpc.ClientConnInterface, auth func(context.Context) context.Context) caller {
	return func(int) (func(context.Context) error, func(), error) {
		client := ingestv1.NewIngestServiceClient(conn)
		reqs := make([]*ingestv1.IngestEventsRequest, prepared)
		for i := range reqs {
			reqs[i] = &ingestv1.IngestEventsRequest{Parent: "projects/-", Events: batch(seeds.Add(1), 100)}
		}
		i := 0
		return func(ctx context.Context) error {
			i++
			res, err := client.IngestEvents(auth(ctx), reqs[i%prepared])
			if err == nil && int(res.GetAccepted()) != 100 {
				err = fmt.Errorf("accepted %d of 100", res.GetAccepted())
			}
			return err
		}, func() {}, nil
	}
}

// grpcStream keeps up to 8 batches in flight on one stream.
func grpcStream(t *target) caller {
	return func(int) (func(context.Context) error, func(), error) {
		ctx, cancel := context.WithCancel(t.auth(context.Background()))
		st, err := ingestv1.NewIngestServiceClient(t.conn).StreamEvents(ctx)
		if err != nil {
			cancel()
			return nil, nil, err
		}
		batches := make([]*ingestv1.StreamEventsRequest, prepared)
		for i := range batches {
			batches[i] = &ingestv1.StreamEventsRequest{Parent: "projects/-", Events: batch(seeds.Add(1), 100)}
		}
		var sent, acked int64
		recv := func() error {
			res, err := st.Recv()
			acked = max(acked, res.GetAcknowledgedSequence())
			return err
		}
		call := func(context.Context) error {
			sent++
			req := batches[sent%prepared]
			req.Sequence = sent
			if err := st.Send(req); err != nil {
				return errors.Join(err, recv())
			}
			for sent-acked >= 8 {
				if err := recv(); err != nil {
					return err
				}
			}
			return nil
		}
		done := func() {
			_ = st.CloseSend()
			for recv() == nil {
			}
			cancel()
		}
		return call, done, nil
	}
}

func restBatches(t *target) caller {
	return httpCaller(t.http, t.key, "application/json", func() []byte { return jsonBody(seeds.Add(1), 100) })
}

func restNDJSON(t *target) caller {
	return httpCaller(t.http, t.key, "application/x-ndjson", func() []byte { return ndjsonBody(seeds.Add(1), 100) })
}

func restSingles(t *target) caller {
	return httpCaller(t.http, t.key, "application/json", func() []byte { return jsonBody(seeds.Add(1), 1) })
}

// httpCaller posts prepared requests over one kept connection a worker. It
// writes and reads HTTP/1.1 by itself so that the load costs little beside the
// server, which shares its cores.
func httpCaller(addr, key, contentType string, body func() []byte) caller {
	return func(int) (func(context.Context) error, func(), error) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		reqs := make([][]byte, prepared)
		for i := range reqs {
			b := body()
			var r bytes.Buffer
			fmt.Fprintf(&r, "POST /v1/projects/-/events:ingest HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
				addr, key, contentType, len(b))
			r.Write(b)
			reqs[i] = r.Bytes()
		}
		rd := bufio.NewReaderSize(conn, 16<<10)
		i := 0
		call := func(context.Context) error {
			i++
			if _, err := conn.Write(reqs[i%prepared]); err != nil {
				return err
			}
			return readAnswer(rd)
		}
		return call, func() { _ = conn.Close() }, nil
	}
}

// readAnswer reads an answer and requires 200.
func readAnswer(rd *bufio.Reader) error {
	line, err := rd.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		rest, _ := io.ReadAll(io.LimitReader(rd, int64(rd.Buffered())))
		return fmt.Errorf("%s%s", line, rest)
	}
	length := -1
	for {
		line, err := rd.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > 16 && bytes.EqualFold(line[:15], []byte("Content-Length:")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("the answer has no length")
	}
	_, err = rd.Discard(length)
	return err
}
