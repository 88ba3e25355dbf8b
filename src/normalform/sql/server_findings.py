"""The SQL of what an audit finds in the catalogs: privileges, triggers, publications, cascades, names that are taken.

Each statement returns one row for each offender, names nothing that a plain role may not read, and runs by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from ..core.model import Lookup, Model, Reference
from ..core.names import QName
from ..core.spec import ReferenceSpec
from .quote import LEDGER, render, table

SQL = sql.SQL
#: Our triggers' names begin with these; between them every name of an application must sort.
FIRST, LAST = "!normalform_", "~normalform_"


def _regclass(name: QName) -> sql.Composable:
    return SQL("{}::regclass").format(sql.Literal(render(table(name))))


def _oids(names: Iterable[QName]) -> sql.Composable:
    return SQL("ARRAY[{}]::oid[]").format(SQL(", ").join([_regclass(n) for n in dict.fromkeys(names)]))


def tables_of(model: Model) -> list[QName]:
    """Return the tables that the engine changes: lookups and references, each once."""
    lookups = [x for x in model.lookups if not x.planned]
    return list(dict.fromkeys([*(x.table.name for x in lookups), *(r.table.name for r in model.references)]))


def read_tables(model: Model) -> list[QName]:
    """Return these, and the tables that sync's functions read beside them: categories, and where a scope comes from."""
    paths = [x.path.table.name for x in model.lookups if x.path is not None]
    copies = [x.scope_copy.table.name for x in model.lookups if x.scope_copy is not None]
    return list(dict.fromkeys([*tables_of(model), *paths, *copies]))


def row_security(names: Sequence[QName], *, forced: bool) -> sql.Composable:
    """Tables with row-level security, forced or only enabled."""
    return SQL(
        'SELECT c.oid::regclass::text AS "table", c.relforcerowsecurity AS forced FROM pg_catalog.pg_class c '
        "WHERE c.oid = ANY ({}) AND c.relrowsecurity AND c.relforcerowsecurity = {}"
    ).format(_oids(names), sql.Literal(forced))


def hidden_from_us(name: QName) -> sql.Composable:
    """One boolean: whether row-level security hides rows of the table from this role."""
    return SQL("SELECT pg_catalog.row_security_active({}::oid)").format(_regclass(name))


def widths(reference: Reference) -> sql.Composable:
    """Pairs of columns that are compared or copied and differ in their declared type."""
    lookup = reference.lookup
    pairs = [("text", reference.table.name, reference.text.name, lookup.table.name, lookup.text.name)]
    for own, theirs in zip(reference.scope, lookup.scope, strict=True):
        if lookup.scope_copy is not None and not lookup.scope_ready:
            copy = lookup.scope_copy
            pairs.append(("scope", reference.table.name, own.name, copy.table.name, copy.column.name))
        else:
            pairs.append(("scope", reference.table.name, own.name, lookup.table.name, theirs))
    values = [
        SQL("({}, {}, {}, {}, {})").format(
            sql.Literal(what), _regclass(t), sql.Literal(c), _regclass(t2), sql.Literal(c2)
        )
        for what, t, c, t2, c2 in pairs
    ]
    return SQL(
        "SELECT p.what, p.t::text || '.' || r.attname AS \"column\", pg_catalog.format_type(r.atttypid, r.atttypmod) "
        "AS type, p.lt::text || '.' || l.attname AS lookup_column, pg_catalog.format_type(l.atttypid, l.atttypmod) AS "
        "lookup_type FROM (VALUES {values}) p(what, t, c, lt, lc) JOIN pg_catalog.pg_attribute r ON r.attrelid = p.t "
        "AND r.attname = p.c JOIN pg_catalog.pg_attribute l ON l.attrelid = p.lt AND l.attname = p.lc "
        "WHERE (r.atttypid, r.atttypmod) IS DISTINCT FROM (l.atttypid, l.atttypmod)"
    ).format(values=SQL(", ").join(values))


def absent(spec: ReferenceSpec) -> sql.Composable:
    """The optional reference's table, while it does not exist on the search path."""
    name = render(table(spec.table))
    return SQL('SELECT {} AS "table" WHERE to_regclass({}) IS NULL').format(
        sql.Literal(str(spec.table)), sql.Literal(name)
    )


def no_primary_key(reference: Reference) -> sql.Composable:
    """The reference's table, if it has no primary key."""
    return SQL(
        'SELECT c.oid::regclass::text AS "table" FROM pg_catalog.pg_class c WHERE c.oid = {} AND NOT EXISTS '
        "(SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')"
    ).format(_regclass(reference.table.name))


def app_triggers(reference: Reference) -> sql.Composable:
    """Triggers that an UPDATE of the key column would fire, ours apart."""
    return SQL(
        "SELECT t.tgname AS trigger, t.tgfoid::regproc::text AS function, "
        "pg_catalog.pg_get_triggerdef(t.oid) AS definition FROM pg_catalog.pg_trigger t "
        "WHERE t.tgrelid = {table} AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') "
        # 16 is UPDATE; a trigger that lists columns fires only for those.
        "AND t.tgtype & 16 <> 0 AND cardinality(t.tgattr::int2[]) = 0 AND {foreign}"
    ).format(table=_regclass(reference.table.name), foreign=_not_ours())


