-- Who is behind a held action: what waits is counted for each person too.

-- +goose Up
ALTER TABLE approval ADD COLUMN person TEXT NOT NULL DEFAULT '';
UPDATE approval SET person = coalesce(
    nullif(json_extract(CAST(body AS TEXT), '$.Asker.Subject.ID'), ''),
    json_extract(CAST(body AS TEXT), '$.Asker.Chain[0].Owner'), '');
CREATE INDEX approval_person ON approval (person, state);

-- +goose Down
DROP INDEX approval_person;
ALTER TABLE approval DROP COLUMN person;
