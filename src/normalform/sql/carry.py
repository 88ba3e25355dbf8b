"""Block-range works that carry queued renames, moves and deletes of lookup rows to a reference.

Decides what an entry of ``normalform.pending`` still asks of a row. Several entries of one lookup row need no order: a
row that holds any of its former texts gets the text that it has *now*, so each work can be done again at any time. Rows
that spell the lookup row by an alias or a decision hold none of its former texts and stay as they are.

A row without a key gets it here whichever of these texts it holds, also the one that has come back: backfill may have
passed it while its lookup row bore another name, and then nothing else would look at it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from ..core.model import Reference
from . import compare
from .batch import Ground, Heap, Rows, Span, Work, done, locked
from .quote import column, ledger, table
from .shapes import decided, key_cast, reference_values
from .sync_carry import has_qualifier
from .sync_parts import lookup_scope, path_now, reference_scope, values
from .sync_resolve import resolve_name

SQL = sql.SQL
Kind = Literal["text", "path", "delete"]
KINDS: tuple[Kind, ...] = ("text", "path", "delete")


@dataclass(frozen=True)
class _Shape:
    """One kind of entry: what is open, which rows it concerns, and what becomes of them."""

    entries: sql.Composable  # a query (entry, id, s1 …, …)
    match: sql.Composable  # between row t and entry e
    sets: sql.Composable | None  # from g, which has e's columns; None deletes the row


def carry_work(reference: Reference, kind: Kind) -> Work | None:
    """Return the work that does what the entries of one kind ask of a reference; None where they ask nothing of it."""
    shape = _shape(reference, kind)
    if shape is None:
        return None
    name = table(reference.table.name)

    def body(ground: Ground, span: Span, rows: Rows) -> sql.Composable:
        change = SQL("UPDATE ONLY {} t SET {} FROM").format(name, shape.sets) if shape.sets is not None else None
        return SQL(
            "nf_entries AS MATERIALIZED ({entries}), "
            "nf_rows AS MATERIALIZED (SELECT DISTINCT ON (t.ctid) t.ctid AS tid, e.* FROM ONLY {name} t "
            "JOIN nf_entries e ON {match} WHERE {within} ORDER BY t.ctid, e.entry), {locked}, "
            "nf_changed AS ({change} nf_locked g WHERE t.ctid = g.tid AND {within} AND {still} RETURNING 1), {done}"
        ).format(
            entries=shape.entries,
            name=name,
            match=shape.match,
            within=ground.within("t", span),
            locked=locked(ground, span, "nf_rows", rows),
            change=change or SQL("DELETE FROM ONLY {} t USING").format(name),
            still=_pending(shape),
            done=done("nf_rows"),
        )

    return Work(
        name=f"carry-{kind}:{reference.name}",
        ground=Heap(reference.table.name),
        body=body,
        pending=_pending(shape),
        gates=(reference.lookup.name,),
        skip_triggers=reference.spec.app_triggers == "skip",
    )


def open_rows(reference: Reference, kind: Kind, last: int) -> sql.Composed | None:
    """Return a query of one boolean: whether any row still waits for entries of a kind; None where none can.

    Entries of a lookup row that has newer ones are left out: while its text waits, nothing can be said of its path. A
    former text is found whatever becomes of the path, so that it is left out for newer texts alone.

    Args:
        reference: the reference.
        kind: the kind of entries.
        last: the number of the last entry that is asked about.
    """
    shape = _shape(reference, kind)
    if shape is None:
        return None
    return SQL(
        "WITH nf_entries AS MATERIALIZED (SELECT * FROM ({entries}) p WHERE p.entry <= {last} AND NOT EXISTS (SELECT "
        "FROM {pending} n WHERE n.lookup = {lookup} AND n.id > {last} AND {key} = p.id AND {newer})) "
        "SELECT EXISTS (SELECT FROM {table} t JOIN nf_entries e ON {match})"
    ).format(
        entries=shape.entries,
        last=sql.Literal(last),
        pending=ledger("pending"),
        lookup=sql.Literal(reference.lookup.name),
        key=key_cast(reference, SQL("n.key")),
        newer=SQL("n.kind = 'text'" if kind == "text" else "true"),
        table=table(reference.table.name),
        match=shape.match,
    )


#: Entries up to a number whose lookup row has no newer one, text entries no newer text: what a run can be held to.
_SETTLED = (
    "FROM normalform.pending p WHERE p.id <= %(last)s AND NOT EXISTS (SELECT FROM normalform.pending n "
    "WHERE n.lookup = p.lookup AND n.key = p.key AND n.id > %(last)s AND (n.kind = 'text' OR p.kind <> 'text'))"
)
#: Which those are, and the statement that forgets them; both take ``last``. It forgets none but ``looked``, those that
#: were looked for: numbers are not in the order of commits, so that others may have come below the last.
SETTLED = "SELECT p.id " + _SETTLED
FORGET_SETTLED = "DELETE " + _SETTLED + " AND p.id = ANY(%(looked)s)"


def _pending(shape: _Shape) -> sql.Composable:
    return SQL("EXISTS (SELECT FROM ({}) e WHERE {})").format(shape.entries, shape.match)


def _shape(reference: Reference, kind: Kind) -> _Shape | None:
    if kind == "text":
        return _text(reference)
    if kind == "path":
        return _path(reference) if has_qualifier(reference) else None
    return _delete(reference)


def _entries(reference: Reference, kind: Kind, more: sql.Composable, where: sql.Composable) -> sql.Composable:
    """The entries of a kind with the lookup row as it is now: (entry, id, s1 …, more)."""
    lookup = reference.lookup
    scope = SQL("").join(
        [SQL("{} AS {}, ").format(column("l", c), sql.Identifier(f"s{i + 1}")) for i, c in enumerate(lookup.scope)]
    )
    return SQL(
        "SELECT p.id AS entry, {id} AS id, {scope}{more} FROM {pending} p JOIN {lookup} l ON {id} = {key} "
        "WHERE p.lookup = {name} AND p.kind = {kind} AND {where}"
    ).format(
        id=column("l", lookup.key.name),
        scope=scope,
        more=more,
        pending=ledger("pending"),
        lookup=table(lookup.table.name),
        key=key_cast(reference, SQL("p.key")),
        name=sql.Literal(lookup.name),
        kind=sql.Literal(kind),
        where=where,
    )


def _in_scope(reference: Reference) -> sql.Composable:
    return reference_scope(reference, [SQL("e.{}").format(v) for v in values("s", len(reference.scope))])


def _namesakes(reference: Reference, text: sql.Composable, *, besides: sql.Composable) -> sql.Composable:
    """How many lookup rows of the entry's scope have a text now, besides one."""
    lookup = reference.lookup
    scope = lookup_scope(lookup, [column("l", c) for c in lookup.scope], "a")
    return SQL("(SELECT count(*) FROM {} a WHERE {} AND {} AND {} <> {})").format(
        table(lookup.table.name),
        scope,
        compare.same(lookup, column("a", lookup.text.name), text),
        column("a", lookup.key.name),
        besides,
    )


