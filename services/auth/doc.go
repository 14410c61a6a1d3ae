// Package auth is the role that knows who calls: people with passwords and
// sessions, projects, API keys and the tokens made from them.
//
// # Guarantees
//
//   - Secrets are stored as hashes only: passwords by argon2id (19 MiB, two
//     passes), API keys and refresh tokens, which are random, by SHA-256. The
//     exception are the private signing keys and the key of page tokens, which
//     stay in the store's file (mode 0600).
//   - An unknown account and a wrong password take the same path: same work,
//     same answer. Failures are counted per account in the store, so neither a
//     restart nor a second replica forgets them.
//   - A refresh token works once. Using one again ends its session, since then
//     two parties hold it.
//   - What was revoked is told to every process right after the commit, and
//     again every few seconds until no token can be left: a notice that was lost,
//     by a crash here or there, is made good.
//   - Nothing is granted that the caller does not hold.
//
// # Bounds
//
// Concurrent sign-ins (Config.SignInQueue, and 8 per account), parallel password
// hashes (Config.HashParallelism, 19 MiB each), 50 sessions per user, 100
// projects per user, 1,000 working keys per project, 10,000 keys whose last use
// is not written yet.
package auth
