"""What a lookup's UPDATE does to the references: renames carry their text (CORRECTNESS 4, 5).

Everything that changes what a text means first passes the gates, so that no batch is half-way with the old meaning, and
is then worked out for the whole statement at once from its transition tables: only they tell how a text resolved before
a statement that renamed several rows. A transaction that is not READ COMMITTED cannot see what a batch has just keyed,
so it leaves an entry in ``normalform.pending`` as well.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, Model, Reference
from . import compare, gates
from .plpgsql import Function
from .quote import column, conjunction, ledger, table
from .sync_carry import carry_name, hangs_name, has_qualifier, unless_standing
from .sync_parts import (
    AUTO_LIMIT,
    SQL,
    called,
    function_name,
    lookup_scope,
    path_now,
    qualifier_source,
    reference_scope,
    relevant_columns,
)

READ_COMMITTED = SQL("current_setting('transaction_isolation') = 'read committed'")


def update_function(model: Model, lookup: Lookup) -> Function:
    """Return the AFTER UPDATE statement trigger's function: it carries or queues what a statement renamed."""
    key, text = lookup.key.name, lookup.text.name
    differ = SQL(" OR ").join(
        [SQL("{} IS DISTINCT FROM {}").format(column("n", c), column("o", c)) for c in relevant_columns(lookup)]
    )
    renamed = SQL("SELECT FROM nf_old o JOIN nf_new n ON {} = {} WHERE {} OR {}").format(
        column("n", key),
        column("o", key),
        SQL("{} IS DISTINCT FROM {}").format(column("n", text), column("o", text)),
        _source_differs(lookup),
    )
    body = SQL("""
DECLARE
    v_row record;
    v_text text;
    v_rows bigint := 0;
    v_queue boolean := {queue};
BEGIN
    IF NOT EXISTS (SELECT FROM nf_old o LEFT JOIN nf_new n ON {new_key} = {old_key}
        WHERE {new_key} IS NULL OR {differ}) THEN
        RETURN NULL;
    END IF;
    {gates}
    {unless_standing}
    {moved}
    IF NOT EXISTS ({renamed}) THEN
        RETURN NULL;
    END IF;
    -- A row that an application has renamed or moved is its own from now on.
    DELETE FROM {created} d USING nf_new n WHERE d.lookup = {name} AND d.key = {new_key}::text;
    {settle}
    RETURN NULL;
END
""").format(
        queue=SQL("true") if lookup.spec.rename == "queue" else SQL("false"),
        new_key=column("n", key),
        old_key=column("o", key),
        differ=differ,
        gates=gates.shared(lookup.name),
        unless_standing=unless_standing(model.references_of(lookup)),
        moved=_moved(model, lookup),
        renamed=renamed,
        created=ledger("created"),
        name=sql.Literal(lookup.name),
        settle=settle(model, lookup, _changes(lookup)),
    )
    return Function(function_name("lookup_update", lookup.name), body)


