"""The mutation proof: a thousand random corruptions of seven kinds, and verify names every one (CORRECTNESS 30).

The corruptions are made behind the triggers' back, most of them many at a time and each named by its own row, some
alone. A row deleted from a reference leaves nothing to look at, and the category of a row whose text alone decides was
another one before: two certificates name these. After each round the rows are put back, and at the end verify passes
with the sums that it began with.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from filled import FILLED
from fix_servers import Database
from normalform.core.certificate import Certificate
from normalform.core.events import Event
from normalform.db.work import Context
from normalform.errors import ProofFailed
from normalform.phases import verify

SEED = 20261122
TOTAL = 1000
ALONE = 21
KINDS = ("swapped", "foreign", "text", "qualifier", "deleted", "nulled", "renamed")
TABLES = {
    "machine_tags": "machine_tags",
    "permatags": "permatags",
    "image_tags": "image_tags",
    "keyword_models": "keyword_models",
    "faces": "detected_faces",
}
LOOKUPS = ("keywords", "keyword_categories", "people")


@dataclass(frozen=True)
class Row:
    """A row of a reference as it is before anybody corrupts it."""

    reference: str
    id: int
    tenant: str
    text: str | None
    category: str | None
    key: int | None


@dataclass(frozen=True)
class Corruption:
    """One corruption: its kind, its statement, and the rows of a reference of which each must be named.

    ``delta`` is by how many rows the reference has fewer; no ``ids`` means that two certificates must tell.
    """

    kind: str
    statement: str
    parameters: tuple[Any, ...]
    reference: str
    ids: tuple[int, ...]
    delta: int = 0

    def __str__(self) -> str:
        return f"{self.kind}: {self.statement} {self.parameters}"


class World:
    """The database, what is in it, and which rows this round has corrupted already."""

    def __init__(self, admin: psycopg.Connection, source: random.Random) -> None:
        self.admin, self.random = admin, source
        admin.execute("SET session_replication_role = replica")
        # A wrong text may be one that another row has; what the application's own uniques refuse is not in question.
        admin.execute(
            "ALTER TABLE public.permatags DROP CONSTRAINT uq_permatag; "
            "DROP INDEX public.uq_machine_tags, public.uq_keyword_models"
        )
        admin.execute("CREATE SCHEMA kept")
        for table in (*TABLES.values(), *LOOKUPS):
            admin.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}".encode())
        self.rows = [row for reference in TABLES for row in self.read(reference)]
        self.keywords = self.lookup("SELECT id, tenant_id, keyword FROM public.keywords")
        self.people = self.lookup("SELECT id, tenant_id, name FROM public.people")
        self.nicks = {
            (key, alias)
            for key, alias in admin.execute(
                "SELECT id, a FROM public.people, json_array_elements_text(coalesce(aliases, '[]')) a"
            ).fetchall()
        }
        self.places: dict[int, int] = dict(admin.execute("SELECT id, category_id FROM public.keywords").fetchall())
        self.taken: set[tuple[str, int]] = set()
        self.spoilt: set[tuple[str, int]] = set()
        self.residue: dict[str, set[int]] = {}

    def read(self, reference: str) -> list[Row]:
        text, key = ("person_name", "person_id") if reference == "faces" else ("keyword", "keyword_id")
        category = "NULL" if reference in ("faces", "keyword_models") else "category"
        query = f"SELECT id, tenant_id, {text}, {category}, {key} FROM public.{TABLES[reference]} ORDER BY id"
        return [Row(reference, *values) for values in self.admin.execute(query.encode()).fetchall()]

    def lookup(self, query: str) -> dict[int, tuple[str, str]]:
        return {key: (tenant, text) for key, tenant, text in self.admin.execute(query.encode()).fetchall()}

    def names(self, row: Row) -> dict[int, tuple[str, str]]:
        """The lookup that a row points at."""
        return self.people if row.reference == "faces" else self.keywords

    def pick(self, wanted: Callable[[Row], bool]) -> Row:
        """A random row that nobody has touched in this round, nor its lookup row."""
        fresh = [r for r in self.rows if wanted(r) and not self.used(r)]
        row = self.random.choice(fresh)
        self.taken.add((row.reference, row.id))
        return row

    def used(self, row: Row) -> bool:
        lookup = "people" if row.reference == "faces" else "keywords"
        return (row.reference, row.id) in self.taken or (row.key is not None and (lookup, row.key) in self.spoilt)

    def excused(self, row: Row) -> bool:
        """Whether an alias or a decision says what the row's text means, whatever its lookup row is called."""
        decided = row.text == "TREE" or (row.reference, row.text) == ("keyword_models", "twin0")
        return decided or (row.key, row.text) in self.nicks

    def restore(self) -> None:
        """Put every row back as it was."""
        for table in (*TABLES.values(), *LOOKUPS):
            now, then = f"SELECT t::text FROM public.{table} t", f"SELECT t::text FROM kept.{table} t"
            if self.admin.execute(f"({now} EXCEPT {then}) UNION ALL ({then} EXCEPT {now}) LIMIT 1".encode()).fetchone():
                self.admin.execute(f"DELETE FROM public.{table}".encode())
                self.admin.execute(f"INSERT INTO public.{table} TABLE kept.{table}".encode())
        self.taken.clear()
        self.spoilt.clear()

    def corrupt(self, corruption: Corruption) -> None:
        """Carry a corruption out."""
        cursor = self.admin.execute(corruption.statement.encode(), corruption.parameters)
        assert cursor.rowcount == 1, corruption


