-- +goose Up

-- Which process moves the streams into the store, and until when.
CREATE TABLE lease (
    one   BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    owner TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);
