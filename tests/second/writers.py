"""Writers of both kinds on the museum, and its twin, which never migrates and gets the same writes as text.

Old code writes texts, new code writes keys; both as a role that has DML only. What the museum holds in the end must be
what the twin holds. Writers touch rows of their own (:func:`untouched` leaves those out of the truth).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from compare import checksums
from fix_servers import Database
from second.museum import (
    DOOR,
    GUIDE,
    IN,
    LENT,
    LOANS,
    LONG,
    MADE,
    MUSEUM,
    NAMES,
    OWNED,
    PEOPLE,
    PERSON,
    PLACE,
    ROOM,
    SPOKEN,
    STYLE,
    TO,
    TONGUE,
    TWIN_A,
    TWIN_B,
    WORKS,
    WRITTEN,
    place_key,
    style_key,
)  # fmt: skip

Values = Mapping[str, Any]
WORK, LOAN, VISIT, SHOW, CARD = (
    (MUSEUM, WORKS), (MUSEUM, LOANS), ("public", "visits"), ("public", "shows"), ("public", "cards"),
)  # fmt: skip
#: Who is not renamed on the way.
KEPT = [name for name in NAMES if name != "trailing "]
PERSONS, PLACES, TONGUES = (MUSEUM, PEOPLE), (TWIN_A, LONG), ("public", "tongue")


def untouched(truth: Mapping[tuple[str, Any, str], Any]) -> dict[tuple[str, Any, str], Any]:
    """Returns the truth about the rows that no writer touches."""
    ours = {(WORKS, str(n)) for n in range(100, 108)}
    for n in range(30, 36):
        ours |= {(LOANS, str(n)), ("visits", f"w{n}'"), ("shows", f"show {n}%"), ("cards", card(n))}
    return {place: key for place, key in truth.items() if place[:2] not in ours}


def card(n: int) -> str:
    """Returns a card's id."""
    return f"00000000-0000-0000-0000-{n:012}"


@dataclass(frozen=True)
class Write:
    """An INSERT of ``values``, an UPDATE where there is a ``where``, a DELETE without values.

    ``twin`` is what the twin is given, where it is something else.
    """

    table: tuple[str, str]
    values: Values
    where: Values | None = None
    twin: Values | None = None

    def statement(self, *, twin: bool = False) -> sql.Composed:
        """Returns it as SQL, values as literals."""
        values = self.twin if twin and self.twin is not None else self.values
        names = [sql.Identifier(n) for n in values]
        literals = [sql.Literal(v) for v in values.values()]
        pairs = [sql.SQL("{} = {}").format(n, v) for n, v in zip(names, literals, strict=True)]
        table = sql.Identifier(*self.table)
        if self.where is None:
            comma = sql.SQL(", ")
            return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, comma.join(names), comma.join(literals))
        where = [sql.SQL("{} = {}").format(sql.Identifier(n), sql.Literal(v)) for n, v in self.where.items()]
        condition = sql.SQL(" AND ").join(where)
        if not values:
            return sql.SQL("DELETE FROM {} WHERE {}").format(table, condition)
        return sql.SQL("UPDATE {} SET {} WHERE {}").format(table, sql.SQL(", ").join(pairs), condition)


def old_code(n: int) -> list[Write]:
    """Returns what old code writes in round n."""
    maker, other = KEPT[n % len(KEPT)], KEPT[(n + 17) % len(KEPT)]
    spoken = ("Deutsch", f"Deutsch{n - 1}")[n > 1]
    work = {"inv no": 9000 + n, "title": f"old{n}", "made by": maker, "owned by": other, "museum": 1, "wing": "süd "}
    return [
        Write(WORK, {**work, 'sty"le': "oil", "era": "晚"}),
        Write(WORK, {"made by": other, "owned by": None, "gone at": None}, {"inv no": 100}),
        Write(WORK, {'sty"le': "oil", "era": ("early", "early ")[n % 2]}, {"inv no": 101}),
        Write(WORK, {"era": ("early ", "", "晚")[n % 3]}, {"inv no": 101}),
        Write(LOAN, {"no": 30, "lender": maker, "land": "jp", "place": "家 ", "fee": n}),
        Write(LOAN, {"lender": other, "land": "il", "place": "Home"}, {"no": 31}),
        Write(LOAN, {}, {"no": 30, "fee": n - 1}),
        Write(VISIT, {"to": ("anywhere", "alias Home", "\thome", None)[n % 4]}, {"Who": "w30'"}),
        Write(VISIT, {"guide": other}, {"Who": "w31'"}),
        Write(SHOW, {TWIN_A: "門  ", TWIN_B: None}, {"id%": "show 30%"}),
        Write(CARD, {"spoken": (spoken.upper(), spoken.lower())[n % 2]}, {"id": card(30)}),
        Write(CARD, {"written": "עברית"}, {"id": card(31)}),
    ]


