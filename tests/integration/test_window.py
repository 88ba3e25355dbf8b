"""The window as a whole: what we write passes the fence that keeps the application out, and it falls in the end."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

import mini
from compare import checksums, dump_schema
from fix_commands import Commands, Ran
from fix_servers import Database, template
from normalform import api
from normalform.runner import raise_fence
from resolving import file, line

Make = Callable[..., Database]
Nf = Callable[..., Ran]
WINDOW = template(
    "window",
    mini.SCHEMA
    + mini.DATA
    + """
INSERT INTO public.image_tags (tenant_id, image_id, keyword, category) VALUES
    ('t', 5, 'lyra', NULL), ('t', 6, 'vega', 'travel'), ('t', 7, 'Sea', 'nature');
INSERT INTO public.keyword_models (tenant_id, keyword, model_name) VALUES ('t', 'bridge', 'm1');
""",
)
DECIDED = [
    line("image_tags", "t", "lyra", None, "drop"),
    line("image_tags", "t", "vega", "travel", "create"),
    line("image_tags", "t", "Sea", "nature", "fold"),
    line("keyword_models", "t", "bridge", None, "split"),
    line("faces", "t", "Nobody Known", None, "null"),
    line("lookup.keyword", "u", "sky", "nature", "rename", "heaven"),
]
WRITE = "UPDATE public.image_tags SET manual = true WHERE keyword = 'tree'"


@pytest.fixture
def db(database: Make) -> Database:
    return database(WINDOW)


@pytest.fixture
def nf(normalform: Commands, db: Database) -> Nf:
    """Run a command against the database, with the small PhotoCat's spec in the folder."""
    normalform.write("normalform.toml", mini.SPEC_TEXT)
    return lambda *arguments: normalform(*arguments, NORMALFORM_DATABASE_URL=db.url)


def refused(db: Database) -> bool:
    """Whether the fence keeps the application out."""
    with db.connect("app") as app:
        try:
            app.execute(WRITE.encode())
        except psycopg.errors.ReadOnlySqlTransaction:
            return True
    return False


@pytest.mark.slow
def test_decisions_are_applied_and_undone_behind_the_fence(normalform: Commands, nf: Nf, db: Database) -> None:
    rows, schema = checksums(db), dump_schema(db, column_order=False)
    decisions = file(normalform.folder, DECIDED)
    with api.Options(db.url, mini.SPEC_TEXT).runner().session("a window that failed") as ctx:
        raise_fence(ctx)
    assert refused(db)
    assert "rollback --to start" in nf("status").out  # how the fence falls
    assert nf("resolve", "apply", decisions).status == 0
    assert refused(db)
    ran = nf("run", "--strategy", "window", "--until", "contract")
    assert ran.status == 0, ran.all
    assert db.rows("SELECT count(*), count(keyword_id) FROM keyword_models") == [(5, 5)]  # with the copy of `bridge`
    back = nf("rollback", "--to", "start", "--strategy", "window")
    assert back.status == 0, back.all
    assert checksums(db) == rows
    assert nf("uninstall").status == 0
    assert dump_schema(db, column_order=False) == schema
    assert not refused(db)


@pytest.mark.slow
def test_a_live_rollback_takes_back_a_window_that_failed(normalform: Commands, nf: Nf, db: Database) -> None:
    rows = checksums(db)
    assert nf("resolve", "apply", file(normalform.folder, DECIDED)).status == 0
    assert nf("run", "--until", "backfill").status == 0
    with db.connect("admin") as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("UPDATE public.machine_tags SET keyword_id = 4 WHERE id = 1")
    failed = nf("run", "--strategy", "window")
    assert failed.status == 1, failed.all
    assert refused(db)
    assert "rollback --to backfill" in nf("status").out
    back = nf("rollback", "--to", "start")
    assert back.status == 0, back.all
    assert checksums(db) == rows
    assert not refused(db)


@pytest.mark.slow
def test_a_gate_that_is_closed_already_stops_nobody(normalform: Commands, nf: Nf, db: Database) -> None:
    normalform.write("normalform.toml", mini.SPEC_TEXT + "\n[hooks]\nstop = 'touch stopped'\nstart = 'touch started'\n")
    ran = nf("run", "--strategy", "window", "--until", "expand")
    assert ran.status == 3
    assert "gate unresolved is closed" in ran.err
    assert not (normalform.folder / "stopped").exists()
    assert not refused(db)
    assert nf("resolve", "apply", file(normalform.folder, DECIDED)).status == 0
    assert nf("run", "--strategy", "window", "--until", "expand").status == 0
    assert (normalform.folder / "stopped").exists()
    assert (normalform.folder / "started").exists()
