"""Reads pg_catalog into a :class:`~normalform.core.catalog.Catalog`.

Decides which table an unqualified name means: the first along the role's own search_path, whatever the session has
pinned. It must never read a user's table, need more than CONNECT, or leave the session's search_path changed; and no
number of tables makes it send more than a fixed number of queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ..core.catalog import (
    Catalog,
    Column,
    Constraint,
    InboundKey,
    Index,
    IndexColumn,
    Statistics,
    Table,
    Trigger,
)
from ..core.names import QName
from ..sql import catalog as queries

Row = Mapping[str, Any]
Groups = Mapping[int, Sequence[Row]]
#: Used where the role's own path leads to no schema at all, as it does in a session that was pinned at its start.
DEFAULT_PATH = '"$user", public'


def inspect(
    conn: psycopg.Connection[Any], names: Iterable[QName], *, search_path: Sequence[str] | None = None
) -> Catalog:
    """Read the named tables and everything that hangs on them.

    Args:
        conn: any session on the database, a standby's too. Inside an open transaction it reads through that one's
            snapshot; otherwise through a read-only one of its own that ends with the call.
        names: tables by name; one without schema is looked for along the search path. Names that lead nowhere are
            left out.
        search_path: schemas in order for names without schema; None takes the role's own.

    Returns:
        The catalog, its tables by fully qualified name.

    Raises:
        psycopg.Error: the server refused or went away.
    """
    wanted = tuple(dict.fromkeys(names))
    own = conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        if own:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        before = _one(cursor, "SELECT pg_catalog.current_setting('search_path') AS path")["path"]
        try:
            return _read(cursor, wanted, search_path)
        finally:
            # Within a caller's transaction ours is a savepoint, and a SET LOCAL outlives a released savepoint.
            if not own and conn.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                _set_path(cursor, before)


def _read(cursor: psycopg.Cursor[Row], wanted: Sequence[QName], search_path: Sequence[str] | None) -> Catalog:
    if search_path is None:
        _set_path(cursor, _one(cursor, queries.ROLE_PATH)["path"] or DEFAULT_PATH)
        head = _one(cursor, queries.SCHEMAS)
        if not head["schemas"] or set(head["schemas"]) <= {"pg_catalog", "pg_temp"}:
            _set_path(cursor, DEFAULT_PATH)
            head = _one(cursor, queries.SCHEMAS)
        path = [s for s in head["schemas"] if s != "pg_catalog"]
    else:
        head = _one(cursor, queries.SCHEMAS)
        path = list(search_path)
    # With nothing on the path but pg_catalog the server prints every other name with its schema.
    _set_path(cursor, "pg_catalog")
    oids = [
        row["oid"]
        for row in _all(
            cursor,
            queries.RESOLVE,
            {"schemas": [n.schema for n in wanted], "names": [n.name for n in wanted], "path": path},
        )
    ]
    tables = _tables(cursor, sorted(set(oids)))
    names = tuple(str(QName(row["schema"], row["name"])) for row in _all(cursor, queries.NAMES))
    return Catalog(
        server_version=head["version"],
        database=head["database"],
        user=head["role"],
        tables={t.name: t for t in tables},
        names=names,
        search_path=tuple(path),
    )


def _tables(cursor: psycopg.Cursor[Row], oids: list[int]) -> list[Table]:
    parameters = {"oids": oids}

    def grouped(query: str, key: str = "oid") -> Groups:
        groups: defaultdict[int, list[Row]] = defaultdict(list)
        for row in _all(cursor, query, parameters):
            groups[row[key]].append(row)
        return groups

    columns, indexes = grouped(queries.COLUMNS), grouped(queries.INDEXES)
    index_columns = grouped(queries.INDEX_COLUMNS, "index_oid")
    constraints, inbound = grouped(queries.CONSTRAINTS), grouped(queries.INBOUND)
    triggers, statistics = grouped(queries.TRIGGERS), grouped(queries.STATISTICS)
    result = []
    for row in _all(cursor, queries.TABLES, parameters):
        oid = row["oid"]
        own = tuple(_column(c) for c in columns.get(oid, ()))
        result.append(
            Table(
                oid=oid,
                name=QName(row["schema"], row["name"]),
                kind=row["kind"],
                owner=row["owner"],
                columns=own,
                indexes=tuple(_index(i, index_columns.get(i["index_oid"], ()), own) for i in indexes.get(oid, ())),
                constraints=tuple(_constraint(c) for c in constraints.get(oid, ())),
                inbound=tuple(_inbound(k) for k in inbound.get(oid, ())),
                triggers=tuple(_trigger(t) for t in triggers.get(oid, ())),
                persistence=row["persistence"],
                row_security=row["row_security"],
                force_row_security=row["force_row_security"],
                replica_identity=row["replica_identity"],
                relfilenode=row["relfilenode"],
                pages=row["pages"],
                rows_estimate=row["rows_estimate"],
                bytes=row["bytes"],
                acl=tuple(row["acl"]),
                statistics=tuple(_statistics(s) for s in statistics.get(oid, ())),
            )
        )
    return result


def _column(row: Row) -> Column:
    plain = {k: v for k, v in row.items() if k not in ("oid", "acl", "options")}
    return Column(**plain, acl=tuple(row["acl"]), options=tuple(row["options"]))


def _index(row: Row, entries: Sequence[Row], columns: Sequence[Column]) -> Index:
    keys = [e for e in entries if e["is_key"]]
    # A reference to the whole row stands in pg_depend as one to the table, as if no column were meant.
    whole_row = ".*" in (row["expressions"] or "") + (row["predicate"] or "")
    taken = ("oid", "index_oid", "expressions", "options", "uses")
    return Index(
        **{k: v for k, v in row.items() if k not in taken},
        columns=tuple(
            IndexColumn(
                column=e["column"],
                expression=e["expression"],
                opclass=e["opclass"],
                collation=e["collation"],
                descending=e["descending"],
                nulls_first=e["nulls_first"],
            )
            for e in keys
        ),
        include=tuple(e["column"] for e in entries if not e["is_key"]),
        uses=tuple(c.name for c in columns) if whole_row else tuple(row["uses"]),
        options=tuple(row["options"]),
        statistics=tuple((e["n"], e["target"]) for e in entries if e["target"] is not None),
    )


def _constraint(row: Row) -> Constraint:
    taken = ("oid", "columns", "ref_schema", "ref_name", "reference_columns", "operators")
    return Constraint(
        **{k: v for k, v in row.items() if k not in taken},
        columns=tuple(row["columns"]),
        references=QName(row["ref_schema"], row["ref_name"]) if row["ref_name"] is not None else None,
        reference_columns=tuple(row["reference_columns"]),
        operators=tuple(row["operators"]),
    )


def _inbound(row: Row) -> InboundKey:
    return InboundKey(
        name=row["name"],
        table=QName(row["schema"], row["table"]),
        columns=tuple(row["columns"]),
        target_columns=tuple(row["target_columns"]),
        on_delete=row["on_delete"],
    )


def _trigger(row: Row) -> Trigger:
    return Trigger(
        name=row["name"],
        function=row["function"],
        timing=row["timing"],
        row=row["row"],
        events=tuple(row["events"]),
        enabled=row["enabled"],
        definition=row["definition"],
    )


def _statistics(row: Row) -> Statistics:
    return Statistics(
        name=QName(row["schema"], row["name"]),
        columns=tuple(row["columns"]),
        definition=row["definition"],
        target=row["target"],
        comment=row["comment"],
    )


def _set_path(cursor: psycopg.Cursor[Row], path: str) -> None:
    cursor.execute("SELECT pg_catalog.set_config('search_path', %s, true)", (path,))


def _one(cursor: psycopg.Cursor[Row], query: str) -> Row:
    row = cursor.execute(query).fetchone()
    assert row is not None
    return row


def _all(cursor: psycopg.Cursor[Row], query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
    return list(cursor.execute(query, parameters).fetchall())
