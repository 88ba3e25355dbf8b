"""What `init` reports, and the spec file that it writes of it.

Decides what the file's comments say. They hold names and numbers and never a value of a row, since the file is to be
kept and shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .candidates import spoken
from .catalog import Column, Table
from .draft import Draft, LookupDraft, ReferenceDraft
from .evidence import Guess
from .guess import LeftOut
from .names import display
from .spec_write import Notes, key, write


@dataclass(frozen=True)
class InitReport:
    """What was found.

    Args:
        database: its name.
        role: who looked.
        tables: tables looked at.
        columns: text columns among them.
        draft: what was guessed.
        left_out: every other column that was looked at or asked for, with the reason.
        unread: what could not be looked at, and why.
        text: the spec file; empty when nothing was found.
        seconds: how long it took.
    """

    database: str
    role: str
    tables: int
    columns: int
    draft: Draft
    left_out: tuple[LeftOut, ...]
    unread: tuple[tuple[str, str], ...]
    text: str
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "database": self.database,
            "role": self.role,
            "tables": self.tables,
            "columns": self.columns,
            "lookups": [_lookup_json(d) for d in self.draft.lookups],
            "references": [_reference_json(d) for d in self.draft.references],
            "left_out": [{"column": spoken(x.column), "why": x.why} for x in self.left_out],
            "unread": [{"subject": subject, "why": why} for subject, why in self.unread],
            "spec": self.text,
            "seconds": self.seconds,
        }  # fmt: skip


def _guesses_json(guesses: Sequence[Guess]) -> list[dict[str, Any]]:
    return [
        {"what": g.what, "value": g.value, "found": g.rate.found if g.rate else None,
         "looked": g.rate.looked if g.rate else None, "why": g.why}
        for g in guesses
    ]  # fmt: skip


def _lookup_json(draft: LookupDraft) -> dict[str, Any]:
    return {
        "name": draft.spec.name,
        "table": str(draft.table),
        "create": draft.spec.create,
        "rows": draft.rows,
        "guesses": _guesses_json(draft.guesses),
    }


def _reference_json(draft: ReferenceDraft) -> dict[str, Any]:
    return {
        "name": draft.spec.name,
        "lookup": draft.spec.lookup,
        "table": str(draft.table),
        "text": draft.spec.text,
        "add": draft.spec.add,
        "rows": draft.rows,
        "distinct": draft.distinct,
        "bytes": draft.bytes,
        "found": asdict(draft.found),
        "values": asdict(draft.values),
        "guesses": _guesses_json(draft.guesses),
        "missing": list(draft.missing),
    }


def spec_text(drafted: Draft, tables: Sequence[Table], database: str) -> str:
    """Return the spec file of a draft, with the evidence as comments; empty when there is no reference.

    Args:
        drafted: what was guessed.
        tables: the lookups' tables, for what a created row would need.
        database: its name, for the head.
    """
    if not drafted.references:
        return ""
    by_name = {t.name: t for t in tables}
    head = [
        f"Guessed by `normalform init` from samples of database {display(database)}. Nothing was changed there.",
        "Read it through, correct it, then: normalform audit",
    ]
    return write(
        [d.spec for d in drafted.lookups],
        [d.spec for d in drafted.references],
        Notes(
            head=head,
            lookups={d.spec.name: _lookup_notes(d, by_name.get(d.table)) for d in drafted.lookups},
            references={d.spec.name: _reference_notes(d) for d in drafted.references},
        ),
    )


def spoken_guess(guess: Guess) -> str:
    """Return a guess as one line: what, its value, its hit rate, why."""
    said = guess.value if guess.value is not None else "" if guess.rate is not None else "not found"
    rate = str(guess.rate) if guess.rate is not None and guess.rate.looked else ""
    evidence = f"{rate} {guess.why}" if rate else guess.why
    return ": ".join(part for part in (guess.what, said, evidence) if part)


def _lookup_notes(draft: LookupDraft, table: Table | None) -> list[str]:
    lines = [f"{draft.table}, about {draft.rows:,} rows.", *(f"  {spoken_guess(g)}" for g in draft.guesses)]
    spec = draft.spec
    if table is None:
        lines.append("It does not exist: expand would make it. Take it out, with its references, if you want none;")
        return [*lines, "give it a scope if each tenant is to have rows of its own."]
    filled = {spec.key, spec.text, *(spec.scope.columns if spec.scope is not None else ())}
    free = [c for c in table.columns if c.name not in filled and _must_be_given(c)]
    if free:
        lines += ["Needed once a decision, or on_unknown, creates rows:", f"  [lookup.{key(spec.name)}.new_row]"]
        joined = spec.qualifier.join if spec.qualifier is not None else None
        for column in free:
            said = '{ from = "qualifier", otherwise = "…" }' if column.name == joined else "…"
            lines.append(f"  {key(column.name)} = {said}")
    return lines


def _must_be_given(column: Column) -> bool:
    return column.not_null and column.default is None and not column.identity and not column.generated


def _reference_notes(draft: ReferenceDraft) -> list[str]:
    counted = f"about {draft.distinct:,} values on {draft.rows:,} rows"
    lines = [f"{draft.table}.{display(draft.spec.text)}: {counted}; a key saves about {size(draft.bytes)}."]
    lines += [f"  {spoken_guess(g)}" for g in draft.guesses]
    if not draft.spec.required:
        lines.append("  some rows have no text: required = false")
    return lines


def size(count: int) -> str:
    """Return bytes for people: ``3.2 MB``."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"
