"""Entries of the mapping on sheets: values that need no question travel, and stay, by the thousand.

A value that is exact or qualified, with nothing to be noted, is only ever counted or listed. The server writes such
values on sheets: a list for each column, all joined to one text. Others come by themselves, as JSON. Decides only what
a sheet is; must lose no value, and none may stand on a sheet if a text of it holds what separates them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

from psycopg import sql

from ..core.model import Reference
from .findings import ENTRY
from .quote import column, render
from .shapes import scope_names

SQL = sql.SQL
#: Between two values of a sheet.
BETWEEN = "\x1f"
#: Values of one text stand on sheets of one slot, so that a question about equal texts can be asked slot by slot. Those
#: that come by themselves come by slots too: the client never holds many of them.
SLOTS = 256
#: After so many values the server begins new sheets: those before may then go to its disk.
AT_ONCE = 500_000
#: What is on a sheet: how its values were decided, and what its list of qualifiers holds: the rows' own, the lookup
#: rows' paths, or nothing.
KINDS = {
    1: ("exact", "own"),
    2: ("qualified", "own"),
    3: ("exact", "path"),
    4: ("qualified", "path"),
    5: ("exact", "none"),
    6: ("qualified", "none"),
}
#: Lists on a sheet beside the scope's: text, qualifier or path or nothing, rows, key, found.
LISTS = 5

Entry = tuple[str | None, ...]


def on_sheets(reference: Reference, entries: sql.Composable) -> str:
    """Return the statement that writes a reference's entries on sheets.

    Args:
        reference: the reference.
        entries: a query as ``sql.findings.entries`` gives it: its columns and a number, ``vn``.

    Returns:
        A query (kind, slot, values, rows, sheet, others): a sheet of a kind of :data:`KINDS`; or, where kind is 0, a
        JSON array of entries: s1 …, then the columns of ``sql.findings.ENTRY`` but for the scope, all as text.
    """
    scope = scope_names(len(reference.scope))
    names = [*scope, *ENTRY[1:]]
    texts = [*scope, "text", "qualifier", "path", *(["key"] if reference.lookup.key.is_text else [])]
    odd = [SQL("coalesce(strpos({}::text, {}) > 0, false)").format(column("e", n), sql.Literal(BETWEEN)) for n in texts]
    return render(
        SQL(
            "SELECT p.nf_kind, p.nf_slot, count(*), sum(p.rows::bigint)::bigint, concat_ws({between}, {lists}), "
            "json_agg(json_build_array({all})) FILTER (WHERE p.nf_kind = 0) FROM ("
            "SELECT p.*, coalesce(p.qualifier, p.path, '') AS nf_q, "
            "coalesce(hashtext(p.text) & {slots}, 0) AS nf_slot FROM ("
            "SELECT {texts}, e.vn / {at_once} AS nf_part, "
            "CASE WHEN e.how NOT IN ('exact', 'qualified') OR e.note IS NOT NULL OR {odd} "
            "OR (e.qualifier IS NOT NULL AND e.path IS NOT NULL) THEN 0 "
            "ELSE CASE WHEN e.qualifier IS NOT NULL THEN 1 WHEN e.path IS NOT NULL THEN 3 ELSE 5 END "
            "+ (e.how = 'qualified')::integer END AS nf_kind FROM ({entries} OFFSET 0) e OFFSET 0) p) p "
            "GROUP BY p.nf_kind, p.nf_slot, p.nf_part"
        ).format(
            between=sql.Literal(BETWEEN),
            lists=SQL(", ").join(
                [
                    SQL("string_agg({}, {}) FILTER (WHERE p.nf_kind <> 0)").format(column("p", n), sql.Literal(BETWEEN))
                    for n in [*scope, "text", "nf_q", "rows", "key", "found"]
                ]
            ),
            all=SQL(", ").join([column("p", n) for n in names]),
            slots=sql.Literal(SLOTS - 1),
            at_once=sql.Literal(AT_ONCE),
            texts=SQL(", ").join([SQL("{}::text AS {}").format(column("e", n), sql.Identifier(n)) for n in names]),
            odd=SQL(" OR ").join(odd),
            entries=entries,
        )
    )  # fmt: skip


def lists_of(sheet: str, scopes: int) -> list[list[str]]:
    """Return a sheet's lists: one for each column of the scope, then :data:`LISTS` others."""
    values = sheet.split(BETWEEN)
    each = len(values) // (scopes + LISTS)
    return [values[at : at + each] for at in range(0, len(values), each)]


def entries_of(kind: int, scopes: Iterable[str], lists: list[list[str]]) -> Iterator[Entry]:
    """Return a sheet's entries in the order of ``sql.findings.ENTRY``, given its scopes in their final form."""
    how, label = KINDS[kind]
    texts, labels, rows, keys, found = lists[-LISTS:]
    own, path = (labels if label == "own" else repeat(None)), (labels if label == "path" else repeat(None))
    return zip(scopes, texts, own, rows, repeat(how), keys, path, repeat(None), found, strict=False)
