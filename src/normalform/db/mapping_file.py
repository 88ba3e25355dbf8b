"""The mapping between commands: a local SQLite file with every distinct value of every reference.

Decides how values of several block ranges become one entry: rows are added up, the latest resolution holds. Memory is
bounded: values go to disk as they come, and SQLite sorts there. The file appears under its name only when it is whole,
so that an interrupted audit leaves the previous one. It holds values of rows: only its owner may read it, and it must
never be sent anywhere.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice, repeat
from pathlib import Path
from typing import Any

from ..core.mapping import UNRESOLVED, Candidate, Entry, How, Suggestion
from ..core.similar import fold_all
from ..errors import UsageError
from ..sql import sheets

VERSION = "2"
#: Values of several ranges are merged above this many: bounds the disk that a table of many ranges needs.
MERGE_ABOVE = 3_000_000

_SCHEMA = """
PRAGMA page_size = 8192;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA main.locking_mode = EXCLUSIVE;
PRAGMA cache_size = -24576;
PRAGMA temp_store = FILE;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE reference (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first INTEGER, last INTEGER);
CREATE TABLE value (
    id INTEGER PRIMARY KEY, reference INTEGER NOT NULL, part INTEGER NOT NULL, scope TEXT NOT NULL, text TEXT,
    qualifier TEXT, rows INTEGER NOT NULL, how TEXT NOT NULL, key TEXT, path TEXT, note TEXT, found INTEGER NOT NULL);
