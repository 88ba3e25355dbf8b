"""The BEFORE row trigger of a lookup: what must be settled before a row of it is written.

New rows get their scope at once. A change of text, scope or the qualifier's source locks its own row FOR UPDATE first,
which makes it wait for writers as if the column stood in a unique index (CORRECTNESS 2). A rename onto a row that sync
created takes that row's place before its unique index can refuse (CORRECTNESS 4). It must never touch a text that
contract has dropped.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, Model, Reference
from . import compare, gates
from .plpgsql import Function
from .quote import LEDGER, column, ledger, raw, table
from .sync_carry import carry_name
from .sync_parts import (
    SQL,
    called,
    function_name,
    lookup_scope,
    new,
    old,
    reference_scope,
    relevant_columns,
)


def row_function(model: Model, lookup: Lookup) -> Function:
    """Return the BEFORE row trigger's function: scope, lock, adoption, and rows in the queue."""
    relevant = relevant_columns(lookup)
    changed = [SQL("{} IS DISTINCT FROM {}").format(new(c), old(c)) for c in relevant]
    filled = [SQL("{} IS NOT NULL").format(new(c)) for c in lookup.scope]
    body = SQL("""
DECLARE
    v_scope {scope_type};
    v_created {key_type};
    v_before text;
    v_row record;
BEGIN
    IF TG_OP = 'UPDATE' AND NOT ({changed}) AND {filled} THEN
        RETURN NEW;
    END IF;
    {fill}
    {settle}
    IF TG_OP = 'UPDATE' AND ({changed}) THEN
        -- Whoever resolved to this row holds it FOR KEY SHARE: wait for him, whichever of these columns changes.
        PERFORM FROM {lookup} l WHERE {id} = {old_key} FOR UPDATE;
        {adopt}
    END IF;
    RETURN NEW;
END
""").format(
        scope_type=raw(lookup.scope_types[0]) if lookup.scope_types else SQL("text"),
        key_type=raw(lookup.key.type),
        changed=SQL(" OR ").join(changed),
        filled=SQL(" AND ").join(filled) if filled else SQL("true"),
        fill=_fill_scope(lookup),
        lookup=table(lookup.table.name),
        id=column("l", lookup.key.name),
        old_key=old(lookup.key.name),
        settle=_settle(model, lookup),
        adopt=_adopt(model, lookup),
    )
    return Function(function_name("lookup_row", lookup.name), body)


def _fill_scope(lookup: Lookup) -> sql.Composable:
    """New rows get their scope at once; a scope that is not its copy's is refused."""
    copy = lookup.scope_copy
    if copy is None:
        return SQL("")
    scope = lookup.scope[0]
    return SQL("""SELECT {source} INTO v_scope FROM {copy} sc WHERE {copy_key} = {join} FOR KEY SHARE;
    IF FOUND THEN
        IF {scope} IS NOT NULL AND {scope} IS DISTINCT FROM v_scope
            AND (TG_OP = 'INSERT' OR {scope} IS DISTINCT FROM {old_scope}) THEN
            RAISE EXCEPTION USING ERRCODE = '23514',
                MESSAGE = concat({message}, quote_nullable({scope}::text), {middle}, quote_nullable(v_scope::text)),
                HINT = {hint};
        END IF;
        {scope} := v_scope;
    END IF;""").format(
        source=column("sc", copy.column.name),
        copy=table(copy.table.name),
        copy_key=column("sc", copy.key),
        join=new(copy.join),
        scope=new(scope),
        old_scope=old(scope),
        message=sql.Literal(f"{lookup.table.name}.{scope} "),
        middle=sql.Literal(f" is not that of its {copy.table.name}: "),
        hint=sql.Literal(f"Leave {scope} out; it follows {copy.join}."),
    )


