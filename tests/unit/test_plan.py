"""Steps and lock classes, as the plan prints them."""

from __future__ import annotations

import dataclasses

import pytest

from normalform.core.plan import Lock, Mode, Step


def test_locks_stand_from_the_weakest_to_the_strongest() -> None:
    """In the order of PostgreSQL's documentation, which tools that compare locks rely on."""
    assert [lock.value for lock in Lock] == [
        "none",
        "ACCESS SHARE",
        "ROW SHARE",
        "ROW EXCLUSIVE",
        "SHARE UPDATE EXCLUSIVE",
        "SHARE",
        "SHARE ROW EXCLUSIVE",
        "ACCESS EXCLUSIVE",
    ]


def test_a_step_is_careful_by_itself() -> None:
    """What is not said is the safe thing: one short transaction, and an object of that name is a clash."""
    step = Step("expand/t/x", "expand", "column x", ("ALTER TABLE t ADD x int",))
    assert step.mode is Mode.TRANSACTION
    assert step.undo_mode is Mode.TRANSACTION
    assert step.claims
    assert step.undo == step.clean == ()


def test_a_step_never_changes() -> None:
    step = Step("a", "expand", "a", ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.id = "b"  # type: ignore[misc]


@pytest.mark.parametrize("kind", [Lock, Mode])
def test_what_the_ledger_keeps_reads_back(kind: type[Lock | Mode]) -> None:
    assert [kind(member.value) for member in kind] == list(kind)
