"""Reads for ``init``: the catalog of every table, the server's statistics, and bounded samples.

Decides how much is read: so many blocks and rows of a table, each statement under a time limit, all of them under a
budget. What cannot be read is noted with the reason and never fatal. It must never write, hold a transaction open
between two statements, or wait for a lock that somebody holds for long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from ..core.candidates import ColumnName, Join, Owner, spoken, text_columns
from ..core.catalog import Catalog, Column, Table
from ..core.column_stats import ColumnStats, of_sample
from ..core.names import QName
from ..core.samples import OwnerSample, ParentRows, Rate, Row, RowSample
from ..sql import discover as queries
from ..sql.quote import render
from .inspect import inspect
from .ranges import limited

#: Tables that are inspected at once: no catalog is too large for a short transaction.
TABLES_AT_ONCE = 400
#: Blocks of a table that are sampled, and rows at most.
BLOCKS, ROWS = 60, 5_000
#: Texts of a reference's sample that are looked for in a lookup, and rows that may be found.
TEXTS, FOUND = 1_500, 60_000
#: Seconds that one statement may take, that it may wait for a lock, and that everything may take together.
STATEMENT, LOCK, BUDGET = 10.0, 2.0, 240.0
#: Types whose values can tell one thing: the text itself, a scope, a qualifier, a join.
TELLING = ("text", "varchar", "bpchar", "citext", "name", "int2", "int4", "int8", "uuid")
ARRAYS = ("json", "jsonb", "_text", "_varchar")
#: Bytes of an average value beyond which a column is neither scope nor qualifier.
WIDE = 256
#: How often a statement is tried that a standby cancels to let recovery go on.
TRIES = 3
OUT_OF_TIME = "the time for looking around was used up"


@dataclass
class Discovery:
    """Reads one database within its budget.

    Args:
        conn: a session in autocommit mode, read-only.
        statement: seconds that one statement may take.
        budget: seconds for everything.
    """

    conn: psycopg.Connection
    statement: float = STATEMENT
    budget: float = BUDGET
    unread: list[tuple[str, str]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.conn.execute("SELECT set_config('lock_timeout', %s, false)", (f"{int(LOCK * 1000)}ms",))

    def note(self, subject: str, why: str) -> None:
        """Note something that was not looked at."""
        if (subject, why) not in self.unread:
            self.unread.append((subject, why))

    def catalog(self) -> Catalog:
        """Read every ordinary table that the role may read, but for those that somebody keeps locked."""
        for left in reversed(range(TRIES)):
            names = []
            for schema, name, locked in self._ask("pg_class", queries.TABLES):
                if locked:
                    # Even the definitions of its defaults and indexes could not be read.
                    self.note(str(QName(schema, name)), "somebody keeps it locked")
                else:
                    names.append(QName(schema, name))
            try:
                return self._inspected(names)
            except psycopg.errors.LockNotAvailable:
                if not left:
                    raise
        raise AssertionError("the last try raises")

    def _inspected(self, names: Sequence[QName]) -> Catalog:
        tables: dict[QName, Table] = {}
        with limited(self.conn, self.statement):
            result = inspect(self.conn, names[:TABLES_AT_ONCE])
            tables.update(result.tables)
            for start in range(TABLES_AT_ONCE, len(names), TABLES_AT_ONCE):
                tables.update(inspect(self.conn, names[start : start + TABLES_AT_ONCE]).tables)
        return replace(result, tables=tables)

    def statistics(self, tables: Sequence[Table]) -> tuple[dict[ColumnName, ColumnStats], dict[QName, float]]:
        """Return what is known of every text column, and each table's rows; tables without statistics are sampled."""
        found: dict[ColumnName, ColumnStats] = {}
        rows: dict[QName, float] = {t.name: t.rows_estimate for t in tables}
        names = text_columns(tables)
        padded = {(t.name, c.name) for t in tables for c in t.columns if c.base == "bpchar"}
        query, parameters = queries.statistics(names)
        for schema, table, column, nulls, width, distinct, common, shares, others in self._ask(
            "pg_stats", query, parameters
        ):
            name = QName(schema, table), column
            # The statistics of char(n) have its padding, of which its text knows nothing.
            common, others = ([v.rstrip(" ") if name in padded else v for v in x or ()] for x in (common, others))
            often = tuple(zip(common, shares or (), strict=True))
            found[name] = ColumnStats(nulls, width, distinct, often, tuple(others))
        for table in tables:
            lacking = [c.name for c in table.columns if c.is_text and (table.name, c.name) not in found]
            texts = any(c.is_text for c in table.columns)
            if table.pages and texts and (lacking or not rows[table.name]):
                self._sampled_statistics(table, lacking, found, rows)
        return found, rows

    def _sampled_statistics(
        self, table: Table, lacking: Sequence[str], found: dict[ColumnName, ColumnStats], rows: dict[QName, float]
    ) -> None:
        wanted = list(lacking) or [table.columns[0].name]
        sample, share = self._sample(table, wanted)
        if sample is None:
            return
        if not rows[table.name]:
            rows[table.name] = max(len(sample.rows) / share, float(len(sample.rows)))
        for name in lacking:
            found[table.name, name] = of_sample(sample.values(name), rows[table.name])

    def sample(self, table: Table, text: str, stats: Mapping[ColumnName, ColumnStats]) -> RowSample | None:
        """Return rows of a reference's table: its text, and every column that may be scope or qualifier."""

        def telling(c: Column) -> bool:
            known = stats.get((table.name, c.name))
            return c.base in TELLING and (known is None or known.width <= WIDE)

        wanted = [c.name for c in table.columns if c.name == text or telling(c)]
        return self._sample(table, wanted)[0]

    def _sample(self, table: Table, wanted: Sequence[str]) -> tuple[RowSample | None, float]:
        """Return sampled rows, and the share of the blocks that was read."""
        percent: float | None = 100.0 * BLOCKS / table.pages if table.pages > 2 * BLOCKS else None
        while True:
            found = self._rows(str(table.name), queries.sample(table.name, wanted, percent, ROWS))
            if found is None:
                return None, 1.0
            if percent is None or len(found) >= ROWS // 10 or percent >= 100:
                whole = percent is None and len(found) < ROWS
                share = 1.0 if percent is None else percent / 100
                if percent is None and not whole:
                    # All blocks were asked for, and the limit ended it: only as much as the rows' own room was read.
                    share = min(1.0, ROWS / max(table.rows_estimate, float(ROWS)))
                return RowSample(tuple(wanted), found, whole), share
            # The blocks drawn were nearly empty.
            percent = None if percent * 16 >= 100 else percent * 16

    def probe(self, owner: Owner, values: Sequence[str]) -> set[str] | None:
        """Return which of the values a text column has; None when it could not be asked."""
        found = self._rows(spoken(owner.name), queries.probe(owner, values))
        return {value for (value,) in found if value is not None} if found is not None else None

    def owner_sample(
        self, owner: Owner, joins: Sequence[Join], texts: Sequence[str]
    ) -> tuple[OwnerSample, list[str]] | None:
        """Return the rows of a lookup that have one of the texts, as text or alias, and the parents that they hang on.

        Args:
            owner: the lookup's text.
            joins: its joins.
            texts: what to look for; fewer from the first on are taken where they are found too often.

        Returns:
            The rows, and the texts that were looked for; None when the lookup could not be read.
        """
        table = owner.table
        joining = {j.column for j in joins}
        wanted = [c.name for c in table.columns if c.base in TELLING or c.name in joining or c.name == owner.text.name]
        asked = list(texts[:TEXTS])
        rows: list[Row] | None = []
        while asked:
            rows = self._rows(spoken(owner.name), queries.owner_rows(owner, wanted, asked, FOUND))
            if rows is None:
                return None
            if len(rows) < FOUND:
                break
            asked = asked[: len(asked) // 4]
        aliases: dict[str, list[tuple[str, Row]]] = {}
        for column in table.columns:
            if column.base in ARRAYS and column.name != owner.text.name:
                query = queries.alias_rows(owner, column, wanted, asked, FOUND)
                aliases[column.name] = [
                    (row[0], row[1:]) for row in self._rows(f"{table.name}.{column.name}", query) or () if row[0]
                ]
        known = [*(rows or ()), *(row for entries in aliases.values() for _, row in entries)]
        parents = {j.column: p for j in joins if (p := self._parent(j, wanted.index(j.column), known)) is not None}
        return OwnerSample(tuple(wanted), rows or [], aliases, parents), asked

    def _parent(self, join: Join, at: int, rows: Sequence[Row]) -> ParentRows | None:
        keys = list(dict.fromkeys(v for row in rows if (v := row[at]) is not None))
        key = join.parent.primary_key[0]
        wanted = [c.name for c in join.parent.columns if c.base in TELLING or c.name in (key, join.up)]
        found = self._rows(str(join.parent.name), queries.parent_rows(join, wanted, keys, FOUND))
        if found is None:
            return None
        at_key = wanted.index(key)
        by_key = {str(row[at_key]): row for row in found}
        return ParentRows(join, tuple(wanted), by_key, Rate(sum(k in by_key for k in keys), len(keys)))

    def _rows(self, subject: str, query: sql.Composable) -> list[Row] | None:
        if time.monotonic() - self.began > self.budget:
            self.note(subject, OUT_OF_TIME)
            return None
        try:
            return self._ask(subject, render(query))
        except psycopg.errors.InsufficientPrivilege as error:
            why = f"{error.diag.message_primary}"
        except psycopg.errors.QueryCanceled:
            why = f"it takes more than {self.statement:g} s"
        except psycopg.errors.LockNotAvailable:
            why = f"somebody has kept it locked for more than {LOCK:g} s"
        except (psycopg.errors.SerializationFailure, psycopg.DataError) as error:
            why = f"{error.diag.message_primary}"
        self.note(subject, why)
        return None

    def _ask(self, subject: str, query: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        for left in reversed(range(TRIES)):
            try:
                with limited(self.conn, self.statement), self.conn.cursor(row_factory=tuple_row) as cursor:
                    return cursor.execute(query.encode(), parameters).fetchall()
            except psycopg.errors.SerializationFailure:
                if not left:  # a standby's conflict with recovery; the next try has a newer snapshot
                    raise
        raise AssertionError(subject)
