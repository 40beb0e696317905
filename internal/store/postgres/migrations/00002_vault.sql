-- Values behind tokens, sealed, where a policy keeps a vault.

-- +goose Up
CREATE TABLE vault (
    token bytea PRIMARY KEY,
    class bytea NOT NULL,
    actor bytea NOT NULL, -- '' where every actor has the same token
    kept  bigint NOT NULL, -- seconds since 1970, UTC
    body  bytea NOT NULL
);
CREATE INDEX vault_kept ON vault (kept);

-- +goose Down
DROP TABLE vault;
