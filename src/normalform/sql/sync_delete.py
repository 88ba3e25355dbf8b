"""Deletes of lookup rows, settled from expand on, since the foreign key comes only after backfill (CORRECTNESS 3).

``restrict`` refuses at the end of the statement, ``no_action`` at commit, ``cascade`` deletes the rows, ``set_null``
takes their key and, unless ``keep_text``, their text. A row that has no key yet but means the deleted one counts as its
reference: else the deletion of one ``bridge`` would quietly hand its rows to the other. A transaction that cannot
see what others have just keyed leaves an entry in ``normalform.pending``.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, Model, Reference
from . import compare, gates
from .plpgsql import Function
from .quote import column, conjunction, ledger, table
from .shapes import decided, reference_values
from .sync_carry import has_qualifier, unless_standing
from .sync_lookup import READ_COMMITTED
from .sync_parts import SQL, function_name, lookup_scope, path_now, reference_scope


def delete_function(model: Model, lookup: Lookup) -> Function:
    """Return the AFTER DELETE statement trigger's function."""
    references = model.references_of(lookup)
    refuse = [r for r in references if r.spec.on_delete == "restrict"]
    change = [r for r in references if r.spec.on_delete in ("cascade", "set_null")]
    keyed = [
        SQL("""SELECT {id}::text, {text}::text INTO v_key, v_text
    FROM nf_old o JOIN {table} t ON {scope} AND {key} = {id} LIMIT 1;
    IF FOUND THEN
        {refused}
    END IF;""").format(
            id=column("o", lookup.key.name),
            text=column("o", lookup.text.name),
            table=table(r.table.name),
            scope=reference_scope(r, [column("o", c) for c in lookup.scope]),
            key=column("t", r.key),
            refused=_refused(r),
        )
        for r in refuse
    ]
    keyless = [
        SQL("""IF EXISTS (SELECT FROM {table} t WHERE {meant}) THEN
            v_key := v_row.id::text;
            v_text := v_row.x;
            {refused}
        END IF;""").format(table=table(r.table.name), meant=_keyless(r), refused=_refused(r))
        for r in refuse
    ]
    body = SQL("""
DECLARE
    v_row record;
    v_key text;
    v_text text;
    v_before text := coalesce(current_setting('normalform.batch', true), '');
BEGIN
    IF NOT EXISTS (SELECT FROM nf_old) THEN
        RETURN NULL;
    END IF;
    {gates}
    {unless_standing}
    {keyed}
    FOR v_row IN {gone} LOOP
        {keyless}
        PERFORM set_config('normalform.batch', 'on', true);
        {change}
        PERFORM set_config('normalform.batch', v_before, true);
        IF NOT {read_committed} THEN
            INSERT INTO {pending} (lookup, kind, key, old_text) VALUES ({name}, 'delete', v_row.id::text, v_row.x);
        END IF;
        DELETE FROM {created} d WHERE d.lookup = {name} AND d.key = v_row.id::text;
    END LOOP;
    RETURN NULL;
END
""").format(
        gates=gates.shared(lookup.name),
        unless_standing=unless_standing(references),
        keyed=SQL("\n    ").join(keyed),
        gone=_gone(lookup, SQL("nf_old")),
        keyless=SQL("\n        ").join(keyless),
        change=SQL("\n        ").join([_change(r) for r in change]) if change else SQL("NULL;"),
        read_committed=READ_COMMITTED,
        pending=ledger("pending"),
        name=sql.Literal(lookup.name),
        created=ledger("created"),
    )
    return Function(function_name("lookup_delete", lookup.name), body)


