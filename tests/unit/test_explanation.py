"""How a row came by its key: every fact that decides it, and what is said of who moved it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from normalform.core.explanation import Batch, Decided, Explanation, Facts, Rule, Run, moved, rule
from normalform.core.mapping import Candidate, How

A, B = Candidate("1", "bridge", "travel"), Candidate("2", "bridge", "games")
ROW = Facts(("t",), "bridge", "games", "2", (A, B))
RUN = Run(4, "backfill", "owner", "ann", "host", datetime(2026, 1, 2, tzinfo=UTC))
BATCH = Batch("fill:tags", 0, 1, 0, 64, datetime(2026, 1, 2, tzinfo=UTC), RUN)


@pytest.mark.parametrize(
    ("facts", "how", "key", "why"),
    [
        (ROW, How.QUALIFIED, "2", "2 lookup rows in scope have this text; the row's own qualifier picks one"),
        (replace(ROW, key=None), How.QUALIFIED, "2", "not filled yet"),
        (replace(ROW, rows=(B,)), How.EXACT, "2", "one lookup row"),
        (replace(ROW, qualifier=None, key=None), How.AMBIGUOUS, None, "nothing picks one"),
        (replace(ROW, qualifier=None), None, None, "the writer gave the key"),
        (replace(ROW, rows=(), key=None), How.ORPHAN, None, "no lookup row"),
        (replace(ROW, rows=(), alias_keys=("2",)), How.ALIAS, "2", "lists this text"),
        (replace(ROW, rows=(), alias_keys=("2", "3"), key=None), How.AMBIGUOUS, None, "2 lookup rows in scope list"),
        (replace(ROW, key="9"), None, "2", "that of another text"),
        (replace(ROW, made_by="decision"), How.CREATED, "2", "a decision made the lookup row"),
        (replace(ROW, made_by="sync"), How.QUALIFIED, "2", "sync made that row"),
        (replace(ROW, made_by="expand"), How.QUALIFIED, "2", "expand made that row"),
        (replace(ROW, rows=(), key=None, planned=True), How.CREATED, None, "expand gives this text a row"),
        (replace(ROW, rows=(), key=None, planned=True, scope=(None,)), How.ORPHAN, None, "no lookup row"),
        (replace(ROW, text=None, key=None), None, None, "neither text nor key"),
        (replace(ROW, text=None), None, None, "a key and no text"),
        (replace(ROW, stored=(How.CHOSEN, "2")), How.CHOSEN, "2", "this value means this row"),
        (replace(ROW, stored=(How.FOLDED, "2"), key=None), How.FOLDED, "2", "not filled yet"),
        (replace(ROW, stored=(How.CHOSEN, "1")), None, "1", "names another key"),
        (replace(ROW, stored=(How.NULL, None)), None, None, "names no key"),
        (replace(ROW, stored=(How.NULL, None), key=None), How.NULL, None, "leaves this value without a key"),
        (replace(ROW, stored=(How.SPLIT, "1")), How.SPLIT, "1", "a row of its own"),
        (replace(ROW, done="rename"), How.RENAMED, "2", "did this to the row itself"),
        (replace(ROW, done="drop"), How.DROPPED, "2", "did this to the row itself"),
    ],
)
def test_the_rule(facts: Facts, how: How | None, key: str | None, why: str) -> None:
    found = rule(facts)
    assert (found.how, found.key) == (how, key)
    assert why in found.why


@pytest.mark.parametrize(
    ("key", "batch", "xmin", "fills", "said"),
    [
        (None, None, 7, None, "nothing has given it a key"),
        ("1", BATCH, 7, (5, 9), "by backfill, in this batch"),
        ("1", replace(BATCH, work="refill:tags"), 7, (5, 6), "this batch (refill of tags) wrote the row since"),
        ("1", replace(BATCH, work="fill:other"), 7, (5, 6), "this batch (fill of other) wrote the row since"),
        ("1", None, 7, None, "by sync, when transaction 7 wrote the row: no batch"),
        ("1", None, 4, (5, 9), "before backfill came to it"),
        ("1", None, 10, (5, 9), "after its batch, or made it"),
    ],
)
def test_who_moved_it(
    key: str | None, batch: Batch | None, xmin: int, fills: tuple[int, int] | None, said: str
) -> None:
    assert said in moved("tags", key, batch, xmin, fills)


def test_masking_leaves_no_value() -> None:
    decided = Decided(1, "choose", "sEcret", "sEcret", "ann", None, 4, "f", 2)
    shown = Explanation(
        "tags", "tags", {"id": "sEcret"}, ("sEcret",), "sEcret", "sEcret", "column", ("sEcret", None), "k", "sEcret",
        "keywords", Candidate("sEcret", "sEcret", "sEcret"), ("sEcret",), Rule(How.CHOSEN, "because", "sEcret"),
        (decided,), BATCH, "by backfill",
    )  # fmt: skip
    hidden = shown.masked(identity=False, key=False)
    assert "sEcret" in repr(shown) and "sEcret" not in repr(hidden)
    assert "because" in repr(hidden) and "ann" in repr(hidden)
