"""Carrying a rename, and counting what hangs on a lookup row: one helper of each kind for every reference.

Decides which rows of a reference mean a lookup row: those with its key, and those still without a key whose text would
have resolved to it before the change (CORRECTNESS 4). Rows are sought by (scope, text), so that legacy indexes serve;
nothing here rests on an index on the key. Rows that spell the row by an alias or a decision keep their spelling.

How rows without a key are meant (argument ``p_meant``): ``all``, the text stood alone in its scope; ``path``, several
rows had it and the qualifier ``p_old_q`` picked this one; ``none``, nothing told them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.model import Reference
from . import compare
from .plpgsql import Function
from .quote import column, ledger, raw, render, table
from .shapes import decided, reference_values
from .sync_parts import SQL, function_name, qualifier_source, reference_scope, scope_arguments, values


def carry_name(reference: Reference) -> str:
    """Return the name of a reference's carrying function."""
    return function_name("sync_carry", reference.name)


def hangs_name(reference: Reference) -> str:
    """Return the name of a reference's counting function."""
    return function_name("sync_hangs", reference.name)


def unless_standing(references: Sequence[Reference]) -> sql.Composable:
    """Return a plpgsql statement that ends an AFTER trigger of a lookup while any reference has no functions yet.

    Expand makes the lookup's triggers first, since no row may slip by while its scope is filled, and takes them away
    last. Until the references' functions stand, no row has a key and the scopes of other rows may still be missing: a
    rename or a delete then means to the references what it always did, nothing. Asked of the system cache and not of
    the transaction's snapshot, which may be older than the functions; behind the gates, which expand's undo holds when
    it drops them.
    """
    if not references:
        return SQL("")
    gone = [SQL("to_regproc({}) IS NULL").format(sql.Literal(render(ledger(carry_name(r))))) for r in references]
    return SQL("""IF {} THEN
        RETURN NULL;
    END IF;""").format(SQL(" OR ").join(gone))


def has_qualifier(reference: Reference) -> bool:
    """Whether a reference holds a qualifier that a rename of a path can change."""
    return reference.qualifier is not None and qualifier_source(reference.lookup) is not None


def carry_function(reference: Reference) -> Function:
    """Return ``carry(key, scope …, old, new, old_q, new_q, meant, keyed) → rows``.

    Writes the new text, and the new qualifier where the row has exactly the old one; with ``keyed`` false only into
    rows that have no key yet. It runs as one of our batches, so that sync does not take it for a writer.
    """
    q = reference.qualifier if has_qualifier(reference) else None
    sets = [
        SQL("{} = p_new").format(sql.Identifier(reference.text.name)),
        SQL("{} = p_key").format(sql.Identifier(reference.key)),
    ]
    if q is not None:
        sets.append(
            SQL("{} = CASE WHEN {} = p_old_q THEN coalesce(p_new_q, {}) ELSE {} END").format(
                sql.Identifier(q.name), compare.label(q, column("t", q.name)), *[column("t", q.name)] * 2
            )
        )
    body = SQL("""
DECLARE
    v_before text := coalesce(current_setting('normalform.batch', true), '');
    v_rows bigint;
BEGIN
    PERFORM set_config('normalform.batch', 'on', true);
    UPDATE {table} t SET {sets} WHERE {hanging};
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    PERFORM set_config('normalform.batch', v_before, true);
    RETURN v_rows;
END
""").format(table=table(reference.table.name), sets=SQL(", ").join(sets), hanging=hanging(reference))
    return Function(carry_name(reference), body, _arguments(reference), SQL("bigint"), definer=False)


def hangs_function(reference: Reference) -> Function:
    """Return ``hangs(the same, limit) → rows``: how many rows that carry would change, at most ``limit``."""
    body = SQL("""
BEGIN
    RETURN (SELECT count(*) FROM (SELECT FROM {table} t WHERE {hanging} LIMIT p_limit) h);
END
""").format(table=table(reference.table.name), hanging=hanging(reference))
    arguments = _arguments(reference) + SQL(", p_limit bigint")
    return Function(hangs_name(reference), body, arguments, SQL("bigint"), definer=False)


def hanging(reference: Reference) -> sql.Composable:
    """Return the condition, on alias ``t`` and the arguments, of the rows that a rename concerns."""
    return SQL(
        "{scope} AND {means} AND ((p_keyed AND {key} = p_key) OR ({key} IS NULL AND {meant})) AND {changes}"
    ).format(
        scope=reference_scope(reference, values("p_s", len(reference.scope))),
        means=compare.means(reference, column("t", reference.text.name), SQL("p_old")),
        key=column("t", reference.key),
        meant=meant(reference),
        changes=_changes(reference),
    )


def meant(reference: Reference) -> sql.Composable:
    """Return the condition that a row without a key means the lookup row in question.

    A value that an operator decided is not asked of the live lookup, so a rename says nothing about it.
    """
    by_path: sql.Composable = SQL("")
    if has_qualifier(reference):
        assert reference.qualifier is not None
        by_path = SQL(" OR (p_meant = 'path' AND {} = p_old_q)").format(
            compare.label(reference.qualifier, column("t", reference.qualifier.name))
        )
    return SQL(
        "(p_meant = 'all'{by_path}) AND NOT EXISTS (SELECT FROM (SELECT {values}) v JOIN {map} m ON {decided})"
    ).format(
        by_path=by_path, values=reference_values(reference), map=ledger("mapping"), decided=decided(reference, "v")
    )


def _changes(reference: Reference) -> sql.Composable:
    """A change of the qualifier alone concerns the rows that hold it."""
    if not has_qualifier(reference):
        return SQL("p_old <> p_new")
    assert reference.qualifier is not None
    return SQL("(p_old <> p_new OR {} = p_old_q)").format(
        compare.label(reference.qualifier, column("t", reference.qualifier.name))
    )


def _arguments(reference: Reference) -> sql.Composable:
    return SQL("p_key {}, {}p_old text, p_new text, p_old_q text, p_new_q text, p_meant text, p_keyed boolean").format(
        raw(reference.key_type), scope_arguments(reference)
    )