def _adopt(model: Model, lookup: Lookup) -> sql.Composable:
    """A rename onto a row that sync created takes over its references; the created row goes (CORRECTNESS 4)."""
    references = model.references_of(lookup)
    if not any(r.spec.on_unknown == "create" for r in references):
        return SQL("")
    scope: list[sql.Composable] = [new(c) for c in lookup.scope]
    repoint = [
        SQL("UPDATE {} t SET {} = {} WHERE {} AND {} AND {} = v_created;").format(
            table(r.table.name),
            sql.Identifier(r.key),
            new(lookup.key.name),
            reference_scope(r, scope),
            compare.means(r, column("t", r.text.name), new(lookup.text.name)),
            column("t", r.key),
        )
        for r in references
    ]
    return SQL("""IF {text} IS DISTINCT FROM {old_text} AND {stands} THEN
            {gates}
            FOR v_created IN
                SELECT {id} FROM {lookup} l JOIN {created} d ON d.lookup = {name} AND d.key = {id}::text
                WHERE d.made_by = 'sync' AND {in_scope} AND {same_text} AND {id} <> {key}
                ORDER BY {id} FOR UPDATE OF l
            LOOP
                v_before := coalesce(current_setting('normalform.batch', true), '');
                PERFORM set_config('normalform.batch', 'on', true);
                {repoint}
                PERFORM set_config('normalform.batch', v_before, true);
                DELETE FROM {lookup} l WHERE {id} = v_created;
            END LOOP;
        END IF;""").format(
        text=new(lookup.text.name),
        old_text=old(lookup.text.name),
        stands=_stands(references),
        gates=gates.shared(lookup.name),
        id=column("l", lookup.key.name),
        lookup=table(lookup.table.name),
        created=ledger("created"),
        name=sql.Literal(lookup.name),
        in_scope=lookup_scope(lookup, scope),
        same_text=compare.same(lookup, column("l", lookup.text.name), new(lookup.text.name)),
        key=new(lookup.key.name),
        repoint=SQL("\n                ").join(repoint),
    )


def _settle(model: Model, lookup: Lookup) -> sql.Composable:
    """A text that comes back while rows of its former bearer still wait in the queue without a key: they go first.

    Nothing else had that text until now, so they meant the row that was renamed; from now on they would mean this one.
    """
    references = model.references_of(lookup)
    scope: list[sql.Composable] = [new(c) for c in lookup.scope]
    carry = [
        SQL("PERFORM {};").format(
            called(
                carry_name(r),
                [
                    SQL("v_row.id"),
                    *scope,
                    SQL("v_row.old_x"),
                    SQL("v_row.new_x"),
                    *[SQL("NULL")] * 2,
                    SQL("'all'"),
                    SQL("false"),
                ],
            )
        )
        for r in references
    ]
    if not carry:
        return SQL("")
    return SQL("""IF EXISTS (SELECT FROM {pending} p WHERE p.lookup = {name} AND p.kind = 'text'
            AND p.alone AND {former}) AND {stands}
        AND NOT EXISTS (SELECT FROM {lookup} l WHERE {in_scope} AND {same_text}) THEN
        FOR v_row IN
            SELECT {id} AS id, p.old_text AS old_x, {lookup_text}::text AS new_x
            FROM {pending} p JOIN {lookup} l ON {id}::text = p.key
            WHERE p.lookup = {name} AND p.kind = 'text' AND p.alone AND {former} AND {in_scope} AND {id} <> {key}
            -- Of several that have had it, they meant the last one.
            ORDER BY p.id DESC
            -- Its key is about to be written: whoever deletes it waits, and then finds the rows that have it.
            FOR KEY SHARE OF l
        LOOP
            {carry}
        END LOOP;
    END IF;""").format(
        pending=ledger("pending"),
        name=sql.Literal(lookup.name),
        former=compare.same(lookup, SQL("p.old_text"), SQL("{}::text").format(new(lookup.text.name))),
        same_text=compare.same(lookup, column("l", lookup.text.name), new(lookup.text.name)),
        stands=_stands(references),
        lookup=table(lookup.table.name),
        in_scope=lookup_scope(lookup, scope),
        lookup_text=column("l", lookup.text.name),
        id=column("l", lookup.key.name),
        key=new(lookup.key.name),
        carry=SQL("\n            ").join(carry),
    )


def _stands(references: tuple[Reference, ...]) -> sql.Composable:
    """Whether every reference still has its text: contract leaves the lookup's scope in step, and nothing to carry."""
    names = [carry_name(r) for r in references]
    return SQL(
        "(SELECT count(*) = {} FROM pg_proc f WHERE f.pronamespace = to_regnamespace({}) AND f.proname = ANY ({}))"
    ).format(sql.Literal(len(names)), sql.Literal(LEDGER), sql.Literal(names))
