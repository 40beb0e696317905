-- Finds what the log says of a credential.

-- +goose Up
CREATE INDEX log_record_token ON log_record (json_extract(CAST(leaf AS TEXT), '$.detail.token')) WHERE type = 'token.changed';

-- +goose Down
DROP INDEX log_record_token;
