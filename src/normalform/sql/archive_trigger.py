"""The trigger that keeps the archive right while rows change between contract's sweep and its drop.

It must never fail a write for want of a right (it runs as its owner), and nobody else may attach its function
(CORRECTNESS 8). It ignores updates that change neither key, text, qualifier nor identity.
"""

from __future__ import annotations

from psycopg import sql

from ..core.conservation import Conserved
from ..core.model import Reference
from ..core.names import shorten
from . import compare
from .quote import column, ledger, raw, render, table
from .residue import given, identity, own_of

SQL = sql.SQL
#: What could make a primary key print otherwise in an application's session than in ours.
_PINNED = {
    "search_path": "pg_catalog, pg_temp",
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}


def trigger_names(reference: Reference) -> tuple[str, str, str]:
    """Return the names of the archive's triggers: rows that come and go, rows that change, TRUNCATE."""
    return (
        shorten(f"normalform_archive_{reference.name}_rows"),
        shorten(f"normalform_archive_{reference.name}_changes"),
        shorten(f"normalform_archive_{reference.name}_truncate"),
    )


def function_name(reference: Reference) -> str:
    """Return the name of the archive's trigger function, in the ledger's schema."""
    return shorten(f"archive_{reference.name}")


def create_triggers(conserved: Conserved, reference: Reference) -> tuple[str, ...]:
    """Return the statements that keep the archive right while rows change between the sweep and the drop.

    On a table without a primary key the trigger refuses a row with something of its own, since nothing could keep it.
    The function runs as its owner (application roles have no right on the ledger) and nobody else may attach it.
    """
    function = ledger(function_name(reference))
    settings = [SQL("SET {} = {}").format(raw(k), _setting(v)) for k, v in _PINNED.items()]
    rows, changes, truncate = (sql.Identifier(n) for n in trigger_names(reference))
    on = table(conserved.name)
    qualifier = conserved.qualifier(reference)
    # Texts by their bytes: a collation may call two spellings equal.
    texts = [c.name for c in (reference.text, qualifier) if c is not None]
    watched = [c for c in dict.fromkeys([reference.key, *conserved.identity]) if c not in texts]
    bytewise = SQL('{}::text COLLATE pg_catalog."C" IS DISTINCT FROM {}::text')
    changed = SQL(" OR ").join(
        [
            *[SQL("{} IS DISTINCT FROM {}").format(column("old", c), column("new", c)) for c in watched],
            *[bytewise.format(column("old", c), column("new", c)) for c in texts],
        ]
    )
    execute = SQL("EXECUTE FUNCTION {}()").format(function)
    statements = [
        SQL("CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {} AS {}").format(
            function, SQL(" ").join(settings), sql.Literal(render(_function_body(conserved, reference)))
        ),
        SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function),
        SQL("CREATE TRIGGER {} AFTER INSERT OR DELETE ON {} FOR EACH ROW {}").format(rows, on, execute),
        SQL("CREATE TRIGGER {} AFTER UPDATE ON {} FOR EACH ROW WHEN ({}) {}").format(changes, on, changed, execute),
        SQL("CREATE TRIGGER {} AFTER TRUNCATE ON {} {}").format(truncate, on, execute),
        # Rows that replication applies change too.
        *[SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(on, t) for t in (rows, changes, truncate)],
    ]
    return tuple(render(s) for s in statements)


def drop_triggers(conserved: Conserved, reference: Reference) -> tuple[str, ...]:
    """Return the statements that remove them; harmless when they are gone."""
    on = table(conserved.name)
    drops = [SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(n), on) for n in trigger_names(reference)]
    return (
        *[render(s) for s in drops],
        render(SQL("DROP FUNCTION IF EXISTS {}()").format(ledger(function_name(reference)))),
    )


def _function_body(conserved: Conserved, reference: Reference) -> sql.Composable:
    qualifier = conserved.qualifier(reference)
    key, text = column("new", reference.key), column("new", reference.text.name)
    q = compare.label(qualifier, column("new", qualifier.name)) if qualifier else SQL("NULL::text")
    own_value, own_qualifier = own_of(key, SQL("{}::text").format(text), q, "f", qualifier is not None)
    name, residue = sql.Literal(reference.name), ledger("residue")
    if not conserved.identity:
        return SQL(
            "DECLARE f record; BEGIN IF TG_OP IN ('DELETE', 'TRUNCATE') THEN RETURN NULL; END IF; "
            "{given} INTO f; IF {own_value} OR {own_qualifier} THEN "
            "RAISE EXCEPTION USING ERRCODE = '23514', MESSAGE = {message}; END IF; RETURN NULL; END"
        ).format(
            given=given(reference.lookup, key),
            own_value=own_value,
            own_qualifier=own_qualifier,
            message=sql.Literal(
                f"{conserved.name} has no primary key, so a text that its key does not give cannot be kept"
            ),
        )
    return SQL(
        "DECLARE f record; BEGIN "
        "IF TG_OP = 'TRUNCATE' THEN DELETE FROM {residue} e WHERE e.reference = {name}; RETURN NULL; END IF; "
        "IF TG_OP <> 'INSERT' THEN DELETE FROM {residue} e WHERE e.reference = {name} AND e.identity = {old}; END IF; "
        "IF TG_OP = 'DELETE' THEN RETURN NULL; END IF; "
        "{given} INTO f; IF {own_value} OR {own_qualifier} THEN "
        "INSERT INTO {residue} (reference, identity, key, own_value, value, own_qualifier, qualifier) "
        "VALUES ({name}, {new}, {key}::text, {own_value}, CASE WHEN {own_value} THEN {text}::text END, "
        "{own_qualifier}, CASE WHEN {own_qualifier} THEN {q} END) "
        "ON CONFLICT (reference, identity) DO UPDATE SET key = excluded.key, own_value = excluded.own_value, "
        "value = excluded.value, own_qualifier = excluded.own_qualifier, qualifier = excluded.qualifier, at = now(); "
        "END IF; RETURN NULL; END"
    ).format(
        residue=residue,
        name=name,
        old=identity(conserved, "old"),
        new=identity(conserved, "new"),
        given=given(reference.lookup, key),
        own_value=own_value,
        own_qualifier=own_qualifier,
        key=key,
        text=text,
        q=q,
    )


def _setting(value: str) -> sql.Composable:
    return SQL(", ").join([sql.Literal(part.strip()) for part in value.split(",")])
