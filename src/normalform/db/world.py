"""Reads what the statement reader has to know of the database: the migration's tables, and everybody's columns.

Decides which columns are watched: those that contract will drop, and which tables grow by a column. Reads the catalogs
alone, in three queries whatever the number of tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ..core.catalog import Table
from ..core.conservation import Conserved, conserve
from ..core.model import Model, Reference
from ..core.names import QName
from ..reader import tokens as lex
from ..reader.bodies import Argument, Function, Trigger
from ..reader.world import Watched, World
from ..sql import bodies as queries


@dataclass(frozen=True)
class Tables:
    """The tables of a migration with what contract drops of each.

    Args:
        conserved: the referencing tables whose text still stands.
        watched: these and the lookups, as the reader wants them.
        oids: their OIDs.
    """

    conserved: tuple[Conserved, ...]
    watched: tuple[Watched, ...]
    oids: tuple[int, ...]

    def on(self, name: QName, column: str = "") -> str:
        """Return the name of the reference, or of the lookup, that a table's column belongs to."""
        references = [r for c in self.conserved if c.name == name for r in c.references]
        for reference in references:
            if column in texts_of(reference):
                return reference.name
        return references[0].name if references else str(name)


def texts_of(reference: Reference) -> tuple[str, ...]:
    """Return a reference's text column, and its qualifier's where it has one."""
    return (reference.text.name, *([reference.qualifier.name] if reference.qualifier else []))


def tables_of(model: Model, baseline: Mapping[QName, Table]) -> Tables:
    """Return the migration's tables, as far as their texts still stand.

    Args:
        model: the model.
        baseline: the tables before the first change; empty where there was none.
    """
    standing = [c for c in conserve(model, baseline) if all(r.text_present for r in c.references)]
    watched: dict[QName, Watched] = {}
    oids: dict[QName, int] = {}
    for conserved in standing:
        constraints = [c.name for c, _ in conserved.legacy.constraints if c.kind in ("p", "u", "x")]
        grows = not all(r.key_present for r in conserved.references)
        if not (grows or conserved.dropped):
            continue  # its text is kept, and its key stands: nothing happens to it any more
        columns = tuple(c.name for c in conserved.current.columns)
        watched[conserved.name] = Watched(
            conserved.name, columns, frozenset(conserved.dropped), frozenset(constraints), grows
        )
        oids[conserved.name] = conserved.current.oid
    for lookup in model.lookups:
        name = lookup.table.name
        grows = lookup.scope_copy is not None and lookup.table.column(lookup.scope[0]) is None
        if grows and name not in watched:
            columns = tuple(c.name for c in lookup.table.columns)
            watched[name] = Watched(name, columns, frozenset(), grows=True)
            oids[name] = lookup.table.oid
    return Tables(tuple(standing), tuple(watched.values()), tuple(oids.values()))


def read_world(conn: psycopg.Connection, model: Model, tables: Tables) -> World:
    """Read every relation that there is, with the columns that could be taken for a watched one."""
    watched = tables.watched
    names = sorted({c for w in watched for c in w.columns})
    rows = conn.execute(queries.RELATIONS, {"names": names}).fetchall()
    relations = {QName(schema, name): frozenset(columns) for schema, name, columns in rows}
    made = conn.execute(queries.MAKERS, {"tables": list(tables.oids)}).fetchall()
    makers = {QName(schema, name): QName(of, table) for schema, name, of, table in made}
    return World(watched, relations, model.catalog.search_path, makers)


def words_of(world: World) -> list[str]:
    """Return the names without any of which a text need not be read, as they may be written."""
    return sorted({form for word in world.words for form in (word, word.replace('"', '""'))})


def read_functions(conn: psycopg.Connection, world: World, oids: Sequence[int], user: str) -> Iterator[Function]:
    """Yield the functions that may have to do with the tables.

    Args:
        conn: a session whose search path is ``pg_catalog``, so that types come with their schemas.
        world: the database.
        oids: the tables.
        user: the role that ``"$user"`` stands for in a search path.
    """
    parameters = {"words": words_of(world), "tables": list(oids)}
    with conn.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(queries.FUNCTIONS, parameters).fetchall():
            yield _function(row, user)


def _function(row: dict[str, Any], user: str) -> Function:
    settings = dict(entry.split("=", 1) for entry in row["settings"] or ())
    path = None
    if "search_path" in settings:
        found = lex.tokens(settings["search_path"])
        path = tuple(user if t.value == "$user" else t.value for t in found if t.kind in ("word", "quoted", "string"))
    return Function(
        signature=row["signature"],
        language=row["language"],
        body=row["body"] or "",
        arguments=tuple(
            Argument(a["name"], (a["relation"][0], a["relation"][1]) if a["relation"] else None, a["given"])
            for a in row["arguments"] or ()
        ),
        returns=(row["returns"][0], row["returns"][1]) if row["returns"] else None,
        returns_nothing=row["returns_type"] in ("void", "trigger", "event_trigger"),
        triggers=tuple(
            Trigger((t["relation"][0], t["relation"][1]), tuple(t["transitions"])) for t in row["triggers"] or ()
        ),
        path=path,
        settings=settings,
        standard=row["standard"],
    )
