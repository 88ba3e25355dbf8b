"""Merging lookup rows: the loser's values, mapping entries and referring rows go to the winner, then the loser goes.

Every foreign key of the database that points at the lookup is followed. It must never leave a row that refers to the
loser to a CASCADE: it is pointed at the winner, or, where the winner has that row already, it goes to the archive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ..core.catalog import Table
from ..core.decisions import Scope, meaning
from ..core.mapping import Candidate, How
from ..core.model import Lookup, Reference
from ..core.names import QName
from ..sql.quote import column, conjunction, raw, table
from ..sql.shapes import alias_rows
from . import entries
from .actions import standing
from .facts import read_alias_owners, read_decided, read_rows, read_values
from .recorded import Recorded
from .rows import Blocked, Foreign, Rows

SQL = sql.SQL


def merge(rows: Rows, name: str, lookup: Lookup, references: Sequence[Reference], recorded: Recorded) -> None:
    """Give the losers' values, mapping entries and referring rows to the winner, and delete the losers."""
    winner_key = recorded.target["winner"]
    if not recorded.target["losers"]:
        return  # a line about another reference says the same
    scope, winner = standing(rows, lookup, winner_key)
    for number, key in enumerate(recorded.target["losers"]):
        step = f"{name}:{number}"
        if _merged_already(rows, lookup, key, winner_key):
            continue  # the same merge stands on a line about another reference: it served all of them
        loser_scope, loser = standing(rows, lookup, key)
        if loser_scope != scope or scope != recorded.scope:
            raise Blocked(f"{lookup.table.name} {key} and {winner_key} are no longer in one scope")
        seen = _Seen.read(rows, lookup, scope, loser)
        for reference in references:
            found = _merged_values(rows, seen, reference, loser, winner)
            entries.store(rows, f"{step}:{reference.name}", recorded.id, reference.name, found, winner_key)
        entries.repoint(rows, f"{step}:mapping", recorded.id, [r.name for r in references], key, winner_key)
        for foreign in rows.referring(lookup.table.name):
            _repoint(rows, f"{step}:{foreign.child.name}.{foreign.name}", lookup, foreign, recorded.id, key, winner_key)
        victims = SQL("SELECT t.ctid AS c, {id}::bigint AS decision FROM {table} t WHERE {key}::text = {value}").format(
            id=sql.Literal(recorded.id),
            table=table(lookup.table.name),
            key=column("t", lookup.key.name),
            value=sql.Literal(key),
        )
        rows.delete(f"{step}:loser", lookup.table.name, [recorded.id], victims)


def _merged_already(rows: Rows, lookup: Lookup, loser: str, winner: str) -> bool:
    """Whether an applied decision has merged that row into that winner, and the row is gone."""
    gone = SQL("NOT EXISTS (SELECT FROM {} t WHERE {}::text = {})").format(
        table(lookup.table.name), column("t", lookup.key.name), sql.Literal(loser)
    )
    row = rows.ctx.conn.execute(
        SQL(
            "SELECT {} AND EXISTS (SELECT FROM normalform.decision d WHERE d.decision = 'merge' "
            "AND d.state = 'applied' AND d.target::jsonb ->> 'winner' = {} AND d.target::jsonb -> 'losers' ? {})"
        ).format(gone, sql.Literal(winner), sql.Literal(loser))
    ).fetchone()
    return bool(row and row[0])


@dataclass(frozen=True)
class _Seen:
    """What the lookup says about the texts that can mean a loser: its own and its aliases."""

    scope: Scope
    texts: list[str]
    live: Mapping[tuple[Scope, str], list[Candidate]]
    owners: Mapping[tuple[Scope, str], list[str]]
    decided: frozenset[tuple[str, Scope, str, str | None]]

    @classmethod
    def read(cls, rows: Rows, lookup: Lookup, scope: Scope, loser: Candidate) -> _Seen:
        conn = rows.ctx.conn
        texts = [loser.text, *_aliases(rows, lookup, loser.key)]
        live, owners = read_rows(conn, lookup, texts), read_alias_owners(conn, lookup, texts)
        return cls(scope, texts, live, owners, read_decided(conn, texts))


def _merged_values(
    rows: Rows, seen: _Seen, reference: Reference, loser: Candidate, winner: Candidate
) -> list[tuple[Scope, str, str | None, int]]:
    """The values of a reference that meant the loser, or nothing but the loser and the winner."""
    scope, texts, live, owners = seen.scope, seen.texts, seen.live, seen.owners
    present = read_values(rows.ctx.conn, reference, texts)
    pair = {loser.key, winner.key}
    found: dict[tuple[str, str | None], int] = {}
    for text in texts:
        group = live.get((scope, text), [])
        for qualifier, count in present.get((reference.name, scope, text), {}).items():
            how, key = meaning(group, qualifier)
            fitting = {r.key for r in group if r.path == qualifier} or {r.key for r in group}
            alias = (
                how is How.ORPHAN and loser.key in owners.get((scope, text), []) and set(owners[scope, text]) <= pair
            )
            if key == loser.key or (how is How.AMBIGUOUS and loser.key in fitting <= pair) or alias:
                found[text, qualifier] = count
    group = [r for r in live.get((scope, loser.text), []) if r.key not in pair]
    if reference.qualifier is not None and loser.path is not None and all(r.path != loser.path for r in group):
        found.setdefault((loser.text, loser.path), 0)
    elif reference.qualifier is None and not group:
        found.setdefault((loser.text, None), 0)
    return [
        (scope, text, qualifier, count)
        for (text, qualifier), count in sorted(found.items(), key=repr)
        if (reference.name, scope, text, qualifier) not in seen.decided
    ]


