// Package ingest takes events over: it validates, stamps and appends them to
// the stream EVENTS, and answers when they are durable. It does nothing slow and
// keeps nothing but a bounded memory of recent ids.
//
// Guarantees:
//   - An event answered ACCEPTED is in EVENTS, durable as the queue is
//     configured. Each call's events stand in as few messages as the bounds
//     allow, one where they fit.
//   - An event answered REJECTED, and every event of a call refused with
//     RESOURCE_EXHAUSTED, is not in EVENTS.
//   - When the outcome cannot be known (the caller's deadline ended, or the
//     queue stopped answering while its answer was awaited) the call fails and
//     says so; the same events with the same ids may be sent again.
//   - DUPLICATE is said only of an event whose append was acknowledged before
//     with the same id and text. Everything else is appended: the store decides.
//
// Bounds: Config bounds the message size, the appends in flight, the calls that
// wait (bytes, number and time), the backlog behind the accept path, the window
// of each stream and the memory of ids.
package ingest
