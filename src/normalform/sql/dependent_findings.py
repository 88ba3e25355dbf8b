"""The SQL of what hangs on a table's columns by the catalog's own account: views, rules, policies, triggers and more.

Each statement takes one table and some of its columns, returns one row for each dependent, and runs by hand. What the
catalog does not know (the bodies of functions) is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.names import QName
from .quote import LEDGER, render, table

SQL = sql.SQL

_HUNG = SQL(
    "SELECT d.classid, d.objid, d.objsubid, pg_catalog.array_agg(DISTINCT a.attname::text) AS columns "
    "FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid "
    "AND a.attnum = d.refobjsubid WHERE d.refclassid = 'pg_catalog.pg_class'::regclass "
    "AND d.refobjid = {table}::regclass AND a.attname = ANY ({columns}::text[]) GROUP BY 1, 2, 3"
)


def _on(name: QName, columns: Sequence[str], query: str) -> sql.Composable:
    """Put what hangs on the columns, as ``hung``, before a query."""
    hung = _HUNG.format(table=sql.Literal(render(table(name))), columns=sql.Literal(list(columns)))
    return SQL("WITH hung AS ({}) {}").format(hung, SQL(_TEXTS[query]).format(ours=_not_ours()))


def _not_ours() -> sql.Composable:
    """Return the condition that a trigger ``t`` calls no function of the ledger's schema."""
    return SQL(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace "
        "WHERE f.oid = t.tgfoid AND n.nspname = {})"
    ).format(sql.Literal(LEDGER))


_VIEW = (
    "SELECT c.oid::regclass::text AS view, h.columns, (SELECT count(DISTINCT w.ev_class) FROM pg_catalog.pg_depend o "
    "JOIN pg_catalog.pg_rewrite w ON o.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = o.objid "
    "AND w.ev_class <> c.oid WHERE o.refclassid = 'pg_catalog.pg_class'::regclass AND o.refobjid = c.oid) "
    "AS views_on_it FROM hung h JOIN pg_catalog.pg_rewrite r ON h.classid = 'pg_catalog.pg_rewrite'::regclass "
    "AND r.oid = h.objid JOIN pg_catalog.pg_class c ON c.oid = r.ev_class WHERE r.rulename = '_RETURN' AND c.relkind "
)
_TEXTS = {
    "views": _VIEW + "= 'v' ORDER BY 1",
    "materialized": _VIEW + "= 'm' ORDER BY 1",
    "rules": (
        'SELECT r.rulename::text AS rule, r.ev_class::regclass::text AS "table", h.columns FROM hung h '
        "JOIN pg_catalog.pg_rewrite r ON h.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = h.objid "
        "WHERE r.rulename <> '_RETURN' ORDER BY 2, 1"
    ),
    "policies": (
        'SELECT p.polname::text AS policy, p.polrelid::regclass::text AS "table", h.columns FROM hung h '
        "JOIN pg_catalog.pg_policy p ON h.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = h.objid ORDER BY 2, 1"
    ),
    "triggers": (
        'SELECT t.tgname::text AS trigger, t.tgrelid::regclass::text AS "table", h.columns, '
        "pg_catalog.pg_get_triggerdef(t.oid) AS definition FROM hung h JOIN pg_catalog.pg_trigger t "
        "ON h.classid = 'pg_catalog.pg_trigger'::regclass AND t.oid = h.objid "
        "WHERE NOT t.tgisinternal AND {ours} ORDER BY 2, 1"
    ),
    # Versions differ in whether the column or its expression depends.
    "generated": (
        'SELECT DISTINCT a.attname::text AS "column", a.attrelid::regclass::text AS "table", h.columns FROM hung h '
        "LEFT JOIN pg_catalog.pg_attrdef x ON h.classid = 'pg_catalog.pg_attrdef'::regclass AND x.oid = h.objid "
        "JOIN pg_catalog.pg_attribute a ON (a.attrelid, a.attnum) = (x.adrelid, x.adnum) "
        "OR h.classid = 'pg_catalog.pg_class'::regclass AND (a.attrelid, a.attnum) = (h.objid, h.objsubid) "
        "WHERE a.attgenerated <> '' ORDER BY 2, 1"
    ),
    "publications": (
        'SELECT p.pubname::text AS publication, r.prrelid::regclass::text AS "table", h.columns FROM hung h '
        "JOIN pg_catalog.pg_publication_rel r ON h.classid = 'pg_catalog.pg_publication_rel'::regclass "
        "AND r.oid = h.objid JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid ORDER BY 2, 1"
    ),
    "statistics": (
        "SELECT s.stxnamespace::regnamespace::text || '.' || s.stxname AS statistics, h.columns FROM hung h "
        "JOIN pg_catalog.pg_statistic_ext s ON h.classid = 'pg_catalog.pg_statistic_ext'::regclass "
        "AND s.oid = h.objid ORDER BY 1"
    ),
    "functions": (
        "SELECT p.oid::regprocedure::text AS function, h.columns FROM hung h JOIN pg_catalog.pg_proc p "
        "ON h.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = h.objid ORDER BY 1"
    ),
}
#: Of what keeps ALTER COLUMN … TYPE from being done: kinds of dependents of a column.
BLOCKERS = ("pg_rewrite", "pg_policy", "pg_trigger", "pg_attrdef", "pg_publication_rel", "pg_proc")


