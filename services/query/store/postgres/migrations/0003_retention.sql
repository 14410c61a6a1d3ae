-- +goose Up

-- What was removed since it was older than the retention. Every message of EVENTS
-- that came before floor_us was applied; removed_seq is the highest Seq removed.
CREATE TABLE retention (
    one         BIGINT PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    floor_us    BIGINT NOT NULL,
    removed_seq BIGINT NOT NULL
);
INSERT INTO retention (floor_us, removed_seq) VALUES (-9223372036854775808, 0);

-- Each removal of a day: 'counting' its events up to counted_seq, while they are
-- still read; 'forgetting' their ids up to forgotten_seq, when they are not any more;
-- 'done'. At most one is not done.
CREATE TABLE removals (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day           BIGINT NOT NULL,
    state         TEXT NOT NULL,
    counted_seq   BIGINT NOT NULL,
    forgotten_seq BIGINT NOT NULL,
    events        BIGINT NOT NULL
);
CREATE UNIQUE INDEX removals_open ON removals ((true)) WHERE state <> 'done';

-- What the rollups of minutes count and is not there any more, of removals that are
-- not 'counting'; the columns are those of rollups.
CREATE TABLE removed (
    project BIGINT NOT NULL,
    bucket  BIGINT NOT NULL,
    dims    BIGINT NOT NULL,
    removal BIGINT NOT NULL,
    n1 BIGINT NOT NULL, n2 BIGINT NOT NULL, n3 BIGINT NOT NULL,
    s1 BIGINT NOT NULL, s2 BIGINT NOT NULL, s3 BIGINT NOT NULL,
    q1 BIGINT NOT NULL, q2 BIGINT NOT NULL, q3 BIGINT NOT NULL,
    h00 BIGINT NOT NULL, h01 BIGINT NOT NULL, h02 BIGINT NOT NULL, h03 BIGINT NOT NULL,
    h04 BIGINT NOT NULL, h05 BIGINT NOT NULL, h06 BIGINT NOT NULL, h07 BIGINT NOT NULL,
    h08 BIGINT NOT NULL, h09 BIGINT NOT NULL, h10 BIGINT NOT NULL, h11 BIGINT NOT NULL,
    h12 BIGINT NOT NULL, h13 BIGINT NOT NULL, h14 BIGINT NOT NULL, h15 BIGINT NOT NULL,
    h16 BIGINT NOT NULL, h17 BIGINT NOT NULL, h18 BIGINT NOT NULL, h19 BIGINT NOT NULL,
    PRIMARY KEY (project, bucket, dims, removal)
);
