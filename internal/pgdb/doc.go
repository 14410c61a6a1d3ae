// Package pgdb opens a PostgreSQL database for one service: a bounded pool, bounded
// waits, transactions, migrations, and errors of package dberr.
//
// # The pool
//
// A pool of n connections serves n transactions at a time; the next one waits. A
// service whose pool is exhausted does not get slower with more connections of the
// same two-core server, it gets slower with fewer answers: so waiting is bounded
// (Config.AcquireTimeout), then the caller gets ErrBusy and is told to come again.
// Stats says how long callers waited, which is the sign to look for.
//
// # Behind PgBouncer
//
// In transaction pooling a session's settings and prepared statements belong to
// nobody. With Config.Pooler nothing of the kind is used: statements are parsed
// each time, and the statement timeout must be set for the role
// (`ALTER ROLE synapse SET statement_timeout = '30s'`).
package pgdb
