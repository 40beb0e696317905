-- Records whose bytes were erased: what an erasure left of each.

-- +goose Up
CREATE TABLE log_erased (
    idx     bigint NOT NULL,
    erasure bigint NOT NULL, -- index of its record
    copy    bytea  NOT NULL, -- RFC 6962 leaf hash of what it left
    PRIMARY KEY (idx, erasure)
);

-- +goose Down
DROP TABLE log_erased;