def settle(model: Model, lookup: Lookup, changes: sql.Composable) -> sql.Composable:
    """Return plpgsql statements that carry or queue ``changes``; needs ``v_row``, ``v_rows``, ``v_queue``, ``v_text``.

    Args:
        model: the model.
        lookup: the lookup whose rows mean something else now.
        changes: a query (id, s1 …, old_x, new_x, old_q, new_q, meant), one row for each lookup row. Where old_x is
            new_x, both are read again once the row is locked: whoever renamed it meanwhile has carried its text.
    """
    references = model.references_of(lookup)
    count = [
        SQL("v_rows := v_rows + {};").format(
            called(hangs_name(r), [*_arguments(r, keyed=True), sql.Literal(AUTO_LIMIT + 1)])
        )
        for r in references
    ]
    carry = [SQL("PERFORM {};").format(called(carry_name(r), _arguments(r, keyed=True))) for r in references]
    pass_on: dict[str, sql.Composable] = {
        r.name: SQL("PERFORM {};").format(called(carry_name(r), _arguments(r, keyed=False))) for r in references
    }
    keyless = [pass_on[r.name] for r in references if has_qualifier(r)]
    scope: list[sql.Composable] = [
        SQL("v_row.{}").format(sql.Identifier(f"s{i + 1}")) for i in range(len(lookup.scope))
    ]
    queue = SQL("""IF v_row.old_x <> v_row.new_x THEN
            INSERT INTO {pending} (lookup, kind, key, old_text, new_text, alone)
            VALUES ({name}, 'text', v_row.id::text, v_row.old_x, v_row.new_x, v_row.meant = 'all');
        END IF;
        IF v_row.old_q <> v_row.new_q THEN
            INSERT INTO {pending} (lookup, kind, key, old_text, new_text)
            VALUES ({name}, 'path', v_row.id::text, v_row.old_q, v_row.new_q);
        END IF;""").format(pending=ledger("pending"), name=sql.Literal(lookup.name))
    counting = SQL("""FOR v_row IN {changes} LOOP
        {count}
        EXIT WHEN v_rows > {limit};
    END LOOP;
    v_queue := v_rows > {limit};
    """).format(changes=changes, count=SQL("\n        ").join(count), limit=sql.Literal(AUTO_LIMIT))
    return SQL("""{counting}FOR v_row IN {changes} LOOP
        -- A key is written under a lock of its row alone, or a delete beside us would miss the rows that get it.
        SELECT {text} INTO v_text FROM {lookup} l WHERE {id} = v_row.id FOR KEY SHARE;
        CONTINUE WHEN NOT FOUND;
        IF v_row.old_x = v_row.new_x THEN
            v_row.old_x := v_text;
            v_row.new_x := v_text;
        END IF;
        IF v_queue THEN
            -- Rows without a key that the qualifier alone gives to this row would mean another one from now on.
            IF v_row.meant = 'path' THEN
                {keyless}
            -- So would those of a name that another row has got in the very same statement.
            ELSIF v_row.meant = 'all' AND v_row.old_x <> v_row.new_x
                AND EXISTS (SELECT FROM {lookup} l WHERE {in_scope} AND {taken}) THEN
                {all_keyless}
            END IF;
        ELSE
            {carry}
        END IF;
        -- Rows whose text still waits hold a former one: their path is carried behind it.
        IF v_queue OR NOT {read_committed} OR (v_row.old_q <> v_row.new_q AND EXISTS (
            SELECT FROM {pending} p WHERE p.lookup = {name} AND p.kind = 'text' AND p.key = v_row.id::text
        )) THEN
        {queue}
        END IF;
    END LOOP;""").format(
        counting=counting if lookup.spec.rename == "auto" else SQL(""),
        changes=changes,
        lookup=table(lookup.table.name),
        id=column("l", lookup.key.name),
        keyless=SQL("\n                ").join(keyless) if keyless else SQL("NULL;"),
        in_scope=lookup_scope(lookup, scope),
        taken=compare.same(lookup, column("l", lookup.text.name), SQL("v_row.old_x")),
        all_keyless=SQL("\n                ").join(list(pass_on.values())) if pass_on else SQL("NULL;"),
        carry=SQL("\n            ").join(carry) if carry else SQL("NULL;"),
        read_committed=READ_COMMITTED,
        queue=queue,
        text=SQL("{}::text").format(column("l", lookup.text.name)),
        pending=ledger("pending"),
        name=sql.Literal(lookup.name),
    )


def _arguments(reference: Reference, *, keyed: bool) -> list[sql.Composable]:
    scope = [SQL("v_row.{}").format(sql.Identifier(f"s{i + 1}")) for i in range(len(reference.scope))]
    return [
        SQL("v_row.id"),
        *scope,
        SQL("v_row.old_x"),
        SQL("v_row.new_x"),
        SQL("v_row.old_q"),
        SQL("v_row.new_q"),
        SQL("v_row.meant"),
        SQL("true" if keyed else "false"),
    ]


def _source_differs(lookup: Lookup) -> sql.Composable:
    source = qualifier_source(lookup)
    if source is None:
        return SQL("false")
    return SQL("{} IS DISTINCT FROM {}").format(column("n", source), column("o", source))


