-- +goose Up

-- Random bytes that were made with the database.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- The one row is locked by whoever writes: next_seq is the Seq to give next, batch
-- the token of the last transaction that gave one.
CREATE TABLE writer (
    one      BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    next_seq BIGINT NOT NULL,
    batch    BYTEA NOT NULL
);
INSERT INTO writer (next_seq, batch) VALUES (1, '');

CREATE TABLE projects (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE
);

-- Each combination of dimensions that occurred. fold is the combination that
-- the rollups count it as: itself, or one with 'other' for values beyond the
-- bound.
CREATE TABLE dims (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project  BIGINT NOT NULL,
    source   TEXT COLLATE "C" NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    model    TEXT COLLATE "C" NOT NULL,
    fold     BIGINT NOT NULL,
    UNIQUE (project, source, language, model)
);

-- seq is the order of storing. Times are microseconds, scores units of 1/10000.
-- extra holds what is only shown (see package record). emotions is an object of
-- names with probabilities times 10,000, or NULL for none. A partition holds the
-- events that were accepted on one day (UTC), so that a day is forgotten by dropping
-- it.
CREATE TABLE events (
    seq         BIGINT NOT NULL,
    project     BIGINT NOT NULL,
    dims        BIGINT NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    occurred_us BIGINT NOT NULL,
    accepted_us BIGINT NOT NULL,
    label       SMALLINT NOT NULL,
    score_e4    INTEGER NOT NULL,
    mixed       SMALLINT NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL,
    text        TEXT COLLATE "C" NOT NULL,
    attributes  JSONB,
    emotions    TEXT COLLATE "C",
    extra       BYTEA NOT NULL
) PARTITION BY RANGE (accepted_us);
CREATE INDEX events_by_seq ON events (seq);
-- Lists and recounts.
CREATE INDEX events_by_time ON events (project, occurred_us, seq);

-- Finds an event by its id, and keeps a repeated id out: a unique index of the
-- events themselves would have to hold the day.
CREATE TABLE event_ids (
    project     BIGINT NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    seq         BIGINT NOT NULL,
    accepted_us BIGINT NOT NULL,
    PRIMARY KEY (project, id)
);

-- grain: 1 minute, 2 hour, 3 day of occurrence (UTC), with dims; 4, 5, 6 the
-- same over all dims, with dims 0. bucket: number of the minute, hour or day
-- since 1970. n, s, q: count, sum of scores (e4) and sum of squares (e8) of
-- negative, neutral and positive. h: counts of 20 bins of the score, 0.1 wide.
-- A row of now is changed once per batch: the free space keeps its versions on its
-- page, without touching the index.
CREATE TABLE rollups (
    project BIGINT NOT NULL,
    grain   BIGINT NOT NULL,
    bucket  BIGINT NOT NULL,
    dims    BIGINT NOT NULL,
    n1 BIGINT NOT NULL, n2 BIGINT NOT NULL, n3 BIGINT NOT NULL,
    s1 BIGINT NOT NULL, s2 BIGINT NOT NULL, s3 BIGINT NOT NULL,
    q1 BIGINT NOT NULL, q2 BIGINT NOT NULL, q3 BIGINT NOT NULL,
    h00 BIGINT NOT NULL, h01 BIGINT NOT NULL, h02 BIGINT NOT NULL, h03 BIGINT NOT NULL,
    h04 BIGINT NOT NULL, h05 BIGINT NOT NULL, h06 BIGINT NOT NULL, h07 BIGINT NOT NULL,
    h08 BIGINT NOT NULL, h09 BIGINT NOT NULL, h10 BIGINT NOT NULL, h11 BIGINT NOT NULL,
    h12 BIGINT NOT NULL, h13 BIGINT NOT NULL, h14 BIGINT NOT NULL, h15 BIGINT NOT NULL,
    h16 BIGINT NOT NULL, h17 BIGINT NOT NULL, h18 BIGINT NOT NULL, h19 BIGINT NOT NULL,
    PRIMARY KEY (project, grain, bucket, dims)
) WITH (fillfactor = 70);

-- Counters by hour of acceptance; hours since 1970.
CREATE TABLE balance (
    project     BIGINT NOT NULL,
    hour        BIGINT NOT NULL,
    accepted    BIGINT NOT NULL,
    stored      BIGINT NOT NULL,
    duplicate   BIGINT NOT NULL,
    conflict    BIGINT NOT NULL,
    dead_letter BIGINT NOT NULL,
    erased      BIGINT NOT NULL,
    PRIMARY KEY (project, hour)
) WITH (fillfactor = 50);

-- How far each stream was applied, and the token of the transaction that did it.
CREATE TABLE positions (
    stream   TEXT PRIMARY KEY,
    epoch    BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    time_us  BIGINT NOT NULL,
    batch    BYTEA NOT NULL
) WITH (fillfactor = 50);

-- Messages of EVENTS whose scored events were applied. queued_us tells two
-- messages with one sequence apart, should the stream have lost its end.
CREATE TABLE applied_sources (
    epoch      BIGINT NOT NULL,
    sequence   BIGINT NOT NULL,
    queued_us  BIGINT NOT NULL,
    applied_us BIGINT NOT NULL,
    PRIMARY KEY (epoch, sequence, queued_us)
);
CREATE INDEX applied_sources_by_time ON applied_sources (applied_us);

-- What could not be processed. events is what was counted for it.
CREATE TABLE dead_letters (
    epoch       BIGINT NOT NULL,
    sequence    BIGINT NOT NULL,
    digest      BYTEA NOT NULL,
    project     TEXT COLLATE "C" NOT NULL,
    event_id    TEXT COLLATE "C" NOT NULL,
    accepted_us BIGINT NOT NULL,
    stage       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    attempts    BIGINT NOT NULL,
    failed_us   BIGINT NOT NULL,
    events      BIGINT NOT NULL,
    PRIMARY KEY (epoch, sequence, digest)
);
CREATE INDEX dead_letters_by_time ON dead_letters (failed_us);
