"""The fence: every stray write is refused while it stands, ours pass, and it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from fix_servers import Database, template
from fix_sessions import Sessions
from normalform.db.connect import Connector
from normalform.sql.fence import fence_steps, fenced_tables
from syncing import apply, expanded, model_of

Make = Callable[..., Database]
FENCE = template("fence", expanded())

TABLES = {
    "machine_tags", "permatags", "image_tags", "keyword_models", "detected_faces", "keywords", "keyword_categories",
    "people",
}  # fmt: skip


def send(app: psycopg.Connection, write: str) -> None:
    """Run a write; COPY with a row."""
    if not write.startswith("COPY"):
        app.execute(write.encode())
        return
    with app.cursor().copy(write.encode()) as copy:
        copy.write("1\tx\n")


@pytest.mark.parametrize(
    "write",
    [
        "INSERT INTO public.machine_tags (image_id, tenant_id, keyword) VALUES (1, 't', 'x')",
        "INSERT INTO public.machine_tags (image_id, tenant_id, keyword) SELECT 1, 't', 'x' WHERE false",
        "UPDATE public.detected_faces SET confidence = 1",
        "DELETE FROM public.permatags",
        "UPDATE public.keywords SET sort_order = 1",
        "UPDATE public.keyword_categories SET sort_order = 1",
        "DELETE FROM public.people",
        "COPY public.image_tags (image_id, keyword) FROM stdin",
        "MERGE INTO public.people p USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT (name) VALUES ('x')",
    ],
)
def test_the_fence_refuses_writes(database: Make, write: str) -> None:
    db = database(FENCE)
    with db.connect() as owner:
        model = model_of(owner)
        apply(owner, fence_steps(model))
        with db.connect("app") as app, pytest.raises(psycopg.Error) as caught:
            send(app, write)
        assert caught.value.sqlstate == "25006"
        assert "refused during maintenance" in str(caught.value)
        with db.connect() as other, pytest.raises(psycopg.Error, match="refused during maintenance"):
            other.execute("TRUNCATE public.machine_tags")
        # Every session of ours passes, the others may still read.
        with Connector(db.url).open("test") as ours:
            ours.execute("UPDATE public.machine_tags SET confidence = 2")
        assert db.rows("SELECT count(*) > 0 FROM machine_tags", "app") == [(True,)]


def test_the_fence_stands_around_every_table_and_leaves_none_behind(database: Make) -> None:
    db = database(FENCE)
    before = db.rows("SELECT tgrelid, tgname FROM pg_trigger ORDER BY 1, 2")
    with db.connect() as owner:
        model = model_of(owner)
        assert {t.name for t in fenced_tables(model)} == TABLES
        steps = fence_steps(model)
        apply(owner, steps)
        for step in steps:
            assert owner.execute(step.done.encode()).fetchone() == (True,)
        apply(owner, steps, undo=True)
        for step in steps:
            assert owner.execute(step.done.encode()).fetchone() == (False,)
    assert db.rows("SELECT tgrelid, tgname FROM pg_trigger ORDER BY 1, 2") == before
    db.run("UPDATE machine_tags SET confidence = 1", "app")


def test_the_fence_waits_for_writers_under_way(database: Make, sessions: Callable[[Database], Sessions]) -> None:
    db = database(FENCE)
    a, b = sessions(db).open("writer", "runner", role="owner")
    with db.connect() as owner:
        steps = [s for s in fence_steps(model_of(owner)) if s.id in ("fence/function", "fence/machine_tags")]
    a.run("BEGIN; UPDATE machine_tags SET confidence = 5")
    b.start("; ".join(s for step in steps for s in step.do)).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().error is None
    assert a.attempt("UPDATE machine_tags SET confidence = 6").sqlstate == "25006"