def new_code(n: int) -> list[Write]:
    """Returns what new code writes in round n, with keys, and the same as text for the twin."""
    maker, other = KEPT[(n + 5) % len(KEPT)], KEPT[(n + 11) % len(KEPT)]
    work = {"inv no": 9500 + n, "title": f"new{n}", "museum": 2, "wing": "north"}
    style = ("oil", ("晚", "")[n % 2])
    return [
        Write(
            WORK,
            {**work, MADE: PERSON[maker], OWNED: PERSON[other], STYLE: style_key(2, "north", *style)},
            twin={**work, "made by": maker, "owned by": other, 'sty"le': style[0], "era": style[1]},
        ),
        Write(WORK, {MADE: PERSON[other]}, {"inv no": 104}, {"made by": other}),
        Write(WORK, {OWNED: PERSON[maker]}, {"inv no": 105}, {"owned by": maker}),
        Write(
            LOAN,
            {"no": 33, LENT: PERSON[maker], "land": "il", PLACE: place_key("il", "בית")},
            twin={"no": 33, "lender": maker, "land": "il", "place": "בית"},
        ),
        Write(LOAN, {LENT: PERSON[other]}, {"no": 34}, {"lender": other}),
        Write(VISIT, {TO: place_key("jp", "Home"), "land": "jp"}, {"Who": "w33'"}, {"to": "Home", "land": "jp"}),
        Write(VISIT, {GUIDE: PERSON[maker]}, {"Who": "w34'"}, {"guide": maker}),
        Write(
            SHOW,
            {"id%": f"new {n}", IN: ROOM["b c"], DOOR: ROOM["it's"]},
            twin={"id%": f"new {n}", TWIN_A: "b c", TWIN_B: "it's"},
        ),
        Write(CARD, {SPOKEN: TONGUE["עברית"]}, {"id": card(33)}, {"spoken": "עברית"}),
        Write(CARD, {WRITTEN: TONGUE["Latin 日"]}, {"id": card(34)}, {"written": "Latin 日"}),
    ]


def renames(n: int) -> tuple[list[Write], list[Write]]:
    """Returns renames of lookup rows: what is written here, and what the twin's old code carries by hand."""
    was = ("trailing ", f"trailing {n - 1}\t")[n > 1]
    name, tongue = f"trailing {n}\t", f"Deutsch{n}"
    before = ("Deutsch", f"Deutsch{n - 1}")[n > 1]
    here = [
        Write(PERSONS, {"Na;me": name}, {"Nr.": PERSON["trailing "]}),
        Write(TONGUES, {"says": tongue}, {"c o d e": TONGUE["Deutsch"]}),
    ]
    texts = [(WORK, "made by"), (WORK, "owned by"), (LOAN, "lender"), (VISIT, "guide")]
    # To a citext it does not matter how its references spell it.
    spoken = [
        Write(CARD, {"spoken": tongue}, {"spoken": before}),
        Write(CARD, {"written": tongue}, {"written": before}),
    ]
    return here, [*here, *[Write(table, {column: name}, {column: was}) for table, column in texts], *spoken]


class Pair:
    """The museum and its twin."""

    def __init__(self, db: Database, twin: Database) -> None:
        self.db, self.twin, self.round = db, twin, 0

    def write(self, *, old: bool, new: bool) -> None:
        """Writes a round to both."""
        self.round += 1
        writes = [*(old_code(self.round) if old else ()), *(new_code(self.round) if new else ())]
        here, there = renames(self.round)
        if not new:  # before there is sync, old code carries its renames by itself here too
            here = there
        with self.db.connect("app") as app:
            for write in [*writes, *here]:
                app.execute(write.statement())
        with self.twin.connect("app") as app:
            for write in [*writes, *there]:
                app.execute(write.statement(twin=True))

    def assert_equal(self) -> None:
        """Every table holds what the twin's holds, row by row."""
        found, wanted = checksums(self.db), checksums(self.twin)
        for name in [t for t in wanted if found[t] != wanted[t]]:
            schema, table = next((s, t) for s, t in _tables(self.twin) if f"{s}.{t}" == name)
            query = sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(schema, table))
            text = query.as_string(None)
            ours, theirs = set(self.db.rows(text)), set(self.twin.rows(text))
            assert ours == theirs, f"{name}: {ours - theirs} where the legacy schema would hold {theirs - ours}"
        assert found == wanted


def _tables(db: Database) -> list[tuple[str, str]]:
    return [
        (r[0], r[1])
        for r in db.rows("SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'")
    ]
