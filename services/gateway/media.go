package gateway

import (
	"mime"
	"strings"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// The content types of requests.
const (
	mediaJSON       = "application/json"
	mediaNDJSON     = "application/x-ndjson"
	mediaCloudEvent = "application/cloudevents+json"
	mediaCloudBatch = "application/cloudevents-batch+json"
	mediaSSE        = "text/event-stream"
)

// mediaType returns the content type of the request in lower case without its
// parameters; empty if there is none. A character set other than UTF-8 is
// refused.
func (c *call) mediaType() (string, error) {
	vals := c.r.Header["Content-Type"]
	switch {
	case len(vals) == 0 || vals[0] == "":
		return "", nil
	case len(vals) > 1:
		return "", errs.Unsupported("the request has several Content-Type headers", "send one")
	case vals[0] == mediaJSON:
		return mediaJSON, nil
	}
	kind, params, err := mime.ParseMediaType(vals[0])
	if err != nil {
		return "", errs.Unsupported("the Content-Type of the request can not be read", "send "+mediaJSON)
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") && !strings.EqualFold(cs, "us-ascii") {
		return "", errs.Unsupported("the character set of the request is not UTF-8", "send text as UTF-8")
	}
	if kind == "application/ndjson" || kind == "application/jsonl" {
		kind = mediaNDJSON
	}
	return kind, nil
}

// accepts says whether the Accept header allows the type.
func (c *call) accepts(kind string) bool {
	vals := c.r.Header["Accept"]
	if len(vals) == 0 {
		return true
	}
	family, _, _ := strings.Cut(kind, "/")
	listed := false
	for _, line := range vals {
		for item := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(item, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "" {
				continue
			}
			listed = true
			if strings.ReplaceAll(params, " ", "") == "q=0" {
				continue
			}
			switch name {
			case kind, "*/*", family + "/*", problemJSON:
				return true
			}
		}
	}
	return !listed
}
