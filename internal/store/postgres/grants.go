package postgres

// Grants is what the role that serves needs beside a role that owns the tables:
// SCHEMA_NAME and ROLE_NAME stand for their names. It can add to the log, and
// neither change nor delete what is in it.
const Grants = `GRANT USAGE ON SCHEMA SCHEMA_NAME TO ROLE_NAME;
GRANT SELECT ON ALL TABLES IN SCHEMA SCHEMA_NAME TO ROLE_NAME;
GRANT INSERT ON SCHEMA_NAME.approval, SCHEMA_NAME.review, SCHEMA_NAME.relation, SCHEMA_NAME.token, SCHEMA_NAME.sealed,
  SCHEMA_NAME.log_record, SCHEMA_NAME.log_tile, SCHEMA_NAME.ledger, SCHEMA_NAME.setting, SCHEMA_NAME.node, SCHEMA_NAME.node_mark TO ROLE_NAME;
GRANT UPDATE ON SCHEMA_NAME.approval, SCHEMA_NAME.relation, SCHEMA_NAME.token, SCHEMA_NAME.sealed,
  SCHEMA_NAME.log_head, SCHEMA_NAME.log_tile, SCHEMA_NAME.ledger, SCHEMA_NAME.setting, SCHEMA_NAME.node, SCHEMA_NAME.node_mark TO ROLE_NAME;
`
