"""The small PhotoCat as expand leaves it, made by hand and without sync, with enough rows for several slices.

Made by hand, so that batches are tested for themselves: no trigger fills a key behind their back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

import mini
from fix_servers import Database, template
from normalform.core.events import Event, Sink, silent
from normalform.db import ledger
from normalform.db.session import open_run, read_model
from normalform.db.work import Context

#: 30,000 more machine tags in some 280 blocks: five slices. `bridge` is told apart by its category alone.
MORE = """
INSERT INTO public.image_metadata (id, tenant_id, filename) SELECT g, 't', 'p' || g FROM generate_series(2001, 8000) g;
INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category)
    SELECT g, 't', k.keyword, k.category FROM generate_series(2001, 8000) g,
        (VALUES ('tree', 'nature/plants'), ('sea', 'nature'), ('bridge', NULL)) k(keyword, category);
UPDATE public.machine_tags SET category = CASE WHEN image_id % 2 = 0 THEN 'travel' ELSE 'games' END
    WHERE keyword = 'bridge' AND category IS NULL;
INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category, tag_type)
    SELECT g, 't', k.keyword, 'nature', 'x' FROM generate_series(2001, 8000) g, (VALUES ('tree'), ('sea')) k(keyword);
"""
#: What expand would have done, but for the triggers.
EXPANDED = """
ALTER TABLE public.keywords ADD COLUMN tenant_id varchar(50);
UPDATE public.keywords k SET tenant_id = c.tenant_id FROM public.keyword_categories c WHERE c.id = k.category_id;
CREATE INDEX normalform_keywords_keyword ON public.keywords (tenant_id, keyword);
ALTER TABLE public.machine_tags ADD COLUMN keyword_id integer;
ALTER TABLE public.permatags ADD COLUMN keyword_id integer;
ALTER TABLE public.image_tags ADD COLUMN keyword_id integer;
ALTER TABLE public.keyword_models ADD COLUMN keyword_id integer;
ALTER TABLE public.detected_faces ADD COLUMN person_id integer;
INSERT INTO normalform.phase (name, position, state) VALUES ('resolve', 0, 'done'), ('expand', 1, 'done');
"""
#: What each machine tag must point at, said without the engine: text, tenant, and the category where two have the text.
WRONG = """
SELECT count(*) FROM public.machine_tags t WHERE t.keyword_id IS DISTINCT FROM CASE
    WHEN t.tenant_id = 'u' THEN 5 WHEN t.keyword = 'tree' THEN 1 WHEN t.keyword = 'sea' THEN 4
    WHEN t.category = 'travel' THEN 2 WHEN t.category = 'games' THEN 3 END
"""
UNFILLED = "SELECT count(*) FROM public.machine_tags WHERE keyword_id IS NULL"
ROWS = 30_000 + 80


def _build(rows: str) -> Callable[[str], None]:
    def build(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(mini.SCHEMA)
            conn.execute(mini.DATA)
            conn.execute(rows)
            ledger.install(conn)
            ledger.save_baseline(conn, read_model(conn, mini.spec()).catalog)
            conn.execute(EXPANDED)
            conn.execute("VACUUM ANALYZE")

    return build


BIG = template("expanded-big", _build(MORE))
SMALL = template("expanded-small", _build("SELECT 1"))


class Told:
    """A sink that keeps what was said, and does something at chosen points."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.points: list[str] = []
        self._at: list[tuple[str, int, Callable[[], Any]]] = []

    def at(self, point: str, number: int, do: Callable[[], Any]) -> Told:
        """Do something when the point is announced for the given time, counted from 1."""
        self._at.append((point, number, do))
        return self

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if event.kind != "point":
            self.events.append(event)
            return
        self.points.append(event.name)
        count = self.points.count(event.name)
        for point, number, do in self._at:
            if point == event.name and number == count:
                do()

    def said(self, text: str) -> bool:
        """Whether an event's text contains this."""
        return any(text in e.text for e in self.events)


@contextmanager
def run(db: Database, sink: Sink = silent, text: str = mini.SPEC_TEXT, **more: Any) -> Iterator[Context]:
    """A run of the engine on an expanded database."""
    with open_run(db.url, text, "test", sink=sink, **more) as ctx:
        yield ctx
