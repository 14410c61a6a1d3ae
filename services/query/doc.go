// Package query keeps what was scored and answers questions about it: events,
// time series, the live tail, the balance of what was accepted.
//
// # The way in
//
// Three readers follow the queue, each from the position that the store keeps
// beside the data: "writer" moves SCORED into the store, "balance" counts from
// the headers of EVENTS what was accepted, "dead" counts DEAD.
//
// Guarantees:
//
//   - An acknowledged event is stored and counted exactly once, whatever is
//     delivered again, published twice, restarted or killed: rows, rollups,
//     counters and position change in one transaction, ids are unique in their
//     project, and a message of EVENTS is applied once. A stream that was made
//     anew is read from its beginning. A stream that lost messages stops its
//     reader, with a readiness error, until an operator decides
//     (resume_after_loss): nothing is skipped in silence.
//   - What can not be read or breaks a rule is a dead letter with a reason, in
//     the store; it neither blocks the stream nor vanishes from the balance.
//   - A failed transaction is tried again, with readiness telling of it; a store
//     that failed to sync ends the process (Deps.Fatal).
//   - The balance adds up in every answer: accepted = stored + duplicate + dead
//     letter + in flight + erased + difference. What was acknowledged before
//     the call is in it.
//   - A tail tells each event that was stored and matches, once and in the order
//     of storing, or says how many it left out. With the cursor of any of its
//     messages it goes on exactly after it.
//   - Events older than the retention go, if there is one, when everything that may
//     repeat them is stored. Charts and counters stay and can be recounted still.
//
// # Bounds
//
// A transaction has at most max_rows events, or one message; 256 messages and
// 32 MiB wait between fetch and commit. A tail holds tail_buffer events and
// resumes over at most tail_resume events of its own and 250,000 of the store;
// max_tails are open at once. A list with a filter searches for list_budget and
// then answers with a short page and a token. A series has at most 10,000
// buckets, 50 groups and 100,000 points. The rollups keep 1,000 sources, 200
// languages and 100 models per project apart; later ones count as "other".
//
// The default step of a series is the shortest that gives at most 1,500 buckets:
// whole minutes up to an hour, then whole hours.
package query