def _had_later(reference: Reference) -> sql.Composable:
    """Whether another lookup row of the entry's scope has had its text since, alone: what has no key meant that one."""
    lookup = reference.lookup
    return SQL(
        "EXISTS (SELECT FROM {pending} n JOIN {lookup} a ON {id} = {key} WHERE n.lookup = {name} AND n.kind = 'text' "
        "AND n.alone AND n.id > p.id AND n.key <> p.key AND {text} AND {scope})"
    ).format(
        pending=ledger("pending"),
        lookup=table(lookup.table.name),
        id=column("a", lookup.key.name),
        key=key_cast(reference, SQL("n.key")),
        name=sql.Literal(lookup.name),
        text=compare.same(lookup, SQL("n.old_text"), SQL("p.old_text")),
        scope=lookup_scope(lookup, [column("l", c) for c in lookup.scope], "a"),
    )


def _text(reference: Reference) -> _Shape:
    """Rows with a former text: with the key, or without one where it meant this row alone and no other has it now."""
    lookup = reference.lookup
    key, text = column("t", reference.key), sql.Identifier(reference.text.name)
    own = column("l", lookup.text.name)
    more = SQL(
        "{own} AS new_text, p.old_text, {own} <> p.old_text AS moved, "
        "p.alone AND {namesakes} = 0 AND NOT {later} AS free"
    ).format(
        own=own,
        namesakes=_namesakes(reference, SQL("p.old_text"), besides=column("l", lookup.key.name)),
        later=_had_later(reference),
    )
    moved: sql.Composable = SQL("e.moved")
    if not compare.plain(reference):  # a former text may mean what the new one does: to a citext, another case
        moved = SQL("e.moved AND {} <> {}").format(
            compare.reading(reference, column("t", reference.text.name)), compare.reading(reference, SQL("e.new_text"))
        )
    undecided = SQL("NOT EXISTS (SELECT FROM (SELECT {}) v JOIN {} m ON {})").format(
        reference_values(reference), ledger("mapping"), decided(reference, "v")
    )
    return _Shape(
        _entries(reference, "text", more, SQL("true")),
        SQL("{} AND {} AND (({} = e.id AND {}) OR ({} IS NULL AND e.free AND {}))").format(
            _in_scope(reference),
            compare.means(reference, column("t", reference.text.name), SQL("e.old_text")),
            key,
            moved,
            key,
            undecided,
        ),
        # A text that means the same as it stands keeps its spelling.
        SQL("{0} = CASE WHEN g.moved THEN g.new_text ELSE t.{0} END, {1} = g.id").format(
            text, sql.Identifier(reference.key)
        ),
    )


