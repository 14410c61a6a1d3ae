-- +goose Up

-- Times are microseconds since 1970; 0 is not set.
CREATE TABLE users (
  id            TEXT COLLATE "C" PRIMARY KEY,
  email         TEXT COLLATE "C" NOT NULL UNIQUE,
  password_hash TEXT COLLATE "C" NOT NULL,
  create_us     BIGINT NOT NULL
);

-- Failed sign-ins in a row, by SHA-256 of the address, whether it exists or not.
CREATE TABLE sign_in_failures (
  account BYTEA PRIMARY KEY,
  count   BIGINT NOT NULL,
  last_us BIGINT NOT NULL
);
CREATE INDEX sign_in_failures_last ON sign_in_failures (last_us);

CREATE TABLE sessions (
  id        TEXT COLLATE "C" PRIMARY KEY,
  user_id   TEXT COLLATE "C" NOT NULL REFERENCES users (id),
  create_us BIGINT NOT NULL,
  expire_us BIGINT NOT NULL,
  end_us    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX sessions_user ON sessions (user_id, create_us);
CREATE INDEX sessions_end ON sessions (end_us) WHERE end_us > 0;
CREATE INDEX sessions_expire ON sessions (expire_us);

-- Used ones stay until their session goes, so that using one again is noticed.
CREATE TABLE refresh_tokens (
  hash       BYTEA PRIMARY KEY,
  session_id TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  use_us     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

-- A deleted project stays as a tombstone: its id is never given again.
CREATE TABLE projects (
  id           TEXT COLLATE "C" PRIMARY KEY,
  display_name TEXT COLLATE "C" NOT NULL,
  create_us    BIGINT NOT NULL,
  delete_us    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX projects_delete ON projects (delete_us) WHERE delete_us > 0;

CREATE TABLE members (
  project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
  user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id),
  role       TEXT COLLATE "C" NOT NULL CHECK (role IN ('owner')),
  PRIMARY KEY (project_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

CREATE TABLE api_keys (
  id           TEXT COLLATE "C" PRIMARY KEY,
  project_id   TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
  display_name TEXT COLLATE "C" NOT NULL,
  prefix       TEXT COLLATE "C" NOT NULL,
  hash         BYTEA NOT NULL UNIQUE,
  scopes       BIGINT NOT NULL, -- bit n is the scope with number n
  create_us    BIGINT NOT NULL,
  expire_us    BIGINT NOT NULL DEFAULT 0,
  last_use_us  BIGINT NOT NULL DEFAULT 0,
  revoke_us    BIGINT NOT NULL DEFAULT 0,
  replaced_by  TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX api_keys_project ON api_keys (project_id, create_us DESC, id DESC);
CREATE INDEX api_keys_revoke ON api_keys (revoke_us) WHERE revoke_us > 0;
CREATE INDEX api_keys_replaced ON api_keys (expire_us) WHERE replaced_by <> '';

CREATE TABLE signing_keys (
  id          TEXT COLLATE "C" PRIMARY KEY,
  seed        BYTEA NOT NULL,
  create_us   BIGINT NOT NULL,
  activate_us BIGINT NOT NULL
);

CREATE TABLE secrets (
  name  TEXT COLLATE "C" PRIMARY KEY,
  value BYTEA NOT NULL
);