def make(world: World, kind: str, *, alone: bool) -> Corruption:
    """Return a random corruption of a kind, of rows that this round has not corrupted yet."""
    pick, choose = world.pick, world.random.choice

    def update(row: Row, column: str, value: object) -> Corruption:
        table = TABLES[row.reference]
        statement = f"UPDATE public.{table} SET {column} = %s WHERE id = %s"
        return Corruption(kind, statement, (value, row.id), row.reference, (row.id,))

    def column(row: Row, keyword: str, person: str) -> str:
        return person if row.reference == "faces" else keyword

    if kind in ("swapped", "foreign"):
        row = pick(lambda r: r.key is not None)
        home = kind == "swapped"
        others = [
            k
            for k, (tenant, _) in world.names(row).items()
            if k != row.key and (tenant == row.tenant) == home and (k, row.text) not in world.nicks
        ]
        return update(row, column(row, "keyword_id", "person_id"), choose(others))
    if kind == "nulled":
        row = pick(lambda r: r.key is not None)
        return update(row, column(row, "keyword_id", "person_id"), None)
    if kind == "text":
        row = pick(lambda r: r.key is not None)
        assert row.text is not None
        tampered = [
            row.text + "x",
            row.text.upper(),
            " " + row.text,
            row.text[:-1],
            "",
            choose(list(world.keywords.values()))[1],
        ]
        texts = [t for t in tampered if t not in (row.text, "TREE") and (row.key, t) not in world.nicks]
        return update(row, column(row, "keyword", "person_name"), choose(texts))
    if kind == "qualifier":
        row = pick(lambda r: r.category is not None and (alone or r.id not in world.residue[r.reference]))
        value = choose([None, "", "cat1", "cat1/cat3", "nowhere", "travel", "nature"])
        made = update(row, "category", value if value != row.category else f"{row.category}/")
        return replace(made, ids=()) if row.id in world.residue[row.reference] else made
    if kind == "deleted":
        if world.random.random() < 0.5:
            row = pick(lambda r: True)
            statement = f"DELETE FROM public.{TABLES[row.reference]} WHERE id = %s"
            return Corruption(kind, statement, (row.id,), row.reference, (), delta=1)
        return spoil(world, kind, "DELETE FROM public.{} WHERE id = %s", ())
    assert kind == "renamed"
    if world.random.random() < 0.3:
        return rename_category(world)
    return spoil(world, kind, "UPDATE public.{} SET {} = %s WHERE id = %s", (f"new {world.random.random()}",))


def spoil(world: World, kind: str, statement: str, values: tuple[object, ...]) -> Corruption:
    """Corrupt a lookup row that some reference's rows point at; each of one reference's rows must be named."""
    # A face that has lost its key may stay without one once nobody has its name any more.
    touched = {r.key for r in world.rows if r.reference == "faces" and (r.reference, r.id) in world.taken}

    def wanted(r: Row) -> bool:
        told = r.key is not None and not world.excused(r)
        return told and not (r.reference == "faces" and r.key in touched)

    row = world.pick(wanted)
    assert row.key is not None
    table, name = ("people", "name") if row.reference == "faces" else ("keywords", "keyword")
    hit = [
        r
        for r in world.rows
        if r.reference == row.reference
        and r.key == row.key
        and (r.id == row.id or (r.reference, r.id) not in world.taken)
        and not (kind == "renamed" and world.excused(r))
    ]
    world.spoilt.add((table, row.key))
    return Corruption(kind, statement.format(table, name), (*values, row.key), row.reference, tuple(r.id for r in hit))


def rename_category(world: World) -> Corruption:
    """Rename a category behind its trigger: every row of one reference under it now has another path than its key."""
    row = world.pick(lambda r: r.reference in ("machine_tags", "permatags") and r.key is not None)
    assert row.key is not None
    place = world.places[row.key]
    new = f"place {world.random.random()}"
    under = [k for k, p in world.places.items() if p == place]
    hit = [
        r
        for r in world.rows
        if r.reference == row.reference and r.key in under and (r.id == row.id or not world.used(r))
    ]
    world.spoilt |= {("keywords", k) for k in under}
    statement = "UPDATE public.keyword_categories SET name = %s WHERE id = %s"
    return Corruption("renamed", statement, (new, place), row.reference, tuple(r.id for r in hit))


@pytest.fixture
def world(database: Callable[..., Database]) -> Iterator[tuple[Database, World]]:
    db = database(FILLED)
    with db.connect("admin") as admin:
        yield db, World(admin, random.Random(SEED))


