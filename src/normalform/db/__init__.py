"""The only place that speaks psycopg: connections, lock policy, catalog, ledger."""
