"""Checking a decision file against the database: nothing is changed, and every bad line is listed.

What the facts alone decide is in ``core.decision_check``; here are the questions that only the database can answer:
whether a new text would collide in a legacy unique, and whether rows that are to be deleted are referred to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from ..core.decision_check import check as check_lines
from ..core.decision_file import Line, read
from ..core.decisions import Checked, Decision, lookup_of, meaning, owner, shape_problems
from ..core.model import Model, Reference
from ..db import ledger
from ..errors import DecisionError, UsageError
from ..sql import decisions as shapes
from ..sql.quote import column, conjunction, raw, table
from ..sql.splitting import uncopied
from .facts import read_decided, read_facts, read_rows, read_values
from .recorded import in_scope
from .rows import Foreign, read_foreign_keys

SQL = sql.SQL


@dataclass(frozen=True)
class CheckReport:
    """A decision file that holds.

    Args:
        decisions: decisions by word that would be applied now.
        rows: rows that the decided values have now, by word.
        undecided: lines without a decision.
        standing: lines that were applied before and still stand.
        notes: what is worth knowing and stops nothing, each with its line.
        resuming: whether the file was recorded before and would only be carried on with.
    """

    decisions: dict[str, int]
    rows: dict[str, int]
    undecided: int = 0
    standing: int = 0
    notes: tuple[str, ...] = ()
    resuming: bool = False


def read_file(path: Path) -> tuple[list[Line], list[str]]:
    """Read a decision file.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"the decision file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the decision file {path} is not UTF-8: save it as “CSV UTF-8”") from error
    return read(text)


def check_file(conn: psycopg.Connection, model: Model, path: Path) -> Checked:
    """Check a whole file.

    Args:
        conn: a session in autocommit mode; everything is read in one snapshot of it.
        model: the model as it is now.
        path: the file.

    Raises:
        DecisionError: with every bad line.
        UsageError: the file cannot be read.
    """
    lines, problems = read_file(path)
    decided = [line for line in lines if line.decision]
    shape = shape_problems(decided, model)
    bad = {int(text.split()[1].rstrip(":")) for text in shape}
    fitting = [line for line in decided if line.number not in bad]
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        checked = check_lines(fitting, model, read_facts(conn, model, fitting, stored=ledger.installed(conn)))
        checked.problems += _database_problems(conn, model, checked.decisions)
    found = sorted({*problems, *shape, *checked.problems}, key=lambda text: int(text.split()[1].rstrip(":")))
    if found:
        raise DecisionError(found, hint=f"edit {path.name} and run: normalform resolve check {path.name}")
    return checked


def report(checked: Checked, lines: Sequence[Line]) -> CheckReport:
    """Sum up a checked file."""
    words = sorted({d.word for d in checked.decisions})
    return CheckReport(
        decisions={w: sum(1 for d in checked.decisions if d.word == w) for w in words},
        rows={w: sum(d.rows for d in checked.decisions if d.word == w) for w in words},
        undecided=sum(1 for line in lines if not line.decision),
        standing=checked.standing,
        notes=tuple(checked.notes),
    )


def _database_problems(conn: psycopg.Connection, model: Model, decisions: Sequence[Decision]) -> list[str]:
    problems = []
    keys: tuple[Foreign, ...] | None = None
    dropped = {(d.line.reference, d.line.scope, d.line.text, d.line.qualifier) for d in decisions if d.word == "drop"}
    for decision in decisions:
        if decision.word == "rename":
            problems += _rename_collisions(conn, model, decision, dropped)
        elif decision.word == "split":
            reference = owner(decision.line, model)
            why = uncopied(reference) if isinstance(reference, Reference) else None
            problems += [f"line {decision.line.number}: the rows cannot be copied: {why}"] if why else []
        elif decision.word == "drop":
            keys = read_foreign_keys(conn) if keys is None else keys
            problems += _referred(conn, model, decision, keys)
    return problems


def _rename_collisions(
    conn: psycopg.Connection,
    model: Model,
    decision: Decision,
    dropped: set[tuple[str, tuple[str | None, ...], str, str | None]],
) -> list[str]:
    line = decision.line
    entry = owner(line, model)
    assert entry is not None
    lookup, new = lookup_of(entry), decision.target["text"]
    live = read_rows(conn, lookup, [line.text]).get((line.scope, line.text), [])
    decided = read_decided(conn, [line.text]) if ledger.installed(conn) else frozenset()
    problems = []
    for reference in model.references_of(lookup):
        present = read_values(conn, reference, [line.text]).get((reference.name, line.scope, line.text), {})
        values = [(reference.name, line.scope, line.text, q) for q in present]
        meant = [
            v[3] for v in values if meaning(live, v[3])[1] == decision.target["key"] and v not in decided | dropped
        ]
        for index in reference.table.indexes:
            names = [c.column for c in index.columns]
            if not (meant and index.unique and index.valid and reference.text.name in names and None not in names):
                continue
            where = SQL("WHERE {}").format(raw(index.predicate)) if index.predicate is not None else SQL("")
            word = SQL("IS NOT DISTINCT FROM" if index.nulls_not_distinct else "=")
            same = [SQL("{} {} {}").format(column("o", n), word, column("t", n))
                    for n in names if n is not None and n != reference.text.name]  # fmt: skip
            conditions = [
                shapes.exact("t", reference.text.name, sql.Literal(line.text)),
                in_scope(reference, "t", line.scope),
            ]
            if reference.qualifier is not None:
                listed = [shapes.same_or_null("t", reference.qualifier.name, sql.Literal(q)) for q in meant]
                conditions.append(SQL("({})").format(SQL(" OR ").join(listed)))
            query = SQL(
                "SELECT count(*) FROM (SELECT * FROM {table} {where}) t WHERE {which} AND EXISTS "
                "(SELECT FROM (SELECT * FROM {table} {where}) o WHERE {new} AND {same})"
            ).format(
                table=table(reference.table.name),
                where=where,
                which=conjunction(conditions),
                new=shapes.exact("o", reference.text.name, sql.Literal(new)),
                same=conjunction(same),
            )
            row = conn.execute(query).fetchone()
            if row and row[0]:
                problems.append(
                    f"line {line.number}: {row[0]} rows of {reference.name} would stand twice with {new!r} "
                    f"({index.name})"
                )
    return problems


def _referred(conn: psycopg.Connection, model: Model, decision: Decision, keys: Sequence[Foreign]) -> list[str]:
    line = decision.line
    reference = owner(line, model)
    assert isinstance(reference, Reference)
    conditions = [shapes.exact("t", reference.text.name, sql.Literal(line.text)), in_scope(reference, "t", line.scope)]
    if reference.qualifier is not None:
        conditions.append(shapes.same_or_null("t", reference.qualifier.name, sql.Literal(line.qualifier)))
    problems = []
    for key in keys:
        if key.parent != reference.table.name or key.action in ("c", "n", "d"):
            continue
        pairs = [
            SQL("r.{} = t.{}").format(sql.Identifier(own), sql.Identifier(theirs))
            for own, theirs in zip(key.columns, key.targets, strict=True)
        ]
        query = SQL("SELECT count(*) FROM {} t WHERE {} AND EXISTS (SELECT FROM {} r WHERE {})").format(
            table(reference.table.name), conjunction(conditions), table(key.child), conjunction(pairs)
        )
        row = conn.execute(query).fetchone()
        if row and row[0]:
            problems.append(f"line {line.number}: {row[0]} of the rows are referred to by {key.child} ({key.name})")
    return problems
