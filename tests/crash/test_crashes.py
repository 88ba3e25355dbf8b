"""Killed anywhere, run again: the same end state, and no step by hand.

``make test`` takes a fixed sample of each passage's points; ``make chaos`` takes every one. How many there are is what
the engine itself announces, and is printed at the end of the run (`summary.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from crash.harness import DEATHS, Death, Outcome, enumerate_points, interrupted
from crash.passages import DEFERRED, MADE, PASSAGES, UP_TO_VERIFY, Passage, build
from crash.summary import PROPERTY
from fix_servers import Cluster, Database, template, versions

TEMPLATE = template("crash", build)
EVERY = os.environ.get("NORMALFORM_CHAOS") == "all"
#: Points of each passage and death that `make test` takes, spread evenly; which ones is fixed.
SAMPLE = 3
#: On older servers one of each is enough.
SAMPLE_OLDER = 1
#: What `make test` leaves out: the choice of uniques that is not the default.
CHOSEN = (*PASSAGES, *MADE[1:], *(DEFERRED[len(UP_TO_VERIFY) :] if EVERY else ()))


@pytest.fixture
def before(fresh_pg: Callable[..., Cluster]) -> Callable[[Passage], tuple[Cluster, Database]]:
    """Return a function: the server, and a database in which the passage begins."""
    cluster = fresh_pg()

    def make(passage: Passage) -> tuple[Cluster, Database]:
        db = cluster.create(TEMPLATE)
        order = next(o for o in (PASSAGES, DEFERRED, MADE) if passage in o)
        for earlier in order[: order.index(passage)]:
            earlier.go(db.url)
        return cluster, db

    return make


def _chosen(points: list[str], death: Death, about: str, version: int) -> list[int]:
    among = [n for n, name in enumerate(points) if about in name]
    if EVERY:
        return among
    sample = SAMPLE if not about and version == max(versions()) else SAMPLE_OLDER
    # Each death begins elsewhere, so that the three samples do not fall on the same points.
    step = max(1, len(among) // sample)
    return among[DEATHS.index(death) * step // len(DEATHS) :: step][:sample]


# The chaos run has so many for each that processes had better share them.
@pytest.mark.parametrize("deaths", [(d,) for d in DEATHS] if EVERY else [DEATHS], ids="-".join)
@pytest.mark.parametrize("passage", CHOSEN, ids=lambda p: p.name.replace(" ", "-"))
def test_every_interruption_ends_in_the_same_state(
    passage: Passage,
    deaths: tuple[Death, ...],
    before: Callable[[Passage], tuple[Cluster, Database]],
    record_property: Callable[[str, object], None],
) -> None:
    cluster, start = before(passage)
    points, expected = enumerate_points(start.clone(), passage)
    assert len(points) >= 3, points
    killed = 0
    for death in deaths:
        for at in _chosen(points, death, passage.about, cluster.version):
            db = start.clone()
            name = interrupted(cluster, db, passage, at, death)
            assert name is not None, f"point {at} of {len(points)} was never reached"
            found = Outcome.of(db)
            assert found.tables == expected.tables, f"{death} at {name}"
            assert found.schema == expected.schema, f"{death} at {name}"
            db.drop()
            killed += 1
    record_property(PROPERTY, [passage.name, cluster.version, len(points), killed])