def _changes(lookup: Lookup) -> sql.Composable:
    """What a statement changed, with what each row meant before it: the lookup then is the old rows and the others."""
    key = lookup.key.name
    scope = [SQL("coalesce({}, {})").format(column("o", c), column("n", c)) for c in lookup.scope]
    named = [SQL("{}").format(sql.Identifier(f"s{i + 1}")) for i in range(len(lookup.scope))]
    scoped = SQL("").join([SQL("{} AS {}, ").format(s, n) for s, n in zip(scope, named, strict=True)])
    others = SQL("").join(
        [SQL("{} AS {}, ").format(column("l", c), n) for c, n in zip(lookup.scope, named, strict=True)]
    )
    text = compare.same(lookup, SQL("b.x"), SQL("w.x"))
    same = conjunction([*[SQL("b.{0} = w.{0}").format(n) for n in named], text])
    return SQL(
        "WITH was AS (SELECT {okey} AS id, {scoped}{otext} AS x, {opath} AS q "
        "FROM nf_old o JOIN nf_new n ON {nkey} = {okey} "
        "UNION ALL SELECT {lkey}, {others}{ltext}, {lpath} FROM {lookup} l "
        "WHERE NOT EXISTS (SELECT FROM nf_new n WHERE {nkey} = {lkey}) "
        "AND {had}) "
        "SELECT w.*, w.x::text AS old_x, {ntext}::text AS new_x, w.q AS old_q, {npath} AS new_q, "
        "CASE WHEN (SELECT count(*) FROM was b WHERE {same}) = 1 THEN 'all' "
        "WHEN (SELECT count(*) FROM was b WHERE {same} AND b.q = w.q) = 1 THEN 'path' ELSE 'none' END AS meant "
        "FROM was w JOIN nf_new n ON {nkey} = w.id WHERE w.x IS DISTINCT FROM {ntext} OR w.q IS DISTINCT FROM {npath} "
        "ORDER BY w.id"
    ).format(
        okey=column("o", key),
        nkey=column("n", key),
        lkey=column("l", key),
        scoped=scoped,
        others=others,
        otext=column("o", lookup.text.name),
        ntext=column("n", lookup.text.name),
        ltext=column("l", lookup.text.name),
        opath=path_now(lookup, "o"),
        npath=path_now(lookup, "n"),
        lpath=path_now(lookup, "l"),
        had=_had(lookup),
        lookup=table(lookup.table.name),
        same=same,
    )


def _had(lookup: Lookup) -> sql.Composable:
    """Whether any of the old rows had the text of a row."""
    own, old = column("l", lookup.text.name), column("o", lookup.text.name)
    if lookup.text.base == "citext":  # IN would compare as text
        return SQL("EXISTS (SELECT FROM nf_old o WHERE {})").format(compare.same(lookup, own, old))
    return SQL("{} IN (SELECT {} FROM nf_old o)").format(own, old)


def _moved(model: Model, lookup: Lookup) -> sql.Composable:
    """A row that is referenced keeps its key and its scope, as the foreign key will have it."""
    key = lookup.key.name
    gone = SQL("NOT EXISTS (SELECT FROM nf_new n WHERE {} = {})").format(column("n", key), column("o", key))
    if lookup.scope:
        other = SQL(" OR ").join(
            [SQL("{} IS DISTINCT FROM {}").format(column("n", c), column("o", c)) for c in lookup.scope]
        )
        known = SQL(" AND ").join([SQL("{} IS NOT NULL").format(column("o", c)) for c in lookup.scope])
        gone = SQL("({} OR ({} AND EXISTS (SELECT FROM nf_new n WHERE {} = {} AND ({}))))").format(
            gone, known, column("n", key), column("o", key), other
        )
    statements = []
    for reference in model.references_of(lookup):
        scope = reference_scope(reference, [column("o", c) for c in lookup.scope])
        statements.append(
            SQL("""IF EXISTS (SELECT FROM nf_old o JOIN {table} t
        ON {scope} AND ({key} = {id} OR ({key} IS NULL AND {means})) WHERE {gone}) THEN
        RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = {message}, HINT = {hint};
    END IF;""").format(
                table=table(reference.table.name),
                scope=scope,
                key=column("t", reference.key),
                id=column("o", key),
                means=compare.means(reference, column("t", reference.text.name), column("o", lookup.text.name)),
                gone=gone,
                message=sql.Literal(
                    f"a row of {lookup.table.name} keeps its key and scope while {reference.table.name} refers to it"
                ),
                hint=sql.Literal("Insert a new row there and let the references point at it."),
            )
        )
    check = SQL("\n    ").join(statements)
    blind = SQL("RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {}, HINT = {};").format(
        sql.Literal(
            f"a transaction that is not READ COMMITTED cannot give a row of {lookup.table.name} another key or scope: "
            "it does not see who has just come to refer to it"
        ),
        sql.Literal("Do it in a READ COMMITTED transaction, or insert a new row there."),
    )
    return SQL(
        "IF EXISTS (SELECT FROM nf_old o WHERE {gone}) THEN\n    IF NOT {read_committed} THEN\n        {blind}\n"
        "    END IF;\n    {check}\n    END IF;"
    ).format(gone=gone, read_committed=READ_COMMITTED, blind=blind, check=check)
