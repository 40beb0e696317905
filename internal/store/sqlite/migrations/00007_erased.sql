-- Records whose bytes were erased: what an erasure left of each.

-- +goose Up
CREATE TABLE log_erased (
    idx     INTEGER NOT NULL,
    erasure INTEGER NOT NULL, -- index of its record
    copy    BLOB    NOT NULL, -- RFC 6962 leaf hash of what it left
    PRIMARY KEY (idx, erasure)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE log_erased;
