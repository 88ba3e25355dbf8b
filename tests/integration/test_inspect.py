"""The catalog as `inspect` reads it, on names and objects that are as awkward as PostgreSQL allows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import nasty
from fix_servers import Database, template
from normalform.core.catalog import InboundKey, IndexColumn, Table, table_from_json, to_json
from normalform.core.names import QName
from normalform.db.inspect import inspect

FLIGHTS = QName("Air Traffic", 'Fl"ig;hts')
TEXT = "a'b\"c;d"
template("nasty", nasty.SCHEMA)


@pytest.fixture
def flights(database: Callable[..., Database]) -> Table:
    with database("nasty").connect() as conn:
        return inspect(conn, [FLIGHTS]).tables[FLIGHTS]


def test_columns_with_everything_on_them(flights: Table) -> None:
    text = flights.column(TEXT)
    assert text is not None
    assert (text.type, text.base, text.width) == ("character varying(40)", "varchar", 40)
    assert text.collation == 'pg_catalog."C"'
    assert text.default == "'x;''y\\z'::character varying"
    assert text.comment == 'it\'s a "comment"; with \\ and é'
    assert set(text.acl) == {"=rw/nf_owner", "pg_monitor=a*/nf_owner"}
    long = flights.column(nasty.LONG)
    assert long is not None
    assert len(long.name.encode()) == 63
    assert (long.storage, long.compression, long.not_null) == ("external", "pglz", True)
    domain = flights.column("nick")
    assert domain is not None
    assert domain.is_text
    assert (domain.type, domain.width, domain.options) == ('"Air Traffic"."Short; er"', 12, ("n_distinct=-0.5",))
    generated = flights.column("lower_of")
    assert generated is not None
    assert (generated.generated, generated.default) == ("s", f'lower("{nasty.LONG}")')
    identity = flights.column("FAA Code")
    assert identity is not None
    assert identity.identity == "d"
    tags = flights.column("tags")
    assert tags is not None
    assert (tags.base, tags.statistics) == ("_text", 7)


def test_indexes_with_everything_on_them(flights: Table) -> None:
    mixed = flights.index("ix;expr")
    assert mixed is not None
    lower, plus, long = mixed.columns
    assert (lower.column, lower.collation, lower.descending, lower.nulls_first) == (None, 'pg_catalog."C"', True, True)
    assert plus.expression is not None
    assert "pay" in plus.expression
    assert long == IndexColumn(
        nasty.LONG, None, "pg_catalog.text_pattern_ops", 'pg_catalog."C"', descending=False, nulls_first=True
    )
    assert set(mixed.uses) == {TEXT, nasty.LONG, "pay", "tenant", "nick"}
    assert mixed.statistics == ((2, 33),)
    assert mixed.comment == "on an index's"
    assert mixed.predicate is not None
    include = flights.index("ix_ident")
    assert include is not None
    assert (include.include, include.replica_identity, include.unique) == (("pay", "spot"), True, True)
    assert set(include.uses) == {"tenant", nasty.LONG, "pay", "spot"}
    descending = flights.index("ix_desc")
    assert descending is not None
    assert [(c.descending, c.nulls_first) for c in descending.columns] == [(True, False), (True, True)]
    assert descending.clustered
    brin = flights.index("ix_brin")
    assert brin is not None
    assert brin.columns[0].opclass == "pg_catalog.int8_minmax_multi_ops(values_per_range='16')"
    gin = flights.index("ix_gin")
    assert gin is not None
    assert (gin.columns[0].opclass, gin.options) == (None, ("fastupdate=off",))
    nulls = flights.index("uq_none")
    assert nulls is not None
    assert (nulls.nulls_not_distinct, nulls.constraint) == (True, "uq_none")
    # Columns that only the constraint's row in pg_depend names, INCLUDE among them.
    unique = flights.index('uq "1"')
    assert unique is not None
    assert set(unique.uses) == {"tenant", TEXT, "pay"}
    assert not unique.immediate


def test_constraints_of_every_kind(flights: Table, pg_version: int) -> None:
    foreign = flights.constraint("fk_spot")
    assert foreign is not None
    assert (foreign.references, foreign.reference_columns) == (QName("public", "spot"), ("tenant", "id"))
    assert (foreign.on_delete, foreign.on_update, foreign.deferrable, foreign.deferred) == ("n", "c", True, False)
    late = flights.constraint("late")
    assert late is not None
    assert not late.validated
    exclusion = flights.constraint("ex")
    assert exclusion is not None
    assert (exclusion.operators, exclusion.index) == (("OPERATOR(pg_catalog.&&)",), "ex")
    unique = flights.constraint('uq "1"')
    assert unique is not None
    assert (unique.deferred, unique.comment, unique.columns) == (True, "on a unique", ("tenant", TEXT))
    assert flights.primary_key == ("FAA Code",)
    named = [c.columns for c in flights.constraints if c.kind == "n"]
    assert named == ([] if pg_version < 18 else [("FAA Code",), ("tags",), ("tenant",), (nasty.LONG,)])


def test_what_hangs_on_the_table(flights: Table) -> None:
    assert flights.inbound == (
        InboundKey("fk_in", QName("public", "inbound"), ("tenant", "long"), ("tenant", nasty.LONG), "c"),
    )
    before, statement = flights.triggers
    assert (before.timing, before.row, before.events, before.enabled) == ("before", True, ("insert", "update"), "O")
    assert before.function == 'public."tri;gger"'
    assert (statement.timing, statement.row, statement.events, statement.enabled) == (
        "after", False, ("delete", "truncate"), "A",
    )  # fmt: skip
    assert [(s.name.name, set(s.columns), s.target) for s in flights.statistics] == [
        ("st;at", {"tenant", nasty.LONG}, 55),
        ("st_expr", {"nick", "pay"}, None),
    ]
    assert flights.replica_identity == "i"
    assert flights.owner == "nf_owner"


def test_a_not_null_that_is_not_valid_holds_for_no_old_row(db: Database, pg_version: int) -> None:
    """PostgreSQL 18 knows such constraints, and marks their columns as NOT NULL at once."""
    db.run("CREATE TABLE public.old (a int, b int NOT NULL); INSERT INTO public.old VALUES (NULL, 1)")
    if pg_version >= 18:
        db.run("ALTER TABLE public.old ADD CONSTRAINT later NOT NULL a NOT VALID")
    name = QName("public", "old")
    with db.connect() as conn:
        table = inspect(conn, [name]).tables[name]
    assert {c.name: c.not_null for c in table.columns} == {"a": False, "b": True}


def test_a_table_survives_the_ledger(flights: Table) -> None:
    assert table_from_json(json.loads(json.dumps(to_json(flights)))) == flights


def test_names_without_schema_follow_the_roles_own_path_and_not_the_sessions(db: Database) -> None:
    db.run("CREATE SCHEMA late; CREATE SCHEMA early; CREATE TABLE late.t (a int); CREATE TABLE early.t (b int)")
    bare = QName("", "t")
    with db.connect() as conn:
        assert inspect(conn, [bare]).find(bare) is None  # "$user", public
    db.run(f'ALTER ROLE nf_owner IN DATABASE "{db.name}" SET search_path = missing, early, late', role="admin")
    with db.connect() as conn:
        conn.execute("SET search_path = pg_catalog, pg_temp")
        catalog = inspect(conn, [bare])
        assert catalog.search_path == ("early", "late")
        found = catalog.find(bare)
        assert found is not None
        assert (found.name, found.columns[0].name) == (QName("early", "t"), "b")
        assert conn.execute("SHOW search_path").fetchone() == ("pg_catalog, pg_temp",)
        other = inspect(conn, [bare], search_path=["late"]).find(bare)
        assert other is not None
        assert other.name == QName("late", "t")
    with db.connect(autocommit=False) as conn:
        conn.execute("SET LOCAL search_path = late")
        inspect(conn, [bare])
        assert conn.execute("SHOW search_path").fetchone() == ("late",)


def test_a_role_with_nothing_but_select_reads_the_same(database: Callable[..., Database]) -> None:
    db = database("nasty")
    db.run('GRANT USAGE ON SCHEMA "Air Traffic" TO nf_app')
    with db.connect() as owner, db.connect("app") as app:
        app.execute("SET default_transaction_read_only = on")
        assert inspect(app, [FLIGHTS]).tables == inspect(owner, [FLIGHTS]).tables


def test_the_number_of_queries_does_not_grow(database: Callable[..., Database]) -> None:
    db = database("nasty")
    db.run("".join(f"CREATE TABLE public.n{i} (id serial PRIMARY KEY, x text UNIQUE);" for i in range(30)))

    def count(conn: psycopg.Connection, names: list[QName]) -> int:
        sent: list[object] = []
        execute: Any = psycopg.Cursor.execute

        def counted(*args: Any, **kw: Any) -> Any:
            sent.append(args[1])
            return execute(*args, **kw)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.Cursor, "execute", counted)
            inspect(conn, names)
        return len(sent)

    with db.connect() as conn:
        assert count(conn, [QName("public", f"n{i}") for i in range(30)]) == count(conn, [FLIGHTS]) < 25