def views(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Views that read the columns, and how many views there are on each."""
    return _on(name, columns, "views")


def materialized_views(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Materialized views that read the columns."""
    return _on(name, columns, "materialized")


def rules(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Rules, on any table, that read the columns."""
    return _on(name, columns, "rules")


def policies(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Row-level security policies, on any table, that read the columns."""
    return _on(name, columns, "policies")


def triggers(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Triggers that name the columns in UPDATE OF or WHEN, ours apart."""
    return _on(name, columns, "triggers")


def generated(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Generated columns that are computed from the columns."""
    return _on(name, columns, "generated")


def publications(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Publications whose column list or row filter names the columns."""
    return _on(name, columns, "publications")


def statistics(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Extended statistics on the columns."""
    return _on(name, columns, "statistics")


def functions(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Functions with SQL-standard bodies that read or write the columns."""
    return _on(name, columns, "functions")


def defaults(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Columns, of the given ones, that have a default."""
    return SQL(
        'SELECT a.attrelid::regclass::text AS "table", a.attname::text AS "column", '
        'pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "default" FROM pg_catalog.pg_attribute a '
        "JOIN pg_catalog.pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) WHERE a.attrelid = "
        "{table}::regclass AND a.attname = ANY ({columns}::text[]) AND a.attgenerated = '' ORDER BY a.attnum"
    ).format(table=sql.Literal(render(table(name))), columns=sql.Literal(list(columns)))


def blockers(name: QName, columns: Sequence[str]) -> sql.Composable:
    """Everything that keeps the columns' type from being changed, ours apart."""
    hung = _HUNG.format(table=sql.Literal(render(table(name))), columns=sql.Literal(list(columns)))
    # A column's own default depends on the column, and does no harm.
    return SQL(
        "WITH hung AS ({hung}) SELECT pg_catalog.pg_describe_object(h.classid, h.objid, h.objsubid) AS object, "
        "h.columns FROM hung h WHERE h.classid = ANY (ARRAY[{classes}]::regclass[]::oid[]) "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef x JOIN pg_catalog.pg_attribute a "
        "ON (a.attrelid, a.attnum) = (x.adrelid, x.adnum) WHERE h.classid = 'pg_catalog.pg_attrdef'::regclass "
        "AND x.oid = h.objid AND a.attgenerated = '') AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t "
        "WHERE h.classid = 'pg_catalog.pg_trigger'::regclass AND t.oid = h.objid AND (t.tgisinternal OR NOT {ours})) "
        "ORDER BY 1"
    ).format(
        hung=hung,
        classes=SQL(", ").join([sql.Literal(f"pg_catalog.{c}") for c in BLOCKERS]),
        ours=_not_ours(),
    )


def listed(
    heads: Sequence[str], rows: Sequence[Sequence[object]], query: str, **parts: sql.Composable
) -> sql.Composable:
    """Put rows that were found by reading, as ``v``, before a query that shows those of them that still stand.

    Args:
        heads: names of their columns.
        rows: the rows, all of one type by column.
        query: selects from ``v``; it is the caller's own text.
        parts: what stands in its places.
    """
    values = SQL(", ").join([SQL("({})").format(SQL(", ").join([sql.Literal(v) for v in row])) for row in rows])
    return SQL("WITH v({}) AS (VALUES {}) {}").format(
        SQL(", ").join([sql.Identifier(h) for h in heads]), values, SQL(query).format(**parts)
    )