def no_action_function(model: Model, lookup: Lookup) -> Function | None:
    """Return the deferred row trigger's function; None when no reference of the lookup says ``no_action``."""
    references = [r for r in model.references_of(lookup) if r.spec.on_delete == "no_action"]
    if not references:
        return None
    checks = [
        SQL("""IF EXISTS (SELECT FROM {table} t WHERE {scope} AND {key} = v_row.id)
            OR EXISTS (SELECT FROM {table} t WHERE {meant}) THEN
            v_key := v_row.id::text;
            v_text := v_row.x;
            {refused}
        END IF;""").format(
            table=table(r.table.name),
            scope=reference_scope(r, _scope(r)),
            key=column("t", r.key),
            meant=_keyless(r),
            refused=_refused(r),
        )
        for r in references
    ]
    body = SQL("""
DECLARE
    v_row record;
    v_key text;
    v_text text;
BEGIN
    -- At commit: what the transaction has deleted or put back by now counts.
    IF EXISTS (SELECT FROM {lookup} l WHERE {id} = {old_key}) THEN
        RETURN NULL;
    END IF;
    {gates}
    {unless_standing}
    FOR v_row IN {gone} LOOP
        {checks}
    END LOOP;
    RETURN NULL;
END
""").format(
        lookup=table(lookup.table.name),
        id=column("l", lookup.key.name),
        old_key=SQL("OLD.{}").format(sql.Identifier(lookup.key.name)),
        gates=gates.shared(lookup.name),
        unless_standing=unless_standing(references),
        gone=_gone(lookup, SQL("(SELECT OLD.*)")),
        checks=SQL("\n        ").join(checks),
    )
    return Function(function_name("lookup_no_action", lookup.name), body)


def truncate_function(model: Model, lookup: Lookup) -> Function:
    """Return the AFTER TRUNCATE trigger's function: TRUNCATE passes only with nothing left that refers."""
    checks = [
        SQL("IF EXISTS (SELECT FROM {} t WHERE {} IS NOT NULL) THEN\n        {}\n    END IF;").format(
            table(r.table.name),
            column("t", r.key),
            _raise(
                [sql.Literal(f"{lookup.table.name} cannot be truncated while {r.table.name}.{r.key} refers to it")],
                f"Truncate {r.table.name} in the same statement.",
                r,
            ),
        )
        for r in model.references_of(lookup)
    ]
    body = SQL("""
BEGIN
    {gates}
    {checks}
    DELETE FROM {created} d WHERE d.lookup = {name};
    RETURN NULL;
END
""").format(
        gates=gates.shared(lookup.name),
        checks=SQL("\n    ").join(checks),
        created=ledger("created"),
        name=sql.Literal(lookup.name),
    )
    return Function(function_name("lookup_truncate", lookup.name), body)


def _gone(lookup: Lookup, rows: sql.Composable) -> sql.Composable:
    """The deleted rows, with how rows without a key meant each: (id, s1 …, x, q, meant, others).

    ``others`` are the paths of the rows that keep the text. Where the deleted row's own path is gone with its category,
    whatever names none of the others meant this one.
    """
    scope = [SQL("{} AS {}, ").format(column("o", c), sql.Identifier(f"s{i + 1}")) for i, c in enumerate(lookup.scope)]
    in_scope = lookup_scope(lookup, [column("o", c) for c in lookup.scope])
    left = SQL("FROM {} l WHERE {} AND {}").format(
        table(lookup.table.name),
        in_scope,
        compare.same(lookup, column("l", lookup.text.name), column("o", lookup.text.name)),
    )
    twin = conjunction(
        [
            *[SQL("{} = {}").format(column("a", c), column("o", c)) for c in lookup.scope],
            compare.same(lookup, column("a", lookup.text.name), column("o", lookup.text.name)),
        ]
    )
    # Rows without a key may still hold a text that it had before and nothing has now: its renaming waits in the queue.
    former = SQL(
        "SELECT {id}, {scope}p.old_text, NULL::text, ARRAY[]::text[], 'all' FROM {rows} o "
        "JOIN {pending} p ON p.lookup = {name} AND p.kind = 'text' AND p.alone AND p.key = {id}::text "
        "WHERE NOT EXISTS (SELECT FROM {lookup} l WHERE {in_scope} AND {same})"
    ).format(
        id=column("o", lookup.key.name),
        scope=SQL("").join(scope),
        rows=rows,
        pending=ledger("pending"),
        name=sql.Literal(lookup.name),
        lookup=table(lookup.table.name),
        in_scope=in_scope,
        same=compare.same(lookup, column("l", lookup.text.name), SQL("p.old_text")),
    )
    return SQL(
        "SELECT {id} AS id, {scope}{text}::text AS x, {path} AS q, ARRAY(SELECT {paths} {left}) AS others, "
        "CASE WHEN NOT EXISTS (SELECT {left}) AND (SELECT count(*) FROM {rows} a WHERE {twin}) = 1 THEN 'all' "
        "ELSE 'path' END AS meant FROM {rows} o UNION ALL {former} ORDER BY 1"
    ).format(
        former=former,
        id=column("o", lookup.key.name),
        scope=SQL("").join(scope),
        text=column("o", lookup.text.name),
        path=path_now(lookup, "o"),
        paths=path_now(lookup, "l"),
        left=left,
        rows=rows,
        twin=twin,
    )


