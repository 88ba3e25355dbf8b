"""Backfill as a phase: its gate, what it fills, what it leaves and says, its undo; and the ledger's mapping."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from expanded import BIG, SMALL, UNFILLED, WRONG, Told, run
from fix_servers import Database
from fix_sessions import Sessions
from normalform.core.events import Event
from normalform.core.mapping import Entry, How
from normalform.db import ledger, mapping_read
from normalform.db.mapping_store import LATELY, left, newcomers, refresh_mapping
from normalform.db.work import Context
from normalform.errors import GateClosed, Interrupted, ProofFailed
from normalform.phases import backfill

Make = Callable[[str], Database]
MakeSessions = Callable[[Database], Sessions]
KEYS = """
SELECT 'image_tags', tenant_id, keyword, keyword_id FROM public.image_tags UNION
SELECT 'permatags', tenant_id, keyword, keyword_id FROM public.permatags UNION
SELECT 'keyword_models', tenant_id, keyword, keyword_id FROM public.keyword_models UNION
SELECT 'detected_faces', tenant_id, person_name, person_id FROM public.detected_faces
"""
FILLED = {
    ("image_tags", "t", "tree", 1),
    ("image_tags", "u", "sky", 6),
    ("permatags", "t", "sea", 4),
    ("keyword_models", "t", "tree", 1),
    ("keyword_models", "t", "sea", 4),
    ("keyword_models", "u", "tree", 5),
    ("detected_faces", "t", "Ada Lovelace", 1),
    ("detected_faces", "t", "Ada", 1),
    ("detected_faces", "t", "Alan Turing", 2),
    ("detected_faces", "t", None, None),
    ("detected_faces", "t", "Nobody Known", None),
    ("detected_faces", "u", "Grace", 3),
}
ORPHAN = (
    "INSERT INTO public.permatags (tenant_id, image_id, keyword, category) SELECT 't', g, 'lyra', NULL "
    "FROM generate_series(21, 36) g"
)
AMBIGUOUS = "INSERT INTO public.image_tags (tenant_id, image_id, keyword) VALUES ('t', 1, 'bridge')"
MAPPING = "SELECT reference, scope, value, qualifier, how, key, rows FROM normalform.mapping ORDER BY 1, 2, 3, 4"
DECIDE = "INSERT INTO normalform.mapping (reference, scope, value, qualifier, how, key) VALUES "


def do(ctx: Context) -> None:
    """Carry backfill out as the runner does: gate, record, work, record."""
    backfill.gate(ctx)
    ledger.begin_phase(ctx.conn, ctx.run, "backfill", "doing")
    backfill.do(ctx)
    ledger.finish_phase(ctx.conn, ctx.run, "backfill", undone=False, seconds=0.0)


def undo(ctx: Context, *, clear_rows: bool) -> None:
    """Take backfill back as the runner does."""
    ledger.begin_phase(ctx.conn, ctx.run, "backfill", "undoing")
    backfill.undo(ctx, clear_rows=clear_rows)
    ledger.finish_phase(ctx.conn, ctx.run, "backfill", undone=True, seconds=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["live", "window"])
def test_every_reference_is_filled(database: Make, strategy: str) -> None:
    db = database(SMALL)
    told = Told()
    with run(db, told, strategy=strategy) as ctx:
        do(ctx)
        assert ledger.state(ctx.conn).last == "backfill"
    assert db.value(WRONG) == 0
    assert set(db.rows(KEYS)) == FILLED
    assert told.said("faces: 1 rows of 1 values are undecided, such as 'Nobody Known' (t) orphan")
    assert told.said("not required")


def test_what_was_filled_is_analyzed(database: Make) -> None:
    """Rule 17."""
    db = database(SMALL)
    with run(db) as ctx:
        do(ctx)
    analyzed = "SELECT null_frac FROM pg_stats WHERE tablename = 'machine_tags' AND attname = 'keyword_id'"
    assert db.rows(analyzed) == [(0.0,)]


def test_newcomers_close_the_gate_with_numbers_and_the_way_on(database: Make) -> None:
    db = database(SMALL)
    db.run(f"{ORPHAN}; {AMBIGUOUS}")
    with run(db) as ctx:
        with pytest.raises(GateClosed) as error:
            backfill.gate(ctx)
        assert error.value.reasons == (
            "permatags: 16 rows of 1 values are undecided, such as 'lyra' (t) orphan, 16 rows",
            "image_tags: 1 rows of 1 values are undecided, such as 'bridge' (t) ambiguous, 1 rows",
        )
        assert "normalform resolve" in (error.value.hint or "")
        ctx.options = {"mask": True}
        with pytest.raises(GateClosed) as error:
            backfill.gate(ctx)
        assert "lyra" not in str(error.value)
        assert [(n.reference, n.values, n.rows) for n in newcomers(ctx)] == [("permatags", 1, 16), ("image_tags", 1, 1)]
        assert newcomers(ctx)[0].samples == (Entry("permatags", ("t",), "lyra", None, 16, How.ORPHAN),)
    assert db.value(UNFILLED) == 80


def test_a_mapping_read_a_while_ago_is_read_again_before_the_gate(database: Make) -> None:
    db = database(SMALL)
    with run(db) as ctx:
        backfill.gate(ctx)
        db.run(ORPHAN)
        backfill.gate(ctx)  # believed, for it has just been read
        db.run(f"UPDATE normalform.tally SET at = at - interval '{LATELY + 1} s'")
        with pytest.raises(GateClosed) as error:
            backfill.gate(ctx)
        assert "lyra" in str(error.value.reasons)


def test_values_decided_behind_expands_reading_open_the_gate(database: Make) -> None:
    db = database(SMALL)
    db.run(ORPHAN)
    with run(db) as ctx:
        with pytest.raises(GateClosed):
            backfill.gate(ctx)
        db.run("INSERT INTO public.keywords (category_id, keyword, tenant_id) VALUES (1, 'lyra', 't')")
        backfill.gate(ctx)
        assert newcomers(ctx) == []


def test_decisions_open_the_gate_and_are_followed(database: Make) -> None:
    db = database(SMALL)
    db.run(f"{ORPHAN}; {AMBIGUOUS}")
    db.run(
        DECIDE
        + "('permatags', '{t}', 'lyra', NULL, 'chosen', '1'), ('image_tags', '{t}', 'bridge', NULL, 'null', NULL)"
    )
    told = Told()
    with run(db, told) as ctx:
        do(ctx)
    assert db.rows("SELECT DISTINCT keyword_id FROM public.permatags WHERE keyword = 'lyra'") == [(1,)]
    assert db.rows("SELECT keyword_id FROM public.image_tags WHERE keyword = 'bridge'") == [(None,)]
    assert db.rows("SELECT value, rows FROM normalform.mapping WHERE how IN ('chosen', 'null') ORDER BY 1") == [
        ("bridge", 1),
        ("lyra", 16),
    ]


@pytest.mark.slow
def test_a_newcomer_behind_the_gate_leaves_the_phase_open_and_resumable(database: Make) -> None:
    db = database(SMALL)
    told = Told().at("fill:machine_tags:before-commit", 1, lambda: db.run(ORPHAN))
    with run(db, told) as ctx:
        with pytest.raises(ProofFailed, match="16 rows of 1 values are undecided, such as 'lyra'") as error:
            do(ctx)
        assert "backfill again" in (error.value.hint or "")
        assert ledger.state(ctx.conn).half == ("backfill", "do")
        assert db.value(UNFILLED) == 0
    db.run("INSERT INTO public.keywords (category_id, keyword, tenant_id) VALUES (1, 'lyra', 't')")
    with run(db) as ctx:
        do(ctx)
        assert ledger.state(ctx.conn).last == "backfill"
    assert db.value("SELECT count(*) FROM public.permatags WHERE keyword_id IS NULL") == 0


@pytest.mark.slow
def test_held_rows_keep_the_phase_open_and_name_their_holder(database: Make, sessions: MakeSessions) -> None:
    db = database(SMALL)
    holder = sessions(db).one("sleeper")
    holder.run("BEGIN; UPDATE public.permatags SET signum = -1 WHERE id = 3")
    with run(db, options={"patience": 0.1}) as ctx:
        with pytest.raises(GateClosed, match=r"permatags: 1 rows could not be filled; held by .*application sleeper"):
            do(ctx)
        holder.run("ROLLBACK")
        do(ctx)
    assert set(db.rows(KEYS)) == FILLED


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_again(database: Make) -> None:
    db = database(BIG)
    stop = threading.Event()
    told = Told().at("fill:machine_tags:after-commit", 2, stop.set)
    with run(db, told, stop=stop, workers=1) as ctx, pytest.raises(Interrupted):
        do(ctx)
    assert db.value("SELECT state FROM normalform.phase WHERE name = 'backfill'") == "doing"
    assert db.value(UNFILLED) > 0
    with run(db) as ctx:
        do(ctx)
    assert db.value(WRONG) == 0


@pytest.mark.slow
@pytest.mark.parametrize("clear_rows", [True, False])
def test_undo_clears_keys_only_where_the_columns_stay(database: Make, clear_rows: bool) -> None:
    db = database(SMALL)
    with run(db) as ctx:
        do(ctx)
        undo(ctx, clear_rows=clear_rows)
        assert ledger.state(ctx.conn).last == "expand"
        assert db.value(UNFILLED) == (80 if clear_rows else 0)
        assert db.value("SELECT count(*) FROM normalform.checkpoint") == 0
        assert ledger.step_states(ctx.conn, "backfill") == {}
        do(ctx)
    assert db.value(WRONG) == 0
    assert set(db.rows(KEYS)) == FILLED


def test_undo_of_a_half_done_phase(database: Make) -> None:
    db = database(BIG)
    stop = threading.Event()
    told = Told().at("fill:machine_tags:after-commit", 2, stop.set)
    with run(db, told, stop=stop, workers=1) as ctx, pytest.raises(Interrupted):
        do(ctx)
    with run(db) as ctx:
        undo(ctx, clear_rows=True)
        assert db.value("SELECT count(keyword_id) FROM public.machine_tags") == 0
        assert db.value("SELECT count(*) FROM normalform.checkpoint") == 0


def test_the_plan_is_one_step_a_reference_and_shows_a_batch(database: Make) -> None:
    db = database(SMALL)
    with run(db) as ctx:
        steps = backfill.steps_for(ctx)
        assert [s.id for s in steps] == [f"backfill/{r.name}/fill" for r in ctx.model.references]
        assert all(s.do[0].startswith("WITH ") and s.undo_work == f"clear:{s.id.split('/')[1]}" for s in steps)


# ------------------------------------------------------------------------------------------- the mapping's store


def test_a_refresh_keeps_what_the_live_lookup_does_not_decide(database: Make) -> None:
    db = database(SMALL)
    db.run(f"{ORPHAN}; {AMBIGUOUS}")
    with run(db) as ctx:
        for reference in ctx.model.references:
            refresh_mapping(ctx, reference)
        assert db.rows(MAPPING) == [
            ("faces", ["t"], "Ada", None, "alias", "1", 1),
            ("faces", ["t"], "Nobody Known", None, "orphan", None, 1),
            ("image_tags", ["t"], "bridge", None, "ambiguous", None, 1),
            ("permatags", ["t"], "lyra", None, "orphan", None, 16),
        ]
        tally = "SELECT how, entries, rows FROM normalform.tally WHERE reference = 'machine_tags' ORDER BY 1"
        assert db.rows(tally) == [("exact", 2, 50), ("qualified", 2, 30)]

        db.run("DELETE FROM public.permatags WHERE keyword = 'lyra'; DELETE FROM public.image_tags WHERE id > 15")
        db.run("UPDATE public.detected_faces SET person_name = 'Countess' WHERE person_name = 'Ada'")
        for reference in ctx.model.references:
            refresh_mapping(ctx, reference)
        assert db.rows(MAPPING) == [
            ("faces", ["t"], "Countess", None, "alias", "1", 1),
            ("faces", ["t"], "Nobody Known", None, "orphan", None, 1),
        ]


def test_a_refresh_never_takes_a_decision_away_but_says_when_it_has_lapsed(database: Make) -> None:
    db = database(SMALL)
    db.run(ORPHAN)
    db.run("INSERT INTO public.keywords (id, category_id, keyword, tenant_id) VALUES (77, 1, 'harp', 't')")
    db.run(
        DECIDE
        + "('permatags', '{t}', 'lyra', NULL, 'chosen', '77'), ('permatags', '{t}', 'gone', NULL, 'chosen', '77'), "
        "('permatags', '{t}', 'sea', 'nature', 'split', NULL)"
    )
    told = Told()
    with run(db, told) as ctx:
        permatags = ctx.model.reference("permatags")
        refresh_mapping(ctx, permatags)
        assert db.rows(MAPPING) == [
            ("permatags", ["t"], "gone", None, "chosen", "77", 0),
            ("permatags", ["t"], "lyra", None, "chosen", "77", 16),
            ("permatags", ["t"], "sea", "nature", "split", None, 20),
        ]
        db.run("DELETE FROM public.keywords WHERE id = 77")
        refresh_mapping(ctx, permatags)
        assert told.said("1 decisions have lapsed")
        assert [(n.reference, n.rows) for n in newcomers(ctx)] == [("permatags", 16)]


def test_what_is_left_says_why(database: Make) -> None:
    db = database(SMALL)
    db.run(f"{ORPHAN}; {DECIDE} ('permatags', '{{t}}', 'sea', 'nature', 'null', NULL)")
    with run(db) as ctx:
        remaining = left(ctx, ctx.model.reference("permatags"))
        assert (remaining.undecided.rows, remaining.allowed, remaining.fillable, remaining.waiting) == (16, 20, 0, 0)
        remaining = left(ctx, ctx.model.reference("machine_tags"))
        assert (remaining.undecided.rows, remaining.allowed, remaining.fillable, remaining.waiting) == (0, 0, 80, 0)


def test_a_table_that_is_rewritten_between_two_snapshots_is_read_again(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping_read, "RANGE_BLOCKS", 64)
    monkeypatch.setattr(mapping_read, "GROUP_SECONDS", 0.0)
    db = database(BIG)
    db.run("DELETE FROM public.machine_tags WHERE id % 7 = 0")
    seen: list[int] = []

    def sink(event: Event) -> None:
        if event.kind == "progress" and event.name == "mapping:machine_tags":
            seen.append(event.done)
            if len(seen) == 2:
                db.run("VACUUM FULL public.machine_tags")

    with run(db, sink) as ctx:
        refresh_mapping(ctx, ctx.model.reference("machine_tags"))
    tally = "SELECT sum(rows)::int FROM normalform.tally WHERE reference = 'machine_tags'"
    assert db.value(tally) == db.value("SELECT count(*) FROM public.machine_tags")
    entries = "SELECT how, entries FROM normalform.tally WHERE reference = 'machine_tags' ORDER BY 1"
    assert db.rows(entries) == [("exact", 4), ("qualified", 2)]


def test_a_rename_while_it_is_read_makes_no_newcomer(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text and the lookup row that it means are read in one snapshot: the rename shows in both or in neither."""
    db = database(SMALL)
    rename = (
        "BEGIN; UPDATE public.keywords SET keyword = 'arbre' WHERE id = 1;"
        "UPDATE public.machine_tags SET keyword = 'arbre' WHERE tenant_id = 't' AND keyword = 'tree'; COMMIT"
    )
    told = Told().at("mapping:machine_tags:read:after", 1, lambda: db.run(rename))
    with run(db, told) as ctx:
        refresh_mapping(ctx, ctx.model.reference("machine_tags"))
        assert newcomers(ctx) == []
        refresh_mapping(ctx, ctx.model.reference("machine_tags"))
        assert newcomers(ctx) == []


