// Package gateway is the HTTP edge: REST and JSON in front of the gRPC services,
// server-sent events for the live tail, browser sessions, the dashboard and the
// API explorer. It holds no data and decides no right: every call goes on with
// the caller's own credential over a real gRPC connection, and the service at
// its other end authenticates and authorises it.
//
// # Guarantees
//
//   - Only five headers of a request reach a service: authorization, traceparent,
//     tracestate, idempotency-key and last-event-id. None by prefix.
//   - Every error, also the gateway's own, is an RFC 9457 problem made in one
//     place from the same status that a gRPC caller gets.
//   - Every route decodes strictly: an unknown field or query parameter, a field
//     given twice and text that is not UTF-8 are refused by name.
//   - An NDJSON request has a verdict for each of its lines, also when a part of
//     it was accepted before something went wrong.
//   - A cookie counts only without an Authorization header, and for a method that
//     changes something only with the X-Synapse-Csrf header from the same origin.
//
// # Bounds
//
// Header, packed and unpacked body, ratio of the two, depth and number of JSON
// values, bytes of all bodies at once, requests at once, tails at once, time to
// read a header, between two reads of a body, for a whole body, for a call and
// for a write: see Config. What passes none of them is refused with a problem
// and the limit's name; nothing is cut silently.
package gateway
