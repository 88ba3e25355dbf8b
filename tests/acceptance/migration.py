"""A migration under test: the API on one test database, with decisions written as a file like an operator's.

Everything runs as the owner of the tables, who is no superuser.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import mini
from compare import checksums, dump_schema
from fix_servers import Database
from normalform import api
from normalform.core.decision_file import Line, write
from normalform.core.events import Sink, silent
from normalform.core.findings import AuditReport
from normalform.core.index_successor import LATE, Uniques

_files = itertools.count(1)


#: The phases that change something, each with the one before it as `rollback --to` names it.
CHANGING = {
    "resolve": "start",
    "expand": "resolve",
    "backfill": "expand",
    "constrain": "verify",
    "contract": "constrain",
}
Look = tuple[dict[str, str], str]


def look(db: Database, *, exact: bool = True) -> Look:
    """What the application's tables hold, and their schema; after contract up to the order of columns."""
    return checksums(db), dump_schema(db, ledger=False, column_order=exact)


def assert_same(found: Look, wanted: Look) -> None:
    """Compares table by table and line by line; a failure says what differs."""
    tables = {t: (found[0].get(t), wanted[0].get(t)) for t in {**found[0], **wanted[0]}}
    different = {t: pair for t, pair in tables.items() if pair[0] != pair[1]}
    assert not different, f"tables (found, wanted): {different}"
    lines, others = found[1].splitlines(), wanted[1].splitlines()
    new, gone = [x for x in lines if x not in others], [x for x in others if x not in lines]
    assert found[1] == wanted[1], f"schema: new {new}, gone {gone}"


def script(*parts: str) -> Callable[[str], None]:
    """Returns how to build a template from SQL scripts."""

    def build(url: str) -> None:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            for part in parts:
                connection.execute(part.encode())

    return build


def line(reference: str, tenant: str | None, text: str, qualifier: str | None, decision: str, target: str = "") -> Line:
    """Returns a decided line of a decision file."""
    return Line(0, reference, (tenant,), text, qualifier, decision=decision, target=target)


class Migration:
    """The commands on one database.

    Args:
        db: the database.
        folder: for decision files and the local mapping.
        spec: the spec's text.
        sink: where events go.
        uniques: how unique successors stand until contract.
    """

    def __init__(
        self, db: Database, folder: Path, spec: str = mini.SPEC_TEXT, sink: Sink = silent, uniques: Uniques = LATE
    ) -> None:
        self.db, self.folder, self.spec, self.sink, self.uniques = db, folder, spec, sink, uniques

    @property
    def options(self) -> api.Options:
        """The options of every command."""
        return api.Options(self.db.url, self.spec, self.sink, workers=2, uniques=self.uniques)

    def audit(self, mapping: Path | None = None) -> AuditReport:
        """Reads everything; the mapping goes to a file, of its own unless one is named."""
        return api.audit(self.options, mapping=mapping or self.folder / f"mapping-{next(_files)}.sqlite")

    def decide(self, lines: Iterable[Line]) -> None:
        """Writes a decision file and applies it."""
        path = self.folder / f"decisions-{next(_files)}.csv"
        path.write_text(write(lines), encoding="utf-8", newline="")
        api.resolve_apply(self.options, path)

    def to(self, phase: str) -> None:
        """Goes forward up to a phase."""
        api.run(self.options, until=phase)

    def back(self, target: str) -> None:
        """Rolls back until the target is the last phase done; ``start`` takes everything back."""
        api.rollback(self.options, target)

    def uninstall(self) -> None:
        """Removes the ledger."""
        api.uninstall(self.options)
