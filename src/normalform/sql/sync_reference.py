"""The two row triggers of a reference: DESIGN's sync matrix, row by row (CORRECTNESS 1, 2, 5, 6).

The *first* trigger, before every trigger of the application, fills text and qualifier when the writer gave the key and
not the text. The *last* one, after them all, makes the key say what the text says. Between them a transaction-local
setting remembers that the text came from the key, so that an application trigger that rewrites that text does not make
the two disagree: the key wins. The setting's name holds the trigger depth, so that writes inside the application's own
triggers have their own.

A NULL beside a given counterpart is not a gift: text given with key NULL resolves the text, key given with text NULL
fills it. What nobody touched never raises.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from ..core.model import Reference
from ..core.spec import OnUnknown
from . import compare
from .plpgsql import Function
from .quote import column, ledger, raw, table
from .shapes import key_cast, path_of
from .sync_carry import has_qualifier
from .sync_create import create_name
from .sync_parts import (
    SQL,
    called,
    constant_default,
    function_name,
    lookup_lock,
    lookup_scope,
    new,
    old,
    path_locked,
    qualifier_source,
    state_setting,
)
from .sync_refuse import disagree, no_row, reject
from .sync_resolve import resolve_name


def text_function(reference: Reference) -> Function:
    """Return the first trigger's function."""
    lookup = reference.lookup
    body = SQL("""
DECLARE
    v_key_given boolean;
    v_text_given boolean;
    v_qualifier_given boolean;
    v_setting text := {setting} || pg_trigger_depth();
    v_state text := '';
    v_text text;
    v_path text;
BEGIN
    {given}
    IF v_key_given AND {key} IS NULL AND NOT v_text_given THEN
        v_state := CASE WHEN v_qualifier_given THEN 'q' ELSE 'k' END;
        {clear}
    ELSIF v_key_given AND {key} IS NOT NULL AND (NOT v_text_given OR {text} IS NULL) THEN
        v_state := CASE WHEN v_qualifier_given THEN 'q' ELSE 'k' END;
    ELSIF NOT v_key_given AND NOT v_text_given AND {key} IS NOT NULL AND {text} IS NULL THEN
        v_state := 'p';
    END IF;
    IF v_state <> '' AND {key} IS NOT NULL THEN
        -- Not locked: the last trigger reads it again under its lock. A row that is not there is its business too,
        -- since an application trigger may still set the scope.
        SELECT {lookup_text}, {path} INTO v_text, v_path FROM {lookup} l
        WHERE {id} = {key} AND (v_state = 'p' OR ({in_scope}));
        IF FOUND THEN
            {text} := v_text;
            {fill}
        END IF;
    END IF;
    IF v_state <> '' OR current_setting(v_setting, true) <> '' THEN
        PERFORM set_config(v_setting, v_state, true);
    END IF;
    RETURN NEW;
END
""").format(
        **_common(reference),
        lookup_text=column("l", lookup.text.name),
        path=_path_unlocked(reference),
        fill=_fill_qualifier(reference),
    )
    return Function(function_name("sync_text", reference.name), body)


