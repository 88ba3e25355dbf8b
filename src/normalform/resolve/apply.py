"""Applying a checked file: recorded whole, then carried out one decision (or one group of them) at a time.

Killed anywhere, the same command again goes on with what is recorded and not applied. On an error that is not a kill,
what this file had applied is undone, so that the file is applied whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import psycopg
from psycopg import sql

from ..core.decisions import MAPPED, Checked, lookup_of
from ..core.mapping import Candidate
from ..core.model import Lookup, Model, Reference
from ..core.names import QName
from ..core.plan import Lock, Mode, Step
from ..db.execute import do_steps
from ..db.session import read_model
from ..db.work import Context, transaction
from ..errors import DecisionError
from ..sql import probes
from ..sql.quote import raw, render, table
from . import actions, entries, merging
from .collisions import losers, uniques
from .facts import read_rows
from .record import in_state, mark_applied, record, unfinished_file
from .recorded import Recorded
from .rows import Blocked, Rows
from .undo import narrow, undo_ids

SQL = sql.SQL
#: How many decisions share a transaction, where one transaction may carry several.
GROUPS = {"drop": 200, "create": 200, "keep": 200, "mapping": 2000, "rename": 1, "merge": 1}


@dataclass(frozen=True)
class ApplyReport:
    """What `resolve apply` did.

    Args:
        applied: decisions applied by this command.
        standing: decisions of the file that stood already.
        rows: by word, the rows that were changed, made or deleted; for the mapping's words, the rows that they decide.
        notes: what is worth knowing.
    """

    applied: int
    standing: int
    rows: dict[str, int]
    notes: tuple[str, ...] = ()


def digest(path: Path) -> str:
    """Return the SHA-256 of a decision file's bytes, by which the ledger knows it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def apply_file(ctx: Context, path: Path, check: Callable[[], Checked]) -> ApplyReport:
    """Apply a file, or go on with one that an earlier run left half applied.

    Args:
        ctx: the run.
        path: the file.
        check: checks it; called only when it is not recorded already.

    Raises:
        DecisionError: bad lines, or a decision that the data no longer allows; nothing of the file is then applied.
    """
    left = in_state(ctx.conn, "undoing")
    if left:
        undo_ids(ctx, [r.id for r in left])
    file = digest(path)
    unfinished = unfinished_file(ctx.conn)
    if unfinished not in (None, file):
        raise DecisionError(
            [f"line 1: another file (SHA-256 {unfinished}) was left half applied"],
            hint="apply that file again, or run: normalform resolve undo",
        )
    standing = 0
    notes: tuple[str, ...] = ()
    if unfinished is None:
        checked = check()
        standing, notes = checked.standing, tuple(checked.notes)
        widen(ctx, checked)
        with transaction(ctx, ctx.conn, "resolve/record"):
            record(ctx.conn, ctx.run, file, checked.decisions)
    pending = in_state(ctx.conn, "checked", file=file)
    if pending:
        _carry_out(ctx, file, pending)
    ids = [r.id for r in pending]
    counted = ctx.conn.execute(
        "SELECT decision, sum(rows)::bigint FROM normalform.decision WHERE id = ANY(%s) GROUP BY 1", (ids,)
    ).fetchall()
    return ApplyReport(len(ids), standing, {word: int(rows) for word, rows in counted}, notes)


def _carry_out(ctx: Context, file: str, pending: Sequence[Recorded]) -> None:
    model = ctx.model
    rows = Rows.read(ctx, sorted(_tables(model)))
    total, done = len(pending), 0
    for group in _groups(pending):
        ctx.check_stop()
        ctx.say("progress", "resolve apply", "", done, total, "decisions")
        try:
            _apply(rows, model, group)
        except (Blocked, psycopg.IntegrityError, psycopg.DataError, psycopg.errors.RaiseException) as error:
            ids = [r.id for r in in_state(ctx.conn, "applied", file=file)]
            undo_ids(ctx, ids)
            if not in_state(ctx.conn, "applied"):
                narrow(ctx)
            text = str(error).strip().splitlines()[0]
            raise DecisionError([f"line {group[0].line}: {text}"], hint="normalform resolve check") from error
        done += len(group)
    ctx.say("progress", "resolve apply", "", total, total, "decisions")


def _groups(pending: Sequence[Recorded]) -> Iterator[list[Recorded]]:
    """Decisions that follow each other and can share a transaction."""

    def place(one: Recorded) -> tuple[str, str]:
        word = "mapping" if one.word in MAPPED else one.word
        return word, "" if word == "mapping" else one.reference

    for (word, _), run in groupby(pending, place):
        group = list(run)
        for start in range(0, len(group), GROUPS[word]):
            yield group[start : start + GROUPS[word]]


def _tables(model: Model) -> set[QName]:
    found = {r.table.name for r in model.references}
    for lookup in model.lookups:
        found.add(lookup.table.name)
        if lookup.path is not None:
            found.add(lookup.path.table.name)
    return found


def _owner(model: Model, name: str) -> Reference | Lookup:
    for reference in model.references:
        if reference.name == name:
            return reference
    return model.lookup(name.removeprefix("lookup."))


