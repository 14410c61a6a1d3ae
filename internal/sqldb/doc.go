// Package sqldb opens SQLite the one way that this product uses it: one writer
// connection and a bounded pool of readers, write-ahead log, an fsync for each
// commit, forward-only migrations.
//
// # Guarantees
//
//   - A commit that returned without an error survives the end of the process
//     and of the machine, as far as the disk keeps its word: synchronous=FULL
//     is read back on every writer connection, and Open refuses anything less.
//   - There is exactly one writer connection. Every transaction on it starts
//     with BEGIN IMMEDIATE, so none fails halfway because it has to be
//     upgraded. Readers see the last commit and never block the writer.
//   - The write-ahead log stays bounded: it is checkpointed by the writer as
//     it grows and truncated when its file passes Options.MaxWALBytes, unless
//     a reader pins it; that is logged and shows in Stats.
//   - No error of a driver leaves through WithTx, View, Migrate or Backup; code
//     that uses Writer or Reader itself passes its errors through Wrap.
//
// # Drivers
//
// With cgo the driver is mattn/go-sqlite3, without it modernc.org/sqlite. Both
// run the same suite. Two things keep them alike: times are stored as INTEGER
// microseconds (the drivers disagree on columns declared DATETIME, TIMESTAMP or
// BOOLEAN), and connection settings are applied by this package, not by the
// data source name.
//
// The end of a context interrupts a statement, with one gap: the cgo driver can
// miss an end that comes in the microseconds between its own check and the start
// of a step, and the statement then runs on to its next row. So a context is no
// substitute for bounding a query itself, by LIMIT or by the range that it reads.
//
// Both drivers start a goroutine for each statement whose context can end. A
// hot loop that runs a prepared statement per row should pass a context without
// a Done channel (context.WithoutCancel) and look at its own context between
// batches.
package sqldb
