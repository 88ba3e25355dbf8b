"""A small world for the tests of the statement reader: ours is ``public.tags``, others have columns of its names."""

from __future__ import annotations

from normalform.core.names import QName
from normalform.reader.world import Kind, Reading, Watched, World

TAGS = Watched(
    QName("public", "tags"),
    ("id", "image_id", "tenant_id", "keyword", "category"),
    frozenset({"keyword", "category"}),
    frozenset({"tags_once"}),
)
#: Contract leaves its text alone, but expand adds a column.
WORDS = Watched(QName("public", "words"), ("id", "keyword"), frozenset(), grows=True)
STRANGE = Watched(QName("Air Traffic", "Fli;ghts"), ("no", 'Ge"n;re'), frozenset({'Ge"n;re'}))
WORLD = World(
    (TAGS, WORDS, STRANGE),
    {
        QName("public", "tags"): frozenset({"id", "image_id", "tenant_id", "keyword", "category"}),
        QName("public", "words"): frozenset({"id", "keyword"}),
        QName("Air Traffic", "Fli;ghts"): frozenset({"no", 'Ge"n;re'}),
        QName("public", "other"): frozenset({"id", "keyword", "category"}),
        QName("public", "images"): frozenset({"id"}),
        QName("public", "plain"): frozenset(),
        QName("app", "tags"): frozenset({"id", "keyword"}),
    },
    makers={QName("public", "some_tags"): TAGS.name},
)
_MARKS = {Kind.READS: "r", Kind.WRITES: "w", Kind.UNREAD: "u"}


def told(reading: Reading) -> str:
    """What was read, shortly: ``r keyword``, ``w keyword?`` (uncertain), ``star``, ``breaks``, ``position``, ``row``.

    Uses of other tables than tags are told with the table's name.
    """
    short = {Kind.STAR: "star", Kind.BREAKS: "breaks", Kind.POSITION: "position", Kind.ROW: "row"}
    parts = set()
    for use in reading.of(*Kind):
        word = f"{_MARKS[use.kind]} {use.column or 'constraint'}" if use.kind in _MARKS else short[use.kind]
        where = "" if use.table == TAGS.name else f" of {use.table.name}"
        parts.add(f"{word}{where}{'' if use.certain else '?'}")
    return ", ".join(sorted(parts))
