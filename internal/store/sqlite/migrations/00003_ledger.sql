-- +goose Up
-- Rows of the ledger are sealed. What was counted before is forgotten once.
DELETE FROM ledger;
ALTER TABLE ledger ADD COLUMN mac BLOB;

-- +goose Down
ALTER TABLE ledger DROP COLUMN mac;
