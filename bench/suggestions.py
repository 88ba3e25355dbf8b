"""Plants 1,000 typing errors among all of the demo's keywords and looks for the right one among the first suggestions.

Three ways of asking: with tenant and category, as the demo's tags have them; with the tenant alone; and with neither,
so that each error stands against all 730,000 keywords. What is timed is the search itself, with the lookup's rows in
the mapping file, as an audit has them by then. Recorded results: bench/suggestions.md.

    python bench/suggestions.py [--errors 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import string
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from normalform.core.model import Reference
from normalform.core.similar import fold
from normalform.db.mapping_file import Building, building
from normalform.db.suggestions import suggest
from normalform.demo.source import KEYWORD_WIDTH, read_pictures, read_tags

Row = tuple[str, str, str, str]  # tenant, keyword, key, path
FIRST = 3
KINDS = ("insert", "delete", "substitute", "transpose")


def keywords() -> list[Row]:
    """Return the demo's keywords: one for each tenant, category path and text."""
    pictures, seen, rows = read_pictures(), set[tuple[str, str, str]](), list[Row]()
    for block in read_tags(None):
        for picture, keyword, _ in block.rows:
            place = (block.tenant, keyword, pictures[picture].path)
            if len(keyword) <= KEYWORD_WIDTH and place not in seen:
                seen.add(place)
                rows.append((block.tenant, keyword, str(len(rows) + 1), place[2]))
    return rows


def misspelt(text: str, letters: str, chance: random.Random) -> str:
    """Return a text with one typing error: a letter more, fewer or another, or two neighbours the wrong way round."""
    at, letter = chance.randrange(len(text)), chance.choice(letters)
    match chance.choice(KINDS):
        case "insert":
            return text[:at] + letter + text[at:]
        case "delete":
            return text[:at] + text[at + 1 :]
        case "substitute":
            return text[:at] + letter + text[at + 1 :]
        case _:
            at = min(at, len(text) - 2)
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def plant(rows: Sequence[Row], count: int, seed: int, *, scoped: bool) -> list[tuple[Row, str]]:
    """Return keywords, each with a misspelling that no keyword of its scope has."""
    chance = random.Random(seed)
    letters: dict[str, str] = {}
    taken = {(r[0] if scoped else "", fold(r[1])) for r in rows}
    planted: list[tuple[Row, str]] = []
    while len(planted) < count:
        row = chance.choice(rows)
        alphabet = letters.get(row[0]) or letters.setdefault(row[0], _letters(rows, row[0]))
        if len(row[1]) < 2:
            continue
        wrong = misspelt(row[1], alphabet, chance)
        if fold(wrong) and (row[0] if scoped else "", fold(wrong)) not in taken:
            planted.append((row, wrong))
    return planted


def _letters(rows: Sequence[Row], tenant: str) -> str:
    """The letters that a tenant's own keyboard has, going by its keywords."""
    found = {c for r in rows if r[0] == tenant for c in r[1] if c.isalpha()}
    return "".join(sorted(found)) or string.ascii_lowercase


def measure(rows: Sequence[Row], planted: Sequence[tuple[Row, str]], *, scoped: bool, qualified: bool) -> None:
    """Look for the right ones and print how many were found, and how long it took."""

    def scope(tenant: str) -> str:
        return json.dumps([tenant] if scoped else [])

    spec = SimpleNamespace(new_row={}, required=True)
    lookup = SimpleNamespace(name="keyword", text=SimpleNamespace(width=KEYWORD_WIDTH), spec=spec)
    reference = SimpleNamespace(name="tags", lookup=lookup, spec=spec, qualifier=lookup.text if qualified else None)
    with building(None, database="bench") as file:
        file.add_lookup_range("keyword", ((scope(t), text, key, path) for t, text, key, path in rows))
        file.end_lookups()
        number = file.begin_reference("tags")
        file.add_range(
            (scope(row[0]), wrong, row[3] if qualified else None, n + 1, "orphan", None, None, None, 0)
            for n, (row, wrong) in enumerate(planted)
        )
        file.end_reference()
        began = time.monotonic()
        left = suggest(file, number, cast("Reference", reference))
        seconds = time.monotonic() - began
        report(file, planted, qualified=qualified, seconds=seconds, left=left, scoped=scoped)


def report(file: Building, planted: Sequence[tuple[Row, str]], *, seconds: float, left: int, **how: Any) -> None:
    """Print what share of the right ones stands among the first suggestions."""
    right: dict[str, list[bool]] = {}
    for (row, _wrong), (value,) in zip(planted, file.db.execute("SELECT id FROM value ORDER BY rows"), strict=True):
        first = file.db.execute(
            "SELECT key, text FROM candidate WHERE value = ? ORDER BY position LIMIT ?", (value, FIRST)
        ).fetchall()
        found = row[2] in [key for key, _ in first] if how["qualified"] else row[1] in [text for _, text in first]
        length = len(row[1])
        right.setdefault("2 to 3" if length < 4 else "4 to 6" if length < 7 else "7 or more", []).append(found)
    flat = [f for group in right.values() for f in group]
    by_length = ", ".join(f"{k} letters {sum(v) / len(v):.1%} of {len(v)}" for k, v in sorted(right.items()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    asked = "tenant and category" if how["qualified"] else "tenant" if how["scoped"] else "neither"
    print(
        f"{asked}: {sum(flat) / len(flat):.1%} of {len(flat)} among the first {FIRST} ({by_length}); "
        f"{seconds:.1f} s; {left} left out; peak memory {memory:.0f} MB with the data",
        flush=True,
    )


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errors", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rows = keywords()
    print(f"{len(rows):,} keywords, {given.errors:,} errors")
    for scoped, qualified in ((True, True), (True, False), (False, False)):
        planted = plant(rows, given.errors, given.seed, scoped=scoped)
        measure(rows, planted, scoped=scoped, qualified=qualified)


if __name__ == "__main__":
    main()
