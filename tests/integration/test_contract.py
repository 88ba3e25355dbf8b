"""Contract and its undo on real servers: what goes, what is kept, what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import keyed
import mini
from compare import dump_schema
from fix_servers import Database, template
from normalform.core.conservation import conserve
from normalform.core.events import Event, silent
from normalform.db.conservation import legacy_collisions, unkept
from normalform.db.work import Context
from normalform.errors import GateClosed
from normalform.phases import constrain, contract

template("keyed", keyed.build)
Make = Callable[..., Database]

#: Everything that can hang on a text, and rows whose text or qualifier is their own.
RICH = """
ALTER TABLE public.machine_tags ALTER keyword SET STORAGE EXTERNAL, ALTER category SET DEFAULT 'none',
    ALTER keyword SET STATISTICS 50, ALTER keyword SET (n_distinct = 7);
COMMENT ON COLUMN public.machine_tags.keyword IS 'a "word"';
GRANT SELECT (keyword), UPDATE (keyword) ON public.machine_tags TO pg_monitor;
ALTER TABLE public.machine_tags ADD CONSTRAINT ck CHECK (keyword IS NOT NULL OR image_id > 0),
    ADD CONSTRAINT late CHECK (keyword IS NOT NULL) NOT VALID;
COMMENT ON CONSTRAINT ck ON public.machine_tags IS 'a check';
CREATE STATISTICS public.st (ndistinct) ON tenant_id, keyword FROM public.machine_tags;
COMMENT ON INDEX public.uq_machine_tags IS 'a unique';
ALTER TABLE public.machine_tags CLUSTER ON ix_machine_tags_type;
CREATE INDEX ix_by_category ON public.machine_tags (category DESC, image_id) INCLUDE (keyword) WITH (fillfactor = 80);
CREATE UNIQUE INDEX uq_partial ON public.permatags (image_id, keyword) WHERE signum > 0;
ALTER TABLE public.permatags REPLICA IDENTITY USING INDEX uq_permatag;
ALTER TABLE public.keyword_models DROP CONSTRAINT keyword_models_pkey, DROP COLUMN id,
    ADD CONSTRAINT km_pk PRIMARY KEY (tenant_id, keyword, model_name) DEFERRABLE;
COMMENT ON CONSTRAINT km_pk ON public.keyword_models IS 'a primary key';
UPDATE public.machine_tags SET category = NULL WHERE id % 7 = 0;
UPDATE public.machine_tags SET keyword = 'Tree' WHERE id = 2;
"""


@pytest.fixture(autouse=True)
def without_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests fill keys by hand: there is no sync to take down and to bring back."""
    monkeypatch.setattr(contract, "sync_away_steps", lambda phase, model, going, recorded: [])
    monkeypatch.setattr(contract, "drop_reference_sync", lambda model, reference: [])
    monkeypatch.setattr(constrain, "harden_steps", lambda model, reference, phase: [])


def contracted(ctx: Context) -> None:
    constrain.do(ctx)
    keyed.refresh(ctx)
    contract.do(ctx)
    keyed.refresh(ctx)


def rolled_back(ctx: Context) -> None:
    keyed.refresh(ctx)
    contract.undo(ctx, clear_rows=True)
    keyed.refresh(ctx)


