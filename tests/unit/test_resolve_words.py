"""What a value means among lookup rows, and what a removal would decide in silence: one table each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from normalform.core.decisions import ON_LOOKUP, ON_REFERENCE, ORDER, Removals, meaning
from normalform.core.mapping import Candidate, How
from normalform.core.model import Lookup

TRAVEL, GAMES = Candidate("2", "bridge", "travel"), Candidate("3", "bridge", "games")
TWIN = Candidate("4", "bridge", "travel")
LOOKUP = cast("Lookup", SimpleNamespace(name="keyword"))


@pytest.mark.parametrize(
    ("rows", "qualifier", "expected"),
    [
        ([], None, (How.ORPHAN, None)),
        ([], "travel", (How.ORPHAN, None)),
        ([TRAVEL], None, (How.EXACT, "2")),
        ([TRAVEL], "games", (How.EXACT, "2")),
        ([TRAVEL, GAMES], "games", (How.QUALIFIED, "3")),
        ([TRAVEL, GAMES], "sky", (How.AMBIGUOUS, None)),
        ([TRAVEL, GAMES], None, (How.AMBIGUOUS, None)),
        ([TRAVEL, TWIN], "travel", (How.AMBIGUOUS, None)),
        ([TRAVEL, TWIN, GAMES], "games", (How.QUALIFIED, "3")),
        ([Candidate("1", "x"), Candidate("2", "x")], None, (How.AMBIGUOUS, None)),
    ],
)
def test_meaning(rows: list[Candidate], qualifier: str | None, expected: tuple[How, str | None]) -> None:
    assert meaning(rows, qualifier) == expected


@pytest.mark.parametrize(
    ("renamed", "merged", "qualifier", "silent"),
    [
        ([], {}, None, None),
        (["2"], {}, None, ("2", "3")),  # the undecided would take the one that is left
        (["2"], {}, "sky", ("2", "3")),
        (["2"], {}, "travel", None),  # these mean the renamed row and go with it
        (["2", "3"], {}, None, None),  # nothing is left to take
        ([], {"2": "3"}, None, None),  # that is what merging is for
        ([], {"2": "9"}, None, ("2", "3")),  # merged into another text
        (["3"], {"2": "3"}, None, None),
    ],
)
def test_what_would_be_decided_in_silence(
    renamed: list[str], merged: dict[str, str], qualifier: str | None, silent: tuple[str, str] | None
) -> None:
    removals = Removals()
    removals.renamed = {("keyword", key): ("new", 2) for key in renamed}
    removals.merged = {("keyword", key): (winner, 3) for key, winner in merged.items()}
    found = removals.silent(LOOKUP, [TRAVEL, GAMES], qualifier)
    assert (None if found is None else (found[0].key, found[1].key)) == silent


def test_every_word_has_its_place() -> None:
    assert set(ORDER) == set(ON_LOOKUP) | set(ON_REFERENCE)
