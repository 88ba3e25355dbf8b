"""Explains one row: reads it, its lookup row, the decisions about it and the batch that wrote it, in one snapshot.

Reads only, and without a ledger too. Decides which entries of archive and residue belong to the row; how its key came
about is ``core.explanation``'s.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ..core.conservation import Conserved, conserve
from ..core.decisions import Scope
from ..core.explanation import (
    DONE_TO_ROW,
    Batch,
    Decided,
    Explanation,
    Facts,
    Run,
    TextFrom,
    moved,
    rule,
)
from ..core.mapping import Candidate, How
from ..core.model import Lookup, Model, Reference
from ..core.names import display, nearest, parse_table
from ..core.spec import Spec
from ..errors import UsageError
from ..sql import explain as queries
from ..sql.quote import render, table
from ..sql.residue import entry, given, identity
from ..sql.shapes import STORED
from . import ledger
from .session import read_model

SQL = sql.SQL
#: Types whose values are numbers and no texts: shown even when values are masked.
PLAIN = ("int2", "int4", "int8", "uuid")
_DECISIONS = (
    "SELECT d.id, d.decision, d.target, d.note, d.person, d.applied_at, d.run, d.file, d.line "
    "FROM normalform.decision d WHERE d.id = ANY(%s) ORDER BY d.id"
)
_ARCHIVED = (
    "SELECT a.decision, d.decision, a.action, a.before, a.after FROM normalform.archive a "
    "JOIN normalform.decision d ON d.id = a.decision AND d.state = 'applied' "
    "WHERE a.relation = %s AND a.restored IS NULL AND a.identity @> %s::jsonb ORDER BY a.id"
)
_STORED = (
    "SELECT m.how, m.key, m.decision FROM normalform.mapping m WHERE m.reference = %s AND m.scope = %s::text[] "
    "AND m.value = %s AND m.qualifier IS NOT DISTINCT FROM %s AND m.how = ANY(%s)"
)
_BATCH = (
    "SELECT b.work, b.slice, b.worker, b.first_block, b.end_block, b.at, "
    "r.id, r.command, r.role, r.person, r.host, r.started_at "
    "FROM normalform.batch b JOIN normalform.run r ON r.id = b.run WHERE b.xid = %s::text::xid8"
)
_FILLS = (
    "SELECT min(xid)::text::bigint, max(xid)::text::bigint FROM normalform.batch WHERE work = %s HAVING count(*) > 0"
)
_MADE = (
    "SELECT a.decision FROM normalform.archive a JOIN normalform.decision d ON d.id = a.decision "
    "AND d.state = 'applied' WHERE a.relation = %s AND a.action = 'insert' AND a.restored IS NULL "
    "AND a.identity @> %s::jsonb ORDER BY a.id DESC LIMIT 1"
)


@dataclass(frozen=True)
class _Row:
    """A row as it stands, or as the archive has it; ``xmin`` is None for one that is gone."""

    scope: Scope
    text: str | None
    qualifier: str | None
    key: str | None
    text_from: TextFrom
    xmin: int | None


def explain(conn: psycopg.Connection, spec: Spec, name: str, key: Sequence[str], *, mask: bool) -> list[Explanation]:
    """Explain one row, once for each reference on its table.

    Args:
        conn: a session in autocommit mode.
        spec: the spec.
        name: a table as SQL writes it, or a reference's name.
        key: the primary key's values, in its columns' order; one value may hold them all, separated by commas.
        mask: hide values of rows.

    Raises:
        UsageError: no such reference or row, or the key has another number of columns.
    """
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    with conn.transaction():
        stands = ledger.installed(conn)
        model = read_model(conn, spec)
        baseline = (ledger.baseline(conn) if stands else {}) or dict(model.catalog.tables)
        conserved = {t.name: t for t in conserve(model, baseline)}
        found = []
        for reference in _references(model, name):
            values = _key(reference, key)
            found.append(_Reader(conn, model, conserved[reference.table.name], reference, stands).read(values))
    return [_masked(model, e) for e in found] if mask else found


def _references(model: Model, name: str) -> list[Reference]:
    by_name = [r for r in model.references if r.name == name]
    if by_name:
        return by_name
    try:
        wanted = parse_table(name)
    except ValueError as error:
        raise UsageError(str(error)) from error
    on_table = [r for r in model.references if r.table.name.name == wanted.name]
    on_table = [r for r in on_table if wanted.schema in ("", r.table.name.schema)]
    if not on_table:
        known = [n for r in model.references for n in (r.name, str(r.table.name))]
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"references: {', '.join(r.name for r in model.references)}"
        raise UsageError(f"{name} is neither a reference nor a reference's table", hint=hint)
    return on_table


def _key(reference: Reference, given_key: Sequence[str]) -> list[str]:
    columns = reference.identity or ("ctid",)
    values = list(given_key)
    if len(values) == 1 and len(columns) > 1:
        values = next(csv.reader(values))
    if len(values) != len(columns):
        raise UsageError(
            f"the primary key of {reference.table.name} has {len(columns)} columns "
            f"({', '.join(map(display, columns))}), and {len(values)} values were given"
        )
    return values


def _masked(model: Model, explanation: Explanation) -> Explanation:
    reference = model.reference(explanation.reference)
    columns = [reference.table.column(c) for c in explanation.identity]
    plain = all(c is None or c.base in PLAIN for c in columns)
    return explanation.masked(identity=plain, key=reference.lookup.key.base in PLAIN)


class _Reader:
    """Reads one row of one reference."""

    def __init__(
        self, conn: psycopg.Connection, model: Model, conserved: Conserved, reference: Reference, stands: bool
    ) -> None:
        self.conn, self.model, self.conserved, self.reference = conn, model, conserved, reference
        self.stands = stands

    def read(self, key: Sequence[str]) -> Explanation:
        reference, lookup = self.reference, self.reference.lookup
        identity_of = dict(zip(reference.identity or ("ctid",), key, strict=True))
        row = self._row(key)
        archived = self._archived(identity_of)
        deleted = next((a for a in reversed(archived) if a[2] == "delete"), None)
        if row is None and deleted is not None:
            row = self._deleted(deleted[3])
        if row is None:
            shown = ", ".join(f"{display(c)} = {v}" for c, v in identity_of.items())
            raise UsageError(f"{reference.table.name} has no row with {shown}")
        own = [a for a in archived if (a[2] == "delete") == (row.xmin is None)]
        changed = next((a for a in reversed(own) if self._changed(a, row)), None)
        stored, decision = self._stored(row)
        made_by, maker = self._made(row)
        facts = Facts(
            row.scope, row.text, row.qualifier, row.key, self._named(row), self._listing(row), stored,
            None if changed is None else changed[1], made_by, lookup.planned,
        )  # fmt: skip
        first = next((a[3] for a in own if a[2] == "update" and self._changed(a, row)), None)
        ids = {*(a[0] for a in own if self._changed(a, row)), *(d for d in (decision, maker) if d is not None)}
        present = [] if row.key is None else self._rows(queries.keyed(lookup, row.key))
        batch = self._batch(row)
        return Explanation(
            reference=reference.name,
            table=str(reference.table.name),
            identity=identity_of,
            scope=row.scope,
            text=row.text,
            qualifier=row.qualifier,
            text_from=row.text_from,
            before=None if first is None else self._before(first, row),
            key_column=reference.key,
            key=row.key,
            lookup=str(lookup.table.name),
            row=present[0][1] if present else None,
            row_scope=present[0][0] if present else (),
            rule=rule(facts),
            decisions=self._decided(ids),
            batch=batch,
            moved=self._moved(row, batch, changed),
        )

    # ------------------------------------------------------------------------------------------------- the row

    def _row(self, key: Sequence[str]) -> _Row | None:
        reference = self.reference
        try:
            found = self.conn.execute(queries.row_query(reference, key)).fetchone()
        except psycopg.DataError as error:
            raise UsageError(f"{reference.table.name}: {error.diag.message_primary}") from error
        if found is None:
            return None
        place, _, scope, text, qualifier, k, xmin = found
        if reference.table.column(reference.text.name) is not None:
            return _Row(tuple(scope), text, qualifier, k, "column", xmin)
        return self._contracted(place, tuple(scope), qualifier, k, xmin)

    def _contracted(self, place: str, scope: Scope, qualifier: str | None, key: str | None, xmin: int) -> _Row:
        """Text and qualifier are the row's own from the archive while its key is what it was, else the key's."""
        reference, target = self.reference, self.conserved.qualifier(self.reference)
        kept = None
        if self.stands and self.conserved.identity:
            row = SQL("SELECT e.* FROM {} t CROSS JOIN LATERAL ({}) e WHERE t.ctid = {}::tid").format(
                table(reference.table.name),
                entry(reference, identity(self.conserved, "t"), sql.Identifier("t", reference.key)),
                sql.Literal(place),
            )
            kept = self.conn.execute(row).fetchone()
        gives = None
        if key is not None:
            typed = SQL("{}::{}").format(sql.Literal(key), SQL(reference.key_type))
            gives = self.conn.execute(SQL("SELECT x, q FROM ({}) f").format(given(reference.lookup, typed))).fetchone()
        text, path = gives if gives is not None else (None, None)
        source: TextFrom = "key"
        if kept is not None and kept[0]:
            text, source = kept[1], "archive"
        if target is not None:
            qualifier = path
            if kept is not None and kept[2]:
                qualifier = kept[3]
        return _Row(scope, text, qualifier, key, source, xmin)

    def _deleted(self, image: Mapping[str, str | None]) -> _Row:
        r = self.reference
        qualifier = image.get(r.qualifier.name) if r.qualifier else None
        scope = tuple(image.get(c.name) for c in r.scope)
        return _Row(scope, image.get(r.text.name), qualifier, image.get(r.key), "deleted row", None)

    # ---------------------------------------------------------------------------------------------- the lookup

    def _rows(self, query: sql.Composed) -> list[tuple[Scope, Candidate]]:
        return [(tuple(s), Candidate(k, x, q)) for k, s, x, q in self.conn.execute(query)]

    def _named(self, row: _Row) -> tuple[Candidate, ...]:
        if row.text is None:
            return ()
        found = self._rows(queries.named(self.reference, row.text))
        return tuple(c for scope, c in found if scope == row.scope)

    def _listing(self, row: _Row) -> tuple[str, ...]:
        lookup = self.reference.lookup
        if row.text is None or lookup.aliases is None:
            return ()
        found = self.conn.execute(queries.listing(lookup, row.text)).fetchall()
        return tuple(k for k, scope in found if tuple(scope) == row.scope)

    def _made(self, row: _Row) -> tuple[Any, int | None]:
        """Who made the key's lookup row: a decision, with its number; sync; or expand, of the texts that stood."""
        lookup = self.reference.lookup
        if not self.stands or row.key is None:
            return None, None
        key = json.dumps({lookup.key.name: row.key})
        found = self.conn.execute(_MADE, (_relation(lookup), key)).fetchone()
        if found is not None:
            return "decision", int(found[0])
        query = "SELECT made_by FROM normalform.created WHERE lookup = %s AND key = %s"
        made = self.conn.execute(query, (lookup.name, row.key)).fetchone()
        return (made[0] if made else None), None

    # ---------------------------------------------------------------------------------------------- the ledger

    def _archived(self, identity_of: Mapping[str, str]) -> list[Any]:
        """What decisions that stand did to this very row: (decision, word, action, before, after)."""
        if not self.stands or not self.reference.identity:
            return []
        relation = render(table(self.reference.table.name))
        return self.conn.execute(_ARCHIVED, (relation, json.dumps(identity_of))).fetchall()

    def _changed(self, archived: Any, row: _Row) -> bool:
        """Whether an entry accounts for the row as it is: a text that was written since is nobody's decision."""
        _, word, action, _, after = archived
        if word not in DONE_TO_ROW:
            return False
        if action == "update":
            return bool(after.get(self.reference.text.name, "") == row.text)
        return True

    def _before(self, image: Mapping[str, str | None], row: _Row) -> tuple[str | None, str | None]:
        r = self.reference
        qualifier = image.get(r.qualifier.name, row.qualifier) if r.qualifier else None
        return image.get(r.text.name, row.text), qualifier

    def _stored(self, row: _Row) -> tuple[tuple[How, str | None] | None, int | None]:
        if not self.stands or row.text is None:
            return None, None
        value = (self.reference.name, list(row.scope), row.text, row.qualifier, list(STORED))
        found = self.conn.execute(_STORED, value).fetchone()
        return (None, None) if found is None else ((How(found[0]), found[1]), found[2])

    def _decided(self, ids: set[int]) -> tuple[Decided, ...]:
        if not ids:
            return ()
        rows = self.conn.execute(_DECISIONS, (sorted(ids),)).fetchall()
        return tuple(
            Decided(number, word, str(json.loads(target or "{}").get("given", "")), *rest)
            for number, word, target, *rest in rows
        )

    def _batch(self, row: _Row) -> Batch | None:
        if not self.stands or row.xmin is None:
            return None
        found = self.conn.execute(_BATCH, (str(row.xmin),)).fetchone()
        if found is None:
            return None
        work, piece, worker, first, end, at, *run = found
        return Batch(work, piece, worker, first, end, at, Run(*run))

    def _moved(self, row: _Row, batch: Batch | None, changed: Any) -> str:
        if row.xmin is None:
            return "the decision deleted the row; the archive keeps it"
        if changed is not None and changed[2] == "insert":
            return "the decision made the row when contract dropped the text"
        fills = None
        if self.stands:
            fills = self.conn.execute(_FILLS, (f"fill:{self.reference.name}",)).fetchone()
        return moved(self.reference.name, row.key, batch, row.xmin, (fills[0], fills[1]) if fills else None)


def _relation(lookup: Lookup) -> str:
    return render(table(lookup.table.name))
