"""What a text means, one row at a time, with everything that the answer rests on locked (CORRECTNESS 2).

The rules are those of ``sql.resolution``: the operator's decision, then the live lookup, then aliases. Decides as well
what a concurrent change does to the answer: rows are locked first and believed only as locked; when one that was seen
is not there any more under its lock, everything is asked again. It must never write.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, Reference
from . import compare
from .plpgsql import Function
from .quote import column, ledger, raw, table
from .shapes import MAX_DEPTH, aliases_of, decided, key_cast
from .sync_parts import (
    SQL,
    TRIES,
    function_name,
    join_type,
    lookup_lock,
    lookup_scope,
    path_lock,
    path_locked,
    qualifier_source,
    scope_arguments,
    values,
)


def resolve_name(reference: Reference) -> str:
    """Return the name of a reference's resolving function."""
    return function_name("sync_resolve", reference.name)


def resolve_function(reference: Reference) -> Function:
    """Return ``resolve(scope …, text, qualifier) → (nf_how, nf_id)``: what the value means now.

    ``nf_how`` is exact, qualified, alias, ambiguous, orphan, or the operator's decision; ``nf_id`` is NULL unless one
    row is meant. Every row that the answer rests on stays locked until the transaction ends.
    """
    lookup = reference.lookup
    scope = values("p_s", len(reference.scope))
    in_scope = lookup_scope(lookup, scope)
    parts = {
        "key_type": raw(reference.key_type),
        "value": _value(scope),
        "map": ledger("mapping"),
        "decided": decided(reference, "v"),
        "lookup": table(lookup.table.name),
        "id": column("l", lookup.key.name),
        "key": key_cast(reference, sql.Identifier("v_key")),
        "in_scope": in_scope,
        "matches": compare.matches(reference, column("l", lookup.text.name), SQL("p_x")),
        "lock": lookup_lock(lookup),
        "several": _several(reference),
        "aliases": _aliases(reference, in_scope),
        "again": _again(),
        **_source(lookup),
    }
    body = SQL("""
DECLARE
    v_key text;
    v_ids {key_type}[];
    v_starts {start_type}[];
    v_seen bigint;
    v_hits integer := 0;
    v_try integer := 0;
BEGIN
    -- An operator's decision comes first, while the row that it names is there.
    SELECT m.how, m.key INTO nf_how, v_key FROM {value} JOIN {map} m ON {decided};
    IF FOUND THEN
        IF nf_how = 'null' THEN
            RETURN;
        END IF;
        SELECT {id} INTO nf_id FROM {lookup} l WHERE {id} = {key} AND {in_scope} FOR KEY SHARE;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    -- Lock, then believe: under its lock a row is the newest version. A row that this statement saw and could not
    -- lock any more was renamed meanwhile, and its renaming may have brought another row that it did not see.
    LOOP
        SELECT array_agg(f.id), array_agg(f.start), (SELECT count(*) FROM {lookup} l WHERE {in_scope} AND {matches})
        INTO v_ids, v_starts, v_seen
        FROM (
            SELECT {id} AS id, {start} AS start FROM {lookup} l WHERE {in_scope} AND {matches} ORDER BY {id} {lock}
        ) f;
        EXIT WHEN coalesce(cardinality(v_ids), 0) = v_seen;
        {again}
    END LOOP;
    IF v_seen = 1 THEN
        nf_how := 'exact';
        nf_id := v_ids[1];
        RETURN;
    END IF;
    IF v_seen > 1 THEN
        nf_how := 'ambiguous';
        {several}
        RETURN;
    END IF;
    {aliases}
    nf_how := 'orphan';
END
""").format(**parts)
    arguments = SQL("{}p_x text, p_q text, OUT nf_how text, OUT nf_id {}").format(
        scope_arguments(reference), raw(reference.key_type)
    )
    return Function(resolve_name(reference), body, arguments, None, definer=False)


