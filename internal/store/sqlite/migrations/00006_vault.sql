-- Values behind tokens, sealed, where a policy keeps a vault.

-- +goose Up
CREATE TABLE vault (
    token TEXT PRIMARY KEY,
    class TEXT NOT NULL,
    actor TEXT NOT NULL, -- '' where every actor has the same token
    kept  INTEGER NOT NULL, -- seconds since 1970, UTC
    body  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX vault_kept ON vault (kept);

-- +goose Down
DROP TABLE vault;
