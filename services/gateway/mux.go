package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// answerJSON is how messages are written: names in camelCase, and every scalar
// and list also when it is 0 or empty, so that an answer's shape does not depend
// on its values; only messages that are not set are left out.
var answerJSON = protojson.MarshalOptions{EmitDefaultValues: true}

// codec is the JSON of the generated handlers.
type codec struct{ runtime.JSONPb }

// NewDecoder returns a decoder for one document, which the gateway has read and
// checked before.
func (c *codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return io.EOF // an RPC without any field set
		}
		return decode(string(b), v)
	})
}

var errNotModified = errors.New("not modified")

// newMux makes the grpc-gateway handlers of all services.
func (g *Gateway) newMux() (*runtime.ServeMux, error) {
	none := func(string) (string, bool) { return "", false }
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &codec{runtime.JSONPb{MarshalOptions: answerJSON}}),
		// The metadata comes from call.outgoing alone.
		runtime.WithIncomingHeaderMatcher(none),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithMetadata(func(ctx context.Context, _ *http.Request) metadata.MD {
			md, _ := ctx.Value(mdKey{}).(metadata.MD)
			return md
		}),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
		runtime.WithErrorHandler(muxError),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, _ int) {
			if c, ok := w.(*call); ok {
				c.fail(errNoRoute())
			}
		}),
		runtime.WithForwardResponseOption(func(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
			c, ok := w.(*call)
			if !ok {
				return nil
			}
			if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
				c.headers(md.HeaderMD, md.TrailerMD)
			}
			if c.unchanged() {
				return errNotModified
			}
			return nil
		}),
	)
	ctx := context.Background() // only for connections that the mux would make itself
	for _, err := range []error{
		authv1.RegisterAuthServiceHandlerClient(ctx, mux, g.auth),
		ingestv1.RegisterIngestServiceHandlerClient(ctx, mux, g.ingest),
		scoringv1.RegisterScoringServiceHandlerClient(ctx, mux, scoringv1.NewScoringServiceClient(g.deps.Scoring)),
		queryv1.RegisterQueryServiceHandlerClient(ctx, mux, g.query),
	} {
		if err != nil {
			return nil, err
		}
	}
	return mux, nil
}

type mdKey struct{}

// muxError answers with an error of a generated handler.
func muxError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	c, ok := w.(*call)
	if !ok {
		return
	}
	if errors.Is(err, errNotModified) {
		c.WriteHeader(http.StatusNotModified)
		return
	}
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		c.headers(md.HeaderMD, md.TrailerMD)
	}
	c.fail(ownError(err))
}

var quotedField = regexp.MustCompile(`(?:field|parameter:?|path) "?([A-Za-z_][\w.]{0,63})"?`)

// ownError tells the errors that the generated handlers make themselves from
// those of the services: only the former are INVALID_ARGUMENT without details.
func ownError(err error) error {
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.InvalidArgument || len(st.Details()) > 0 {
		return err
	}
	if e, ok := decodeError(st.Message()); ok {
		return e
	}
	if m := quotedField.FindStringSubmatch(st.Message()); m != nil {
		rule := "has a value of the wrong type or form"
		if strings.HasPrefix(st.Message(), "duplicate") {
			rule = "is given twice"
		} else if strings.Contains(st.Message(), "too many values") {
			rule = "must be given once"
		}
		return errs.Invalid(errs.Violation{Field: m[1], Rule: rule, Remedy: "see /docs for the fields and their types"})
	}
	return errs.Malformed("a parameter of the address can not be read")
}

// unary serves the routes of the generated handlers.
func (g *Gateway) unary(c *call) {
	md, err := c.outgoing()
	if err != nil {
		c.fail(err)
		return
	}
	var doc string
	if c.unsafe() {
		if doc, err = c.document(); err != nil {
			c.fail(err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.WithValue(c.ctx, mdKey{}, md), g.cfg.RequestTimeout)
	defer cancel()
	// The handlers see no header, host or address of the caller, so they can pass
	// none on.
	r := c.r.WithContext(ctx)
	r.Header, r.Host, r.RemoteAddr = http.Header{}, "", ""
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(doc)), int64(len(doc))
	g.mux.ServeHTTP(c, r)
}

// document reads and checks the JSON body of a call; it may be empty.
func (c *call) document() (string, error) {
	kind, err := c.mediaType()
	if err != nil {
		return "", err
	}
	if kind != "" && kind != mediaJSON {
		return "", errMediaType(kind, mediaJSON)
	}
	doc, err := c.readBody(int64(min(c.g.cfg.MaxBodyUnpacked, c.g.cfg.MaxCallBytes)))
	if err != nil {
		return "", err
	}
	if strings.Trim(doc, " \t\r\n") == "" {
		return "", nil
	}
	if kind == "" {
		return "", errMediaType("", mediaJSON)
	}
	return doc, checkJSON(doc)
}
