"""Explanations: what one row said, what its key says now, and which rule or decision made it so.

Decides how a row's key came about, from facts about the row and its lookup, by the words of the mapping (``How``).
Reading the facts is ``db.explain``. It must never present as known what only may be so: a row that was written since
its batch is said to have been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from .decisions import Scope, meaning
from .mapping import Candidate, How

_HIDDEN = "•••"
#: What a decision's word made of a row that it changed, made or deleted.
DONE_TO_ROW = {"rename": How.RENAMED, "split": How.SPLIT, "drop": How.DROPPED, "keep": How.DROPPED}
#: What stands behind a stored entry of the mapping, for people.
_STORED = {
    How.CHOSEN: "a decision says that this value means this row",
    How.FOLDED: "equal after Unicode NFKC, case folding and trimming, as a decision confirmed",
    How.MERGED: "the row that this value meant was merged into this one by a decision",
    How.NULL: "a decision leaves this value without a key",
    How.SPLIT: "nothing tells the rows of this value apart: a decision gives each meaning a row of its own",
}

TextFrom = Literal["column", "archive", "key", "deleted row"]


@dataclass(frozen=True)
class Run:
    """A run of the ledger: the command, and who ran it, where and when."""

    id: int
    command: str
    role: str
    person: str | None
    host: str | None
    started_at: datetime


@dataclass(frozen=True)
class Batch:
    """The batch that wrote the row's present version.

    Args:
        work: such as ``fill:machine_tags``.
        slice, worker: numbers.
        first_block, end_block: the blocks where the row lay before; the second is not among them.
        at: just before its commit.
        run: the run.
    """

    work: str
    slice: int
    worker: int
    first_block: int
    end_block: int
    at: datetime
    run: Run


@dataclass(frozen=True)
class Decided:
    """A decision that decides the row's value, or changed, made or deleted the row.

    Args:
        id: its number in the ledger.
        word: as in the decision file.
        target: as in the decision file; empty where it had none.
        note: why, in the operator's words.
        person, at: who applied it, and when.
        run, file, line: the run, the SHA-256 of the file, and the line there.
    """

    id: int
    word: str
    target: str
    note: str | None
    person: str | None
    at: datetime | None
    run: int | None
    file: str
    line: int


@dataclass(frozen=True)
class Facts:
    """What decides a row's key.

    Args:
        scope, text, qualifier: what the row says, or said before contract.
        key: its key as text.
        rows: lookup rows of the text in the row's scope.
        alias_keys: keys of lookup rows in scope that list the text as an alias.
        stored: the operator's decision for the value: how, and the key that it names.
        done: word of the decision that changed, made or deleted the row itself.
        made_by: who made the key's lookup row, where it was one of us.
        planned: whether the lookup's table is yet to be made, by expand, of the texts that there are.
    """

    scope: Scope
    text: str | None
    qualifier: str | None
    key: str | None
    rows: Sequence[Candidate] = ()
    alias_keys: Sequence[str] = ()
    stored: tuple[How, str | None] | None = None
    done: str | None = None
    made_by: Literal["decision", "sync", "expand"] | None = None
    planned: bool = False


@dataclass(frozen=True)
class Rule:
    """How a key came about.

    Args:
        how: the word of the mapping; None where no rule accounts for the key.
        why: in words, without a value of any row.
        key: the key that the rule gives, as text.
    """

    how: How | None
    why: str
    key: str | None = None


def rule(facts: Facts) -> Rule:
    """Return how the row's key came about, and why."""
    if facts.done in DONE_TO_ROW:
        return Rule(DONE_TO_ROW[facts.done], f"a decision ({facts.done}) did this to the row itself", facts.key)
    if facts.text is None:
        return Rule(None, "the row has neither text nor key" if facts.key is None else "the row has a key and no text")
    if facts.stored is None:
        return _live(facts)
    how, key = facts.stored
    if key == facts.key or (how is How.SPLIT and facts.key is not None):
        return Rule(how, _STORED[how], key)
    if facts.key is None:
        return Rule(how, f"{_STORED[how]}; the key is not filled yet", key)
    return Rule(None, f"a decision ({how}) names {'no' if key is None else 'another'} key", key)


#: What is added where the lookup row was not there before us.
_MADE = {
    "sync": "; sync made that row for an unknown text",
    "expand": "; expand made that row, with the lookup's table",
}


