"""A schema as pg_dump writes it, compared with another.

Decides what of such a text is noise, and that the order of objects is (a restored database has other OIDs, by which
pg_dump settles ties). Within an object every line counts. It must never drop a line of an object.
"""

from __future__ import annotations

import re
from collections import Counter

# Above the first object: versions, and the key of psql's restricted mode, which is random.
_NOISE = re.compile(r"-- Dumped (from|by) .*|\\(un)?restrict .*|-- PostgreSQL database dump.*")
_OBJECT = re.compile(r"^-- (?=Name: )", re.MULTILINE)


def normalised(dump: str) -> str:
    """Return a dump's text without what differs between two dumps of one schema."""
    kept = [line.rstrip() for line in dump.splitlines() if not _NOISE.fullmatch(line.rstrip())]
    return "\n".join(line for line in kept if line) + "\n"


def differences(before: str, after: str, limit: int = 5) -> list[str]:
    """Return how two normalised schemas differ, one line for each object; none when they are the same.

    Args:
        before: the schema that should be there.
        after: the schema that is there.
        limit: at most so many lines, and one that says how many more there are.
    """
    wanted, there = Counter(_objects(before)), Counter(_objects(after))
    lost = [f"schema: lost or changed: {_title(o)}" for o in sorted((wanted - there).elements())]
    new = [f"schema: new or changed: {_title(o)}" for o in sorted((there - wanted).elements())]
    found = [*lost, *new]
    more = [f"schema: {len(found) - limit} more differences"] if len(found) > limit else []
    return [*found[:limit], *more]


def _objects(text: str) -> list[str]:
    # A dash line closes one object's heading and opens the next; it tells nothing.
    return [part.strip("-\n ") for part in _OBJECT.split(text)]


def _title(text: str) -> str:
    heading = text.partition("\n")[0]
    name = re.match(r"Name: (.*?); Type: (.*?); Schema: (.*?);", heading)
    return f"{name[2].lower()} {name[1]} in schema {name[3]}" if name else "the settings at the top"
