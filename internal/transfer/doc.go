// Package transfer moves the tables of a SQLite file into a PostgreSQL database that
// has the same schema: what a table is, and how the engines differ, says the Plan of
// the service that owns them.
//
// # Guarantees
//
//   - Nothing is changed in the source.
//   - Rows go in by COPY, in pieces of bounded size, in the order of the table's key. A
//     piece and the note of how far the table is are one transaction: a transfer that
//     was killed at any moment goes on where it was.
//   - Only a database without data is filled. One that is half filled is not opened by
//     its service (CheckFinished), and is gone on with only from the same state of the
//     same source.
//   - At the end both sides are read and compared: the number of rows and the sum of
//     their SHA-256, table by table. Only then the transfer is finished.
//   - No column is left out by mistake: the columns are read from both schemas, and one
//     that only one side has is an error unless the Plan says what to do.
//
// # Bounds
//
// Two pieces are in memory at a time, of Options.Rows rows and Options.Bytes bytes.
package transfer
