// Package scoring gives accepted events their sentiment. It reads messages of
// the stream EVENTS, scores their events, publishes one message to SCORED for
// each, and acknowledges only when that is durable. It keeps nothing of its own:
// any number of processes share the work through the consumer "scoring".
//
// Guarantees:
//   - Every event of EVENTS ends in SCORED or in DEAD. A message that is
//     delivered again (a crash, a lost answer) is published with the same id, so
//     that it counts once.
//   - Poison never blocks the stream. A message whose scoring fails is tried
//     again after a pause, from the second time on event by event; an event that
//     still fails at the last try becomes a dead letter, the others are scored.
//     A message that cannot be read becomes one dead letter at once, and one that
//     is delivered again and again without ever ending (it may stop the process)
//     becomes dead letters unscored.
//   - While SCORED or DEAD refuses (full, away) nothing is given up: scoring
//     waits, the backlog grows, and ingest refuses at its bound.
//
// Bounds: at most Workers messages are being scored, MaxInFlight are being
// published, and Workers wait to be scored; a message is at most
// queue.MaxMessageBytes. The time to acknowledge a message is renewed at a third
// of it while the message is held.
package scoring