def _path(reference: Reference) -> _Shape:
    """Rows with a former path, under the row's own text; those without a key where the text alone means the row."""
    assert reference.qualifier is not None
    lookup = reference.lookup
    key = column("t", reference.key)
    means = compare.means(reference, column("t", reference.text.name), SQL("e.x"))
    own = column("l", lookup.text.name)
    now = path_now(lookup, "l")
    alone = SQL("{} = 0").format(_namesakes(reference, own, besides=column("l", lookup.key.name)))
    more = SQL("{} AS x, p.old_text AS old_q, {} AS new_q, {} AS free").format(own, now, alone)
    return _Shape(
        _entries(reference, "path", more, SQL("{} <> p.old_text").format(now)),
        SQL("{} AND {} AND {} = e.old_q AND ({} = e.id OR ({} IS NULL AND e.free))").format(
            _in_scope(reference),
            means,
            compare.label(reference.qualifier, column("t", reference.qualifier.name)),
            key,
            key,
        ),
        SQL("{} = g.new_q").format(sql.Identifier(reference.qualifier.name)),
    )


def _delete(reference: Reference) -> _Shape:
    """Rows with the key of a lookup row that is gone: what their text means now, or what ``on_delete`` says."""
    lookup = reference.lookup
    entries = SQL(
        "SELECT p.id AS entry, {key} AS id FROM {pending} p WHERE p.lookup = {name} AND p.kind = 'delete' "
        "AND NOT EXISTS (SELECT FROM {lookup} l WHERE {id} = {key})"
    ).format(
        key=key_cast(reference, SQL("p.key")),
        pending=ledger("pending"),
        name=sql.Literal(lookup.name),
        lookup=table(lookup.table.name),
        id=column("l", lookup.key.name),
    )
    match = SQL("{} = e.id").format(column("t", reference.key))
    if reference.spec.on_delete == "cascade":
        return _Shape(entries, match, None)
    key = sql.Identifier(reference.key)
    if reference.spec.on_delete == "set_null":
        sets = [SQL("{} = NULL").format(key)]
        if not reference.spec.keep_text and not reference.text.not_null:
            sets.append(SQL("{} = NULL").format(sql.Identifier(reference.text.name)))
        return _Shape(entries, match, SQL(", ").join(sets))
    q = (
        compare.label(reference.qualifier, column("t", reference.qualifier.name))
        if reference.qualifier
        else SQL("NULL::text")
    )
    scope = [column("t", c.name) for c in reference.scope]
    call = SQL("{}({})").format(
        ledger(resolve_name(reference)),
        SQL(", ").join([*scope, SQL("{}::text").format(column("t", reference.text.name)), q]),
    )
    return _Shape(entries, match, SQL("{} = (SELECT r.nf_id FROM {} r)").format(key, call))