def path_function(lookup: Lookup) -> Function | None:
    """Return ``path(start) → text``: a qualifier's path with every row of it locked; None without a path."""
    path = lookup.path
    if path is None:
        return None
    parent = column("c", path.parent) if path.parent is not None else SQL("NULL")
    body = SQL("""
DECLARE
    v_path text;
    v_name text;
    v_parent {type};
    v_next {type} := p_start;
BEGIN
    FOR i IN 1..{depth} LOOP
        SELECT {name}, {parent} INTO v_name, v_parent FROM {table} c WHERE {key} = v_next {lock};
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        v_path := v_name || coalesce({separator} || v_path, '');
        IF v_parent IS NULL THEN
            RETURN v_path;
        END IF;
        v_next := v_parent;
    END LOOP;
    RETURN NULL;  -- a circle of parents has no path
END
""").format(
        type=join_type(lookup),
        depth=sql.Literal(MAX_DEPTH),
        name=compare.label(path.name_column, column("c", path.name)),
        parent=parent,
        table=table(path.table.name),
        key=column("c", path.key),
        lock=path_lock(lookup),
        separator=sql.Literal(path.separator),
    )
    arguments = SQL("p_start {}").format(join_type(lookup))
    return Function(function_name("lookup_path", lookup.name), body, arguments, SQL("text"), definer=False)


def _value(scope: list[sql.Composable]) -> sql.Composable:
    """The arguments as the relation ``v`` that ``sql.shapes`` speaks of."""
    named = [SQL("{} AS {}").format(v, sql.Identifier(f"s{i + 1}")) for i, v in enumerate(scope)]
    return SQL("(SELECT {}) v").format(SQL(", ").join([*named, SQL("p_x AS x"), SQL("p_q AS q")]))


def _source(lookup: Lookup) -> dict[str, sql.Composable]:
    """What a candidate's qualifier starts from, and its type."""
    if lookup.path is not None:
        return {"start": column("l", lookup.path.join), "start_type": join_type(lookup)}
    if lookup.qualifier_column is not None:
        return {
            "start": compare.label(lookup.qualifier_text, column("l", lookup.qualifier_column)),
            "start_type": SQL("text"),
        }
    return {"start": SQL("NULL::text"), "start_type": SQL("text")}


def _several(reference: Reference) -> sql.Composable:
    """Among several rows of this text, the one that the qualifier picks."""
    if reference.qualifier is None or qualifier_source(reference.lookup) is None:
        return SQL("-- Without a qualifier nothing tells them apart.")
    return SQL("""IF p_q IS NOT NULL THEN
            FOR i IN 1..v_seen LOOP
                IF {path} = p_q THEN
                    v_hits := v_hits + 1;
                    nf_id := v_ids[i];
                END IF;
            END LOOP;
            IF v_hits = 1 THEN
                nf_how := 'qualified';
            ELSE
                nf_id := NULL;
            END IF;
        END IF;""").format(path=path_locked(reference.lookup, SQL("v_starts[i]")))


def _aliases(reference: Reference, in_scope: sql.Composable) -> sql.Composable:
    """The row that lists the text as an alias: as the mapping has stored it, else by asking every row in scope."""
    lookup = reference.lookup
    if lookup.aliases is None:
        return SQL("")
    spelled = compare.is_alias(reference, SQL("al.a"), SQL("p_x"))
    listed = SQL("EXISTS (SELECT FROM ({}) al WHERE {})").format(aliases_of(lookup), spelled)
    scope = values("p_s", len(reference.scope))
    return SQL("""SELECT {id} INTO nf_id FROM {value} JOIN {map} m ON {decided} JOIN {lookup} l ON {id} = {key}
    WHERE {in_scope} AND {listed} FOR KEY SHARE OF l;
    IF FOUND THEN
        nf_how := 'alias';
        RETURN;
    END IF;
    LOOP
        SELECT array_agg(f.id), (SELECT count(*) FROM {lookup} l WHERE {in_scope} AND {listed}) INTO v_ids, v_seen
        FROM (SELECT {id} AS id FROM {lookup} l WHERE {in_scope} AND {listed} ORDER BY {id} FOR KEY SHARE) f;
        EXIT WHEN coalesce(cardinality(v_ids), 0) = v_seen;
        {again}
    END LOOP;
    IF v_seen > 0 THEN
        nf_how := CASE WHEN v_seen = 1 THEN 'alias' ELSE 'ambiguous' END;
        nf_id := CASE WHEN v_seen = 1 THEN v_ids[1] END;
        RETURN;
    END IF;""").format(
        id=column("l", lookup.key.name),
        value=_value(scope),
        map=ledger("mapping"),
        decided=decided(reference, "v", how=("alias",)),
        lookup=table(lookup.table.name),
        key=key_cast(reference, SQL("m.key")),
        in_scope=in_scope,
        listed=listed,
        again=_again(),
    )


def _again() -> sql.Composable:
    return SQL("""v_try := v_try + 1;
        IF v_try >= {tries} THEN
            RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'could not see the lookup stand still',
                HINT = 'Run the transaction again.';
        END IF;""").format(tries=sql.Literal(TRIES))
