-- +goose Up

-- Random bytes that were made with the file.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Each combination of dimensions that occurred. fold is the combination that
-- the rollups count it as: itself, or one with 'other' for values beyond the
-- bound.
CREATE TABLE dims (
    id       INTEGER PRIMARY KEY,
    project  INTEGER NOT NULL REFERENCES projects (id),
    source   TEXT NOT NULL,
    language TEXT NOT NULL,
    model    TEXT NOT NULL,
    fold     INTEGER NOT NULL,
    UNIQUE (project, source, language, model)
) STRICT;

-- seq is the order of storing. Times are microseconds, scores units of 1/10000.
-- extra holds what is only shown (see extra.go). The foreign keys are kept by
-- the writer; checking them would cost a lookup for each row.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL,
    dims        INTEGER NOT NULL,
    id          TEXT NOT NULL,
    occurred_us INTEGER NOT NULL,
    accepted_us INTEGER NOT NULL,
    label       INTEGER NOT NULL,
    score_e4    INTEGER NOT NULL,
    user_id     TEXT NOT NULL,
    text        TEXT NOT NULL,
    attributes  TEXT,
    extra       BLOB NOT NULL
) STRICT;

-- Finds an event by its id, and keeps a repeated id out.
CREATE UNIQUE INDEX events_by_id ON events (project, id);
-- Lists and recounts. The rowid, seq, is its last column.
CREATE INDEX events_by_time ON events (project, occurred_us);

-- grain: 1 minute, 2 hour, 3 day of occurrence (UTC), with dims; 4, 5, 6 the
-- same over all dims, with dims 0. bucket: number of the minute, hour or day
-- since 1970. n, s, q: count, sum of scores (e4) and sum of squares (e8) of
-- negative, neutral and positive. h: counts of 20 bins of the score, 0.1 wide.
CREATE TABLE rollups (
    project INTEGER NOT NULL,
    grain   INTEGER NOT NULL,
    bucket  INTEGER NOT NULL,
    dims    INTEGER NOT NULL,
    n1 INTEGER NOT NULL, n2 INTEGER NOT NULL, n3 INTEGER NOT NULL,
    s1 INTEGER NOT NULL, s2 INTEGER NOT NULL, s3 INTEGER NOT NULL,
    q1 INTEGER NOT NULL, q2 INTEGER NOT NULL, q3 INTEGER NOT NULL,
    h00 INTEGER NOT NULL, h01 INTEGER NOT NULL, h02 INTEGER NOT NULL, h03 INTEGER NOT NULL,
    h04 INTEGER NOT NULL, h05 INTEGER NOT NULL, h06 INTEGER NOT NULL, h07 INTEGER NOT NULL,
    h08 INTEGER NOT NULL, h09 INTEGER NOT NULL, h10 INTEGER NOT NULL, h11 INTEGER NOT NULL,
    h12 INTEGER NOT NULL, h13 INTEGER NOT NULL, h14 INTEGER NOT NULL, h15 INTEGER NOT NULL,
    h16 INTEGER NOT NULL, h17 INTEGER NOT NULL, h18 INTEGER NOT NULL, h19 INTEGER NOT NULL,
    PRIMARY KEY (project, grain, bucket, dims)
) STRICT, WITHOUT ROWID;

-- Counters by hour of acceptance; hours since 1970.
CREATE TABLE balance (
    project     INTEGER NOT NULL,
    hour        INTEGER NOT NULL,
    accepted    INTEGER NOT NULL,
    stored      INTEGER NOT NULL,
    duplicate   INTEGER NOT NULL,
    conflict    INTEGER NOT NULL,
    dead_letter INTEGER NOT NULL,
    erased      INTEGER NOT NULL,
    PRIMARY KEY (project, hour)
) STRICT, WITHOUT ROWID;

-- How far each stream was applied.
CREATE TABLE positions (
    stream   TEXT PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    time_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages of EVENTS whose scored events were applied. queued_us tells two
-- messages with one sequence apart, should the stream have lost its end.
CREATE TABLE applied_sources (
    epoch      INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    queued_us  INTEGER NOT NULL,
    applied_us INTEGER NOT NULL,
    PRIMARY KEY (epoch, sequence, queued_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX applied_sources_by_time ON applied_sources (applied_us);

-- What could not be processed. events is what was counted for it.
CREATE TABLE dead_letters (
    epoch       INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    project     TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    accepted_us INTEGER NOT NULL,
    stage       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    attempts    INTEGER NOT NULL,
    failed_us   INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    PRIMARY KEY (epoch, sequence, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letters_by_time ON dead_letters (failed_us);
