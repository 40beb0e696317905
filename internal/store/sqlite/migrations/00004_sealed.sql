-- What is known about people and actors: accounts, sessions, passkeys, freezes
-- and the like. What counts is the body, its MAC, and that no record tells of a
-- newer revision.

-- +goose Up
CREATE TABLE sealed (
    kind     TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    due      INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    mac      BLOB    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sealed_key ON sealed (kind, key) WHERE key <> '';
CREATE INDEX sealed_due ON sealed (kind, due) WHERE due > 0;

ALTER TABLE log_record ADD COLUMN about TEXT NOT NULL DEFAULT '';
ALTER TABLE log_record ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX log_record_about ON log_record (about, revision) WHERE about <> '';

-- +goose Down
DROP INDEX log_record_about;
ALTER TABLE log_record DROP COLUMN revision;
ALTER TABLE log_record DROP COLUMN about;
DROP TABLE sealed;