def _scope(reference: Reference) -> list[sql.Composable]:
    return [SQL("v_row.{}").format(sql.Identifier(f"s{i + 1}")) for i in range(len(reference.scope))]


def _keyless(reference: Reference) -> sql.Composable:
    """The rows without a key that meant the deleted row ``v_row``."""
    by_path: sql.Composable = SQL("")
    if has_qualifier(reference):
        assert reference.qualifier is not None
        by_path = SQL(
            " OR {0} = v_row.q OR (v_row.q IS NULL AND {0} IS NOT NULL AND {0} <> ALL (v_row.others))"
        ).format(compare.label(reference.qualifier, column("t", reference.qualifier.name)))
    return SQL(
        "{scope} AND {means} AND {key} IS NULL AND (v_row.meant = 'all'{by_path}) "
        "AND NOT EXISTS (SELECT FROM (SELECT {values}) v JOIN {map} m ON {decided})"
    ).format(
        scope=reference_scope(reference, _scope(reference)),
        means=compare.means(reference, column("t", reference.text.name), SQL("v_row.x")),
        key=column("t", reference.key),
        by_path=by_path,
        values=reference_values(reference),
        map=ledger("mapping"),
        decided=decided(reference, "v"),
    )


def _change(reference: Reference) -> sql.Composable:
    """Cascade or set NULL, for the rows with the key and for those that would have got it."""
    target = table(reference.table.name)
    concerned = SQL("({scope} AND {key} = v_row.id) OR ({keyless})").format(
        scope=reference_scope(reference, _scope(reference)),
        key=column("t", reference.key),
        keyless=_keyless(reference),
    )
    if reference.spec.on_delete == "cascade":
        return SQL("DELETE FROM {} t WHERE {};").format(target, concerned)
    sets = [SQL("{} = NULL").format(sql.Identifier(reference.key))]
    if not reference.spec.keep_text and not reference.text.not_null:
        sets.append(SQL("{} = NULL").format(sql.Identifier(reference.text.name)))
        if reference.qualifier is not None and not reference.qualifier.not_null:
            sets.append(SQL("{} = NULL").format(sql.Identifier(reference.qualifier.name)))
    return SQL("UPDATE {} t SET {} WHERE {};").format(target, SQL(", ").join(sets), concerned)


def _refused(reference: Reference) -> sql.Composable:
    lookup = reference.lookup
    return _raise(
        [
            sql.Literal(f"{lookup.table.name} "),
            SQL("v_key"),
            SQL("' (' || quote_nullable(v_text) || ')'"),
            sql.Literal(f" cannot be deleted: {reference.table.name} refers to it"),
        ],
        f"Delete those rows of {reference.table.name} first, or give them another {reference.text.name}.",
        reference,
    )


def _raise(message: list[sql.Composable], hint: str, reference: Reference) -> sql.Composable:
    return SQL(
        "RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = concat({}), HINT = {}, SCHEMA = {}, TABLE = {};"
    ).format(
        SQL(", ").join(message),
        sql.Literal(hint),
        sql.Literal(reference.table.name.schema),
        sql.Literal(reference.table.name.name),
    )
