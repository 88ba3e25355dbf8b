"""The passages of the crash tests: every phase there and back, on the small PhotoCat with some of each defect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

import mini
from normalform import api
from normalform.core.events import Sink, silent
from normalform.core.index_successor import DEFERRABLE

DECISIONS = Path(__file__).with_name("decisions.csv")
DEFECTS = """
INSERT INTO public.permatags (tenant_id, image_id, keyword, category) VALUES
    ('t', 30, 'lyra', 'nature'), ('t', 31, 'TREE', 'nature/plants'), ('t', 32, 'bridge', NULL), ('u', 41, 'oops', NULL);
INSERT INTO public.image_tags (tenant_id, image_id, keyword, category) VALUES
    ('t', 33, 'bridge', 'nature'), (NULL, 1, 'sea', NULL), ('t', 34, 'tree', 'another/path');
INSERT INTO public.keyword_models (tenant_id, keyword, model_name) VALUES ('t', 'bridge', 'm1');
"""


def build(url: str) -> None:
    """Build the template: clean data and the defects. Ids from 1000 on are the engine's own."""
    with psycopg.connect(url) as conn:
        conn.execute(mini.SCHEMA)
        conn.execute(mini.DATA)
        conn.execute(DEFECTS)
        conn.execute("SELECT setval(pg_get_serial_sequence('public.keyword_models', 'id'), 1000)")


#: The same with a lookup that expand makes.
MADE_SPEC = f"""{mini.SPEC_TEXT}
[lookup.file]
table = "public.files"
create = true
text = "name"
scope = "tenant_id"
[reference.files]
table = "public.image_metadata"
lookup = "file"
text = "filename"
qualifier = false
add = "file_id"
"""


@dataclass(frozen=True)
class Passage:
    """One command, as an operator would give it.

    Args:
        name: its name.
        perform: the command.
        spec: the spec's text.
        about: only the points with this in their names are interrupted; another passage has the others.
    """

    name: str
    perform: Callable[[api.Options], object]
    spec: str = mini.SPEC_TEXT
    about: str = ""

    def go(self, url: str, sink: Sink = silent) -> None:
        """Give the command."""
        self.perform(api.Options(url, self.spec, sink, workers=1))


def _phase(name: str) -> Passage:
    return Passage(name, lambda options: api.phase(options, name))


def _back(name: str, target: str) -> Passage:
    return Passage(name, lambda options: api.rollback(options, target))


#: In this order each begins where the one before it has ended.
PASSAGES = (
    Passage("resolve", lambda options: api.resolve_apply(options, DECISIONS)),
    _phase("expand"),
    _phase("backfill"),
    _phase("verify"),
    _phase("constrain"),
    _phase("contract"),
    _back("undo contract", "constrain"),
    _back("undo constrain", "verify"),
    _back("undo verify", "backfill"),
    _back("undo backfill", "expand"),
    _back("undo expand", "resolve"),
    _back("undo resolve", "start"),
    Passage("uninstall", api.uninstall),
)
UP_TO_VERIFY = PASSAGES[:4]
SUCCESSORS = "/successor/"
#: The same from there on, with the other choice of uniques.
DEFERRED = (
    *UP_TO_VERIFY,
    Passage(
        "constrain deferrable",
        lambda options: api.phase(replace(options, uniques=DEFERRABLE), "constrain"),
        about=SUCCESSORS,
    ),
    Passage("contract after deferrable", lambda options: api.phase(options, "contract"), about=SUCCESSORS),
    Passage("undo contract to deferrable", lambda options: api.rollback(options, "constrain"), about=SUCCESSORS),
    Passage("undo deferrable", lambda options: api.rollback(options, "verify"), about=SUCCESSORS),
)
#: A lookup that does not exist is made, and taken back.
MADE = (
    PASSAGES[0],
    Passage("expand makes a lookup", lambda options: api.phase(options, "expand"), MADE_SPEC, "file"),
    Passage("undo expand with its lookup", lambda options: api.rollback(options, "resolve"), MADE_SPEC, "file"),
)
BY_NAME = {p.name: p for p in (*PASSAGES, *DEFERRED, *MADE)}
