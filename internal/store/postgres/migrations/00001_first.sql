-- Columns beside a sealed body are for finding rows; what counts is the body
-- and its MAC. Times are microseconds since 1970, UTC; 0 means none. All text is
-- bytea: it may come from outside, and PostgreSQL's own takes neither NUL nor
-- invalid UTF-8.

-- +goose Up
CREATE TABLE approval (
    n          bigint GENERATED ALWAYS AS IDENTITY, -- the order of insertion
    id         bytea PRIMARY KEY,
    revision   bigint NOT NULL,
    state      bytea NOT NULL,
    match      bytea NOT NULL,
    shape      bytea NOT NULL,
    actor      bytea NOT NULL,
    credential bytea NOT NULL,
    person     bytea NOT NULL,
    created    bigint NOT NULL,
    decided    bigint NOT NULL,
    due        bigint NOT NULL,
    body       bytea NOT NULL,
    mac        bytea NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX approval_created ON approval (created, id);
CREATE INDEX approval_match ON approval (match, state, decided);
CREATE INDEX approval_due ON approval (due, id) WHERE due > 0;
CREATE INDEX approval_actor ON approval (actor, state);
CREATE INDEX approval_person ON approval (person, state);
CREATE INDEX approval_shape ON approval (shape, state, decided);
CREATE INDEX approval_state ON approval (state, created, id);

CREATE TABLE review (
    n        bigint GENERATED ALWAYS AS IDENTITY,
    id       bytea PRIMARY KEY,
    approval bytea NOT NULL,
    person   bytea NOT NULL,
    body     bytea NOT NULL,
    mac      bytea NOT NULL,
    UNIQUE (approval, person)
);

CREATE TABLE relation (
    actor  bytea NOT NULL,
    person bytea NOT NULL,
    why    bytea NOT NULL,
    seen   bigint NOT NULL,
    mac    bytea NOT NULL,
    PRIMARY KEY (actor, person, why)
);

CREATE TABLE token (
    n         bigint GENERATED ALWAYS AS IDENTITY,
    id        bytea PRIMARY KEY,
    user_name bytea NOT NULL,
    body      bytea NOT NULL,
    mac       bytea NOT NULL
);
CREATE INDEX token_user ON token (user_name);

CREATE TABLE sealed (
    kind     bytea NOT NULL,
    id       bytea NOT NULL,
    revision bigint NOT NULL,
    key      bytea NOT NULL,
    due      bigint NOT NULL,
    body     bytea NOT NULL,
    mac      bytea NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 80);
CREATE INDEX sealed_key ON sealed (kind, key) WHERE key <> '';
CREATE INDEX sealed_due ON sealed (kind, due) WHERE due > 0;

-- Every transaction that writes locks this row first: it is what puts the
-- replicas' commits in order.
CREATE TABLE log_head (
    one  int PRIMARY KEY CHECK (one = 1),
    size bigint NOT NULL,
    root bytea NOT NULL,
    last bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO log_head (one, size, root, last) VALUES (1, 0, '', 0);

CREATE TABLE log_record (
    idx      bigint PRIMARY KEY,
    time     bigint NOT NULL,
    type     bytea NOT NULL,
    actor    bytea NOT NULL,
    person   bytea NOT NULL,
    approval bytea NOT NULL,
    resource bytea NOT NULL,
    session  bytea NOT NULL,
    kinds    bytea NOT NULL, -- ",data.read,data.export,"
    about    bytea NOT NULL,
    revision bigint NOT NULL,
    token    bytea NOT NULL, -- of records of type token.changed
    leaf     bytea NOT NULL
);
CREATE INDEX log_record_time ON log_record (time);
CREATE INDEX log_record_approval ON log_record (approval, idx) WHERE approval <> '';
CREATE INDEX log_record_session ON log_record (session, idx) WHERE session <> '';
CREATE INDEX log_record_actor ON log_record (actor, idx) WHERE actor <> '';
CREATE INDEX log_record_about ON log_record (about, revision) WHERE about <> '';
CREATE INDEX log_record_token ON log_record (token, idx) WHERE token <> '';

CREATE TABLE log_tile (
    level  int    NOT NULL,
    n      bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (level, n)
);
ALTER TABLE log_tile ALTER hashes SET STORAGE EXTERNAL; -- hashes do not compress

CREATE TABLE ledger (
    subject    bytea NOT NULL,
    class      bytea NOT NULL, -- '' is the total over all classes
    resource   bytea NOT NULL,
    hour       bigint NOT NULL, -- hours since 1970, UTC
    row_count  bigint NOT NULL,
    byte_count bigint NOT NULL,
    mac        bytea NOT NULL,
    PRIMARY KEY (subject, resource, hour, class)
) WITH (fillfactor = 70);

CREATE TABLE setting (
    key   bytea PRIMARY KEY,
    value bytea NOT NULL
);

-- A process that serves. Its lease holds while beat is recent and it is not ended.
CREATE TABLE node (
    name    text   COLLATE "C" NOT NULL,
    epoch   bigint NOT NULL,
    started timestamptz NOT NULL,
    beat    timestamptz NOT NULL,
    ended   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (name, epoch)
) WITH (fillfactor = 20);

-- How many transactions a process has committed: what tells whether one whose
-- answer was lost is among them.
CREATE TABLE node_mark (
    name  text   COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    n     bigint NOT NULL,
    PRIMARY KEY (name, epoch)
) WITH (fillfactor = 20);

-- +goose Down
DROP TABLE node_mark;
DROP TABLE node;
DROP TABLE setting;
DROP TABLE ledger;
DROP TABLE log_tile;
DROP TABLE log_record;
DROP TABLE log_head;
DROP TABLE sealed;
DROP TABLE token;
DROP TABLE relation;
DROP TABLE review;
DROP TABLE approval;
