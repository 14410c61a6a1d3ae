-- +goose Up

-- Times are microseconds since 1970; 0 is not set.
CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  email         TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  create_us     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Failed sign-ins in a row, by SHA-256 of the address, whether it exists or not.
CREATE TABLE sign_in_failures (
  account BLOB PRIMARY KEY,
  count   INTEGER NOT NULL,
  last_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_failures_last ON sign_in_failures (last_us);

CREATE TABLE sessions (
  id        TEXT PRIMARY KEY,
  user_id   TEXT NOT NULL REFERENCES users (id),
  create_us INTEGER NOT NULL,
  expire_us INTEGER NOT NULL,
  end_us    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id, create_us);
CREATE INDEX sessions_end ON sessions (end_us) WHERE end_us > 0;
CREATE INDEX sessions_expire ON sessions (expire_us);

-- Used ones stay until their session goes, so that using one again is noticed.
CREATE TABLE refresh_tokens (
  hash       BLOB PRIMARY KEY,
  session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  use_us     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

-- A deleted project stays as a tombstone: its id is never given again.
CREATE TABLE projects (
  id           TEXT PRIMARY KEY,
  display_name TEXT NOT NULL,
  create_us    INTEGER NOT NULL,
  delete_us    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX projects_delete ON projects (delete_us) WHERE delete_us > 0;

CREATE TABLE members (
  project_id TEXT NOT NULL REFERENCES projects (id),
  user_id    TEXT NOT NULL REFERENCES users (id),
  role       TEXT NOT NULL CHECK (role IN ('owner')),
  PRIMARY KEY (project_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_user ON members (user_id);

CREATE TABLE api_keys (
  id           TEXT PRIMARY KEY,
  project_id   TEXT NOT NULL REFERENCES projects (id),
  display_name TEXT NOT NULL,
  prefix       TEXT NOT NULL,
  hash         BLOB NOT NULL UNIQUE,
  scopes       INTEGER NOT NULL, -- bit n is the scope with number n
  create_us    INTEGER NOT NULL,
  expire_us    INTEGER NOT NULL DEFAULT 0,
  last_use_us  INTEGER NOT NULL DEFAULT 0,
  revoke_us    INTEGER NOT NULL DEFAULT 0,
  replaced_by  TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_project ON api_keys (project_id, create_us DESC, id DESC);
CREATE INDEX api_keys_revoke ON api_keys (revoke_us) WHERE revoke_us > 0;
CREATE INDEX api_keys_replaced ON api_keys (expire_us) WHERE replaced_by <> '';

CREATE TABLE signing_keys (
  id          TEXT PRIMARY KEY,
  seed        BLOB NOT NULL,
  create_us   INTEGER NOT NULL,
  activate_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
