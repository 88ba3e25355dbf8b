"""What drop, rename and create do to the database, inside the transaction that the caller has opened and locked.

Every action looks again, under its locks, at what the check saw; what no longer fits raises :class:`Blocked` and
changes nothing. Every change is archived in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from ..core.catalog import Column
from ..core.decision_creations import path_scope
from ..core.decisions import Scope, meaning
from ..core.mapping import Candidate
from ..core.model import Lookup, Reference
from ..core.names import QName
from ..sql import decisions as shapes
from ..sql.quote import column, conjunction, table
from .facts import read_decided, read_keys, read_rows, read_values
from .recorded import Recorded, in_scope
from .rows import Blocked, Rows

SQL = sql.SQL


def drop(rows: Rows, name: str, reference: Reference, recorded: Sequence[Recorded]) -> None:
    """Delete the rows of each value, in its own scope alone."""
    conditions = [shapes.exact("t", reference.text.name, SQL("d.value"))]
    conditions += [shapes.same_or_null("t", c.name, SQL("d.scope[{}]").format(sql.Literal(i + 1)))
                   for i, c in enumerate(reference.scope)]  # fmt: skip
    if reference.qualifier is not None:
        conditions.append(shapes.same_or_null("t", reference.qualifier.name, SQL("d.qualifier")))
    ids = [r.id for r in recorded]
    victims = SQL(
        "SELECT t.ctid AS c, d.id AS decision FROM {table} t JOIN normalform.decision d ON {on} WHERE d.id = ANY({ids})"
    ).format(table=table(reference.table.name), on=conjunction(conditions), ids=sql.Literal(ids))
    rows.delete(name, reference.table.name, ids, victims)


def rename(rows: Rows, name: str, lookup: Lookup, references: Iterable[Reference], recorded: Recorded) -> None:
    """Change a lookup row's text, and the text of every row that means it."""
    conn, key, new = rows.ctx.conn, recorded.target["key"], recorded.target["text"]
    scope, row = standing(rows, lookup, key)
    if scope != recorded.scope or row.text != recorded.value:
        raise Blocked(f"{lookup.table.name} {key} has changed since the file was checked")
    live = read_rows(conn, lookup, [row.text]).get((scope, row.text), [])
    decided = read_decided(conn, [row.text])
    own = SQL("SELECT t.ctid AS c, {id}::bigint AS decision FROM {table} t WHERE {key}::text = {value}").format(
        id=sql.Literal(recorded.id),
        table=table(lookup.table.name),
        key=column("t", lookup.key.name),
        value=sql.Literal(key),
    )
    rows.update(f"{name}:lookup", (lookup.table.name, own, _set(lookup.text, sql.Literal(new))))
    for reference in references:
        present = read_values(conn, reference, [row.text]).get((reference.name, scope, row.text), {})
        meant = [
            q for q in present if meaning(live, q)[1] == key and (reference.name, scope, row.text, q) not in decided
        ]
        if not meant:
            continue
        victims = _rows_of(reference, recorded.id, scope, row.text, meant)
        sets = _set(reference.text, sql.Literal(new))
        rows.update(f"{name}:{reference.name}", (reference.table.name, victims, sets))


def _set(target: Column, value: sql.Composable) -> sql.Composable:
    return SQL("{} = {}").format(sql.Identifier(target.name), value)


def _rows_of(
    reference: Reference, decision: int, scope: Scope, text: str, qualifiers: Sequence[str | None]
) -> sql.Composable:
    conditions = [shapes.exact("t", reference.text.name, sql.Literal(text)), in_scope(reference, "t", scope)]
    if reference.qualifier is not None:
        one_of = [shapes.same_or_null("t", reference.qualifier.name, sql.Literal(q)) for q in qualifiers]
        conditions.append(SQL("({})").format(SQL(" OR ").join(one_of)))
    return SQL("SELECT t.ctid AS c, {id}::bigint AS decision FROM {table} t WHERE {where}").format(
        id=sql.Literal(decision), table=table(reference.table.name), where=conjunction(conditions)
    )


