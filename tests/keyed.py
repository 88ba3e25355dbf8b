"""The small PhotoCat with its keys filled by hand: where constrain and contract start, without sync and backfill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

import mini
from fix_servers import Database
from normalform.core.events import Event, Sink, silent
from normalform.db import ledger
from normalform.db.connect import Connector
from normalform.db.session import keep_baseline, read_model
from normalform.db.work import Context

#: What expand and backfill would have made of the small PhotoCat.
KEYS = """
ALTER TABLE public.keywords ADD tenant_id varchar(50);
UPDATE public.keywords k SET tenant_id = c.tenant_id FROM public.keyword_categories c WHERE c.id = k.category_id;
ALTER TABLE public.machine_tags ADD keyword_id integer;
ALTER TABLE public.permatags ADD keyword_id integer;
ALTER TABLE public.image_tags ADD keyword_id integer;
ALTER TABLE public.keyword_models ADD keyword_id integer;
ALTER TABLE public.detected_faces ADD person_id integer;
UPDATE public.machine_tags SET keyword_id = CASE
    WHEN lower(keyword) = 'tree' THEN CASE tenant_id WHEN 't' THEN 1 ELSE 5 END
    ELSE CASE WHEN image_id % 2 = 0 THEN 2 ELSE 3 END END;
UPDATE public.permatags SET keyword_id = 4;
UPDATE public.image_tags SET keyword_id = CASE keyword WHEN 'tree' THEN 1 WHEN 'sky' THEN 6 END;
UPDATE public.keyword_models SET keyword_id = CASE
    WHEN keyword = 'sea' THEN 4 WHEN tenant_id = 't' THEN 1 ELSE 5 END;
UPDATE public.detected_faces SET person_id = CASE person_name
    WHEN 'Ada Lovelace' THEN 1 WHEN 'Ada' THEN 1 WHEN 'Alan Turing' THEN 2 WHEN 'Grace' THEN 3 END;
"""
TABLES = {
    "machine_tags": "id, image_id, tenant_id, keyword, category, confidence, tag_type",
    "permatags": "id, tenant_id, image_id, keyword, category, signum",
    "image_tags": "id, image_id, tenant_id, keyword, category, manual",
    "keyword_models": "tenant_id, keyword, model_name",
    "detected_faces": "id, image_id, tenant_id, person_name, confidence",
}


def build(url: str) -> None:
    """Build the template: schema and data, before the first change."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(mini.SCHEMA.encode())
        conn.execute(mini.DATA.encode())


@contextmanager
def keyed(
    db: Database,
    *,
    before: str = "",
    after: str = "",
    spec: str = mini.SPEC_TEXT,
    sink: Sink = silent,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Context]:
    """Take the baseline, fill the keys by hand, and hand out a run's context.

    Args:
        db: a clone of the template.
        before: SQL before the baseline is taken.
        after: SQL after the keys are filled.
        spec: the spec's text.
        sink, options: the run's.
    """
    if before:
        db.run(before)
    connector = Connector(db.url)
    with connector.open() as conn:
        ledger.install(conn)
        parsed = mini.spec(spec)
        run = ledger.start_run(conn, "test", spec)
        ctx = Context(
            connector=Connector(db.url, run), conn=conn, run=run, model=read_model(conn, parsed), sink=sink,
            options=dict(options or {}),
        )  # fmt: skip
        keep_baseline(ctx)
        db.run(KEYS + after)
        refresh(ctx)
        yield ctx


def refresh(ctx: Context) -> None:
    """Read the model anew, as the runner does between phases."""
    ctx.model = read_model(ctx.conn, ctx.model.spec)


def rows(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the references, in the legacy columns."""
    return {name: db.rows(f"SELECT {cols} FROM public.{name} ORDER BY 1, 2, 3") for name, cols in TABLES.items()}


class Stopped(Exception):
    """Stands for a crash between two statements."""


def until_done(ctx: Context, do: Callable[[], None]) -> None:
    """Run, stop at a point, run again, some points further each time, until it ends by itself."""
    for after in range(6, 400, 4):
        left = [after]

        def sink(event: Event, left: list[int] = left) -> None:
            if event.kind == "point":
                left[0] -= 1
                if not left[0]:
                    raise Stopped(event.name)

        ctx.sink = sink
        try:
            do()
        except Stopped:
            refresh(ctx)
            continue
        ctx.sink = silent
        return
    pytest.fail("never ended")
