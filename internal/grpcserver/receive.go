package grpcserver

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// receiveError makes of gRPC's own error about a stream's message one that blames
// the caller, who sent it, and not the server. That is for the access log: gRPC
// has by then answered with its own status (INTERNAL for a message that cannot be
// decoded, RESOURCE_EXHAUSTED for one too large), and for unary calls it does so
// before any interceptor runs. The end of a stream and all others stay as they
// are.
func (s *Server) receiveError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	switch status.Code(err) {
	case codes.Internal, codes.InvalidArgument, codes.Unknown:
		return errs.Malformed("the message cannot be decoded as the request of this method").With(err)
	case codes.ResourceExhausted:
		return errs.TooLarge(fmt.Sprintf("the message is larger than the limit of %d bytes", s.o.MaxMessageBytes),
			"send less in one message").With(err)
	default:
		return err
	}
}
