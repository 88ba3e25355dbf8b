"""Reads what the database says about the values, rows and paths that decisions name.

A fixed number of queries for each lookup and reference, whatever the number of lines: every query takes all its texts
at once. It must never read a whole lookup into memory: folding streams, and keeps what folds to a wanted text.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from ..core.decision_creations import path_scope
from ..core.decision_file import Line
from ..core.decisions import Applied, Facts, Scope, lookup_of, owner
from ..core.mapping import Candidate
from ..core.model import Lookup, Model, Reference
from ..core.similar import fold
from ..sql.quote import column, table
from ..sql.shapes import STORED, alias_rows, all_paths, candidates, reference_values, scope_array

SQL = sql.SQL
_FETCH = 5000


def read_facts(conn: psycopg.Connection, model: Model, lines: Sequence[Line], *, stored: bool) -> Facts:
    """Read everything that the check of these lines asks about.

    Args:
        conn: a session, best inside one snapshot.
        model: the model.
        lines: decided lines whose owners exist.
        stored: whether the ledger stands in this database.
    """
    facts = Facts(rows={}, keys={}, folded={}, paths={}, values={}, applied={})
    for lookup in model.lookups:
        own = [line for line in lines if _lookup(line, model) == lookup.name]
        if own:
            _read_lookup(conn, lookup, own, facts)
    for reference in model.references:
        about = {line.text for line in lines if _lookup(line, model) == reference.lookup.name}
        if about and reference.text_present:
            facts.values.update(read_values(conn, reference, about))
    if stored:
        facts.decided = read_decided(conn, sorted({line.text for line in lines}))
        _read_applied(conn, model, lines, facts)
    return facts


def _lookup(line: Line, model: Model) -> str:
    entry = owner(line, model)
    assert entry is not None
    return lookup_of(entry).name


def _texts(values: Iterable[str]) -> sql.Composable:
    # A literal, not a parameter: the names around it may hold a per cent sign.
    return SQL("{}::text[]").format(sql.Literal(sorted(set(values))))


def read_rows(
    conn: psycopg.Connection, lookup: Lookup, texts: Iterable[str]
) -> dict[tuple[Scope, str], list[Candidate]]:
    """Read the live lookup rows of some texts in every scope, by (scope, text), in the order of their keys."""
    query = SQL(
        "SELECT c.id::text, {scope}, c.x::text, c.path FROM ({rows}) c "
        'WHERE c.x::text COLLATE pg_catalog."C" = ANY({texts}) ORDER BY c.id'
    ).format(scope=scope_array("c", len(lookup.scope)), rows=candidates(lookup), texts=_texts(texts))
    result: dict[tuple[Scope, str], list[Candidate]] = defaultdict(list)
    for key, scope, text, path in conn.execute(query):
        result[tuple(scope), text].append(Candidate(key, text, path))
    return dict(result)


def read_keys(conn: psycopg.Connection, lookup: Lookup, keys: Iterable[str]) -> dict[str, tuple[Scope, Candidate]]:
    """Read the live lookup rows of some keys given as text."""
    query = SQL("SELECT c.id::text, {scope}, c.x::text, c.path FROM ({rows}) c WHERE c.id::text = ANY({keys})").format(
        scope=scope_array("c", len(lookup.scope)), rows=candidates(lookup), keys=_texts(keys)
    )
    return {key: (tuple(scope), Candidate(key, text, path)) for key, scope, text, path in conn.execute(query)}


def read_alias_owners(
    conn: psycopg.Connection, lookup: Lookup, texts: Iterable[str]
) -> dict[tuple[Scope, str], list[str]]:
    """Read which lookup rows list some texts as an alias: keys by (scope, alias)."""
    if lookup.aliases is None:
        return {}
    query = SQL(
        'SELECT DISTINCT c.id::text, {scope}, c.x FROM ({rows}) c WHERE c.x COLLATE pg_catalog."C" = ANY({texts})'
    ).format(scope=scope_array("c", len(lookup.scope)), rows=alias_rows(lookup), texts=_texts(texts))
    result: dict[tuple[Scope, str], list[str]] = defaultdict(list)
    for key, scope, alias in conn.execute(query):
        result[tuple(scope), alias].append(key)
    return dict(result)


def read_values(
    conn: psycopg.Connection, reference: Reference, texts: Iterable[str]
) -> dict[tuple[str, Scope, str], dict[str | None, int]]:
    """Count a reference's rows of some texts, by (reference, scope, text) and qualifier."""
    query = SQL(
        'SELECT {scope}, v.x::text COLLATE pg_catalog."C", v.q, count(*) FROM (SELECT {values} FROM {table} t '
        'WHERE {text}::text COLLATE pg_catalog."C" = ANY({texts})) v GROUP BY 1, 2, 3'
    ).format(
        texts=_texts(texts),
        scope=scope_array("v", len(reference.scope)),
        values=reference_values(reference),
        table=table(reference.table.name),
        text=column("t", reference.text.name),
    )
    result: dict[tuple[str, Scope, str], dict[str | None, int]] = defaultdict(dict)
    for scope, text, qualifier, count in conn.execute(query):
        result[reference.name, tuple(scope), text][qualifier] = count
    return dict(result)