@pytest.mark.slow
@pytest.mark.parametrize("uniques", ["deferrable", "late"])
def test_everything_comes_back(database: Make, uniques: str) -> None:
    db = database("keyed")
    with keyed.keyed(db, before=RICH, options={"uniques": uniques}) as ctx:
        rows = keyed.rows(db)
        constrain.do(ctx)
        keyed.refresh(ctx)
        before = dump_schema(db, ledger=False, column_order=False)
        contract.do(ctx)
        keyed.refresh(ctx)
        gone = dump_schema(db, ledger=False)
        assert "DEFERRABLE" not in gone.replace("model_name) DEFERRABLE", "")
        assert "PRIMARY KEY (tenant_id, keyword_id, model_name)" in gone
        assert "REPLICA IDENTITY USING INDEX uq_permatag_keyword_id" in gone
        assert "CLUSTER ON ix_machine_tags_type_keyword_id" in gone
        assert "normalform" not in gone
        for name in ("machine_tags", "permatags", "image_tags", "keyword_models"):
            columns = db.rows(f"SELECT attname FROM pg_attribute WHERE attrelid = 'public.{name}'::regclass")
            assert not {("keyword",), ("category",)} & set(columns)
        contract.do(ctx)
        assert dump_schema(db, ledger=False) == gone, "a second time changes nothing"
        rolled_back(ctx)
        assert keyed.rows(db) == rows
        assert dump_schema(db, ledger=False, column_order=False) == before
        assert db.value("SELECT count(*) FROM normalform.residue") == 0
        contract.do(ctx)
        rolled_back(ctx)
        assert keyed.rows(db) == rows, "the second time too: no checkpoint of the first is believed"


@pytest.mark.slow
@pytest.mark.parametrize("uniques", ["deferrable", "late"])
def test_stopped_again_and_again(database: Make, uniques: str) -> None:
    db = database("keyed")
    with keyed.keyed(db, before=RICH, options={"uniques": uniques}) as ctx:
        rows = keyed.rows(db)
        constrain.do(ctx)
        keyed.refresh(ctx)
        before = dump_schema(db, ledger=False, column_order=False)
        keyed.until_done(ctx, lambda: contract.do(ctx))
        keyed.refresh(ctx)
        keyed.until_done(ctx, lambda: contract.undo(ctx, clear_rows=True))
        assert keyed.rows(db) == rows
        assert dump_schema(db, ledger=False, column_order=False) == before


def test_only_what_is_a_rows_own_is_archived(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db, before=RICH) as ctx:
        contracted(ctx)
    assert db.rows(
        "SELECT reference, identity, key, own_value, value, own_qualifier FROM normalform.residue "
        "WHERE reference = 'machine_tags' ORDER BY (identity ->> 'id')::int LIMIT 2"
    ) == [
        ("machine_tags", {"id": 2}, "1", True, "Tree", True),
        ("machine_tags", {"id": 7}, "1", False, None, True),
    ]
    assert db.value("SELECT count(*) FROM normalform.residue WHERE own_value") == 1


@pytest.mark.slow
def test_a_rename_while_contracted_carries_what_the_key_gives_and_nothing_else(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db, before=RICH) as ctx:
        contracted(ctx)
        db.run("UPDATE public.keywords SET keyword = 'arbre' WHERE id = 1")
        db.run("UPDATE public.keyword_categories SET name = 'nature!' WHERE id = 1")
        rolled_back(ctx)
    rows = db.rows("SELECT id, keyword, category FROM public.machine_tags WHERE id IN (1, 2, 7) ORDER BY id")
    # A spelling of its own keeps its qualifier too, as sync would have left it: a decision is about both.
    assert rows == [(1, "arbre", "nature!/plants"), (2, "Tree", "nature/plants"), (7, "arbre", None)]


@pytest.mark.slow
def test_an_archived_text_counts_only_while_its_key_does(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db, before=RICH) as ctx:
        contracted(ctx)
        db.run("UPDATE public.machine_tags SET keyword_id = 4 WHERE id IN (2, 7)", role="app")
        db.run(
            "INSERT INTO public.machine_tags (id, image_id, tenant_id, keyword_id) VALUES (500, 40, 't', 2)", role="app"
        )
        rolled_back(ctx)
    assert db.rows("SELECT id, keyword, category FROM public.machine_tags WHERE id IN (2, 7, 500) ORDER BY 1") == [
        (2, "sea", "nature"), (7, "sea", "nature"), (500, "bridge", "travel"),
    ]  # fmt: skip