def trigger_order(names: Sequence[QName]) -> sql.Composable:
    """Row triggers before the write whose names sort before our first or behind our last one."""
    return SQL(
        'SELECT t.tgrelid::regclass::text AS "table", t.tgname AS trigger FROM pg_catalog.pg_trigger t '
        "WHERE t.tgrelid = ANY ({oids}) AND NOT t.tgisinternal AND t.tgenabled <> 'D' "
        # 1 is FOR EACH ROW, 2 is BEFORE, 4 and 16 are INSERT and UPDATE.
        "AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0 AND {foreign} "
        'AND (t.tgname::text COLLATE "C" < {first} OR t.tgname::text COLLATE "C" > {last})'
    ).format(oids=_oids(names), foreign=_not_ours(), first=sql.Literal(FIRST), last=sql.Literal(LAST))


def _not_ours() -> sql.Composable:
    """Return the condition that a trigger ``t`` calls no function of the ledger's schema."""
    return SQL(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace "
        "WHERE f.oid = t.tgfoid AND n.nspname = {})"
    ).format(sql.Literal(LEDGER))


def cascades(lookup: Lookup) -> sql.Composable:
    """Foreign keys over which a delete comes to the lookup's rows, directly or through other tables."""
    return SQL(
        "WITH RECURSIVE up(con, child, parent, depth) AS ("
        "SELECT k.oid, k.conrelid, k.confrelid, 1 FROM pg_catalog.pg_constraint k WHERE k.conrelid = {lookup} "
        "AND k.contype = 'f' AND k.confdeltype = 'c' "
        "UNION SELECT k.oid, k.conrelid, k.confrelid, u.depth + 1 FROM pg_catalog.pg_constraint k JOIN up u "
        "ON k.conrelid = u.parent WHERE k.contype = 'f' AND k.confdeltype = 'c' AND u.depth < 16) "
        'SELECT DISTINCT k.conname AS foreign_key, k.conrelid::regclass::text AS "table", '
        "k.confrelid::regclass::text AS deleted_from FROM up u JOIN pg_catalog.pg_constraint k ON k.oid = u.con"
    ).format(lookup=_regclass(lookup.table.name))


def published(names: Sequence[QName]) -> sql.Composable:
    """Our tables in publications."""
    return SQL(
        'SELECT p.pubname AS publication, c.oid::regclass::text AS "table" FROM pg_catalog.pg_publication_tables p '
        "JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname JOIN pg_catalog.pg_class c "
        "ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE c.oid = ANY ({})"
    ).format(_oids(names))


def published_without_identity(names: Sequence[QName]) -> sql.Composable:
    """Our tables that are published for UPDATE and have nothing to tell a subscriber which row it was."""
    return SQL(
        'SELECT DISTINCT c.oid::regclass::text AS "table" FROM pg_catalog.pg_publication_tables p '
        "JOIN pg_catalog.pg_publication b ON b.pubname = p.pubname AND b.pubupdate "
        "JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname JOIN pg_catalog.pg_class c "
        "ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE c.oid = ANY ({}) AND (c.relreplident = 'n' "
        "OR (c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid "
        "AND i.indisprimary)) OR (c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i "
        "WHERE i.indrelid = c.oid AND i.indisreplident)))"
    ).format(_oids(names))


def catches_ledger() -> sql.Composable:
    """Publications of all tables, or of the ledger's schema."""
    return SQL(
        "SELECT b.pubname AS publication FROM pg_catalog.pg_publication b WHERE b.puballtables OR EXISTS "
        "(SELECT FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid "
        "WHERE s.pnpubid = b.oid AND n.nspname = {})"
    ).format(sql.Literal(LEDGER))


def subscribed(names: Sequence[QName]) -> sql.Composable:
    """Our tables that a subscription writes to."""
    return SQL(
        'SELECT s.srrelid::regclass::text AS "table" FROM pg_catalog.pg_subscription_rel s WHERE s.srrelid = ANY ({})'
    ).format(_oids(names))


def invalid_indexes(names: Sequence[QName]) -> sql.Composable:
    """Invalid indexes of our tables."""
    return SQL(
        'SELECT i.indexrelid::regclass::text AS index, i.indrelid::regclass::text AS "table" '
        "FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ({}) AND NOT i.indisvalid"
    ).format(_oids(names))


def taken(names: Sequence[QName]) -> sql.Composable:
    """A schema, or triggers, of our names, while there is no ledger. Never asked once the ledger stands."""
    return SQL(
        "SELECT 'schema' AS kind, n.nspname::text AS name FROM pg_catalog.pg_namespace n WHERE n.nspname = {schema} "
        "UNION ALL SELECT 'trigger on ' || t.tgrelid::regclass::text, t.tgname::text FROM pg_catalog.pg_trigger t "
        "WHERE t.tgrelid = ANY ({oids}) AND (starts_with(t.tgname, {first}) OR starts_with(t.tgname, {last}))"
    ).format(schema=sql.Literal(LEDGER), oids=_oids(names), first=sql.Literal(FIRST), last=sql.Literal(LAST))


def missing_privileges(names: Sequence[QName]) -> sql.Composable:
    """What this role lacks of what changing commands need."""
    return SQL(
        "SELECT 'ownership' AS privilege, 'table ' || c.oid::regclass::text AS object FROM pg_catalog.pg_class c "
        "WHERE c.oid = ANY ({oids}) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') "
        "UNION ALL SELECT 'CREATE', 'database ' || current_database() "
        "WHERE NOT pg_catalog.has_database_privilege(current_database(), 'CREATE') "
        "AND to_regnamespace({ledger}) IS NULL "
        "UNION ALL SELECT DISTINCT 'CREATE', 'schema ' || n.nspname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ({oids}) "
        "AND NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE')"
    ).format(oids=_oids(names), ledger=sql.Literal(LEDGER))


def standby() -> sql.Composable:
    """One row on a standby."""
    return SQL("SELECT current_setting('cluster_name') AS server WHERE pg_catalog.pg_is_in_recovery()")
