"""``on_unknown = "create"``: a lookup row for a text that nobody knows.

Decides that of two sessions with the same new text one waits, and both end with the same row. Never creates for a text
that means several rows, that a decision or an alias already gives a row, or whose scope is unknown; where it cannot
create safely it leaves the key NULL, as ``defer`` would.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, PathTable, Reference
from .plpgsql import Function
from .quote import column, conjunction, ledger, names, raw, table
from .shapes import path_of
from .sync_parts import SQL, called, function_name, scope_arguments, values
from .sync_resolve import resolve_name


def create_name(reference: Reference) -> str:
    """Return the name of a reference's creating function."""
    return function_name("sync_create", reference.name)


def create_function(reference: Reference) -> Function:
    """Return ``create(scope …, text, qualifier) → key``: the row that the text means now, made if need be.

    NULL where none may be made: the text is ambiguous, a scope column is NULL, or in a REPEATABLE READ transaction
    that could not see another session's new row and has no unique index to stop it.
    """
    lookup = reference.lookup
    scope = values("p_s", len(reference.scope))
    known = conjunction([SQL("{} IS NOT NULL").format(v) for v in scope])
    if not lookup.text_in_unique:
        known += SQL(" AND current_setting('transaction_isolation') = 'read committed'")
    columns: list[str] = [lookup.text.name, *lookup.scope]
    filled: list[sql.Composable] = [SQL("p_x"), *scope]
    category: sql.Composable = SQL("")
    own = lookup.qualifier_column
    if own is not None and own not in lookup.spec.new_row:
        columns.append(own)
        filled.append(SQL("p_q"))
    for name, value in lookup.spec.new_row.items():
        if name in columns:
            continue
        columns.append(name)
        if value.source == "qualifier":
            filled.append(SQL("v_category"))
            category = _category(reference, value.otherwise)
        else:
            filled.append(sql.Literal(value.value))
    body = SQL("""
DECLARE
    v_how text;
    v_id {key_type};
    v_category {join_type};
BEGIN
    IF NOT ({known}) THEN
        RETURN NULL;
    END IF;
    -- Held to the end of the transaction: whoever waits here then sees the row.
    PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(chr(31), {lock_key}, p_x), 0));
    FOR i IN 1..3 LOOP
        SELECT r.nf_how, r.nf_id INTO v_how, v_id FROM {resolve} r;
        IF v_id IS NOT NULL OR v_how <> 'orphan' THEN
            RETURN v_id;
        END IF;
        {category}
        BEGIN
            INSERT INTO {lookup} AS l ({columns}) VALUES ({filled}) RETURNING l.{key} INTO v_id;
            IF FOUND THEN
                INSERT INTO {created} (lookup, key) VALUES ({name}, v_id::text) ON CONFLICT DO NOTHING;
                RETURN v_id;
            END IF;
        EXCEPTION WHEN unique_violation THEN
            -- Not ON CONFLICT, which a deferrable unique of the application would refuse. Whoever inserted it has
            -- committed: look again.
            v_id := NULL;
        END;
    END LOOP;
    RETURN NULL;
END
""").format(
        key_type=raw(reference.key_type),
        join_type=_join_type(lookup),
        known=known,
        lock_key=SQL(", ").join([sql.Literal(f"normalform.create {lookup.name}"), *scope]),
        resolve=called(resolve_name(reference), [*scope, SQL("p_x"), SQL("p_q")]),
        category=category,
        lookup=table(lookup.table.name),
        columns=names(columns),
        filled=SQL(", ").join(filled),
        key=sql.Identifier(lookup.key.name),
        created=ledger("created"),
        name=sql.Literal(lookup.name),
    )
    arguments = SQL("{}p_x text, p_q text").format(scope_arguments(reference))
    return Function(create_name(reference), body, arguments, raw(reference.key_type), definer=False)


def _join_type(lookup: Lookup) -> sql.Composable:
    join = lookup.path.join if lookup.path is not None else None
    found = lookup.table.column(join) if join is not None else None
    return raw(found.type) if found is not None else SQL("text")


def _path_scope(lookup: Lookup, path: PathTable) -> tuple[str, ...]:
    """The path table's own scope columns, in the lookup's order; empty when it has none."""
    copy = lookup.scope_copy
    if copy is not None:
        return (copy.column.name,) if copy.table.name == path.table.name else ()
    return lookup.scope if all(path.table.column(c) is not None for c in lookup.scope) else ()


def _category(reference: Reference, otherwise: str | None) -> sql.Composable:
    """Statements that set ``v_category``: the row of the qualifier's path, else of ``otherwise``, made if need be."""
    lookup = reference.lookup
    path = lookup.path
    assert path is not None
    statements: list[sql.Composable] = [
        SQL("""v_category := NULL;
        IF p_q IS NOT NULL THEN
            {}
        END IF;""").format(_find(lookup, path, SQL("p_q")))
    ]
    if otherwise is not None:
        statements.append(_otherwise(lookup, path, otherwise))
    return SQL("\n        ").join(statements)


def _find(lookup: Lookup, path: PathTable, wanted: sql.Composable) -> sql.Composable:
    own = _path_scope(lookup, path)
    scope = conjunction(
        [SQL("{} = {}").format(column("k", c), v) for c, v in zip(own, values("p_s", len(own)), strict=True)]
    )
    return SQL(
        "SELECT (array_agg({key} ORDER BY {key}))[1] INTO v_category FROM {table} k "
        "WHERE {scope} AND right({wanted}, length({name})) = {name}::text AND {path} = {wanted};"
    ).format(
        key=column("k", path.key),
        table=table(path.table.name),
        scope=scope,
        wanted=wanted,
        name=column("k", path.name),
        path=path_of(path, column("k", path.key)),
    )


def _otherwise(lookup: Lookup, path: PathTable, name: str) -> sql.Composable:
    own = _path_scope(lookup, path)
    filled = {path.name, *own}
    missing = [
        c.name
        for c in path.table.columns
        if c.not_null and c.default is None and not c.identity and not c.generated and c.name not in filled
    ]
    find = _find(lookup, path, sql.Literal(name))
    if missing:
        # It cannot be made, so a text without a known category gets no row.
        return SQL("""IF v_category IS NULL THEN
            {}
        END IF;
        IF v_category IS NULL THEN
            RETURN NULL;
        END IF;""").format(find)
    scope = values("p_s", len(own))
    return SQL("""IF v_category IS NULL THEN
            {find}
            IF v_category IS NULL THEN
                -- A unique with a NULL parent stops nobody: one makes it, the others wait and find it.
                IF current_setting('transaction_isolation') <> 'read committed' THEN
                    RETURN NULL;
                END IF;
                PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(chr(31), {lock_key}), 0));
                {find}
            END IF;
            IF v_category IS NULL THEN
                INSERT INTO {table} AS k ({columns}) VALUES ({filled}) RETURNING k.{key} INTO v_category;
            END IF;
        END IF;""").format(
        find=find,
        lock_key=SQL(", ").join([sql.Literal(f"normalform.otherwise {path.table.name}"), *scope]),
        table=table(path.table.name),
        columns=names([path.name, *own]),
        filled=SQL(", ").join([sql.Literal(name), *scope]),
        key=sql.Identifier(path.key),
    )
