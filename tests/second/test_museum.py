"""A database that shares nothing with PhotoCat goes through every phase: forth, back, and forth.

Its keys are proven against what the fixture knows, its rows against a twin that never migrates, its schema by pg_dump.
Both kinds of writers write between the phases. The owner who does all this is no superuser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from acceptance.migration import CHANGING, Migration, assert_same, look
from fix_servers import Database
from normalform import api
from normalform.core.decision_file import read
from second.museum import PERSON, SPEC, TEMPLATE, check_truth, museum
from second.writers import Pair, untouched

Make = Callable[..., Database]
#: The truth about rows that no writer touches.
TRUTH = untouched(museum().truth)


class Waiving(Migration):
    """A migration whose operator lets the index on an expression of a text go."""

    @property
    def options(self) -> api.Options:
        """The options of every command."""
        return api.Options(self.db.url, self.spec, self.sink, workers=2, waive=("ix lower",))

    def assert_true(self) -> None:
        """Every key is what the fixture says."""
        with self.db.connect() as conn:
            assert check_truth(conn, TRUTH) == []


@pytest.mark.slow
def test_forth_back_and_forth_beside_writers(database: Make, tmp_path: Path) -> None:
    db, twin = database(TEMPLATE), database(TEMPLATE)
    pair, migration = Pair(db, twin), Waiving(db, tmp_path, SPEC)
    pair.write(old=True, new=False)
    for phase, previous in CHANGING.items():
        keyed = phase in ("backfill", "constrain", "contract")
        for attempt in (1, 2):
            migration.to(phase)
            pair.write(old=phase != "contract", new=phase != "resolve")
            if keyed:
                migration.assert_true()
            if attempt == 1:
                migration.back(previous)
        if phase == "backfill":
            migration.to("verify")
    migration.back("start")
    pair.assert_equal()
    assert_same(look(db, exact=False), look(twin, exact=False))
    migration.to("contract")
    migration.assert_true()


#: Texts that nobody knows, what is decided of each, and whose key it then has.
UNKNOWN = {
    "שלום עולם ": ("fold", "", "שלום עולם"),
    "ИТОГО\x01\r\n": ("choose", str(PERSON["\x01\x02\x1f"]), "\x01\x02\x1f"),
    '"; DROP, \t': ("create", "", '"; DROP, \t'),
    "👩‍👩‍👧": ("choose", str(PERSON["👩‍👩‍👧‍👦"]), "👩‍👩‍👧‍👦"),
    "=cmd()": ("drop", "", None),
}


@pytest.mark.slow
def test_decisions_on_texts_of_every_kind(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    with db.connect() as owner:
        for number, text in enumerate(UNKNOWN, 8000):
            owner.execute(
                'INSERT INTO "Mu""se;um"."Wörks" ("inv no", title, "made by", museum, wing, "sty""le", era) '
                "VALUES (%s, 'unknown', %s, 1, 'north', 'oil', 'early')",
                (number, text),
            )
    before = look(db, exact=False)
    migration = Waiving(db, tmp_path, SPEC)
    of_person = '"Mu""se;um"."Wörks" w JOIN "Mu""se;um"."Robert\'); drop" p ON p."Nr." = "made by; id"'
    mapping, out = tmp_path / "mapping.sqlite", tmp_path / "decisions.csv"
    migration.audit(mapping)
    api.resolve_export(migration.options, mapping, out)
    lines, problems = read(out.read_text("utf-8"))
    assert problems == []
    asked = {line.text: line for line in lines if line.text in UNKNOWN}
    assert set(asked) == set(UNKNOWN), "each comes out of the file as it stands in the row"
    migration.decide(replace(line, decision=UNKNOWN[text][0], target=UNKNOWN[text][1]) for text, line in asked.items())
    migration.to("contract")
    wanted = [(n, name) for n, (_, _, name) in enumerate(UNKNOWN.values(), 8000) if name is not None]
    keyed = f'SELECT w."inv no", p."Na;me" FROM {of_person} WHERE "inv no" BETWEEN 8000 AND 8999 ORDER BY 1'
    assert db.rows(keyed) == wanted
    migration.back("start")
    assert_same(look(db, exact=False), before)
