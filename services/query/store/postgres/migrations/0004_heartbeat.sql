-- +goose Up

-- When the primary was alive, by its clock, and the timeline of its log: replicas that
-- show it have replayed what was committed before.
CREATE TABLE heartbeat (
    one      BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    timeline BIGINT NOT NULL,
    at_us    BIGINT NOT NULL
) WITH (fillfactor = 10);
INSERT INTO heartbeat (timeline, at_us) VALUES (0, 0);