def key_function(reference: Reference, on_unknown: OnUnknown, *, hard: bool = False) -> Function:
    """Return the last trigger's function.

    Args:
        reference: the reference.
        on_unknown: what happens to a given text that means no row.
        hard: whether a given text may be left without a key at all; constrain says no for a required reference.
    """
    lookup = reference.lookup
    qualified = has_qualifier(reference)
    body = SQL("""
DECLARE
    v_key_given boolean;
    v_text_given boolean;
    v_qualifier_given boolean;
    v_scope_given boolean := false;
    v_setting text := {setting} || pg_trigger_depth();
    v_state text := coalesce(current_setting(v_setting, true), '');
    v_do text;
    v_text text;
    v_start {start_type};
    v_path text;
    v_how text;
    v_id {key_type};
    v_agrees boolean;
BEGIN
    IF v_state <> '' THEN
        PERFORM set_config(v_setting, '', true);
    END IF;
    {given}
    {scope_given}
    IF v_state IN ('k', 'q') OR (v_state = 'p' AND NOT v_scope_given) THEN
        v_do := 'key';
    ELSIF v_key_given AND (NOT v_text_given OR ({key} IS NOT NULL AND {text} IS NULL)) THEN
        -- An application trigger gave the key after our first one had looked.
        v_do := 'key';
        v_state := CASE WHEN v_qualifier_given THEN 'q' ELSE 'k' END;
    ELSIF v_key_given AND {key} IS NOT NULL THEN
        v_do := 'check';
    ELSIF {text} IS NULL THEN
        IF v_text_given OR v_scope_given THEN
            {key} := NULL;
        END IF;
        RETURN NEW;
    ELSIF v_text_given OR (TG_OP = 'UPDATE' AND (v_qualifier_given OR v_scope_given)) THEN
        v_do := 'derive';
    ELSIF {key} IS NULL THEN
        v_do := 'past';
    ELSE
        RETURN NEW;
    END IF;

    IF v_do IN ('key', 'check') THEN
        IF {key} IS NULL THEN
            {clear}
            RETURN NEW;
        END IF;
        SELECT {lookup_text}, {start} INTO v_text, v_start FROM {lookup} l WHERE {id} = {key} AND {in_scope} {lock};
        IF NOT FOUND THEN
            IF v_state = 'p' THEN
                RETURN NEW;
            END IF;
            {no_row}
        END IF;
        {read_path}
        IF v_do = 'key' THEN
            {text} := v_text;
            {fill}
            v_agrees := v_state = 'p' OR {path_agrees};
        ELSE
            v_agrees := {same_text} AND {path_agrees};
            {check_qualifier}
        END IF;
        IF NOT v_agrees THEN
            -- Not the row's own spelling: an alias or a decision may still mean this row.
            SELECT r.nf_how, r.nf_id INTO v_how, v_id FROM {resolve} r;
            IF v_id IS DISTINCT FROM {key} THEN
                {disagree}
            END IF;
        END IF;
        RETURN NEW;
    END IF;

    IF v_do = 'derive' AND TG_OP = 'UPDATE' AND NOT v_text_given AND {old_key} IS NOT NULL THEN
        -- The text is one that a queued rename has yet to carry: carry it now rather than take it for unknown.
        SELECT {lookup_text} INTO v_text FROM {pending} p JOIN {lookup} l ON {id} = {old_key}
        WHERE p.lookup = {lookup_name} AND p.kind = 'text' AND p.key = {old_key}::text AND p.old_text = {stored_text};
        IF FOUND THEN
            {text} := v_text;
        END IF;
    END IF;
    SELECT r.nf_how, r.nf_id INTO v_how, v_id FROM {resolve} r;
    {waits}
    {unknown}
    {key} := v_id;
    RETURN NEW;
END
""").format(
        **_common(reference),
        start_type=_start(reference)[1],
        key_type=raw(reference.key_type),
        scope_given=_scope_given(reference),
        lookup_text=column("l", lookup.text.name),
        start=_start(reference)[0],
        lock=lookup_lock(lookup),
        no_row=no_row(reference),
        read_path=SQL("v_path := {};").format(path_locked(lookup, SQL("v_start"))) if qualified else SQL(""),
        fill=_fill_qualifier(reference),
        path_agrees=_path_agrees(reference),
        check_qualifier=_check_qualifier(reference),
        resolve=_resolve(reference),
        disagree=disagree(reference),
        old_key=old(reference.key),
        pending=ledger("pending"),
        lookup_name=sql.Literal(lookup.name),
        waits=_waits(reference),
        unknown=_unknown(reference, on_unknown, hard),
        same_text=_same_text(reference),
        stored_text=compare.as_default(reference, new(reference.text.name))
        if not compare.plain(reference)
        else new(reference.text.name),
    )
    return Function(function_name("sync_key", reference.name), body)


def _common(reference: Reference) -> dict[str, sql.Composable]:
    lookup = reference.lookup
    clear = SQL("") if reference.spec.keep_text else SQL("{} := NULL;").format(new(reference.text.name))
    if not reference.spec.keep_text:
        clear += _set_qualifier(reference, " IF v_state <> 'q' THEN {q} := NULL; END IF;")
    return {
        "setting": sql.Literal(state_setting(reference)),
        "given": _given(reference),
        "key": new(reference.key),
        "text": new(reference.text.name),
        "clear": clear,
        "lookup": table(lookup.table.name),
        "id": column("l", lookup.key.name),
        "in_scope": lookup_scope(lookup, [new(c.name) for c in reference.scope]),
    }


def _set_qualifier(reference: Reference, statement: LiteralString) -> sql.Composable:
    """A statement about the qualifier ``{q}``; nothing where there is none to keep."""
    if not has_qualifier(reference):
        return SQL("")
    assert reference.qualifier is not None
    return SQL(statement).format(q=new(reference.qualifier.name))


def _fill_qualifier(reference: Reference) -> sql.Composable:
    """The key's own qualifier, unless the writer gave one; on the way past only where there is none."""
    return _set_qualifier(reference, "IF v_state = 'k' OR (v_state = 'p' AND {q} IS NULL) THEN {q} := v_path; END IF;")


def _given(reference: Reference) -> sql.Composable:
    """What the writer gave: on INSERT not NULL and not the column's default, on UPDATE distinct from the old value."""

    def inserted(name: str, default: sql.Composable | None) -> sql.Composable:
        value = SQL("{} IS NOT NULL").format(new(name))
        return SQL("{} AND {} IS DISTINCT FROM {}").format(value, new(name), default) if default is not None else value

    def updated(name: str) -> sql.Composable:
        return SQL("{} IS DISTINCT FROM {}").format(new(name), old(name))

    q = reference.qualifier if has_qualifier(reference) else None
    return SQL("""IF TG_OP = 'INSERT' THEN
        v_key_given := {key} IS NOT NULL;
        v_text_given := {text};
        v_qualifier_given := {qualifier};
    ELSE
        v_key_given := {key_changed};
        v_text_given := {text_changed};
        v_qualifier_given := {qualifier_changed};
    END IF;""").format(
        key=new(reference.key),
        text=inserted(reference.text.name, constant_default(reference.text)),
        qualifier=inserted(q.name, constant_default(q)) if q is not None else SQL("false"),
        key_changed=updated(reference.key),
        text_changed=updated(reference.text.name),
        qualifier_changed=updated(q.name) if q is not None else SQL("false"),
    )


