"""The query of a sampled audit: a reference's rows in the blocks drawn, by cluster and by how they are decided.

Values are resolved as an audit resolves them, by ``sql.resolution``; nothing is decided here, and nothing written.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.model import Reference
from . import shapes
from .findings import note
from .quote import columns
from .resolution import resolve_all
from .sizes import sampled

SQL = sql.SQL


def counts(reference: Reference, parts: Sequence[tuple[int, int]], length: int, *, stored: bool) -> sql.Composable:
    """Return a query (cluster, how, note, rows).

    Args:
        reference: the reference.
        parts: the blocks drawn: first, and behind the last.
        length: blocks of a cluster; its number is that of its first block, divided by this.
        stored: whether the ledger is there, so that decisions count.
    """
    own = [*reference.scope, reference.text, *([reference.qualifier] if reference.qualifier else [])]
    values = SQL(
        "SELECT {values}, t.nf_block / {length} AS cluster, count(*) AS rows FROM {source} "
        "GROUP BY {own}, "
        "t.nf_block / {length}"
    ).format(
        values=shapes.reference_values(reference),
        length=sql.Literal(length),
        source=sampled(reference.table.name, parts),
        own=columns("t", dict.fromkeys(c.name for c in own)),
    )
    return SQL(
        "SELECT z.cluster, z.how, {note} AS note, sum(z.rows)::bigint AS rows FROM ({z}) z GROUP BY 1, 2, 3"
    ).format(note=note(reference), z=resolve_all(reference, values, stored=stored))
