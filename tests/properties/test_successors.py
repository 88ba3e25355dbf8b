"""Conservation, over tables that nobody would make by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalform.core.catalog import Column, Constraint, InboundKey, Index, IndexColumn, Table
from normalform.core.expressions import mentions
from normalform.core.index_successor import Carried, Successor
from normalform.core.names import QName
from normalform.core.successors import Succession, dropped_columns, succession

COLUMNS = ("id", "tenant", "image", "keyword", "category", "person", "person_group", "model", "kéy\"wörd;'x")
KEYWORDS = QName("public", "keywords")
PEOPLE = QName("public", "people")
PREDICATES = (
    None,
    "(keyword IS NOT NULL)",
    "((keyword IS NULL) AND (model > 3))",
    "((keyword)::text <> 'category'::text)",
    "(category IS NOT NULL)",
    "(model = 'keyword'::text)",
    "((person IS NOT NULL) OR (keyword IS NOT NULL))",
    "(t.* IS NOT NULL)",
)
EXPRESSIONS = ("lower((keyword)::text)", "(model || 'keyword'::text)", "(length((person)::text))", "abs(image)")
OPERATORS = ("OPERATOR(pg_catalog.=)", "OPERATOR(public.=)", "OPERATOR(pg_catalog.&&)")


def carried(**kw: Any) -> Carried:
    base: dict[str, Any] = {
        "name": "tags", "text": "keyword", "qualifier": "category", "key": "keyword_id", "scope": ("tenant",),
        "lookup": KEYWORDS, "lookup_text": "keyword", "lookup_scope": ("tenant_id",),
    }  # fmt: skip
    return Carried(**{**base, **kw})


@st.composite
def references(draw: st.DrawFn) -> tuple[Carried, ...]:
    scoped = draw(st.booleans())
    scope = ("tenant",) if scoped else ()
    one = carried(
        qualifier=draw(st.sampled_from(["category", None])),
        scope=scope,
        lookup_scope=("tenant_id",) if scoped else (),
        keep_text=draw(st.sampled_from([False, False, True])),
        required=draw(st.booleans()),
    )
    if draw(st.booleans()):
        return (one,)
    two = carried(
        name="faces", text="person", qualifier=draw(st.sampled_from(["person_group", "category", None])),
        key="person_id", scope=scope, lookup=PEOPLE, lookup_text="name", keep_text=draw(st.booleans()),
    )  # fmt: skip
    return (one, two)


@st.composite
def index_columns(draw: st.DrawFn) -> IndexColumn:
    if draw(st.integers(0, 7)) == 0:
        return IndexColumn(None, draw(st.sampled_from(EXPRESSIONS)))
    descending = draw(st.booleans())
    return IndexColumn(
        draw(st.sampled_from(COLUMNS)),
        opclass=draw(st.sampled_from([None, None, None, "pg_catalog.text_pattern_ops"])),
        collation=draw(st.sampled_from([None, None, None, 'pg_catalog."C"'])),
        descending=descending,
        nulls_first=draw(st.sampled_from([descending, not descending])),
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    indexes: list[Index] = []
    constraints: list[Constraint] = []
    names = draw(st.lists(st.text(st.sampled_from('akeyword_é"; '), min_size=1, max_size=31), unique=True, max_size=7))
    for n, name in enumerate(names):
        keys = tuple(
            draw(st.lists(index_columns(), min_size=1, max_size=4, unique_by=lambda c: (c.column, c.expression)))
        )
        include = tuple(draw(st.lists(st.sampled_from(COLUMNS), max_size=2, unique=True)))
        predicate = draw(st.sampled_from(PREDICATES)) if draw(st.booleans()) else None
        unique = draw(st.booleans())
        kind = draw(st.sampled_from(["", "", "", "u", "x", "p"]))
        simple = predicate is None and all(c.column is not None for c in keys)
        if kind in ("u", "p") and not simple:
            kind = ""
        if kind == "p" and any(i.primary for i in indexes):
            kind = "u"
        texts = [predicate, *(c.expression for c in keys)]
        plain = {c.column for c in keys} | set(include)
        uses = tuple(c for c in COLUMNS if c in plain or any(mentions(text, c) for text in texts))
        method = "gist" if kind == "x" else "btree" if unique or kind else draw(
            st.sampled_from(["btree", "hash", "gin", "brin"])
        )  # fmt: skip
        unique = kind in ("u", "p") or (unique and kind != "x")
        indexes.append(
            Index(
                name=name, schema="public", method=method, columns=keys, include=include, unique=unique,
                primary=kind == "p", valid=draw(st.integers(0, 9)) > 0, immediate=True,
                nulls_not_distinct=unique and draw(st.booleans()), predicate=predicate,
                constraint=name if kind else None, definition=f"{n}", uses=uses,
            )
        )  # fmt: skip
        if kind:
            constraints.append(
                Constraint(
                    name, kind, tuple(c.column for c in keys if c.column), "",
                    deferrable=draw(st.booleans()), index=name,
                    operators=tuple(draw(st.sampled_from(OPERATORS)) for _ in keys) if kind == "x" else (),
                )
            )  # fmt: skip
    for n, expression in enumerate(
        draw(st.lists(st.sampled_from([p for p in PREDICATES if p]), max_size=2, unique=True))
    ):
        used = tuple(c for c in COLUMNS if mentions(expression, c))
        constraints.append(Constraint(f"ck {n}", "c", used, f"CHECK ({expression})", expression=expression))
    if draw(st.booleans()):
        pairs = (("tenant", "keyword"), ("tenant_id", draw(st.sampled_from(["keyword", "other"]))))
        constraints.append(Constraint("fk", "f", pairs[0], "", references=KEYWORDS, reference_columns=pairs[1]))
    inbound = (InboundKey("in", PEOPLE, ("a",), (draw(st.sampled_from(COLUMNS)),), "a"),)
    return Table(
        oid=1, name=QName("public", draw(st.sampled_from(["machine_tags", "keyword_models", 'a";b']))), kind="r",
        owner="o", columns=tuple(Column(c, "text", n, "text") for n, c in enumerate(COLUMNS)),
        indexes=tuple(indexes), constraints=tuple(constraints), inbound=inbound if draw(st.booleans()) else (),
    )  # fmt: skip


def legacy(table: Table, dropped: set[str]) -> list[str]:
    """Names of everything that loses a column, a constraint's index counted once."""
    found = [i.name for i in table.indexes if dropped & set(i.uses)]
    found += [c.name for c in table.constraints if c.kind in "cf" and dropped & set(c.columns)]
    return sorted(found + [k.name for k in table.inbound if dropped & set(k.target_columns)])


