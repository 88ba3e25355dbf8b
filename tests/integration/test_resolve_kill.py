"""A run that is killed at any point: the same command again ends in the same end state, forth and back.

`make test` takes every STRIDE-th point, beginning elsewhere for each server version; the chaos run takes all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mini
from compare import checksums
from fix_servers import Database
from normalform.core.decision_file import Line
from normalform.core.events import Event
from normalform.db.session import open_run
from normalform.db.work import Context
from normalform.phases import resolve
from resolving import CASES, TEMPLATE, file, line

STRIDE = 17
LINES: list[Line] = [
    *CASES["rename"],
    *CASES["merge same path"],
    *CASES["merge near duplicate"],
    *CASES["create"],
    *CASES["create wide"],
    *CASES["keep"],
    *CASES["null"],
    line("image_tags", None, "tree", None, "drop"),
]


class Killed(BaseException):
    """What a killed process would not even notice."""


class Killer:
    """Lets a run live until its n-th point, then closes its session as the kernel would."""

    def __init__(self, last: int | None) -> None:
        self.last, self.seen = last, 0
        self.ctx: Context | None = None

    def __call__(self, event: Event) -> None:
        if event.kind != "point" or self.ctx is None:
            return
        self.seen += 1
        if self.seen == self.last:
            self.ctx.conn.close()
            raise Killed(event.name)


def run(db: Database, path: Path, *, undo: bool, last: int | None = None) -> int:
    """Apply or undo, killed at a point if one is given. Returns how many points there were until the end."""
    killer = Killer(last)
    try:
        with open_run(db.url, mini.SPEC_TEXT, "test", sink=killer) as ctx:
            killer.ctx = ctx
            if undo:
                assert resolve.undo_decisions(ctx).left == ()
            else:
                resolve.apply(ctx, path)
    except Killed:
        assert last is not None
    return killer.seen


def content(db: Database) -> dict[str, object]:
    """What the database holds; rows that were made count without the numbers that a sequence gave them."""
    made = "CASE WHEN id > 1000 THEN 0 ELSE id END"
    own = {
        "keywords": f"SELECT {made}, keyword, note::text, (SELECT (name, tenant_id)::text FROM keyword_categories c "
        "WHERE c.id = category_id) FROM keywords ORDER BY 1, 2, 4",
        "keyword_categories": f"SELECT {made}, tenant_id, name, parent_id FROM keyword_categories ORDER BY 1, 2, 3",
    }
    others = {t: v for t, v in checksums(db).items() if t.removeprefix("public.") not in own}
    return {**others, **{t: db.rows(query) for t, query in own.items()}}


def check(db: Database, tmp_path: Path, offset: int, stride: int, *, undo: bool) -> None:
    path = file(tmp_path, LINES)
    before = checksums(db)
    if undo:
        run(db, path, undo=False)
    start = db.clone()
    total = run(db, path, undo=undo)
    end = content(db)
    assert (checksums(db) == before) == undo
    assert total > 60
    for last in range(1 + offset, total + 1, stride):
        trial = start.clone()
        run(trial, path, undo=undo, last=last)
        run(trial, path, undo=undo)
        assert content(trial) == end, f"killed at point {last} of {total}"
        states = trial.rows("SELECT DISTINCT state FROM normalform.decision")
        assert states == [("undone" if undo else "applied",)], f"killed at point {last} of {total}"
        assert (trial.value("SELECT count(*) FROM normalform.step") == 0) == undo
        if not undo:
            run(trial, path, undo=True)
            assert checksums(trial) == before, f"undone after a kill at point {last} of {total}"
        trial.drop()


@pytest.mark.slow
@pytest.mark.parametrize("undo", [False, True], ids=["do", "undo"])
def test_killed_at_a_sample_of_points(
    database: Callable[..., Database], pg_version: int, tmp_path: Path, undo: bool
) -> None:
    check(database(TEMPLATE), tmp_path, pg_version % STRIDE, STRIDE, undo=undo)


@pytest.mark.chaos
@pytest.mark.parametrize("undo", [False, True], ids=["do", "undo"])
def test_killed_at_every_point(database: Callable[..., Database], tmp_path: Path, undo: bool) -> None:
    check(database(TEMPLATE), tmp_path, 0, 1, undo=undo)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["rename", "drop"])
def test_a_run_that_was_killed_can_be_undone_instead(
    database: Callable[..., Database], tmp_path: Path, word: str
) -> None:
    db = database(TEMPLATE)
    path = file(tmp_path, CASES[word])
    before = checksums(db)
    start = db.clone()
    total = run(db, path, undo=False)
    for last in range(1, total + 1, 5):
        trial = start.clone()
        run(trial, path, undo=False, last=last)
        run(trial, path, undo=True)
        assert checksums(trial) == before
        run(trial, path, undo=False)
        assert checksums(trial) == checksums(db)
        trial.drop()
