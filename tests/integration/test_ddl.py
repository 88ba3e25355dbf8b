"""Every object that hangs on a table, dropped and made again from the catalog: pg_dump cannot tell."""

from __future__ import annotations

from collections.abc import Callable

import nasty
from compare import dump_schema
from fix_servers import Database, template
from normalform.core.catalog import Table
from normalform.core.names import QName
from normalform.db.inspect import inspect
from normalform.sql import columns, ddl

FLIGHTS = QName("Air Traffic", 'Fl"ig;hts')
INBOUND = QName("public", "inbound")
#: In their own order, since the columns of a statistics object are printed in that of the table.
TEXTS = ("a'b\"c;d", nasty.LONG, "lower_of", "nick", "tenant", "tags")
template("nasty", nasty.SCHEMA)


def statements(table: Table) -> list[str]:
    """Return what makes the columns, constraints, indexes and statistics again, after all have been dropped."""
    result: list[str] = []
    for name in TEXTS:
        column = table.column(name)
        assert column is not None
        result += columns.add_column(FLIGHTS, column, not_null=True)
    for constraint in table.constraints:
        if constraint.kind == "n":  # came back with its column
            continue
        index = table.index(constraint.index) if constraint.index else None
        if index is not None and constraint.kind in ("p", "u") and constraint.name != "uq_none":
            # Two ways that must give the same: built beforehand and attached, or built by ADD CONSTRAINT.
            result.append(ddl.create_index(FLIGHTS, index, name="built ahead", concurrently=True))
            result.append(
                ddl.attach_unique(
                    FLIGHTS,
                    constraint.name,
                    "built ahead",
                    primary=constraint.kind == "p",
                    deferrable=constraint.deferrable,
                    deferred=constraint.deferred,
                )
            )
        else:
            result.append(ddl.add_constraint(FLIGHTS, constraint, index))
        result += ddl.constraint_comment(FLIGHTS, constraint)
        if index is not None:
            result += ddl.index_extras(FLIGHTS, index)
    for index in table.indexes:
        if index.constraint is None:
            result.append(ddl.create_index(FLIGHTS, index, concurrently=True))
            result += ddl.index_extras(FLIGHTS, index)
    for statistics in table.statistics:
        result += ddl.create_statistics(statistics)
    return result


def test_drop_and_make_again(database: Callable[..., Database]) -> None:
    db = database("nasty")
    before = dump_schema(db, column_order=False)
    with db.connect() as conn:
        catalog = inspect(conn, [FLIGHTS, INBOUND])
        table, inbound = catalog.tables[FLIGHTS], catalog.tables[INBOUND]
        trigger = next(t for t in table.triggers if t.name == "a;trigger")
        conn.execute(ddl.drop_constraint(INBOUND, "fk_in"))
        conn.execute('DROP TRIGGER "a;trigger" ON "Air Traffic"."Fl""ig;hts"')
        for index in table.indexes:
            if index.constraint is None:
                conn.execute(ddl.drop_index(index.schema, index.name, concurrently=True))
        for constraint in table.constraints:
            if constraint.kind != "n":
                conn.execute(ddl.drop_constraint(FLIGHTS, constraint.name))
        for name in reversed(TEXTS):
            conn.execute(columns.drop_column(FLIGHTS, name))
        bare = inspect(conn, [FLIGHTS]).tables[FLIGHTS]
        assert not bare.indexes
        assert not bare.statistics
        assert dump_schema(db, column_order=False) != before
        for statement in statements(table):
            conn.execute(statement)
        key = inbound.constraint("fk_in")
        assert key is not None
        conn.execute(ddl.add_constraint(INBOUND, key))
        conn.execute(trigger.definition)
    assert dump_schema(db, column_order=False) == before


def test_a_default_does_not_reach_rows_that_exist(db: Database) -> None:
    db.run("CREATE TABLE public.t (a int, k text NOT NULL DEFAULT 'none'); INSERT INTO public.t VALUES (1, 'kept')")
    name = QName("public", "t")
    with db.connect() as conn:
        column = inspect(conn, [name]).tables[name].column("k")
        assert column is not None
        conn.execute(columns.drop_column(name, "k"))
        for statement in columns.add_column(name, column):
            conn.execute(statement)
        conn.execute("INSERT INTO public.t (a) VALUES (2)")
    assert db.rows("SELECT a, k FROM public.t ORDER BY a") == [(1, None), (2, "none")]


def test_not_valid_is_said_once(db: Database) -> None:
    db.run("CREATE TABLE public.t (a int); ALTER TABLE public.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID")
    name = QName("public", "t")
    with db.connect() as conn:
        check = inspect(conn, [name]).tables[name].constraint("c")
        assert check is not None
        conn.execute(ddl.drop_constraint(name, "c"))
        conn.execute(ddl.add_constraint(name, check, not_valid=True))
        conn.execute(ddl.validate_constraint(name, "c"))
        again = inspect(conn, [name]).tables[name].constraint("c")
        assert again is not None
        assert again.validated
