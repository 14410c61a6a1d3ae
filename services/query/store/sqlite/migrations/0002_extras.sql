-- +goose Up

-- Whether the text speaks well and badly, and the emotions that it has: an
-- object of names with probabilities times 10,000, or NULL for none. Stars and
-- targets are only shown: see extra.go. Older rows have none of them.
ALTER TABLE events ADD COLUMN mixed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN emotions TEXT;
