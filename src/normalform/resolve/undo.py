"""Undo: every row that still equals what a decision left comes back; every other one is listed and left alone.

Decisions are undone last first, each group in one transaction under the same locks as it was applied with. What was
deleted comes back with its keys, what was made goes unless something uses it now. It must never overwrite what somebody
wrote since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import psycopg
from psycopg import sql

from ..core.catalog import Table
from ..core.names import QName, parse_table
from ..db import ledger
from ..db.execute import undo_steps
from ..db.session import read_model
from ..db.work import Context, transaction
from ..sql import decisions as shapes
from ..sql.quote import conjunction, table
from .record import begin_undo, in_state, mark_undone
from .rows import Rows

SQL = sql.SQL
_Statement = Callable[[sql.Composable], sql.Composed]
MAPPING = "normalform.mapping"
#: Decisions that are undone in one transaction, where they follow each other and are alike.
GROUP = 500
#: How many rows that did not come back a report names.
SHOWN = 1000


@dataclass(frozen=True)
class Left:
    """A row that did not come back: its table, its identity as JSON, what the decision had done, and why."""

    table: str
    identity: str
    action: str
    why: str


@dataclass(frozen=True)
class UndoReport:
    """What undoing decisions did.

    Args:
        decisions: decisions undone.
        restored: rows that came back.
        left: rows that did not, up to SHOWN of them.
        left_total: how many did not.
        notes: what else stays, such as a width that is needed now.
    """

    decisions: int
    restored: int
    left: tuple[Left, ...]
    left_total: int
    notes: tuple[str, ...] = ()


def undo_all(ctx: Context) -> UndoReport:
    """Undo every decision, also those of a run that was stopped, and then the widths."""
    ids = [r.id for r in in_state(ctx.conn, "applied", "undoing")]
    restored, left = undo_ids(ctx, ids)
    notes = narrow(ctx)
    total = ctx.conn.execute(
        "SELECT count(*) FROM normalform.archive WHERE decision = ANY(%s) AND NOT restored", (ids,)
    ).fetchone()
    assert total is not None
    return UndoReport(len(ids), restored, tuple(left[:SHOWN]), int(total[0]), tuple(notes))


def undo_ids(ctx: Context, ids: Sequence[int]) -> tuple[int, list[Left]]:
    """Undo some decisions, last first. Resumable: they stay ``undoing`` until each is undone.

    Returns:
        How many rows came back, and those that did not.
    """
    with transaction(ctx, ctx.conn, "resolve/undo"):
        begin_undo(ctx.conn, ctx.run, ids)
    if not ids:
        return 0, []
    undoer = _Undo(ctx, ids)
    for group in undoer.groups():
        ctx.check_stop()
        undoer.undo(group)
    return undoer.restored, undoer.left


def narrow(ctx: Context) -> list[str]:
    """Narrow what was widened, where every text fits; return what stays wide."""
    steps = ledger.recorded_steps(ctx.conn, "resolve")
    undo_steps(ctx, "resolve", {})
    ctx.model = read_model(ctx.conn, ctx.model.spec)
    notes = []
    for step in steps:
        row = ctx.conn.execute(step.gone).fetchone()
        if not row or not row[0]:
            notes.append(f"{step.object}: stays wide, a text needs it")
    return notes


class _Undo:
    def __init__(self, ctx: Context, ids: Sequence[int]) -> None:
        self.ctx, self.ids = ctx, ids
        self.restored = 0
        self.left: list[Left] = []
        relations = ctx.conn.execute(
            "SELECT DISTINCT relation FROM normalform.archive WHERE decision = ANY(%s) AND relation <> %s",
            (list(ids), MAPPING),
        ).fetchall()
        self.names: dict[str, QName] = {r[0]: parse_table(r[0]) for r in relations}
        self.rows = Rows.read(ctx, sorted(self.names.values()))

    def groups(self) -> Iterator[list[int]]:
        """Runs of like decisions, last first."""
        listed = [(r.id, r.word, r.reference) for r in in_state(self.ctx.conn, "undoing")]
        wanted = set(self.ids)
        for _, run in groupby(reversed([x for x in listed if x[0] in wanted]), lambda x: x[1:]):
            group = [number for number, _, _ in run]
            for start in range(0, len(group), GROUP):
                yield group[start : start + GROUP]

    def undo(self, group: Sequence[int]) -> None:
        """Undo a group in one transaction."""
        conn = self.ctx.conn
        name = f"resolve/undo/{group[0]}"
        relations = conn.execute(
            "SELECT DISTINCT relation FROM normalform.archive WHERE decision = ANY(%s) AND relation <> %s",
            (list(group), MAPPING),
        ).fetchall()
        tables = self.rows.closure(self.names[r[0]] for r in relations if self._stands(r[0]))
        result: list[tuple[int, list[Left]]] = []

        def body() -> None:
            restored, left = 0, list[Left]()
            for number, (action, at, relations) in enumerate(conn.execute(shapes.statements(group)).fetchall()):
                step = f"{name}:{number}"
                kept = {r: shapes.entries(group, r, action, at) for r in relations}
                if relations == [MAPPING]:
                    self._mapping(step, group, kept[MAPPING])
                    continue
                count, lost = self._statement(step, action, kept)
                restored += count
                left += lost
            conn.execute("DELETE FROM normalform.mapping WHERE decision = ANY(%s)", (list(group),))
            mark_undone(conn, group)
            result.append((restored, left))

        self.rows.atomically(name, tables, body)
        self.restored += result[-1][0]
        self.left += result[-1][1]

    def _stands(self, relation: str) -> bool:
        return self.names[relation] in self.rows.tables

    def _mapping(self, name: str, group: Sequence[int], kept: sql.Composable) -> None:
        """Put back what an earlier decision had stored, once ours is gone."""
        conn = self.ctx.conn
        conn.execute("DELETE FROM normalform.mapping WHERE decision = ANY(%s)", (list(group),))
        self.rows.execute(
            name,
            SQL(
                "INSERT INTO normalform.mapping (reference, scope, value, qualifier, how, key, rows, decision) "
                "SELECT m.reference, m.scope, m.value, m.qualifier, m.how, m.key, m.rows, m.decision FROM ({}) a "
                "CROSS JOIN LATERAL jsonb_populate_record(NULL::normalform.mapping, a.before) m "
                "JOIN normalform.decision d ON d.id = m.decision AND d.state IN ('applied', 'undoing') "
                "ON CONFLICT (reference, value, scope, qualifier) DO UPDATE "
                "SET how = excluded.how, key = excluded.key, rows = excluded.rows, decision = excluded.decision"
            ).format(kept),
        )
        conn.execute(
            SQL("UPDATE normalform.archive SET restored = true WHERE id IN (SELECT id FROM ({}) e)").format(kept)
        )

    def _statement(self, name: str, action: str, kept: Mapping[str, sql.Composable]) -> tuple[int, list[Left]]:
        """Undo what one statement archived, in one table or in several that hang together."""
        conn = self.ctx.conn
        named: dict[int, tuple[str, str]] = {}
        for relation, entries in kept.items():
            for number, identity in conn.execute(SQL("SELECT id, identity FROM ({}) e ORDER BY id").format(entries)):
                named[number] = relation, json.dumps(identity, ensure_ascii=False)
        reasons: dict[int, str] = {}
        back: set[int] = set()
        standing = {r: entries for r, entries in kept.items() if self._stands(r)}
        tables = {r: self.rows.tables[self.names[r]] for r in standing}
        # Equal rows of a table without a key cannot be found again once a trigger has changed them.
        keyless = [t.name for t in tables.values() if not t.primary_key and action != "insert"]
        with self.rows.triggers_off(keyless):
            if action == "update" and standing:
                back = self._restore(name, {self.names[r]: e for r, e in standing.items()}, reasons)
            for relation, entries in standing.items():
                if action == "delete":
                    back |= self._reinsert(name, self.names[relation], entries, reasons)
                elif action == "insert":
                    back |= self._remove(name, self.names[relation], entries, reasons)
        for relation, target in tables.items():
            if target.primary_key and action != "insert":
                self._settle(name, target.name, sorted(n for n in back if named[n][0] == relation))
        gone = [number for number in named if number not in back]
        if back:
            conn.execute(shapes.mark(sorted(back), restored=True))
        if gone:
            conn.execute(shapes.mark(gone, restored=False))
        default = {"delete": "its key is taken", "insert": "it is gone", "update": "it is gone"}[action]
        return len(back), [Left(*named[n], action, reasons.get(n, default)) for n in gone]

    # ------------------------------------------------------------------ the three ways back

    def _reinsert(self, name: str, target: QName, kept: sql.Composable, reasons: dict[int, str]) -> set[int]:
        """Insert deleted rows again: all at once, else one by one so that each refusal is known."""
        conn, found = self.ctx.conn, self.rows.tables[target]
        entries = conn.execute(SQL("SELECT a.id, a.before FROM ({}) a ORDER BY a.id").format(kept)).fetchall()
        present = list(entries[0][1])
        numbers = [int(number) for number, _ in entries]
        self.rows.lock_parents(target, SQL("SELECT a.before AS i FROM ({}) a").format(kept))
        try:
            with conn.transaction():
                self.rows.execute(name, shapes.bring_back(found, kept, present))
            return set(numbers)
        except psycopg.IntegrityError:
            return self._one_by_one(numbers, lambda one: shapes.bring_back(found, one, present), kept, reasons)

    def _restore(self, name: str, kept: Mapping[QName, sql.Composable], reasons: dict[int, str]) -> set[int]:
        """Give changed rows what they had, where they still hold what the decision left."""
        conn = self.ctx.conn
        statements: list[tuple[_Statement, sql.Composable, list[int]]] = []
        for target, entries in kept.items():
            found = self.rows.tables[target]
            standing = shapes.standing(found, entries)
            same = shapes.unchanged(found, standing)
            conn.execute(shapes.lock_rows(found, SQL("SELECT c FROM ({}) s").format(standing)))
            query = SQL("SELECT id FROM ({}) s ORDER BY id")
            numbers = [int(n) for (n,) in conn.execute(query.format(same))]
            for (number,) in conn.execute(query.format(standing)):
                reasons[number] = "it was changed since"
            keys = SQL("SELECT DISTINCT jsonb_object_keys(before) FROM ({}) a").format(entries)
            changed = [k for (k,) in conn.execute(keys)]
            if numbers:
                statements.append((_restoring(found, changed), same, numbers))
        if not statements:
            return set()
        try:
            with conn.transaction():
                together = shapes.restore_together([statement(same) for statement, same, _ in statements])
                return {int(str(r[0])) for r in self.rows.execute(name, together).fetchall()}
        except psycopg.IntegrityError as error:
            if len(statements) == 1:
                [(one, source, listed)] = statements
                return self._one_by_one(listed, one, source, reasons)
            for _, _, numbers in statements:
                reasons.update(dict.fromkeys(numbers, str(error).splitlines()[0]))
            return set()

    def _remove(self, name: str, target: QName, kept: sql.Composable, reasons: dict[int, str]) -> set[int]:
        """Delete rows that a decision made, unless they were changed or something refers to them."""
        conn, found = self.ctx.conn, self.rows.tables[target]
        standing = shapes.standing(found, kept)
        same = shapes.unchanged(found, standing)
        conn.execute(shapes.lock_rows(found, SQL("SELECT c FROM ({}) s").format(standing)))
        free: list[sql.Composable] = []
        for key in self.rows.referring(target):
            pairs = [
                SQL("r.{} = t.{}").format(sql.Identifier(own), sql.Identifier(theirs))
                for own, theirs in zip(key.columns, key.targets, strict=True)
            ]
            free.append(SQL("NOT EXISTS (SELECT FROM {} r WHERE {})").format(table(key.child), conjunction(pairs)))
        unused = SQL("SELECT s.* FROM ({}) s JOIN {} t ON t.ctid = s.c WHERE {}").format(
            same, table(target), conjunction(free)
        )
        for query, why in ((standing, "it was changed since"), (same, "something refers to it now")):
            for (number,) in conn.execute(SQL("SELECT id FROM ({}) s").format(query)).fetchall():
                reasons[number] = why
        cursor = self.rows.execute(name, shapes.delete_standing(found, unused))
        return {int(str(r[0])) for r in cursor.fetchall()}

    def _one_by_one(
        self, numbers: Sequence[int], statement: _Statement, source: sql.Composable, reasons: dict[int, str]
    ) -> set[int]:
        back: set[int] = set()
        for number in numbers:
            one = SQL("SELECT * FROM ({}) e WHERE e.id = {}").format(source, sql.Literal(number))
            try:
                with self.ctx.conn.transaction():
                    self.ctx.conn.execute(statement(one))
                back.add(number)
            except psycopg.IntegrityError as error:
                reasons[number] = str(error).splitlines()[0]
        return back

    def _settle(self, name: str, target: QName, numbers: Sequence[int]) -> None:
        """Set once more, with triggers off, what a trigger of the application made of a row that came back."""
        if not numbers:
            return
        found = self.rows.tables[target]
        unlike = shapes.unlike(found, numbers)
        rows = self.ctx.conn.execute(SQL("SELECT before FROM ({}) u").format(unlike)).fetchall()
        if not rows:
            return
        changed = sorted({k for (before,) in rows for k in before})
        with self.rows.triggers_off([target]):
            self.rows.execute(f"{name}:settle", shapes.restore(found, unlike, changed))


def _restoring(found: Table, changed: Sequence[str]) -> _Statement:
    return lambda rows: shapes.restore(found, rows, changed)
