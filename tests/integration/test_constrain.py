"""Constrain on real servers: what it builds, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

import keyed
import mini
from compare import dump_schema
from fix_servers import Database, template
from normalform.core.conservation import conserve
from normalform.core.events import Event
from normalform.core.plan import Lock, Mode
from normalform.db.conservation import collisions, dependents, lost_lines
from normalform.errors import GateClosed, ProofFailed
from normalform.phases import constrain

template("keyed", keyed.build)
Make = Callable[..., Database]


@pytest.fixture(autouse=True)
def without_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests fill keys by hand: there is no sync to harden."""
    monkeypatch.setattr(constrain, "harden_steps", lambda model, reference, phase: [])


def test_forth_and_back(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db) as ctx:
        before = dump_schema(db, ledger=False)
        constrain.do(ctx)
        built = dump_schema(db, ledger=False)
        assert "uq_machine_tags_keyword_id UNIQUE (tenant_id, image_id, keyword_id, tag_type) DEFERRABLE" in built
        assert "REFERENCES public.keywords(tenant_id, id) ON DELETE RESTRICT" in built
        assert "UNIQUE (tenant_id, category_id, keyword)" in built
        assert "CHECK (((keyword_id IS NULL) OR (tenant_id IS NOT NULL)))" in built
        assert built.count("keyword_id integer NOT NULL") == 4
        keyed.refresh(ctx)
        constrain.do(ctx)
        assert dump_schema(db, ledger=False) == built, "a second time changes nothing"
        constrain.undo(ctx, clear_rows=False)
        assert dump_schema(db, ledger=False) == before
    assert db.value("SELECT count(*) FROM normalform.step") == 0


def test_no_step_reads_a_table_under_a_lock_that_stops_writers(database: Make) -> None:
    with keyed.keyed(database("keyed")) as ctx:
        for step in constrain.steps_for(ctx):
            reads = any(w in s for s in step.do for w in ("CREATE INDEX", "CREATE UNIQUE", "VALIDATE CONSTRAINT "))
            if reads:
                assert step.mode is Mode.CONCURRENT
                assert step.lock is Lock.SHARE_UPDATE_EXCLUSIVE
            for statement in step.do:
                added = "FOREIGN KEY" in statement or "CHECK" in statement
                assert not added or statement.endswith("NOT VALID")
                assert "CASCADE" not in statement


@pytest.mark.slow
@pytest.mark.parametrize("uniques", ["deferrable", "late"])
def test_stopped_again_and_again(database: Make, uniques: str) -> None:
    db = database("keyed")
    with keyed.keyed(db, options={"uniques": uniques}) as ctx:
        before = dump_schema(db, ledger=False)
        keyed.until_done(ctx, lambda: constrain.do(ctx))
        stopped = dump_schema(db, ledger=False)
        keyed.until_done(ctx, lambda: constrain.undo(ctx, clear_rows=False))
        assert dump_schema(db, ledger=False) == before
        keyed.refresh(ctx)
        constrain.do(ctx)
        assert dump_schema(db, ledger=False) == stopped, "the same as without a stop"


def test_collisions_are_asked_for_first(database: Make) -> None:
    db = database("keyed")
    double = """
        INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category, keyword_id)
        VALUES (1, 't', 'Tree', 'nature/plants', 1), (2, 't', 'Tree', 'nature/plants', 1)"""
    with keyed.keyed(db, after=double) as ctx:
        tables = conserve(ctx.model, ctx.baseline)
        [line] = collisions(ctx.conn, ctx.model, tables)
        assert "2 combinations of (tenant_id, image_id, keyword_id, tag_type) stand in 4 rows" in line
        assert "(t,1,1,m,2)" in line
        [masked] = collisions(ctx.conn, ctx.model, tables, mask=True)
        assert "(t," not in masked


def test_a_duplicate_that_comes_in_meanwhile_is_a_finding_and_leaves_no_invalid_index(database: Make) -> None:
    db = database("keyed")

    def sink(event: Event) -> None:
        if (
            event.kind == "point"
            and event.name == "constrain/successor/machine_tags/uq_machine_tags_keyword_id:0:before"
        ):
            db.run("INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category, keyword_id) "
                   "VALUES (1, 't', 'Tree', 'nature/plants', 1)")  # fmt: skip

    with keyed.keyed(db, sink=sink) as ctx:
        with pytest.raises(ProofFailed, match="uq_machine_tags_keyword_id cannot stand") as caught:
            constrain.do(ctx)
        assert "(t, 1, 1, m)" in str(caught.value)
        assert db.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
        db.run("DELETE FROM public.machine_tags WHERE keyword = 'Tree'")
        ctx.sink = lambda event: None
        keyed.refresh(ctx)
        constrain.do(ctx)


