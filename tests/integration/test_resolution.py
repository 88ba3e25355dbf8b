"""How a value resolves: by the whole lookup at once, and by the few values of a batch; both must say the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import sql

import mini
from fix_servers import Database, template
from normalform.core.model import Reference
from normalform.db.work import Context
from normalform.sql.resolution import resolve_all, resolve_few

MINI = template("mini", mini.SCHEMA + mini.DATA)

KEYWORD_VALUES: dict[tuple[str | None, str, str | None], tuple[str, int | None]] = {
    ("t", "tree", "nature/plants"): ("exact", 1),
    ("t", "tree", None): ("exact", 1),
    ("t", "tree", "somewhere/else"): ("exact", 1),
    ("t", "bridge", "travel"): ("qualified", 2),
    ("t", "bridge", "games"): ("qualified", 3),
    ("t", "bridge", None): ("ambiguous", None),
    ("t", "bridge", "nature"): ("ambiguous", None),
    ("u", "tree", "nature"): ("exact", 5),
    ("u", "bridge", "travel"): ("orphan", None),
    (None, "tree", "nature"): ("orphan", None),
    ("t", "Tree", None): ("orphan", None),
    ("t", "FOLDED", None): ("folded", 1),
    ("t", "gone", None): ("orphan", None),
    ("u", "stolen", None): ("orphan", None),
}
PERSON_VALUES: dict[tuple[str | None, str, str | None], tuple[str, int | None]] = {
    ("t", "Ada Lovelace", None): ("exact", 1),
    ("t", "Countess", None): ("alias", 1),
    ("u", "Countess", None): ("orphan", None),
    ("t", "Nobody", None): ("null", None),
}
STORED = """
INSERT INTO normalform.mapping (reference, scope, value, qualifier, how, key) VALUES
    ('machine_tags', '{t}', 'FOLDED', NULL, 'folded', '1'),
    ('machine_tags', '{t}', 'gone', NULL, 'chosen', '999'),
    ('machine_tags', '{u}', 'stolen', NULL, 'chosen', '1'),
    ('faces', '{t}', 'Countess', NULL, 'alias', '1'),
    ('faces', '{u}', 'Countess', NULL, 'alias', '1'),
    ('faces', '{t}', 'Nobody', NULL, 'null', NULL)
"""
EXPANDED = """
ALTER TABLE public.keywords ADD COLUMN tenant_id varchar(50);
UPDATE public.keywords k SET tenant_id = c.tenant_id FROM public.keyword_categories c WHERE c.id = k.category_id;
"""


def _values(values: dict[tuple[str | None, str, str | None], tuple[str, int | None]]) -> sql.Composable:
    rows = [sql.SQL("({})").format(sql.SQL(", ").join([sql.Literal(v) for v in key])) for key in values]
    return sql.SQL("SELECT s1::text, x::text, q::text FROM (VALUES {}) v(s1, x, q)").format(sql.SQL(", ").join(rows))


@pytest.mark.parametrize(("name", "expected"), [("machine_tags", KEYWORD_VALUES), ("faces", PERSON_VALUES)])
def test_both_ways_resolve_as_the_table_says(
    database: Callable[..., Database],
    engine: Callable[..., Context],
    name: str,
    expected: dict[tuple[str | None, str, str | None], tuple[str, int | None]],
) -> None:
    ctx = engine(database(MINI).url)
    ctx.conn.execute(STORED)
    ctx.conn.execute(EXPANDED)
    reference: Reference = ctx.model.reference(name)
    whole = ctx.conn.execute(
        sql.SQL("SELECT s1, x, q, how, id FROM ({}) r").format(resolve_all(reference, _values(expected), stored=True))
    ).fetchall()
    assert {(r[0], r[1], r[2]): (r[3], r[4]) for r in whole} == expected
    few = ctx.conn.execute(
        sql.SQL("WITH v AS MATERIALIZED ({}){} SELECT s1, x, q, how, id FROM resolved").format(
            _values(expected), resolve_few(reference, "v")
        )
    ).fetchall()
    assert len(few) == len(expected)
    assert {(r[0], r[1], r[2]): (r[3], r[4]) for r in few} == expected
