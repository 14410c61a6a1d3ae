package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/gateway/ingestjson"
)

const mediaIngest = mediaJSON + ", " + mediaNDJSON + ", " + mediaCloudEvent + " or " + mediaCloudBatch

// ingestEvents serves the ingest route. It is the hot one, so it goes around
// the generated handlers: its own decoder, one call, its own encoder.
func (g *Gateway) ingestEvents(c *call) {
	resp, err := g.ingestAny(c)
	if err != nil {
		c.fail(err)
		return
	}
	if resp == nil { // answered
		return
	}
	buf, _ := answerBuffers.Get().(*[]byte)
	*buf = ingestjson.AppendResponse((*buf)[:0], resp)
	c.answer(http.StatusOK, *buf)
	if cap(*buf) <= 64<<10 {
		answerBuffers.Put(buf)
	}
}

var answerBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// answer writes a JSON answer in one piece.
func (c *call) answer(status int, body []byte) {
	h := c.Header()
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.WriteHeader(status)
	_, _ = c.Write(body)
}

func (g *Gateway) ingestAny(c *call) (*ingestv1.IngestEventsResponse, error) {
	kind, err := c.mediaType()
	if err != nil {
		return nil, err
	}
	md, err := c.outgoing()
	if err != nil {
		return nil, err
	}
	parent := "projects/" + ingestProject(c.r.URL.Path)
	var req *ingestv1.IngestEventsRequest
	switch kind {
	case mediaJSON:
	case mediaNDJSON:
		full, err := c.fullResults()
		if err != nil {
			return nil, err
		}
		delete(md, "idempotency-key") // several calls, so not one key
		n := &ndjson{c: c, md: md, parent: parent, full: full}
		return nil, n.run()
	case mediaCloudEvent, mediaCloudBatch:
	default:
		return nil, errMediaType(kind, mediaIngest)
	}
	doc, err := c.readBody(int64(g.cfg.MaxBodyUnpacked))
	switch {
	case err != nil:
		return nil, err
	case doc == "":
		return nil, errEmptyBody()
	case kind == mediaJSON:
		if req, err = ingestjson.DecodeRequest(doc); err != nil {
			return nil, errJSON(doc, err)
		}
	default:
		if req, err = cloudEvents(kind, doc); err != nil {
			return nil, errJSON(doc, err)
		}
	}
	if c.r.URL.RawQuery != "" {
		full, err := c.fullResults()
		if err != nil {
			return nil, err
		}
		req.FullResults = req.FullResults || full
	}
	req.Parent = parent
	// Only a long document can become a message that is too large.
	if limit := int(g.cfg.MaxCallBytes); len(doc) > limit/4 {
		if size := proto.Size(req); size > limit-1024 {
			return nil, errTooLarge("as one call to the ingest service", int64(limit))
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, g.cfg.RequestTimeout)
	defer cancel()
	return g.send(ctx, c, md, req, len(doc))
}

func cloudEvents(kind, doc string) (*ingestv1.IngestEventsRequest, error) {
	if kind == mediaCloudBatch {
		evs, err := ingestjson.DecodeCloudEvents(doc)
		return &ingestv1.IngestEventsRequest{Events: evs}, err
	}
	ev, err := ingestjson.DecodeCloudEvent(doc)
	return &ingestv1.IngestEventsRequest{Events: []*typev1.EventInput{ev}}, err
}

// fullResults reads the query parameter of that name.
func (c *call) fullResults() (bool, error) {
	q := c.r.URL.Query()
	vals := append(q["fullResults"], q["full_results"]...)
	if len(vals) == 0 {
		return false, nil
	}
	full, err := strconv.ParseBool(vals[0])
	if err != nil || len(vals) > 1 {
		return false, errs.Invalid(errs.Violation{Field: "fullResults", Rule: "must be true or false", Remedy: "send fullResults=true once"})
	}
	return full, nil
}

// send hands a request to the ingest service, together with others if they can
// share a call. bytes is about the request's size.
func (g *Gateway) send(ctx context.Context, c *call, md metadata.MD, req *ingestv1.IngestEventsRequest, bytes int) (*ingestv1.IngestEventsResponse, error) {
	if g.merge != nil && g.merge.takes(c, md, req, bytes) {
		resp, a, err := g.merge.send(ctx, md, req, bytes)
		if !errors.Is(err, errAlone) {
			c.headers(a.header, a.trailer)
			return resp, err
		}
	}
	resp, a, err := g.sendAlone(ctx, md, req)
	c.headers(a.header, a.trailer)
	return resp, err
}

func (g *Gateway) sendAlone(ctx context.Context, md metadata.MD, req *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, answers, error) {
	var a answers
	resp, err := g.ingest.IngestEvents(metadata.NewOutgoingContext(ctx, md), req, a.options()...)
	return resp, a, err
}