def test_a_key_beside_an_unknown_scope_is_refused(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db) as ctx:
        constrain.do(ctx)
    with pytest.raises(psycopg.errors.CheckViolation, match="ck_image_tags_keyword_id_scope"):
        db.run("INSERT INTO public.image_tags (image_id, keyword, keyword_id) VALUES (1, 'x', 99999)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        db.run("INSERT INTO public.image_tags (image_id, tenant_id, keyword, keyword_id) VALUES (1, 'u', 'x', 1)")


@pytest.mark.parametrize(
    ("on_delete", "effect"),
    [("restrict", "refused"), ("no_action", "deferred"), ("cascade", "gone"), ("set_null", "null")],
)
def test_on_delete(database: Make, on_delete: str, effect: str) -> None:
    db = database("keyed")
    spec = mini.SPEC_TEXT.replace("required = false", f'required = false\non_delete = "{on_delete}"')
    with keyed.keyed(db, spec=spec) as ctx:
        constrain.do(ctx)
    delete = "DELETE FROM public.people WHERE id = 3"
    if effect == "refused":
        with pytest.raises(psycopg.errors.IntegrityError) as caught:
            db.run(delete)
        assert caught.value.sqlstate in ("23503", "23001")
    elif effect == "deferred":
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            db.run(delete)
        db.run(f"{delete}; DELETE FROM public.detected_faces WHERE person_id = 3")
    else:
        db.run(delete)
        left = db.rows("SELECT tenant_id, person_id FROM public.detected_faces WHERE person_name = 'Grace'")
        assert left == ([] if effect == "gone" else [("u", None)])


def test_what_has_no_successor_is_said(database: Make) -> None:
    before = """
        CREATE INDEX ix_lower ON public.machine_tags (lower(keyword));
        ALTER TABLE public.machine_tags ADD CONSTRAINT ck_short CHECK (length(keyword) < 200)"""
    with keyed.keyed(
        database("keyed"), before=before, after="CREATE INDEX ix_later ON public.permatags (keyword)"
    ) as ctx:
        lines = lost_lines(conserve(ctx.model, ctx.baseline), frozenset())
        assert [line.split(" has no")[0].split(" was made")[0] for line in lines] == [
            "machine_tags: index ix_lower", "machine_tags: check ck_short", "permatags: ix_later",
        ]  # fmt: skip
        assert not lost_lines(conserve(ctx.model, ctx.baseline), frozenset({"ix_lower", "ck_short", "ix_later"}))


def test_the_gate_wants_a_proof(database: Make) -> None:
    with keyed.keyed(database("keyed")) as ctx, pytest.raises(GateClosed, match="gate proof is closed"):
        constrain.gate(ctx)


def test_dependents_of_the_text(database: Make) -> None:
    before = """
        CREATE VIEW public.v AS SELECT id, keyword, category FROM public.machine_tags;
        ALTER TABLE public.machine_tags ADD low text GENERATED ALWAYS AS (lower(keyword)) STORED;
        CREATE POLICY p ON public.machine_tags USING (keyword <> 'x');
        CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER tr BEFORE UPDATE OF keyword ON public.machine_tags FOR EACH ROW EXECUTE FUNCTION public.f();
        CREATE FUNCTION public.s() RETURNS bigint BEGIN ATOMIC SELECT count(keyword) FROM public.machine_tags; END"""
    with keyed.keyed(database("keyed"), before=before) as ctx:
        [tags] = [t for t in conserve(ctx.model, ctx.baseline) if t.name.name == "machine_tags"]
        found = dependents(ctx.conn, tags)
        assert len(found) == 5
        assert "machine_tags: rule _RETURN on view public.v depends on category, keyword" in found


UPSERT = (
    "INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category, keyword_id) "
    "VALUES (%s, 't', 'sea', 'nature', 4) "
)
REMOVE = "DELETE FROM public.machine_tags WHERE keyword = 'sea' AND image_id = %s"
BY_TEXT = UPSERT + "ON CONFLICT (tenant_id, image_id, keyword, tag_type) DO UPDATE SET category = excluded.category"


@pytest.mark.parametrize("uniques", ["deferrable", "late"])
def test_legacy_upserts_by_text_never_fail(database: Make, uniques: str) -> None:
    db = database("keyed")
    with keyed.keyed(db, options={"uniques": uniques}) as ctx:
        constrain.do(ctx)
    errors: list[psycopg.Error] = []
    start = threading.Barrier(4)

    def upsert() -> None:
        with db.connect("app") as conn:
            start.wait()
            for n in range(400):
                try:
                    conn.execute(BY_TEXT, (n % 5 + 1,))
                    if n % 3 == 0:
                        conn.execute(
                            "DELETE FROM public.machine_tags WHERE keyword = 'sea' AND image_id = %s", (n % 5 + 1,)
                        )
                except psycopg.errors.DeadlockDetected:
                    continue
                except psycopg.Error as error:
                    errors.append(error)

    threads = [threading.Thread(target=upsert) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize(("uniques", "refused"), [("deferrable", True), ("late", False)])
def test_what_a_deferrable_constraint_does_to_upserts_without_target(
    database: Make, uniques: str, refused: bool
) -> None:
    db = database("keyed")
    with keyed.keyed(db, options={"uniques": uniques}) as ctx:
        constrain.do(ctx)
    with db.connect("app") as conn:
        try:
            conn.execute(UPSERT + "ON CONFLICT DO NOTHING", (1,))
        except psycopg.errors.ObjectNotInPrerequisiteState:
            assert refused
        else:
            assert not refused
