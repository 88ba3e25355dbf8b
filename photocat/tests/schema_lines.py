"""A database's schema as lines that can be compared: columns, indexes, constraints, by name and definition."""

from __future__ import annotations

from fix_servers import Database

QUERIES = (
    # Columns by name, for the order in a table is no promise.
    """SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, ' ' || pg_get_expr(d.adbin, d.adrelid))
       FROM pg_attribute a
       JOIN pg_class c ON c.oid = a.attrelid
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped""",
    """SELECT pg_get_indexdef(i.indexrelid)
       FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
       WHERE c.relnamespace = 'public'::regnamespace""",
    """SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'""",
)

#: Of Alembic, of the service alone, and of the engine while it may still go back.
OTHERS = ("alembic_version", "api_tokens", "normalform_keywords_keyword")


def schema_lines(db: Database) -> set[str]:
    """Every column, index and constraint in schema `public`, one line each, without what belongs to others."""
    lines = {str(line) for query in QUERIES for (line,) in db.rows(query)}
    return {line for line in lines if not any(other in line for other in OTHERS)}
