// Package jetstream is the queue engine on NATS JetStream: a server inside this
// process on a local folder (Config.Dir) or a NATS server or cluster elsewhere
// (Config.URL). Both run the same client code; only the connection differs.
//
// Which crash an acknowledged message survives:
//
//   - embedded, sync "always" (the default): death of the process, and loss of
//     power as far as the disk keeps what it has fsynced.
//   - embedded, sync "interval": death of the process; a loss of power may take
//     what was acknowledged in the last sync_interval.
//   - by URL: what the server's own sync_interval and the stream's replicas say.
//     A server tells it on its monitoring port only (Config.MonitorURL); one that
//     does not say always, or does not say, is told in log, metrics and Inspect.
//
// Bounds: a publish waits at most publish_timeout; at most 4096 messages and
// 64 MiB are in flight per Queue; a consumer holds at most two fetches (never
// more than MaxPending) and about 32 MiB ahead of its reader; each stream has
// max bytes, and an embedded engine refuses when the disk has less free space
// than free_floor_bytes.
package jetstream
