"""Constrain on real servers: what it builds, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import psycopg
import pytest

import keyed
import mini
from compare import dump_schema
from fix_servers import Database, template
from fix_sessions import Background, wait_for
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


#: How the successor of uq_machine_tags stands until contract; without a choice it is the first.
PLAIN = "CREATE INDEX uq_machine_tags_keyword_id ON public.machine_tags USING btree (tenant_id, image_id, keyword_id, "
STANDS = {
    None: PLAIN,
    "late": PLAIN,
    "deferrable": "uq_machine_tags_keyword_id UNIQUE (tenant_id, image_id, keyword_id, tag_type) DEFERRABLE",
}


@pytest.mark.parametrize("uniques", STANDS)
def test_forth_and_back(database: Make, uniques: str | None) -> None:
    db = database("keyed")
    with keyed.keyed(db, options={"uniques": uniques} if uniques else None) as ctx:
        before = dump_schema(db, ledger=False)
        constrain.do(ctx)
        built = dump_schema(db, ledger=False)
        assert STANDS[uniques] in built
        assert ("DEFERRABLE" in built) is (uniques == "deferrable")
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


@pytest.mark.slow
@pytest.mark.parametrize(("began", "other"), [("deferrable", "late"), ("late", "deferrable")])
def test_a_resumed_run_goes_on_as_it_was_begun(database: Make, began: str, other: str) -> None:
    """Of one unique's two steps the first is done: the other way would leave an immediate unique, or a wrong mark."""
    db = database("keyed")
    step = "constrain/successor/machine_tags/uq_machine_tags_keyword_id"
    said: list[str] = []

    def stop(event: Event) -> None:
        if event.kind == "point" and event.name == f"{step}:after-commit":
            raise keyed.Stopped

    with keyed.keyed(db, options={"uniques": began}, sink=stop) as ctx:
        with pytest.raises(keyed.Stopped):
            constrain.do(ctx)
        keyed.refresh(ctx)
        ctx.options, ctx.sink = {"uniques": other}, lambda event: said.append(event.text)
        constrain.do(ctx)
        assert f"begun with --uniques {began}, and goes on so" in said
        built = dump_schema(db, ledger=False)
        assert STANDS[began] in built
        assert ("DEFERRABLE" in built) is (began == "deferrable")
        constrain.undo(ctx, clear_rows=False)
        keyed.refresh(ctx)
        constrain.do(ctx)
        assert STANDS[other] in dump_schema(db, ledger=False), "undone, the choice is free again"


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

    with keyed.keyed(db, sink=sink, options={"uniques": "deferrable"}) as ctx:
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
BY_TEXT = UPSERT + "ON CONFLICT (tenant_id, image_id, keyword, tag_type) DO UPDATE SET category = excluded.category"
UNTARGETED = UPSERT + "ON CONFLICT DO NOTHING"
THREADS = 4


def storm(db: Database, statements: Sequence[str], each: int) -> Counter[str]:
    """Run upserts of the same few tags, and deletes, from many threads; return the SQLSTATEs of those that failed."""
    failed: Counter[str] = Counter()
    start = threading.Barrier(THREADS)

    def upsert(number: int) -> None:
        with db.connect("app") as conn:
            start.wait()
            for n in range(each):
                picture = (n % 5 + 1,)
                try:
                    conn.execute(statements[(n + number) % len(statements)].encode(), picture)
                    if n % 3 == 0:
                        conn.execute("DELETE FROM public.machine_tags WHERE keyword = 'sea' AND image_id = %s", picture)
                except psycopg.errors.DeadlockDetected:
                    continue
                except psycopg.Error as error:
                    failed[error.sqlstate or "no answer"] += 1

    threads = [threading.Thread(target=upsert, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


@pytest.mark.slow
def test_late_no_upsert_fails(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db) as ctx:
        constrain.do(ctx)
    assert storm(db, [BY_TEXT], 400) == {}
    assert storm(db, [UNTARGETED], 400) == {}
    assert storm(db, [BY_TEXT, UNTARGETED], 400) == {}


def test_deferrable_upserts_by_text_never_fail_and_those_without_target_do(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db, options={"uniques": "deferrable"}) as ctx:
        constrain.do(ctx)
    assert storm(db, [BY_TEXT], 400) == {}
    db.run("DELETE FROM public.machine_tags WHERE keyword = 'sea'")
    with db.connect("app") as conn, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        conn.execute(UNTARGETED.encode(), (1,))


@pytest.mark.slow
@pytest.mark.parametrize(("uniques", "failures"), [("late", set()), ("deferrable", {"23505"})])
def test_upserts_by_text_while_the_successor_is_built(database: Make, uniques: str, failures: set[str]) -> None:
    """A constraint's index is unique and immediate while it is built, which a long transaction can draw out."""
    db = database("keyed")
    step = "constrain/successor/machine_tags/uq_machine_tags_keyword_id:0:before"
    index = "to_regclass('public.uq_machine_tags_keyword_id')"
    ready = f"SELECT count(*) FROM pg_index WHERE indexrelid = {index} AND indisready"
    failed: Counter[str] = Counter()
    with db.connect() as report:

        def sink(event: Event) -> None:
            if event.name == step:
                report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                report.execute("SELECT 1")

        with keyed.keyed(db, sink=sink, options={"uniques": uniques}) as ctx:
            building = Background("constrain", lambda: constrain.do(ctx))
            wait_for(lambda: db.value(ready), "the index to take what is written")
            for _ in range(50 if failures else 3):
                failed += storm(db, [BY_TEXT], 400)
                if failures and failed:
                    break
            assert not building.done
            report.execute("COMMIT")
            assert building.wait().error is None
    assert set(failed) == failures


@pytest.mark.slow
def test_why_no_immediate_unique_stands_beside_the_legacy_one(database: Make) -> None:
    """Two upserts by text find no conflict, and one of them meets it in the key's unique, which it does not name."""
    db = database("keyed")
    with keyed.keyed(db) as ctx:
        constrain.do(ctx)
    db.run("CREATE UNIQUE INDEX at_once ON public.machine_tags (tenant_id, image_id, keyword_id, tag_type)")
    failed: Counter[str] = Counter()
    for _ in range(50):
        failed += storm(db, [BY_TEXT], 400)
        if failed:
            break
    assert set(failed) == {"23505"}
    # What the legacy unique alone never refuses: the same storm without that index.
    db.run("DROP INDEX public.at_once")
    assert storm(db, [BY_TEXT], 400) == {}
