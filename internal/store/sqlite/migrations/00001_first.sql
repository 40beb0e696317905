-- Columns beside a sealed body are for finding rows; what counts is the body
-- and its MAC. Times are microseconds since 1970, UTC; 0 means none.

-- +goose Up
CREATE TABLE approval (
    id         TEXT PRIMARY KEY,
    revision   INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    match      TEXT    NOT NULL,
    shape      TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    credential TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    decided    INTEGER NOT NULL,
    due        INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    mac        BLOB    NOT NULL
) STRICT;
CREATE INDEX approval_created ON approval (created);
CREATE INDEX approval_match ON approval (match, state, decided);
CREATE INDEX approval_due ON approval (due) WHERE due > 0;
CREATE INDEX approval_actor ON approval (actor, state);
CREATE INDEX approval_shape ON approval (shape, state, decided);
CREATE INDEX approval_state ON approval (state, created);

CREATE TABLE review (
    id       TEXT PRIMARY KEY,
    approval TEXT NOT NULL,
    person   TEXT NOT NULL,
    body     BLOB NOT NULL,
    mac      BLOB NOT NULL,
    UNIQUE (approval, person)
) STRICT;

CREATE TABLE relation (
    actor  TEXT    NOT NULL,
    person TEXT    NOT NULL,
    why    TEXT    NOT NULL,
    seen   INTEGER NOT NULL,
    mac    BLOB    NOT NULL,
    PRIMARY KEY (actor, person, why)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    id        TEXT PRIMARY KEY,
    user_name TEXT NOT NULL,
    body      BLOB NOT NULL,
    mac       BLOB NOT NULL
) STRICT;
CREATE INDEX token_user ON token (user_name);

CREATE TABLE log_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    root BLOB    NOT NULL,
    last INTEGER NOT NULL
) STRICT;

CREATE TABLE log_record (
    idx      INTEGER PRIMARY KEY,
    time     INTEGER NOT NULL,
    type     TEXT NOT NULL,
    actor    TEXT NOT NULL,
    person   TEXT NOT NULL,
    approval TEXT NOT NULL,
    resource TEXT NOT NULL,
    session  TEXT NOT NULL,
    kinds    TEXT NOT NULL, -- ",data.read,data.export,"
    leaf     BLOB NOT NULL
) STRICT;
CREATE INDEX log_record_time ON log_record (time);
CREATE INDEX log_record_approval ON log_record (approval) WHERE approval <> '';
CREATE INDEX log_record_session ON log_record (session) WHERE session <> '';
CREATE INDEX log_record_actor ON log_record (actor) WHERE actor <> '';

CREATE TABLE log_tile (
    level  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    subject  TEXT    NOT NULL,
    class    TEXT    NOT NULL, -- '' is the total over all classes
    resource TEXT    NOT NULL,
    hour     INTEGER NOT NULL, -- hours since 1970, UTC
    row_count  INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    PRIMARY KEY (subject, class, resource, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE setting;
DROP TABLE ledger;
DROP TABLE log_tile;
DROP TABLE log_record;
DROP TABLE log_head;
DROP TABLE token;
DROP TABLE relation;
DROP TABLE review;
DROP TABLE approval;