def standing(rows: Rows, lookup: Lookup, key: str) -> tuple[Scope, Candidate]:
    """Lock a lookup row, without waiting, and read it."""
    victims = SQL("SELECT l.ctid AS c FROM {} l WHERE {}::text = {}").format(
        table(lookup.table.name), column("l", lookup.key.name), sql.Literal(key)
    )
    rows.ctx.conn.execute(shapes.lock_rows(lookup.table, victims))
    found = read_keys(rows.ctx.conn, lookup, [key]).get(key)
    if found is None:
        raise Blocked(f"{lookup.table.name} has no row with {lookup.key.name} {key!r} any more")
    return found


def create(rows: Rows, name: str, lookup: Lookup, recorded: Sequence[Recorded]) -> None:
    """Make the lookup rows that texts ask for, and their paths' rows where those are new; what stands already stays."""
    conn = rows.ctx.conn
    live = read_rows(conn, lookup, {r.value for r in recorded})
    standing = {(scope, text, row.path) for (scope, text), found in live.items() for row in found}
    made: dict[str, Recorded] = {}
    for number, one in enumerate(recorded):
        place = (one.scope, one.value, one.target["path"])
        if one.target["exists"] or place in standing:
            continue
        standing.add(place)
        made[_create(rows, f"{name}:{number}", lookup, one)] = one
    found = read_keys(conn, lookup, made)
    for key, one in made.items():
        scope, row = found[key]
        if scope != one.scope or row.text != one.value:
            raise Blocked(f"the row made for {one.value!r} came out as {row.text!r} in {list(scope)}")


def _create(rows: Rows, name: str, lookup: Lookup, recorded: Recorded) -> str:
    target = recorded.target
    values: dict[str, sql.Composable] = {
        column_name: _literal(new.value) for column_name, new in lookup.spec.new_row.items() if new.source == "value"
    }
    if lookup.scope_ready or lookup.scope_copy is None:
        values |= {own: _literal(value) for own, value in zip(lookup.scope, recorded.scope, strict=True)}
    if lookup.qualifier_column is not None:
        values[lookup.qualifier_column] = _literal(target["path"])
    if lookup.path is not None and target["path"] is not None:
        values[lookup.path.join] = _literal(target["cid"] or _path_row(rows, name, lookup, recorded))
    values[lookup.text.name] = _literal(recorded.value)
    return _insert(rows, f"{name}:row", lookup.table.name, recorded.id, list(values.items()), lookup.key.name)


def _path_row(rows: Rows, name: str, lookup: Lookup, recorded: Recorded) -> str:
    """Find or make the root path row of that name."""
    path = lookup.path
    assert path is not None
    scope = list(zip(path_scope(lookup), recorded.scope, strict=False))
    where = [shapes.exact("p", path.name, sql.Literal(recorded.target["path"]))]
    where += [shapes.same_or_null("p", c, sql.Literal(v)) for c, v in scope]
    if path.parent is not None:
        where.append(SQL("{} IS NULL").format(column("p", path.parent)))
    query = SQL("SELECT {key}::text FROM {table} p WHERE {where} ORDER BY {key} LIMIT 1").format(
        key=column("p", path.key), table=table(path.table.name), where=conjunction(where)
    )
    row = rows.ctx.conn.execute(query).fetchone()
    if row is not None:
        return str(row[0])
    values = [(path.name, _literal(recorded.target["path"]))]
    values += [(c, _literal(v)) for c, v in scope]
    return _insert(rows, f"{name}:path", path.table.name, recorded.id, values, path.key)


def _insert(
    rows: Rows, name: str, target: QName, decision: int, values: Sequence[tuple[str, sql.Composable]], key: str
) -> str:
    found = rows.tables[target]
    given = SQL("SELECT jsonb_object(ARRAY[{}]::text[], ARRAY[{}]::text[]) AS i").format(
        SQL(", ").join([sql.Literal(n) for n, _ in values]),
        SQL(", ").join([SQL("({})::text").format(v) for _, v in values]),
    )
    rows.lock_parents(target, given)
    row = rows.execute(name, shapes.insert(found, rows.relation(target), decision, values, key)).fetchone()
    if row is None:
        raise Blocked(f"a trigger on {target} kept the new row out")
    return str(row[0])


def _literal(value: object) -> sql.Composable:
    """Return a value for an INSERT, without a cast: a cast to varchar(n) would cut it, where an assignment refuses."""
    return sql.Literal(None if value is None else str(value))
