package grpcclient

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// authorization is the metadata key of credentials.
const authorization = "authorization"

// WithForwardedCredential returns a context whose outgoing calls carry the
// credential of the incoming call, so that the next role authenticates the same
// caller itself. Nothing else of the incoming metadata is passed on; the trace
// travels by the telemetry handler.
func WithForwardedCredential(ctx context.Context) context.Context {
	v := metadata.ValueFromIncomingContext(ctx, authorization)
	if len(v) != 1 { // none, or not to be chosen from: the next role refuses it
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, authorization, v[0])
}

// WithCredential returns a context whose outgoing calls carry the API key or
// token.
func WithCredential(ctx context.Context, credential string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, authorization, "Bearer "+credential)
}