def _live(facts: Facts) -> Rule:
    if facts.planned and None not in facts.scope:
        return Rule(How.CREATED, "the lookup is yet to be made: expand gives this text a row")
    how, key = meaning(facts.rows, facts.qualifier)
    count = len(facts.rows)
    why = {
        How.EXACT: "one lookup row in scope has this text",
        How.QUALIFIED: f"{count} lookup rows in scope have this text; the row's own qualifier picks one",
        How.AMBIGUOUS: f"{count} lookup rows in scope have this text, and nothing picks one",
        How.ORPHAN: "no lookup row in scope has this text",
    }[how]
    if how is How.ORPHAN and len(facts.alias_keys) == 1:
        how, key, why = How.ALIAS, facts.alias_keys[0], "the lookup row lists this text as an alias"
    elif how is How.ORPHAN and facts.alias_keys:
        how, why = How.AMBIGUOUS, f"{len(facts.alias_keys)} lookup rows in scope list this text as an alias"
    if facts.key is None:
        return Rule(how, why if key is None else f"{why}; the key is not filled yet", key)
    if key != facts.key:
        meant = any(r.key == facts.key for r in facts.rows)
        return Rule(None, f"{why}; {'the writer gave the key' if meant else 'the key is that of another text'}", key)
    if facts.made_by == "decision":
        return Rule(How.CREATED, f"a decision made the lookup row; {why}", key)
    return Rule(how, why + _MADE.get(facts.made_by or "", ""), key)


@dataclass(frozen=True)
class Explanation:
    """One row of one reference.

    Args:
        reference, table: names.
        identity: primary key column → value as text.
        scope, text, qualifier: the old text: what the row says now, or said before contract.
        text_from: ``column``; after contract ``archive`` (the row's own) or ``key`` (what the key gives); ``deleted
            row`` where a decision deleted it.
        before: text and qualifier before a decision changed them, None when none did.
        key_column, key: the key that it has now, as text.
        lookup: the lookup's table.
        row: the lookup row that the key names, None without one; ``row_scope`` its scope.
        rule: how the key came about.
        decisions: those that decide its value or changed it, first one first.
        batch: the batch that wrote the row as it stands, None when none did.
        moved: by whom the key came, for people.
    """

    reference: str
    table: str
    identity: Mapping[str, str]
    scope: Scope
    text: str | None
    qualifier: str | None
    text_from: TextFrom
    before: tuple[str | None, str | None] | None
    key_column: str
    key: str | None
    lookup: str
    row: Candidate | None
    row_scope: Scope
    rule: Rule
    decisions: tuple[Decided, ...] = ()
    batch: Batch | None = None
    moved: str = ""

    def masked(self, *, identity: bool, key: bool) -> Explanation:
        """Return it without values of rows.

        Args:
            identity: whether the primary key is mere numbers and may be shown.
            key: the same for the lookup's key.
        """
        row = self.row and Candidate(_shown(self.row.key, key) or "", _HIDDEN, _shown(self.row.path))
        before = self.before and (_shown(self.before[0]), _shown(self.before[1]))
        return replace(
            self,
            identity=self.identity if identity else dict.fromkeys(self.identity, _HIDDEN),
            scope=tuple(map(_shown, self.scope)),
            text=_shown(self.text),
            qualifier=_shown(self.qualifier),
            before=before,
            key=_shown(self.key, key),
            row=row,
            row_scope=tuple(map(_shown, self.row_scope)),
            rule=replace(self.rule, key=_shown(self.rule.key, key)),
            decisions=tuple(replace(d, target=_HIDDEN, note=d.note and _HIDDEN) for d in self.decisions),
        )


def _shown(value: str | None, show: bool = False) -> str | None:
    return value if show or value is None else _HIDDEN


def moved(reference: str, key: str | None, batch: Batch | None, xmin: int, fills: tuple[int, int] | None) -> str:
    """Return by whom a row's key came, as far as the row itself still tells.

    Args:
        reference: its name.
        key: the row's key.
        batch: the batch whose transaction wrote the row as it stands.
        xmin: the transaction that wrote it, in 64 bits.
        fills: first and last transaction of the batches that filled the reference; None when none did.
    """
    if key is None:
        return "nothing has given it a key"
    if batch is not None and batch.work == f"fill:{reference}":
        return "by backfill, in this batch"
    if batch is not None:
        what, _, name = batch.work.partition(":")
        return f"the key stood before; this batch ({what} of {name}) wrote the row since"
    if fills is None:
        return f"by sync, when transaction {xmin} wrote the row: no batch has filled the reference"
    if xmin < fills[0]:
        return f"by sync, when transaction {xmin} wrote the row, before backfill came to it"
    return f"transaction {xmin} wrote the row after its batch, or made it: sync has kept text and key in step since"
