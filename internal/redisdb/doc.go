// Package redisdb is the connection to Redis of a process: what several processes
// share and can do without. It is the only package that knows the client.
//
// A call is bounded by Config.Timeout, and is not repeated. After a few failures a
// circuit breaker refuses calls at once with ErrAway, so that a server which is away
// or slow costs callers nothing; a background task looks at the server meanwhile, and
// lets calls through again when it takes a write. So callers never wait for a look.
// What to do without Redis is the caller's matter: a cache answers that it has
// nothing, a limit falls back to this process's share.
//
// Keys begin with Config.Prefix, and each command has keys of one hash slot, so that
// the nodes of a cluster do too.
package redisdb