@pytest.mark.slow
def test_rows_that_change_between_the_sweep_and_the_drop(database: Make) -> None:
    db = database("keyed")
    writes = """
        UPDATE public.machine_tags SET keyword = 'TREE' WHERE id = 1;
        UPDATE public.machine_tags SET keyword = 'tree' WHERE id = 2;
        DELETE FROM public.machine_tags WHERE id = 7;
        UPDATE public.machine_tags SET confidence = 0.5 WHERE id = 14;
        UPDATE public.machine_tags SET id = 600 WHERE id = 21;
        UPDATE public.machine_tags SET category = 'nature/plants' WHERE id = 28;
        INSERT INTO public.machine_tags (id, image_id, tenant_id, keyword, category, keyword_id)
            VALUES (601, 5, 't', 'Sea', 'my own', 4);
        SET timezone = 'Asia/Tokyo'; TRUNCATE public.permatags"""

    with keyed.keyed(db, before=RICH) as ctx:
        constrain.do(ctx)
        keyed.refresh(ctx)
        written = [False]

        def before_drop(event: Event) -> None:
            # The archive's sweep of the last reference is over, and no lock is held yet.
            if event.name == "contract/keyword_models/archive:after-commit" and not written[0]:
                written[0] = True
                db.run(writes, role="owner")

        ctx.sink = before_drop
        contract.do(ctx)
        assert written[0]
        ctx.sink = silent
        assert db.value("SELECT count(*) FROM normalform.residue WHERE reference = 'permatags'") == 0
        rolled_back(ctx)
    assert db.rows(
        "SELECT id, keyword, category FROM public.machine_tags WHERE id IN (1, 2, 7, 14, 28, 600, 601) ORDER BY 1"
    ) == [
        (1, "TREE", "nature/plants"), (2, "tree", "nature/plants"), (14, "tree", None), (28, "tree", "nature/plants"),
        (600, "tree", None), (601, "Sea", "my own"),
    ]  # fmt: skip
    assert db.value("SELECT count(*) FROM public.permatags") == 0


@pytest.mark.slow
def test_texts_without_a_key_come_back(database: Make) -> None:
    db = database("keyed")
    spec = mini.SPEC_TEXT.replace("[reference.image_tags]\n", "[reference.image_tags]\nrequired = false\n")
    before = """
        INSERT INTO public.image_tags (id, image_id, tenant_id, keyword, category)
            VALUES (700, 1, 't', 'unheard of', 'some'), (701, 1, NULL, 'tree', NULL);
        ALTER TABLE public.image_tags ALTER keyword DROP NOT NULL;
        INSERT INTO public.image_tags (id, image_id, tenant_id, category)
            VALUES (702, 1, 't', 'lonely'), (703, 1, 't', NULL)"""
    after = "UPDATE public.image_tags SET keyword_id = NULL WHERE id >= 700"
    with keyed.keyed(db, before=before, after=after, spec=spec) as ctx:
        rows = keyed.rows(db)
        contracted(ctx)
        assert db.value("SELECT count(*) FROM normalform.residue WHERE key IS NULL") == 3
        rolled_back(ctx)
        assert keyed.rows(db) == rows


def test_a_reference_that_keeps_its_text_is_left_alone(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db) as ctx:
        constrain.do(ctx)
        keyed.refresh(ctx)
        assert not [s for s in contract.steps_for(ctx) if "faces" in s.id]
        contract.do(ctx)
    assert db.value("SELECT count(*) FROM public.detected_faces WHERE person_name = 'Ada'") == 1


@pytest.mark.slow
def test_without_a_primary_key(database: Make) -> None:
    db = database("keyed")
    before = "ALTER TABLE public.machine_tags DROP CONSTRAINT machine_tags_pkey"
    with keyed.keyed(db, before=before) as ctx:
        rows = keyed.rows(db)
        constrain.do(ctx)
        keyed.refresh(ctx)
        db.run("UPDATE public.machine_tags SET keyword = 'Tree' WHERE id = 2")
        [tags] = [t for t in conserve(ctx.model, ctx.baseline) if t.name.name == "machine_tags"]
        assert unkept(ctx.conn, tags)
        with pytest.raises(GateClosed, match="has no primary key"):
            contract.do(ctx)
        # From its trigger on, no such row comes in.
        with pytest.raises(psycopg.errors.CheckViolation, match="has no primary key"):
            db.run("UPDATE public.machine_tags SET keyword = 'TREE' WHERE id = 1", role="app")
        db.run("UPDATE public.machine_tags SET keyword = 'tree' WHERE id = 2", role="app")
        assert not unkept(ctx.conn, tags)
        contract.do(ctx)
        rolled_back(ctx)
        assert keyed.rows(db) == rows