def reads(successor: Successor) -> set[str]:
    """Every column that a successor reads, by what it says and by what it is said to use."""
    found: set[str] = set()
    if successor.index is not None:
        index = successor.index
        found |= {c.column for c in index.columns if c.column} | set(index.include) | set(index.uses)
        texts = [index.predicate, *(c.expression for c in index.columns)]
        found |= {c for c in COLUMNS for text in texts if mentions(text, c)}
    if successor.constraint is not None:
        found |= set(successor.constraint.columns)
        found |= {c for c in COLUMNS if mentions(successor.constraint.definition, c)}
    return found


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(tables(), references())
def test_nothing_is_lost_and_nothing_mentions_what_goes(table: Table, refs: tuple[Carried, ...]) -> None:
    dropped = set(dropped_columns(refs))
    result = succession(table, refs, taken=["people", "ix_machine_tags_tenant_keyword_id"])
    told = [name for s in result.successors for name in s.sources]
    told += [c.source for c in result.covered] + [u.source for u in result.unconvertible]
    gone = legacy(table, dropped)
    assert sorted(t for t in told if t in gone) == gone, "each legacy object is told of exactly once"
    twins = [t for t in told if t not in gone]
    kept = {r.text for r in refs if r.keep_text}
    for name in twins:  # of texts that stay: an addition, which drops nothing
        index = table.index(name)
        assert index is not None
        assert not index.unique
        assert kept & set(index.uses)
    for successor in result.successors:
        assert not dropped & reads(successor), successor
    assert all(u.reason and u.remedy for u in result.unconvertible)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(tables(), references())
def test_names_are_new_unique_and_fit(table: Table, refs: tuple[Carried, ...]) -> None:
    taken = {"people", "ix_machine_tags_tenant_keyword_id"}
    result = succession(table, refs, taken)
    names = [s.name for s in result.successors]
    old = {i.name for i in table.indexes} | {c.name for c in table.constraints} | taken
    assert len(set(names)) == len(names)
    assert not old & set(names)
    assert all(0 < len(n.encode()) <= 63 for n in names)
    for successor in result.successors:
        assert successor.index is None or successor.index.name == successor.name
        assert successor.constraint is None or successor.constraint.name == successor.name
    assert succession(table, refs, taken) == result, "the same on every run"


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(tables(), references())
def test_what_each_successor_is(table: Table, refs: tuple[Carried, ...]) -> None:
    result = succession(table, refs)
    assert len(set(definitions(result))) == len(result.successors), "equal ones are merged"
    for successor in result.successors:
        index = successor.index
        assert (successor.kind == "check") == (index is None)
        assert not (successor.deferrable and successor.late)
        if successor.deferrable or successor.late:
            assert successor.kind in ("unique", "primary")
        if index is None:
            continue
        assert index.columns, "no index without columns"
        columns = [c.column for c in index.columns if c.column]
        assert len(set(columns)) == len(columns)
        assert not set(columns) & set(index.include)
        assert index.unique == (successor.kind in ("unique", "primary"))
        if successor.deferrable:
            assert index.predicate is None
            assert all(
                c.column and not (c.opclass or c.collation or c.descending or c.nulls_first) for c in index.columns
            )
    for reference in refs:
        assert any(leads(s, reference) for s in result.successors), "the foreign key's own checks need an index"


def definitions(result: Succession) -> list[object]:
    found: list[object] = []
    for s in result.successors:
        said = (s.kind, s.late, s.constraint and s.constraint.definition, s.constraint and s.constraint.operators)
        i = s.index
        found.append((said, i and (i.method, i.columns, i.include, i.predicate, i.nulls_not_distinct)))
    return found


def leads(successor: Successor, reference: Carried) -> bool:
    index = successor.index
    if index is None or successor.late or index.predicate is not None:
        return False
    leading = [c.column for c in index.columns]
    wanted = {reference.key, *reference.scope}
    return index.method == "btree" and (leading[0] == reference.key or set(leading[: len(wanted)]) == wanted)
