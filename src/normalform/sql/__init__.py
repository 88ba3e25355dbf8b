"""SQL: shapes, triggers, DDL and the ledger's tables, as functions of the model that return SQL."""