@pytest.mark.slow
def test_rollback_asks_for_collisions_with_legacy_uniques_first(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db) as ctx:
        contracted(ctx)
        gone = dump_schema(db, ledger=False)
        # A picture can carry both bridges now.
        db.run("INSERT INTO public.machine_tags (image_id, tenant_id, keyword_id) VALUES (1, 't', 2)", role="app")
        with pytest.raises(GateClosed, match="legacy-collisions") as caught:
            contract.undo_gate(ctx)
        assert "(tenant_id, image_id, keyword, tag_type) stand in 2 rows" in str(caught.value)
        assert dump_schema(db, ledger=False) == gone, "nothing was touched"
        db.run("DELETE FROM public.machine_tags WHERE image_id = 1 AND keyword_id = 2", role="app")
        assert not legacy_collisions(ctx.conn, conserve(ctx.model, ctx.baseline))
        rolled_back(ctx)


def test_what_the_gate_refuses(database: Make) -> None:
    db = database("keyed")
    with keyed.keyed(db) as ctx:
        constrain.do(ctx)
        keyed.refresh(ctx)
        with pytest.raises(GateClosed, match="gate sync is closed"):
            contract.gate(ctx)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(contract, "broken_sync", lambda conn, model: [])
            contract.gate(ctx)
            db.run("CREATE VIEW public.v AS SELECT keyword FROM public.permatags")
            with pytest.raises(GateClosed, match="gate dependents is closed"):
                contract.gate(ctx)
            db.run(
                "DROP VIEW public.v; CREATE FUNCTION public.tidy(text) RETURNS void LANGUAGE plpgsql AS "
                "$$ BEGIN UPDATE public.permatags SET keyword = lower(keyword) WHERE keyword = $1; END $$"
            )
            with pytest.raises(GateClosed, match=r"gate dependents is closed(.|\n)*public.tidy\(text\) reads keyword"):
                contract.gate(ctx)
            for name in ("public.tidy(text)", "public.tidy"):
                ctx.options = {"waive": [name]}
                contract.gate(ctx)
            ctx.options = {}
            with pytest.raises(GateClosed, match="gate dependents is closed"):
                contract.gate(ctx)
            db.run("DROP FUNCTION public.tidy(text)")
            db.run("INSERT INTO normalform.pending (lookup, kind, key) VALUES ('keyword', 'text', '1')")
            with pytest.raises(GateClosed, match="gate renames is closed"):
                contract.gate(ctx)
            db.run("DELETE FROM normalform.pending; CREATE INDEX ix_later ON public.permatags (keyword)")
            keyed.refresh(ctx)
            with pytest.raises(GateClosed, match="gate conservation is closed"):
                contract.gate(ctx)
            ctx.options = {"waive": ["ix_later"]}
            contract.gate(ctx)


def test_a_text_wider_than_the_legacy_column_is_not_cut_off(database: Make) -> None:
    db = database("keyed")
    wide = "ALTER TABLE public.permatags ALTER keyword TYPE varchar(300), ALTER category TYPE varchar"
    with keyed.keyed(db, after=wide) as ctx:
        contracted(ctx)
        db.run("ALTER TABLE public.keywords ALTER keyword TYPE varchar(300)")
        db.run("UPDATE public.keywords SET keyword = repeat('x', 250) WHERE id = 4")
        rolled_back(ctx)
    assert db.rows("SELECT DISTINCT length(keyword) FROM public.permatags") == [(250,)]


def test_no_statement_cascades(database: Make) -> None:
    with keyed.keyed(database("keyed"), before=RICH) as ctx:
        for step in contract.steps_for(ctx):
            statements: tuple[Any, ...] = (*step.do, *step.undo, *step.clean)
            assert not [s for s in statements if "CASCADE" in s]