def test_awkward_names_and_types(database: Callable[[], Database]) -> None:
    """Quotes, percent signs and spaces in every name; a uuid key, no scope, no qualifier, no primary key."""
    db = database()
    db.run(
        """
        CREATE SCHEMA "Air %s";
        CREATE TABLE "Air %s"."loo""k;up" ("k%y" uuid PRIMARY KEY, "te'xt" text NOT NULL UNIQUE);
        CREATE TABLE "Air %s"."re f" ("te%xt" text);
        INSERT INTO "Air %s"."loo""k;up" VALUES ('00000000-0000-0000-0000-000000000001', 'a%b'),
            ('00000000-0000-0000-0000-000000000002', E'it''s \\\\ "q"');
        INSERT INTO "Air %s"."re f" SELECT CASE WHEN g % 2 = 0 THEN 'a%b' ELSE E'it''s \\\\ "q"' END
            FROM generate_series(1, 50) g;
        """
    )
    text = """
version = 1
[lookup."l%k"]
table = '"Air %s"."loo""k;up"'
key = "k%y"
text = "te'xt"
[reference."r%f"]
table = '"Air %s"."re f"'
lookup = "l%k"
text = "te%xt"
add = "k%e y"
"""
    with run(db, text=text):
        pass
    db.run('ALTER TABLE "Air %s"."re f" ADD COLUMN "k%e y" uuid')
    db.run("INSERT INTO normalform.phase (name, position, state) VALUES ('resolve', 0, 'done'), ('expand', 1, 'done')")
    with run(db, text=text) as ctx:
        do(ctx)
        wrong = 'SELECT count(*) FROM "Air %s"."re f" r JOIN "Air %s"."loo""k;up" l ON r."k%e y" = l."k%y" WHERE '
        assert db.value(wrong + 'l."te\'xt" = r."te%xt"') == 50
        undo(ctx, clear_rows=True)
        assert db.value('SELECT count("k%e y") FROM "Air %s"."re f"') == 0