def read_decided(conn: psycopg.Connection, texts: Sequence[str]) -> frozenset[tuple[str, Scope, str, str | None]]:
    """Read which values of some texts a stored decision decides."""
    rows = conn.execute(
        "SELECT reference, scope, value, qualifier FROM normalform.mapping WHERE value = ANY(%s) AND how = ANY(%s)",
        (list(texts), list(STORED)),
    )
    return frozenset((reference, tuple(scope), value, qualifier) for reference, scope, value, qualifier in rows)


def read_folded(
    conn: psycopg.Connection, lookup: Lookup, wanted: set[tuple[Scope, str]]
) -> dict[tuple[str, Scope, str], list[Candidate]]:
    """Read the lookup rows whose folded text is wanted in their scope, one by one, keeping only those."""
    query = SQL("SELECT c.id::text, {scope}, c.x::text, c.path FROM ({rows}) c ORDER BY c.id").format(
        scope=scope_array("c", len(lookup.scope)), rows=candidates(lookup)
    )
    result: dict[tuple[str, Scope, str], list[Candidate]] = defaultdict(list)
    scopes = {scope for scope, _ in wanted}
    with conn.transaction(), conn.cursor(name="normalform_fold") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(query)
        for key, scope, text, path in cursor:
            if tuple(scope) in scopes and (tuple(scope), fold(text)) in wanted:
                result[lookup.name, tuple(scope), fold(text)].append(Candidate(key, text, path))
    return dict(result)


def read_paths(
    conn: psycopg.Connection, lookup: Lookup, scopes: Iterable[Scope]
) -> dict[tuple[str, Scope], dict[str, list[str]]]:
    """Read the path rows of some scopes: keys by (lookup, scope) and path, smallest first."""
    path = lookup.path
    if path is None:
        return {}
    columns = path_scope(lookup)
    wanted = [list(s) for s in scopes]
    shown = SQL("ARRAY[{}]::text[]").format(SQL(", ").join([SQL("{}::text").format(column("r", c)) for c in columns]))
    query = SQL(
        "SELECT {scope}, p.path, r.{key}::text FROM ({paths}) p JOIN {table} r ON r.{key} = p.cid ORDER BY r.{key}"
    ).format(scope=shown, paths=all_paths(path), table=table(path.table.name), key=sql.Identifier(path.key))
    result: dict[tuple[str, Scope], dict[str, list[str]]] = defaultdict(dict)
    asked = {tuple(s) for s in wanted}
    for scope, text, key in conn.execute(query):
        for one in asked if not columns else asked & {tuple(scope)}:
            result[lookup.name, one].setdefault(text, []).append(key)
    return dict(result)


def _read_lookup(conn: psycopg.Connection, lookup: Lookup, lines: Sequence[Line], facts: Facts) -> None:
    texts = {line.text for line in lines} | {line.target for line in lines if line.decision == "rename"}
    for (scope, text), rows in read_rows(conn, lookup, texts).items():
        facts.rows.update({(lookup.name, scope, text): rows})
    named = {line.target for line in lines if line.decision in ("choose", "fold", "merge") and line.target}
    if named:
        facts.keys.update({(lookup.name, k): v for k, v in read_keys(conn, lookup, named).items()})
    wanted = {(line.scope, fold(line.text)) for line in lines if line.decision == "fold" and not line.target}
    if wanted:
        facts.folded.update(read_folded(conn, lookup, wanted))
    scopes = {line.scope for line in lines if line.decision == "create"}
    if scopes:
        facts.paths.update(read_paths(conn, lookup, scopes))


def _read_applied(conn: psycopg.Connection, model: Model, lines: Sequence[Line], facts: Facts) -> None:
    """Find which lines an earlier run applied, and whether what they did still stands."""
    asked = {(line.value, line.decision, line.target): line for line in lines}
    rows = conn.execute(
        "SELECT d.id, d.reference, d.scope, d.value, d.qualifier, d.decision, d.target, "
        "EXISTS (SELECT FROM normalform.mapping m WHERE m.decision = d.id AND m.how = ANY(%s)) "
        "FROM normalform.decision d WHERE d.state = 'applied' AND d.value = ANY(%s) ORDER BY d.id",
        (list(STORED), sorted({line.text for line in lines})),
    ).fetchall()
    found: dict[Any, Applied] = {}
    for number, reference, scope, value, qualifier, word, target, mapped in rows:
        data = json.loads(target)
        line = asked.get(((reference, tuple(scope), value, qualifier), word, data.get("given", "")))
        if line is not None:
            stands = _stands(conn, model, facts, line, data, mapped=mapped)
            found[line.value, line.decision, line.target] = Applied(number, data, stands)
    facts.applied.update(found)


def _stands(conn: psycopg.Connection, model: Model, facts: Facts, line: Line, target: Any, *, mapped: bool) -> bool:
    entry = owner(line, model)
    assert entry is not None
    lookup = lookup_of(entry)
    if line.decision in ("choose", "fold", "null", "split"):
        return mapped
    if line.decision == "drop":
        return not facts.values.get((line.reference, line.scope, line.text), {}).get(line.qualifier, 0)
    if line.decision == "create":
        return any(r.path == target["path"] for r in facts.rows.get((lookup.name, line.scope, line.text), ()))
    if line.decision == "rename":
        row = read_keys(conn, lookup, [target["key"]]).get(target["key"])
        return row is not None and row[1].text == target["text"]
    if line.decision == "merge":
        return not read_keys(conn, lookup, target["losers"])
    return True  # keep: what it would delete is counted when it is applied