def named(events: list[Event]) -> dict[str, set[int]]:
    """The rows that were named, by reference."""
    found: dict[str, set[int]] = {reference: set() for reference in TABLES}
    for event in events:
        if event.kind == "offence":
            found[event.name].add(int(event.data["identity"][0]))
    return found


def certificates(ctx: Context) -> dict[str, Certificate]:
    return {c.reference: c for c in verify.verify(ctx)}


def missed(
    batch: list[Corruption], before: dict[str, Certificate], after: dict[str, Certificate], events: list[Event]
) -> list[str]:
    """The corruptions of a round that nothing names."""
    rows = named(events)
    deleted = Counter[str]()
    for corruption in batch:
        deleted[corruption.reference] += corruption.delta
    lines = verify.compare(list(before.values()), list(after.values()))
    result = []
    for corruption in batch:
        reference = corruption.reference
        if corruption.delta:
            fewer = (
                f"{reference}: {before[reference].rows} rows before, {before[reference].rows - deleted[reference]} now"
            )
            if fewer not in lines:
                result.append(f"{corruption}: {lines}")
            continue
        if not corruption.ids:
            if not any(line.startswith(f"{reference}: ") and "not the same" in line for line in lines):
                result.append(f"{corruption}: {lines}")
            continue
        wanted = set(corruption.ids)
        if not wanted <= rows[reference]:
            result.append(f"{corruption}: rows {sorted(wanted - rows[reference])} are not named")
    return result


def test_a_thousand_corruptions_are_a_thousand_times_named(
    world: tuple[Database, World], engine: Callable[..., Context]
) -> None:
    db, at = world
    events: list[Event] = []
    # Without a limit, and with the rows of which only the text still says what their key does.
    ctx = engine(db.url, sink=events.append, workers=1, options={"all": True, "residue": True})
    before = certificates(ctx)
    assert all(c.passed for c in before.values())
    at.residue = named(events)
    made: Counter[str] = Counter()
    unnamed: list[str] = []
    sizes = [1] * ALONE
    while sum(sizes) < TOTAL:
        sizes.append(min(89, TOTAL - sum(sizes)))
    for size in sizes:
        batch = []
        for _ in range(size):
            kind = KINDS[sum(made.values()) % len(KINDS)]
            made[kind] += 1
            batch.append(make(at, kind, alone=size == 1))
        for corruption in batch:
            at.corrupt(corruption)
        events.clear()
        after = certificates(ctx)
        unnamed += missed(batch, before, after, without(events, at.residue))
        at.restore()
    assert unnamed == []
    assert sum(made.values()) == TOTAL and min(made.values()) > TOTAL // 8
    again = certificates(ctx)
    assert verify.compare(list(before.values()), list(again.values())) == []
    verify.do(ctx)


def without(events: list[Event], innocent: dict[str, set[int]]) -> list[Event]:
    """Leave out the rows that were a residue before anybody touched them, unless they are worse now."""
    return [
        e
        for e in events
        if e.kind == "offence"
        and not (e.data["kind"] == "residue" and int(e.data["identity"][0]) in innocent.get(e.name, ()))
    ]


def test_every_trigger_and_function_of_sync_is_missed_when_it_is_gone_or_replaced(
    world: tuple[Database, World], engine: Callable[..., Context]
) -> None:
    """A few triggers, each broken in every way; verify names the trigger or its function."""
    db, at = world
    ctx = engine(db.url, workers=1)
    verify.do(ctx)
    triggers = at.admin.execute(
        "SELECT t.tgrelid::regclass::text, quote_ident(t.tgname), p.proname, pg_get_triggerdef(t.oid), "
        "pg_get_functiondef(p.oid) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE p.pronamespace = 'normalform'::regnamespace AND NOT t.tgisinternal ORDER BY 1, 2"
    ).fetchall()
    assert len(triggers) > 10
    nothing = "BEGIN RETURN coalesce(NEW, OLD); END"
    for table, name, function, definition, body in at.random.sample(triggers, 3):
        plain = name.strip('"')
        empty = (
            f"CREATE OR REPLACE FUNCTION normalform.{function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            f"SET search_path = pg_catalog, pg_temp AS '{nothing}'"
        )
        for breaks, mends, word in (
            (f"ALTER TABLE {table} DISABLE TRIGGER {name}", f"ALTER TABLE {table} ENABLE TRIGGER {name}", plain),
            (f"ALTER TABLE {table} ENABLE REPLICA TRIGGER {name}", f"ALTER TABLE {table} ENABLE TRIGGER {name}", plain),
            (f"DROP TRIGGER {name} ON {table}", definition, plain),
            (empty, body, function),
        ):
            at.admin.execute(breaks.encode())
            with pytest.raises(ProofFailed) as failed:
                verify.do(ctx)
            assert word in failed.value.message, breaks
            at.admin.execute(mends.encode())
    verify.do(ctx)
