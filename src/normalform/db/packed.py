"""Rows that come a thousand at a time: the server joins each column of them to one text, and the client splits it.

A million rows cost a client more than the server that found them, if each comes by itself. Decides only the form of the
trip: every row arrives once, with the texts that it has, NULLs and control characters included. Order is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from ..sql.quote import column, render
from .ranges import stream

SQL = sql.SQL
#: Rows that travel together.
TOGETHER = 1000
#: Between two texts; a row with a text that holds it travels as JSON.
_BETWEEN = "\x1f"
#: Stands for NULL; a row with just this text travels as JSON.
_NULL = "\x1e"


def pack(query: sql.Composable, names: Sequence[str]) -> str:
    """Return the statement that packs a query's rows.

    Args:
        query: the query; its columns are texts, or print as such.
        names: its columns, in the order in which :func:`rows` gives them.
    """
    between, null = sql.Literal(_BETWEEN), sql.Literal(_NULL)
    texts = [SQL("{}::text").format(column("p", n)) for n in names]
    odd = [SQL("coalesce(strpos({t}, {b}) > 0 OR {t} = {n}, false)").format(t=t, b=between, n=null) for t in texts]
    lists = [
        SQL("string_agg(coalesce({}, {}), {}) FILTER (WHERE NOT p.nf_odd)").format(column("p", n), null, between)
        for n in names
    ]
    return render(
        SQL(
            "SELECT {lists}, json_agg(json_build_array({columns})) FILTER (WHERE p.nf_odd) FROM ("
            "SELECT {columns}, {odd} AS nf_odd, row_number() OVER () / {together} AS nf_part FROM (SELECT {texts} "
            "FROM ({query}) p OFFSET 0) p) p GROUP BY p.nf_part"
        ).format(
            lists=SQL(", ").join(lists),
            columns=SQL(", ").join([column("p", n) for n in names]),
            odd=SQL(" OR ").join(odd),
            together=sql.Literal(TOGETHER),
            texts=SQL(", ").join(
                [SQL("{} AS {}").format(t, sql.Identifier(n)) for t, n in zip(texts, names, strict=True)]
            ),
            query=query,
        )
    )


def blocks(conn: psycopg.Connection, packed: str) -> Iterator[list[Sequence[str | None]]]:
    """Yield the rows of a packed query, many at a time, as one list for each column.

    Args:
        conn: the session.
        packed: what :func:`pack` gave.
    """
    for *lists, odd in stream(conn, packed, together=8):
        if lists[0] is not None:
            yield [_split(joined) for joined in lists]
        if odd is not None:
            yield [list(values) for values in zip(*odd, strict=True)]


def _split(joined: str) -> list[str | None]:
    values: list[Any] = joined.split(_BETWEEN)
    if _NULL not in joined:
        return values
    return [None if value == _NULL else value for value in values]