def _apply(rows: Rows, model: Model, group: list[Recorded]) -> None:
    ctx, first = rows.ctx, group[0]
    name = f"resolve/{first.word}/{first.id}"
    owner = _owner(model, first.reference)
    lookup = lookup_of(owner)
    references = model.references_of(lookup)

    def finish(count: bool) -> None:
        mark_applied(ctx.conn, ctx.run, group, count=count)

    if first.word in MAPPED:

        def store() -> None:
            _fold_targets(rows, model, group)
            entries.mapped(rows, name, group)
            finish(False)

        rows.atomically(name, [], store)
    elif first.word == "drop":
        assert isinstance(owner, Reference)

        def drop() -> None:
            actions.drop(rows, name, owner, group)
            finish(True)

        rows.atomically(name, rows.closure([owner.table.name]), drop)
    elif first.word == "keep":
        assert isinstance(owner, Reference)

        def keep() -> None:
            _keep(rows, name, model, owner, group)
            finish(True)

        rows.atomically(name, rows.closure([owner.table.name]), keep)
    elif first.word == "create":
        tables = [lookup.table.name]
        if lookup.path is not None and any(r.target["cid"] is None and r.target["path"] is not None for r in group):
            tables.append(lookup.path.table.name)

        def create() -> None:
            actions.create(rows, name, lookup, group)
            finish(True)

        rows.atomically(name, tables, create)
    elif first.word == "rename":

        def rename() -> None:
            actions.rename(rows, name, lookup, references, first)
            finish(True)

        rows.atomically(name, [lookup.table.name, *[r.table.name for r in references]], rename)
    else:

        def merge() -> None:
            merging.merge(rows, name, lookup, references, first)
            finish(True)

        rows.atomically(name, rows.closure([lookup.table.name, *[r.table.name for r in references]]), merge)


def _fold_targets(rows: Rows, model: Model, group: Sequence[Recorded]) -> None:
    """Find the keys of rows that this file has created for texts to be folded onto."""
    for one in group:
        if one.word != "fold" or "key" in one.target:
            continue
        row = _row(rows, lookup_of(_owner(model, one.reference)), one, one.target["text"], one.target["path"])
        rows.ctx.conn.execute(
            "UPDATE normalform.decision SET target = (target::jsonb || jsonb_build_object('key', %s::text))::text "
            "WHERE id = %s",
            (row.key, one.id),
        )


def _row(rows: Rows, lookup: Lookup, one: Recorded, text: str, path: str | None) -> Candidate:
    live = read_rows(rows.ctx.conn, lookup, [text]).get((one.scope, text), [])
    fitting = [r for r in live if r.path == path]
    if len(fitting) != 1:
        raise Blocked(f"{len(fitting)} rows of {lookup.table.name} are {text!r} in {path!r}")
    return fitting[0]


def _keep(rows: Rows, name: str, model: Model, reference: Reference, group: Sequence[Recorded]) -> None:
    kept = []
    for one in group:
        row = _row(rows, reference.lookup, one, one.value, one.target["path"])
        kept.append((one.id, one.scope, row.key, one.target["rule"]))
    ids = [one.id for one in group]
    for unique in uniques(model, reference, rows.ctx.baseline):
        # Found once and named by their tids: nobody moves them under our lock, and resolving is the dear part.
        found = rows.ctx.conn.execute(losers(reference, unique, kept)).fetchall()
        if found:
            victims = SQL("SELECT c, decision FROM unnest({}::tid[], {}::bigint[]) v(c, decision)").format(
                sql.Literal([str(c) for c, _ in found]), sql.Literal([decision for _, decision in found])
            )
            rows.delete(f"{name}:{unique.name}", reference.table.name, ids, victims)


def widen_step(lookup: Lookup, width: int | None) -> Step:
    """Return the step that widens a lookup's text; longer varchar is a change of the catalog alone.

    The undo narrows it again, which reads and rewrites the table under its lock, and leaves it when a text needs the
    width.
    """
    name, col = table(lookup.table.name), sql.Identifier(lookup.text.name)
    collate = SQL(" COLLATE {}").format(raw(lookup.text.collation)) if lookup.text.collation else SQL("")
    wide = "character varying" if width is None else f"character varying({width})"
    alter = SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}{}")
    narrow = render(alter.format(name, col, raw(lookup.text.type), collate))
    longer = render(SQL("{} WHERE length({}) > {}").format(name, col, sql.Literal(lookup.text.width)))
    body = f"BEGIN IF NOT EXISTS (SELECT FROM {longer}) THEN {narrow}; END IF; END"
    return Step(
        id=f"resolve/{lookup.name}/width",
        phase="resolve",
        object=f"width of {lookup.table.name}.{lookup.text.name}: {lookup.text.width} to {width or 'any'}",
        do=(render(alter.format(name, col, raw(wide), collate)),),
        done=probes.column_type(lookup.table.name, lookup.text.name, wide),
        undo=(render(SQL("DO {}").format(sql.Literal(body))),),
        gone=probes.column_type(lookup.table.name, lookup.text.name, lookup.text.type),
        undo_mode=Mode.REWRITE,
        lock=Lock.ACCESS_EXCLUSIVE,
        undo_lock=Lock.ACCESS_EXCLUSIVE,
        table=render(name),
        reason="a decision creates a row whose text is longer",
        claims=False,
    )


def widen(ctx: Context, checked: Checked) -> None:
    """Widen lookups, as steps of the ledger, before a decision needs the width."""
    if not checked.widths:
        return
    do_steps(ctx, [widen_step(ctx.model.lookup(name), width) for name, width in checked.widths.items()], {})
    ctx.model = read_model(ctx.conn, ctx.model.spec)
