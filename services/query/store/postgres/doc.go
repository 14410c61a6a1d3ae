// Package postgres keeps what the query service reads in a PostgreSQL database, 15 or
// later. It passes package storetest.
//
// # Guarantees
//
// Those of package sqlite: one transaction per batch, an event stored once, a message
// applied once, a dead letter counted once. Besides:
//
//   - Several processes may have the database open, and write: whoever writes holds
//     the lock of the one row of table writer until its commit. So Seq is the order
//     of commits, and two writers cannot wait for each other's rows. A writer that
//     repeats what another has applied changes nothing.
//   - When the connection is lost during a commit, the next call finds out by the
//     token of the batch whether it was kept: nothing is told to the tails twice or
//     never.
//   - A server that was replaced by a replica which lost the last commits is noticed
//     by the same token: what the writer remembers of rows is forgotten. The caller
//     goes on from the position that the database has.
//
// # Choices, and why
//
//   - Events go in by COPY after their ids were checked with one INSERT, so there is
//     no staging table, and nothing is written that is not kept.
//   - Partitions by day of acceptance: a day is forgotten by DROP TABLE (Expire). The unique
//     index over all days is a table of its own (event_ids).
//   - What is removed is counted beforehand, beside the reads, and detached in one short
//     transaction: DETACH CONCURRENTLY has none, and between it and the counts a
//     recount would be wrong.
//   - Replicas answer reads that tell nothing of positions, when they have replayed what
//     this process has written or learned (pgdb.Replicas).
//   - Writers and readers have a pool each: readers that wait for the disk cannot
//     keep the writer from its connection.
package postgres