def _scope_given(reference: Reference) -> sql.Composable:
    if not reference.scope:
        return SQL("")
    changed = [SQL("{} IS DISTINCT FROM {}").format(new(c.name), old(c.name)) for c in reference.scope]
    return SQL("""IF TG_OP = 'UPDATE' THEN
        v_scope_given := {};
    END IF;""").format(SQL(" OR ").join(changed))


def _start(reference: Reference) -> tuple[sql.Composable, sql.Composable]:
    """What the row's qualifier is read from, and its type."""
    lookup = reference.lookup
    source = qualifier_source(lookup)
    if source is None or not has_qualifier(reference):
        return SQL("NULL::text"), SQL("text")
    found = lookup.table.column(source)
    assert found is not None
    return column("l", source), raw(found.type)


def _path_unlocked(reference: Reference) -> sql.Composable:
    lookup = reference.lookup
    if not has_qualifier(reference):
        return SQL("NULL::text")
    if lookup.path is not None:
        return path_of(lookup.path, column("l", lookup.path.join))
    assert lookup.qualifier_column is not None
    return compare.label(lookup.qualifier_text, column("l", lookup.qualifier_column))


def _path_agrees(reference: Reference) -> sql.Composable:
    """Whether the qualifier is the row's own; a qualifier that was not given becomes it on the way."""
    if not has_qualifier(reference):
        return SQL("true")
    assert reference.qualifier is not None
    return SQL("{} IS NOT DISTINCT FROM v_path").format(
        compare.label(reference.qualifier, new(reference.qualifier.name))
    )


def _check_qualifier(reference: Reference) -> sql.Composable:
    """A qualifier that the writer left out: filled, unless on INSERT the text alone says the same."""
    if not has_qualifier(reference):
        return SQL("")
    assert reference.qualifier is not None
    return SQL("""IF NOT v_agrees AND NOT v_qualifier_given THEN
                IF TG_OP = 'INSERT' THEN
                    SELECT r.nf_how, r.nf_id INTO v_how, v_id FROM {resolve} r;
                    v_agrees := v_id IS NOT DISTINCT FROM {key};
                END IF;
                IF NOT v_agrees THEN
                    {q} := v_path;
                    v_agrees := {same_text};
                END IF;
            END IF;""").format(
        resolve=_resolve(reference),
        key=new(reference.key),
        q=new(reference.qualifier.name),
        same_text=_same_text(reference),
    )


def _same_text(reference: Reference) -> sql.Composable:
    """Whether the row spells the text as the lookup does; any other spelling is resolved."""
    return SQL("{} = v_text").format(compare.reading(reference, new(reference.text.name)))


def _resolve(reference: Reference) -> sql.Composable:
    return called(resolve_name(reference), _value(reference))


def _value(reference: Reference) -> list[sql.Composable]:
    q = compare.label(reference.qualifier, new(reference.qualifier.name)) if reference.qualifier else SQL("NULL::text")
    return [*(new(c.name) for c in reference.scope), SQL("{}::text").format(new(reference.text.name)), q]


def _waits(reference: Reference) -> sql.Composable:
    """A text that nobody wrote anew, and that a lookup row had before a rename that waits: no alias takes it."""
    lookup = reference.lookup
    if lookup.aliases is None:
        return SQL("")
    return SQL("""IF v_how = 'alias' AND TG_OP = 'UPDATE' AND NOT v_text_given AND {key} IS NULL AND EXISTS (
        SELECT FROM {pending} p JOIN {lookup} l ON {id} = {entry}
        WHERE p.lookup = {name} AND p.kind = 'text' AND p.alone AND {in_scope} AND {means}) THEN
        RETURN NEW;
    END IF;""").format(
        pending=ledger("pending"),
        lookup=table(lookup.table.name),
        id=column("l", lookup.key.name),
        entry=key_cast(reference, SQL("p.key")),
        key=new(reference.key),
        name=sql.Literal(lookup.name),
        in_scope=lookup_scope(lookup, [new(c.name) for c in reference.scope]),
        means=compare.means(reference, new(reference.text.name), SQL("p.old_text")),
    )


def _unknown(reference: Reference, on_unknown: OnUnknown, hard: bool) -> sql.Composable:
    """What a given text without a row leads to. ``derive`` alone: what is filled on the way past never raises."""
    parts: list[sql.Composable] = []
    if on_unknown == "create":
        create = called(create_name(reference), _value(reference))
        parts.append(
            SQL("""IF v_do = 'derive' AND v_id IS NULL AND v_how = 'orphan' THEN
        v_id := {};
    END IF;""").format(create)
        )
    if hard or on_unknown == "reject":
        parts.append(SQL("IF v_do = 'derive' AND v_id IS NULL THEN\n{}\n    END IF;").format(reject(reference)))
    return SQL("\n    ").join(parts)