def _aliases(rows: Rows, lookup: Lookup, key: str) -> list[str]:
    if lookup.aliases is None:
        return []
    query = SQL("SELECT DISTINCT a.x FROM ({}) a WHERE a.id::text = {}").format(alias_rows(lookup), sql.Literal(key))
    return [row[0] for row in rows.ctx.conn.execute(query)]


def _repoint(rows: Rows, name: str, lookup: Lookup, foreign: Foreign, decision: int, loser: str, winner: str) -> None:
    """Point a foreign key's rows at the winner; one that would then stand twice goes to the archive instead."""
    child = rows.tables[foreign.child]

    def of(key: str, target: str) -> sql.Composable:
        return SQL("(SELECT {} FROM {} k WHERE {}::text = {})").format(
            column("k", target), table(lookup.table.name), column("k", lookup.key.name), sql.Literal(key)
        )

    pairs = list(zip(foreign.columns, foreign.targets, strict=True))
    points = conjunction([SQL("{} = {}").format(column("t", c), of(loser, target)) for c, target in pairs])
    moved = {c: of(winner, target) for c, target in pairs}
    victims = SQL("SELECT t.ctid AS c, {id}::bigint AS decision FROM {child} t WHERE {points}").format(
        id=sql.Literal(decision), child=table(foreign.child), points=points
    )
    followers = [k for k in rows.referring(foreign.child) if set(k.targets) & set(moved)]
    for columns, twice in _doubles(child, points, moved):
        query = SQL("SELECT t.ctid AS c, {id}::bigint AS decision FROM {twice}").format(
            id=sql.Literal(decision), twice=twice
        )
        for follower in followers:
            if set(follower.targets) == columns:  # the row that stays has the key that they will name
                rows.update(f"{name}:follow", _follow(follower, decision, query, moved))
        rows.delete(f"{name}:double", foreign.child, [decision], query)
    sets = SQL(", ").join([SQL("{} = {}").format(sql.Identifier(c), value) for c, value in moved.items()])
    changes = [_follow(follower, decision, victims, moved) for follower in followers]
    rows.update(name, *changes, (foreign.child, victims, sets))


def _follow(
    key: Foreign, decision: int, victims: sql.Composable, moved: Mapping[str, sql.Composable]
) -> tuple[QName, sql.Composable, sql.Composable]:
    """The change of rows that refer to rows whose own key is changing."""
    pairs = list(zip(key.columns, key.targets, strict=True))
    query = SQL(
        "SELECT f.ctid AS c, {id}::bigint AS decision FROM {child} f JOIN {parent} p ON {same} "
        "WHERE p.ctid IN (SELECT v.c FROM ({victims}) v)"
    ).format(
        id=sql.Literal(decision),
        child=table(key.child),
        parent=table(key.parent),
        same=conjunction([SQL("{} = {}").format(column("f", own), column("p", theirs)) for own, theirs in pairs]),
        victims=victims,
    )
    sets = [SQL("{} = {}").format(sql.Identifier(own), moved[theirs]) for own, theirs in pairs if theirs in moved]
    return key.child, query, SQL(", ").join(sets)


def _doubles(
    child: Table, points: sql.Composable, moved: Mapping[str, sql.Composable]
) -> Iterable[tuple[set[str | None], sql.Composable]]:
    """For each unique of the child with a moved column: the moved rows that another row is in the way of."""
    for index in child.indexes:
        names = [c.column for c in index.columns]
        if not index.unique or not index.valid or None in names or not set(names) & set(moved):
            continue
        word = SQL("IS NOT DISTINCT FROM" if index.nulls_not_distinct else "=")
        where = SQL("WHERE {}").format(raw(index.predicate)) if index.predicate is not None else SQL("")
        same = [
            SQL("{} {} {}").format(column("o", n), word, moved.get(n, column("t", n))) for n in names if n is not None
        ]
        twice = SQL(
            "(SELECT *, ctid FROM {child} {where}) t WHERE {points} "
            "AND EXISTS (SELECT FROM (SELECT *, ctid FROM {child} {where}) o WHERE o.ctid <> t.ctid AND {same})"
        ).format(child=table(child.name), where=where, points=points, same=conjunction(same))
        yield set(names), twice
