// Package sqlite keeps what the query service reads in one SQLite file. It
// passes package storetest with cgo (mattn/go-sqlite3) and without
// (modernc.org/sqlite).
//
// # Guarantees
//
//   - Apply is one transaction with an fsync: rows, rollups, counters and the
//     queue position are all there, or none.
//   - An event is stored once. Its id is unique in its project (a unique index
//     on project and id), for as long as the event is kept: longer than the
//     idempotency window, never shorter. There is no table of ids beside the
//     events, so nothing can be forgotten while the event is still there.
//   - A message of EVENTS is applied once (table applied_sources), even if what
//     became of it was published to SCORED twice.
//   - A dead letter is counted once; an event whose message was scored and gave
//     a letter too is counted as what came first.
//
// # Choices, and why
//
//   - Ids are kept as text, not as a hash: UUIDv7 and running numbers come in
//     order, so the unique index grows at its end; hashes would touch a random
//     page for each row. It also decides a conflict exactly, by comparing the
//     texts, and serves GetEvent.
//   - Source, language and model of an event are one number, a row of dims. A
//     filter or group on them looks at the small table.
//   - A rollup row holds all three labels side by side and there is a second
//     set of rows over all dims, so the common chart reads one row per bucket.
//   - Rows are written by multi-row INSERTs on the driver's own connection: the
//     conversions of database/sql cost more than SQLite itself.
//
// # Bounds
//
// Rollups keep query.MaxSources, MaxLanguages and MaxModels distinct values per
// project apart and count the rest as "other"; rows keep their own values. The
// writer remembers at most 65,536 combinations. The write-ahead log is kept
// short by package sqldb.
package sqlite
