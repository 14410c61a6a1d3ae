-- +goose Up

-- What was removed since it was older than the retention. Every message of EVENTS
-- that came before floor_us was applied; removed_seq is the highest Seq removed.
CREATE TABLE retention (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    floor_us    INTEGER NOT NULL,
    removed_seq INTEGER NOT NULL
) STRICT;
INSERT INTO retention (one, floor_us, removed_seq) VALUES (1, -9223372036854775808, 0);

-- Finds the oldest events.
CREATE INDEX events_by_acceptance ON events (accepted_us);

-- What the rollups of minutes count and is not there any more; the columns are those
-- of rollups.
CREATE TABLE removed (
    project INTEGER NOT NULL,
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
    PRIMARY KEY (project, bucket, dims)
) STRICT, WITHOUT ROWID;
