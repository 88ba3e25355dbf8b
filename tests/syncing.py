"""Sync alone, without the phases: the small PhotoCat with key columns, filled scope and every trigger, and its rows."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import sql

import mini
from normalform.core.model import Model
from normalform.core.plan import Step
from normalform.db import ledger
from normalform.db.connect import pin
from normalform.db.session import read_model
from normalform.sql.quote import raw, table
from normalform.sql.sync import sync_lookup_steps, sync_reference_steps

SQL = sql.SQL


def apply(conn: psycopg.Connection, steps: list[Step], *, undo: bool = False) -> None:
    """Carry steps out, or take them back, as one transaction each."""
    for step in reversed(steps) if undo else steps:
        with conn.transaction():
            for statement in step.undo if undo else step.do:
                conn.execute(statement.encode())


def expanded(
    text: str = mini.SPEC_TEXT, *, data: str = mini.DATA, before: str = "", fill: bool = False
) -> Callable[[str], None]:
    """Return how to build a database in which sync stands.

    Args:
        text: the spec.
        data: the rows.
        before: further statements, run after the data and before sync.
        fill: whether rows that stood before have their keys, as after backfill.
    """

    def build(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute((mini.SCHEMA + data + before).encode())
            pin(conn)
            ledger.install(conn)
            model = read_model(conn, mini.spec(text))
            ledger.save_baseline(conn, model.catalog)
            conn.execute(
                "INSERT INTO normalform.phase (name, position, state) "
                "VALUES ('resolve', 0, 'done'), ('expand', 1, 'done')"
            )
            for lookup in model.lookups:
                if lookup.scope_copy is not None:
                    add_column(conn, lookup.table.name, lookup.scope[0], lookup.scope_types[0])
            for reference in model.references:
                add_column(conn, reference.table.name, reference.key, reference.key_type)
            for lookup in model.lookups:
                apply(conn, sync_lookup_steps(model, lookup))
                if lookup.scope_copy is not None:
                    with conn.transaction():
                        conn.execute("SELECT set_config('normalform.batch', 'on', true)")
                        conn.execute(
                            "UPDATE public.keywords k SET tenant_id = c.tenant_id "
                            "FROM public.keyword_categories c WHERE c.id = k.category_id"
                        )
            for reference in model.references:
                apply(conn, sync_reference_steps(model, reference))
                if fill:  # on the way past
                    touch(conn, model, reference.name)

    return build


def with_lines(*, lookup: str = "", **references: str) -> str:
    """Return the small PhotoCat's spec with further lines: of references by name, and of lookup ``keyword``."""
    text = mini.SPEC_TEXT.replace("[lookup.keyword]\n", f"[lookup.keyword]\n{lookup}\n")
    for name, lines in references.items():
        head = f"[reference.{name}]\n"
        assert head in text
        text = text.replace(head, f"{head}{lines}\n")
    return text


def add_column(conn: psycopg.Connection, name: object, column: str, type_text: str) -> None:
    """Add a column as expand does."""
    conn.execute(SQL("ALTER TABLE {} ADD COLUMN {} {}").format(table(name), sql.Identifier(column), raw(type_text)))  # type: ignore[arg-type]


def touch(conn: psycopg.Connection, model: Model, reference: str) -> None:
    """Update every row without changing it."""
    found = model.reference(reference)
    column = sql.Identifier(found.text.name)
    conn.execute(SQL("UPDATE {} SET {} = {}").format(table(found.table.name), column, column))


def model_of(conn: psycopg.Connection, text: str = mini.SPEC_TEXT) -> Model:
    """Read the model in a session pinned as ours are."""
    pin(conn)
    return read_model(conn, mini.spec(text))


#: Rows of machine_tags whose key says something else than they hold; empty while sync does its work.
DISAGREEING = """
SELECT t.id, t.keyword, t.category, t.keyword_id, k.keyword FROM public.machine_tags t
LEFT JOIN public.keywords k ON k.id = t.keyword_id AND k.tenant_id = t.tenant_id
WHERE t.keyword_id IS NOT NULL AND t.keyword IS DISTINCT FROM k.keyword
"""


def tag(text: str | None = None, category: str | None = None, *, key: int | None = None, image: int = 39) -> str:
    """Return an INSERT into machine_tags in tenant t that returns (text, qualifier, key)."""
    named = {"keyword": text, "category": category, "keyword_id": key}
    given = {c: repr(v) for c, v in named.items() if v is not None}
    columns, values = ", ".join(["image_id", "tenant_id", *given]), ", ".join([str(image), "'t'", *given.values()])
    return f"INSERT INTO public.machine_tags ({columns}) VALUES ({values}) RETURNING keyword, category, keyword_id"


def tags(image: int = 39) -> str:
    """Return the query of one picture's tags in tenant t: (text, qualifier, key)."""
    return (
        "SELECT keyword, category, keyword_id FROM public.machine_tags "
        f"WHERE tenant_id = 't' AND image_id = {image} ORDER BY id"
    )
