"""What a backup reads of a database: its tables, their checksums, sequences, large objects, roles and extensions.

Decides what counts as the database's own: tables that a backup dumps with their rows, so no temporary ones and none
that belong to an extension. Reads only.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.names import QName
from .quote import columns, table

SQL = sql.SQL

# Whose rows are dumped. Foreign tables and views have none; a materialized view is computed anew by the restore.
_OURS = SQL("""
    n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
    AND c.relpersistence <> 't'
    AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
""")
TABLES = SQL(
    """
    SELECT n.nspname, c.relname,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
           greatest(c.relpages, 0)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND {}
    ORDER BY 1, 2
"""
).format(_OURS)
"""(schema, name, columns, pages) of each table with rows of its own."""
SEQUENCES = SQL(
    """
    SELECT n.nspname, c.relname, s.seqincrement
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {} ORDER BY 1, 2
"""
).format(_OURS)
"""(schema, name, increment) of each sequence."""
UNREADABLE = SQL(
    """
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname, c.relname,
           CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'no USAGE on its schema'
                WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'no SELECT'
                ELSE 'row security hides rows' END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S') AND {}
      AND (NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_table_privilege(c.oid, 'SELECT')
           OR (c.relrowsecurity AND row_security_active(c.oid)))
    ORDER BY 2, 3
"""
).format(_OURS)
"""(kind, schema, name, why) of everything that the role cannot read whole."""
EXTENSIONS = "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1"
ROLES = """
    SELECT r.rolname, bool_or(coalesce(d.deptype = 'r', false))
    FROM pg_roles r LEFT JOIN pg_shdepend d
      ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype IN ('o', 'a', 'r')
     AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    WHERE (d.refobjid IS NOT NULL OR r.oid = 10) AND r.rolname !~ '^pg_'
    GROUP BY r.rolname ORDER BY 1
"""
"""(role, whether a policy names it); the role that initdb made, 10, is in no dependency, being pinned."""
DATABASE = """
    SELECT current_database(), (SELECT system_identifier::text FROM pg_control_system()),
           current_setting('server_version'), current_setting('server_version_num')::int / 10000,
           pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datlocprovider::text,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '')
    FROM pg_database d WHERE d.datname = current_database()
"""
AVAILABLE = """
    SELECT a.name, bool_or(v.trusted OR NOT v.superuser)
    FROM pg_available_extensions a JOIN pg_available_extension_versions v
      ON v.name = a.name AND v.version = a.default_version
    GROUP BY a.name
"""
"""(extension, whether a role that owns the database may install it)."""
HOST_ROLES = "SELECT rolname, pg_has_role(rolname, 'MEMBER') FROM pg_roles"
HOST_SELF = (
    "SELECT current_user, rolsuper, rolcreatedb, current_setting('server_version_num')::int / 10000 "
    "FROM pg_roles WHERE rolname = current_user"
)
LARGE_OBJECT_SUMS = """
    SELECT count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0)::text,
           coalesce(sum(('x' || right(h, 16))::bit(64)::bigint), 0)::text
    FROM (SELECT md5(l.oid::text || ':' || md5(lo_get(l.oid))) AS h FROM pg_largeobject_metadata l OFFSET 0) r
"""


def table_sums(name: QName, names: Sequence[str]) -> sql.Composed:
    """Return a query (rows, sum of high halves, sum of low halves) over all columns of a table's own rows.

    ``ROW(…)::text`` tells NULL from the empty text and quotes what stands between commas, so that different rows never
    print alike. OFFSET 0 keeps the hash from being computed for each half.
    """
    return SQL(
        "SELECT count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0)::text, "
        "coalesce(sum(('x' || right(h, 16))::bit(64)::bigint), 0)::text "
        "FROM (SELECT md5(ROW({})::text) AS h FROM ONLY {} t OFFSET 0) r"
    ).format(columns("t", names), table(name))


def sequence_positions(sequences: Sequence[tuple[QName, int]]) -> sql.Composed:
    """Return a query (schema, name, the last value given out) of sequences, given with their increments.

    One that has given out none stands one increment below its next value.
    """
    one = SQL("SELECT {} AS schema, {} AS name, CASE WHEN is_called THEN last_value ELSE last_value - {} END FROM {}")
    parts = [
        one.format(sql.Literal(n.schema), sql.Literal(n.name), sql.Literal(step), table(n)) for n, step in sequences
    ]
    return SQL(" UNION ALL ").join(parts)


def lock_tables(names: Sequence[QName]) -> sql.Composed:
    """Return the statement that keeps tables from being truncated or rewritten; no reader or writer waits."""
    return SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(SQL(", ONLY ").join([table(n) for n in names]))


def create_database(name: str, encoding: str, locale: Sequence[tuple[str, str]]) -> sql.Composed:
    """Return CREATE DATABASE from template0.

    Args:
        name: the new database's name.
        encoding: its encoding.
        locale: options by name, such as ``("LC_COLLATE", "C")``; none takes the template's.
    """
    words = {"LC_COLLATE", "LC_CTYPE", "LOCALE_PROVIDER", "ICU_LOCALE", "BUILTIN_LOCALE", "LOCALE"}
    assert {o for o, _ in locale} <= words
    options = [SQL("{} {}").format(SQL(o), sql.Literal(v)) for o, v in locale]
    return SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} {}").format(
        sql.Identifier(name), sql.Literal(encoding), SQL(" ").join(options)
    )