CREATE TABLE sheet (
    reference INTEGER NOT NULL, part INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL,
    rows INTEGER NOT NULL, scopes INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE candidate (
    value INTEGER NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, path TEXT,
    PRIMARY KEY (value, position)) WITHOUT ROWID;
CREATE TABLE suggestion (
    value INTEGER PRIMARY KEY, decision TEXT NOT NULL, target TEXT, score REAL NOT NULL, why TEXT NOT NULL);
"""
# Needed only while the file is made: a database of its own, which goes at the end. Lookups may be read into it by
# another connection while this one reads references into the file itself.
_SCRATCH = """
PRAGMA scratch.journal_mode = OFF;
PRAGMA scratch.synchronous = OFF;
PRAGMA scratch.cache_size = -16384;
"""
_SCRATCH_TABLES = """
CREATE TABLE scratch.lookup_row (lookup TEXT, scope TEXT, text TEXT, key TEXT, path TEXT, fold TEXT);
CREATE TABLE scratch.alias_row (lookup TEXT, scope TEXT, alias TEXT, key TEXT, text TEXT);
CREATE TABLE scratch.together (part INTEGER, grp TEXT, rows INTEGER);
"""
_SHEET = "INSERT INTO sheet (reference, part, slot, kind, n, rows, scopes, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SHEETS = "SELECT part, kind, scopes, body FROM sheet WHERE reference = ? ORDER BY rowid"
_INSERT = (
    "INSERT INTO value (reference, part, scope, text, qualifier, rows, how, key, path, note, found) "
    "VALUES ({:d}, {:d}, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
#: Lookup rows whose texts are folded at once.
FOLDED = 4_000
# Of several rows with one maximum SQLite takes the other columns from: the latest range's resolution holds.
_MERGE = (
    "CREATE TEMP TABLE merged AS SELECT reference, max(part) AS part, scope, text, qualifier, sum(rows) AS rows, "
    "how, key, path, note, found FROM value WHERE id > ? GROUP BY scope, text, qualifier"
)
# What stands on sheets, unfolded in a temporary file for whoever asks for it, beside the others.
_EVERY = """
PRAGMA temp_store = FILE;
CREATE TEMP TABLE unfolded (
    id INTEGER, reference INTEGER, scope TEXT, text TEXT, qualifier TEXT, rows INTEGER, how TEXT, key TEXT, path TEXT,
    note TEXT, found INTEGER);
CREATE TEMP VIEW every AS SELECT id, reference, scope, text, qualifier, rows, how, key, path FROM main.value
    UNION ALL SELECT id, reference, scope, text, qualifier, rows, how, key, path FROM temp.unfolded;
"""
_ENTRY = "SELECT r.name, v.scope, v.text, v.qualifier, v.rows, v.how, v.key, coalesce(v.path, v.qualifier), v.id "


class Scopes(dict[tuple[str | None, ...], str]):
    """Scopes as JSON arrays of texts, the form in which this file holds them; each is made once."""

    def __missing__(self, scope: tuple[str | None, ...]) -> str:
        made = self[scope] = json.dumps(list(scope), ensure_ascii=False)
        return made

    def of(self, columns: Sequence[Sequence[str | None]], count: int) -> Iterator[str]:
        """Return the scope of each of ``count`` rows, given a list for each column of the scope."""
        if not columns:
            return repeat("[]", count)
        return map(self.__getitem__, zip(*columns, strict=True))


def unfold(kind: int, scopes: int, body: str) -> Iterator[sheets.Entry]:
    """Return the entries on a sheet, in the order of ``sql.findings.ENTRY``."""
    lists = sheets.lists_of(body, scopes)
    return sheets.entries_of(kind, Scopes().of(lists[:scopes], len(lists[-1])), lists)


class Building:
    """A mapping file that is being made; :attr:`db` may be asked by whoever makes it. See :func:`building`."""

    def __init__(self, db: sqlite3.Connection, scratch: Path) -> None:
        self.db, self.scratch = db, scratch
        self.longest: dict[str, tuple[int, int]] = {}  # by lookup: characters of its longest text and path, once asked
        self._reference = self._part = self._before = self._unmerged = self._lookup_before = 0

    @contextmanager
    def beside(self) -> Iterator[Building]:
        """A second one for lookups alone, which another thread may fill while this one takes references.

        What it took is in this one once the block has ended. Until then this one may not be asked about lookups.
        """
        with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as db:
            db.execute("ATTACH ? AS scratch", (str(self.scratch),))
            db.executescript(_SCRATCH)
            yield Building(db, self.scratch)

    def begin_reference(self, name: str) -> int:
        """Add a reference and return its number in this file."""
        [(self._before,)] = self.db.execute("SELECT coalesce(max(id), 0) FROM value")
        [(self._reference,)] = self.db.execute(
            "INSERT INTO reference (name) VALUES (?) RETURNING id", (name,)
        ).fetchall()
        self._part = self._unmerged = 0
        return self._reference

    def add_range(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take the values of one block range, in the order of ``sql.findings.ENTRY``."""
        self._part += 1
        with self.transaction():
            cursor = self.db.executemany(_INSERT.format(self._reference, self._part), rows)
        self._unmerged += cursor.rowcount

    def add_sheets(self, scopes: int, rows: Iterable[Sequence[Any]]) -> None:
        """Take the values of one block range on sheets, as ``sql.sheets.on_sheets`` gives them.

        Args:
            scopes: how many columns the scope has.
            rows: what the server gives.
        """
        self._part += 1
        head, names = (self._reference, self._part), Scopes()
        for kind, slot, count, total, sheet, others in rows:
            self._unmerged += count
            with self.transaction():
                if kind:
                    self.db.execute(_SHEET, (*head, slot, kind, count, total, scopes, sheet))
                else:
                    entries = ((names[tuple(other[:scopes])], *other[scopes:]) for other in others)
                    self.db.executemany(_INSERT.format(*head), entries)

    def _take_apart(self) -> None:
        """Make the values on the reference's sheets entries of their own."""
        sheets = self.db.execute(_SHEETS, (self._reference,))
        with self.transaction():
            for part, kind, scopes, body in sheets:
                self.db.executemany(_INSERT.format(self._reference, part), unfold(kind, scopes, body))
            self.db.execute("DELETE FROM sheet WHERE reference = ?", (self._reference,))

    def sheets(self, reference: int) -> Iterator[tuple[int, int, int, str]]:
        """Yield a reference's sheets by slot: (slot, kind, columns of the scope, the sheet)."""
        yield from self.db.execute(
            "SELECT slot, kind, scopes, body FROM sheet WHERE reference = ? ORDER BY slot, rowid", (reference,)
        )

    def settle(self) -> None:
        """Merge the ranges so far if they are many values. Call between ranges: it may take a while, on disk alone."""
        if self._unmerged > MERGE_ABOVE:
            self._merge()

    def forget_range(self) -> None:
        """Forget what came of a range that was not read to its end."""
        part = (self._reference, self._part)
        self.db.execute("DELETE FROM value WHERE id > ? AND part = ?", (self._before, self._part))
        self.db.execute("DELETE FROM sheet WHERE reference = ? AND part = ?", part)

    def end_reference(self) -> int:
        """Merge the ranges' values into the reference's entries; return how many ranges there were."""
        if self._part > 1:
            self._merge()
        elif self._odd_ones():
            # Some values of a text stand on a sheet, and some cannot: what asks for equal texts wants them together.
            self._take_apart()
        # A reference's entries stand together, so that questions about it need not read the others'.
        self.db.execute(
            "UPDATE reference SET first = ?1 + 1, last = (SELECT coalesce(max(id), ?1) FROM value) WHERE id = ?2",
            (self._before, self._reference),
        )
        return self._part

    def _odd_ones(self) -> bool:
        found = self.db.execute(
            "SELECT EXISTS (SELECT 1 FROM value WHERE id > ? AND how = 'qualified')", (self._before,)
        ).fetchone()
        return bool(found[0])

    def span(self, reference: int) -> tuple[int, int]:
        """Return the first and last id of a reference's entries, once it has ended."""
        [(first, last)] = self.db.execute("SELECT first, last FROM reference WHERE id = ?", (reference,))
        return first, last

    def _merge(self) -> None:
        self._take_apart()
        with self.transaction():
            self.db.execute(_MERGE, (self._before,))
            self.db.execute("DELETE FROM value WHERE id > ?", (self._before,))
            self.db.execute(
                "INSERT INTO value (reference, part, scope, text, qualifier, rows, how, key, path, note, found) "
                "SELECT * FROM temp.merged"
            )
            self.db.execute("DROP TABLE temp.merged")
        self._unmerged = 0

    def add_lookup_range(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Take lookup rows (scope, text, key, path) of one block range, with what their text folds to."""
        [(self._lookup_before,)] = self.db.execute("SELECT coalesce(max(rowid), 0) FROM scratch.lookup_row")
        coming = iter(rows)
        while some := list(islice(coming, FOLDED)):
            folds = fold_all([row[1] for row in some])
            with self.transaction():
                self.db.executemany(
                    "INSERT INTO scratch.lookup_row (lookup, scope, text, key, path, fold) VALUES (?, ?, ?, ?, ?, ?)",
                    [(name, *row, folded) for row, folded in zip(some, folds, strict=True)],
                )

    def forget_lookup_range(self) -> None:
        """Forget what came of a range of lookup rows that was not read to its end."""
        self.db.execute("DELETE FROM scratch.lookup_row WHERE rowid > ?", (self._lookup_before,))

    def add_aliases(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Take a lookup's aliases (scope, alias, key, text of the row)."""
        with self.transaction():
            self.db.executemany(
                "INSERT INTO scratch.alias_row (lookup, scope, alias, key, text) VALUES (?, ?, ?, ?, ?)",
                ((name, *row) for row in rows),
            )

    def end_lookups(self) -> None:
        """Make lookup rows findable by what they fold to, and aliases by their text."""
        self.db.execute("CREATE INDEX scratch.lookup_fold ON lookup_row (lookup, scope, fold, text)")
        self.db.execute("CREATE INDEX scratch.alias_text ON alias_row (lookup, scope, alias)")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction; what came before an error stays, for nothing here can be rolled back without a journal."""
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.execute("COMMIT")


@contextmanager
def building(path: Path | None, **about: str) -> Iterator[Building]:
    """Make a mapping file.

    Args:
        path: where it appears when the block ends without an error; None makes one that goes at the end.
        about: what it is about: database, spec, time.

    Raises:
        UsageError: the folder does not exist, or cannot be written to.
    """
    folder = path.parent if path is not None else Path(tempfile.gettempdir())
    try:
        handle, name = tempfile.mkstemp(prefix=".normalform-", suffix=".new", dir=folder)  # only its owner may read it
    except OSError as error:
        raise UsageError(
            f"the mapping cannot be written to {folder}: {error.strerror}", hint="--mapping FILE"
        ) from error
    os.close(handle)
    new = Path(name)
    scratch = new.with_suffix(".scratch")
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.executescript(_SCHEMA)
            os.close(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # only its owner may read it, too
            db.execute("ATTACH ? AS scratch", (str(scratch),))
            db.executescript(_SCRATCH + _SCRATCH_TABLES)
            db.executemany("INSERT INTO about VALUES (?, ?)", [("version", VERSION), *about.items()])
            yield Building(db, scratch)
            db.execute("CREATE INDEX unresolved ON value (reference, scope, text) WHERE how IN ('ambiguous', 'orphan')")
        if path is not None:
            new.replace(path)
    finally:
        new.unlink(missing_ok=True)
        scratch.unlink(missing_ok=True)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a mapping file for reading.

    Raises:
        UsageError: there is none, or it is something else.
    """
    if not path.is_file():
        raise UsageError(f"there is no mapping file {path}", hint="normalform audit")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            row = db.execute("SELECT value FROM about WHERE name = 'version'").fetchone()
            if row != (VERSION,):
                raise UsageError(f"{path} is a mapping file of another version of Normalform", hint="normalform audit")
            yield db
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path} is no mapping file: {error}", hint="normalform audit") from error


def about(path: Path) -> dict[str, str]:
    """Return what a mapping file is about: ``database``, ``spec`` (SHA-256 of its text), ``at`` and others."""
    with reading(path) as db:
        return dict(db.execute("SELECT name, value FROM about").fetchall())


def unresolved(path: Path) -> Iterator[Entry]:
    """Yield every value that needs a decision, by reference, then by rows, most first; with candidates and suggestion.

    Raises:
        UsageError: there is no such file, or it is no mapping file.
    """
    yield from entries(path, how=UNRESOLVED)


def entries(path: Path, *, reference: str | None = None, how: Iterable[How] | None = None) -> Iterator[Entry]:
    """Yield entries of the mapping, one at a time: the file may hold more than memory does.

    Args:
        path: the mapping file.
        reference: only this one's.
        how: only those decided so.
    """
    wanted = tuple(h.value for h in (how or How))
    marks = ", ".join("?" * len(wanted))
    query = (
        f"{_ENTRY} FROM temp.every v JOIN reference r ON r.id = v.reference WHERE v.text IS NOT NULL "
        f"AND v.how IN ({marks}) AND (? IS NULL OR r.name = ?) "
        "ORDER BY v.reference, v.rows DESC, v.scope, v.text, v.qualifier"
    )
    with reading(path) as db:
        db.executescript(_EVERY)
        for kind, (means, _) in sheets.KINDS.items():
            if means in wanted:
                _unfold_all(db, kind, reference)
        for row in db.execute(query, (*wanted, reference, reference)):
            yield _entry(db, row)


def _unfold_all(db: sqlite3.Connection, kind: int, reference: str | None) -> None:
    found = db.execute(
        "SELECT s.reference, s.scopes, s.body FROM sheet s JOIN reference r ON r.id = s.reference "
        "WHERE s.kind = ? AND (? IS NULL OR r.name = ?)",
        (kind, reference, reference),
    )
    db.execute("BEGIN")
    for number, scopes, body in found:
        db.executemany(
            f"INSERT INTO temp.unfolded VALUES (NULL, {number:d}, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a number
            unfold(kind, scopes, body),
        )
    db.execute("COMMIT")


def _entry(db: sqlite3.Connection, row: Sequence[Any]) -> Entry:
    how = How(row[5])
    candidates: tuple[Candidate, ...] = ()
    suggestion = None
    if not how.resolved:
        found = db.execute("SELECT key, text, path FROM candidate WHERE value = ? ORDER BY position", (row[8],))
        candidates = tuple(Candidate(*c) for c in found)
        line = db.execute("SELECT decision, target, score, why FROM suggestion WHERE value = ?", (row[8],)).fetchone()
        suggestion = Suggestion(*line) if line else None
    key = row[6]
    path = row[7] if key is not None else None
    return Entry(row[0], tuple(json.loads(row[1])), row[2], row[3], row[4], how, key, path, candidates, suggestion)
