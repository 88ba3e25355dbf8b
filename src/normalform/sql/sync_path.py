"""The triggers of the tables that a lookup reads beside itself: where its path comes from, and where its scope does.

Renaming or moving a row of the path table changes the qualifier of every lookup row below it (CORRECTNESS 5); what its
references hold is carried like a rename. A change of the copied scope is written into the lookup, whose own triggers
then judge it. Both lock their own row FOR UPDATE first, so that whoever has read it has committed.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, Model
from ..core.names import QName
from . import compare, gates
from .plpgsql import Function
from .quote import column, conjunction, table
from .shapes import MAX_DEPTH
from .sync_carry import unless_standing
from .sync_lookup import settle
from .sync_parts import SQL, function_name, new, old, path_now


def hold_function(lookup: Lookup, part: str) -> Function:
    """Return the BEFORE UPDATE row trigger's function of the path table (``path``) or the scope's (``copy``)."""
    target, key, columns = _watched(lookup, part)
    body = SQL("""
BEGIN
    IF {changed} THEN
        PERFORM FROM {table} k WHERE {key} = {old_key} FOR UPDATE;
    END IF;
    RETURN NEW;
END
""").format(
        changed=SQL(" OR ").join([SQL("{} IS DISTINCT FROM {}").format(new(c), old(c)) for c in columns]),
        table=table(target),
        key=column("k", key),
        old_key=old(key),
    )
    return Function(function_name(f"lookup_{part}_hold", lookup.name), body)


def path_update_function(model: Model, lookup: Lookup) -> Function:
    """Return the AFTER UPDATE statement trigger's function of the path table."""
    _, _, columns = _watched(lookup, "path")
    path = lookup.path
    assert path is not None
    key = path.key
    differ = SQL(" OR ").join([SQL("{} IS DISTINCT FROM {}").format(column("n", c), column("o", c)) for c in columns])
    changed = SQL("SELECT {} AS cid FROM nf_old o JOIN nf_new n ON {} = {} WHERE {}").format(
        column("n", key), column("n", key), column("o", key), differ
    )
    body = SQL("""
DECLARE
    v_row record;
    v_text text;
    v_rows bigint := 0;
    v_queue boolean := {queue};
BEGIN
    IF NOT EXISTS ({changed}) THEN
        RETURN NULL;
    END IF;
    {gates}
    {unless_standing}
    {settle}
    RETURN NULL;
END
""").format(
        queue=SQL("true") if lookup.spec.rename == "queue" else SQL("false"),
        changed=changed,
        gates=gates.shared(lookup.name),
        unless_standing=unless_standing(model.references_of(lookup)),
        settle=settle(model, lookup, _changes(lookup, changed)),
    )
    return Function(function_name("lookup_path_update", lookup.name), body)


def copy_update_function(lookup: Lookup) -> Function:
    """Return the AFTER UPDATE statement trigger's function of the table that the scope is copied from."""
    copy = lookup.scope_copy
    assert copy is not None
    body = SQL("""
BEGIN
    UPDATE {lookup} l SET {scope} = {value} FROM nf_old o JOIN nf_new n ON {new_key} = {old_key}
    WHERE {value} IS DISTINCT FROM {was} AND {join} = {new_key} AND {own} IS DISTINCT FROM {value};
    RETURN NULL;
END
""").format(
        lookup=table(lookup.table.name),
        scope=sql.Identifier(lookup.scope[0]),
        value=column("n", copy.column.name),
        was=column("o", copy.column.name),
        new_key=column("n", copy.key),
        old_key=column("o", copy.key),
        join=column("l", copy.join),
        own=column("l", lookup.scope[0]),
    )
    return Function(function_name("lookup_copy_update", lookup.name), body)


def _watched(lookup: Lookup, part: str) -> tuple[QName, str, list[str]]:
    """The table, its key, and the columns whose change matters."""
    if part == "path":
        path = lookup.path
        assert path is not None
        return path.table.name, path.key, [path.name] if path.parent is None else [path.name, path.parent]
    copy = lookup.scope_copy
    assert copy is not None
    return copy.table.name, copy.key, [copy.column.name]


def _changes(lookup: Lookup, changed: sql.Composable) -> sql.Composable:
    """The lookup rows whose path is another one now; ``kb`` is the path table as it was before the statement."""
    path = lookup.path
    assert path is not None
    key, name, join = path.key, path.name, path.join
    below: sql.Composable = SQL("")
    climb: sql.Composable = SQL("")
    parent: sql.Composable = SQL("NULL::text")
    if path.parent is not None:
        below = SQL(" UNION SELECT {} FROM {} k JOIN sub ON {} = sub.cid").format(
            column("k", key), table(path.table.name), column("k", path.parent)
        )
        climb = SQL(
            " UNION ALL SELECT u.cid, b.parent, b.name || {} || u.path, u.depth + 1 "
            "FROM up u JOIN kb b ON b.id = u.parent WHERE u.depth < {}"
        ).format(sql.Literal(path.separator), sql.Literal(MAX_DEPTH))
        parent = column("k", path.parent)
    was_parent = column("o", path.parent) if path.parent is not None else SQL("NULL::text")
    scope = [SQL("{} AS {}, ").format(column("l", c), sql.Identifier(f"s{i + 1}")) for i, c in enumerate(lookup.scope)]
    same = conjunction(
        [
            *[SQL("{} = {}").format(column("a", c), column("l", c)) for c in lookup.scope],
            compare.same(lookup, column("a", lookup.text.name), column("l", lookup.text.name)),
        ]
    )
    others = SQL("FROM {} a WHERE {}").format(table(lookup.table.name), same)
    was = SQL(
        "CASE WHEN {0} IN (SELECT s.cid FROM sub s) "
        "THEN (SELECT u.path FROM up u WHERE u.cid = {0} AND u.parent IS NULL) ELSE {1} END"
    ).format(column("a", join), path_now(lookup, "a"))
    return SQL(
        "WITH RECURSIVE sub(cid) AS ({changed}{below}), "
        "kb AS (SELECT {okey} AS id, {oname} AS name, {oparent} AS parent FROM nf_old o UNION ALL "
        "SELECT {kkey}, {kname}, {kparent} FROM {paths} k "
        "WHERE NOT EXISTS (SELECT FROM nf_old o WHERE {okey} = {kkey})), "
        "up(cid, parent, path, depth) AS (SELECT b.id, b.parent, b.name, 1 FROM kb b "
        "WHERE b.id IN (SELECT s.cid FROM sub s){climb}) "
        "SELECT {id} AS id, {scope}{text}::text AS old_x, {text}::text AS new_x, r.path AS old_q, {now} AS new_q, "
        "CASE WHEN (SELECT count(*) {others}) = 1 THEN 'all' "
        "WHEN (SELECT count(*) {others} AND {was} = r.path) = 1 THEN 'path' ELSE 'none' END AS meant "
        "FROM up r JOIN {lookup} l ON {ljoin} = r.cid WHERE r.parent IS NULL AND r.path IS DISTINCT FROM {now} "
        "ORDER BY {id}"
    ).format(
        changed=changed,
        below=below,
        okey=column("o", key),
        oname=compare.label(path.name_column, column("o", name)),
        oparent=was_parent,
        kkey=column("k", key),
        kname=compare.label(path.name_column, column("k", name)),
        kparent=parent,
        paths=table(path.table.name),
        climb=climb,
        id=column("l", lookup.key.name),
        scope=SQL("").join(scope),
        text=column("l", lookup.text.name),
        now=path_now(lookup, "l"),
        others=others,
        was=was,
        lookup=table(lookup.table.name),
        ljoin=column("l", join),
    )
