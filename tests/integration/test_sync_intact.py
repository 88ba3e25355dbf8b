"""Whether sync stands: its digest, what is missing or changed, triggers that sort around it; undo; subscriptions."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import mini
from fix_servers import Cluster, Database, template
from normalform.db import ledger
from normalform.db.connect import pin
from normalform.db.work import Context
from normalform.sql.sync import sorting_conflicts, sync_intact, sync_lookup_steps, sync_reference_steps
from syncing import add_column, apply, expanded, model_of, tag, with_lines

Make = Callable[..., Database]
INTACT = template("intact", expanded(with_lines(machine_tags='on_unknown = "create"\non_delete = "no_action"')))
SPEC = with_lines(machine_tags='on_unknown = "create"\non_delete = "no_action"')

KEY = "normalform.sync_key_machine_tags"
WHEN = "WHEN (current_setting('normalform.batch', true) IS DISTINCT FROM 'on')"
ON = f'TRIGGER "~normalform_key_machine_tags" {{}} ON machine_tags FOR EACH ROW {WHEN} EXECUTE FUNCTION {{}}()'
EMPTY = "LANGUAGE plpgsql {} SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'"
PATH = "normalform.lookup_path_keyword"
REPLACED = "trigger ~normalform_key_machine_tags on machine_tags was replaced"
UNGUARDED = f"function {KEY} has lost its guards"

CHANGES = {
    "disabled": (
        'ALTER TABLE machine_tags DISABLE TRIGGER "~normalform_key_machine_tags"',
        "trigger ~normalform_key_machine_tags on machine_tags is disabled",
    ),
    "replica only": (
        'ALTER TABLE keywords ENABLE REPLICA TRIGGER "~normalform_update_keyword"',
        "trigger ~normalform_update_keyword on keywords is disabled",
    ),
    "dropped": (
        'DROP TRIGGER "!normalform_text_permatags" ON permatags',
        "trigger !normalform_text_permatags on permatags is missing",
    ),
    "a path's trigger dropped": (
        'DROP TRIGGER "~normalform_path_update_keyword" ON keyword_categories',
        "trigger ~normalform_path_update_keyword on keyword_categories is missing",
    ),
    "other events": (f"CREATE OR REPLACE {ON.format('BEFORE INSERT', KEY)}", REPLACED),
    "another function": (
        f"CREATE OR REPLACE {ON.format('BEFORE INSERT OR UPDATE', 'normalform.sync_text_machine_tags')}",
        REPLACED,
    ),
    "a function changed": (
        f"CREATE OR REPLACE FUNCTION {KEY}() RETURNS trigger {EMPTY.format('SECURITY DEFINER')}",
        f"function {KEY} was changed",
    ),
    "a helper changed": (
        f"CREATE OR REPLACE FUNCTION {PATH}(p_start integer) RETURNS text {EMPTY.format('')}",
        f"function {PATH} was changed",
    ),
    "not its owner any more": (f"ALTER FUNCTION {KEY}() SECURITY INVOKER", UNGUARDED),
    "another search_path": (f"ALTER FUNCTION {KEY}() SET search_path = public", UNGUARDED),
    "open to all": (f"GRANT EXECUTE ON FUNCTION {KEY}() TO PUBLIC", UNGUARDED),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_seen(database: Make, change: tuple[str, str]) -> None:
    statement, problem = change
    with database(INTACT).connect() as owner:
        model = model_of(owner, SPEC)
        assert sync_intact(owner, model) == []
        owner.execute("SET search_path = public")
        owner.execute(statement.encode())
        owner.execute("SET search_path = pg_catalog, pg_temp")
        assert sync_intact(owner, model) == [problem]


def test_what_a_step_made_is_intact_though_a_later_plan_would_make_another(
    database: Make, engine: Callable[..., Context]
) -> None:
    """Without a unique on the text the model's own functions lock more; what stands is still what was made."""
    ctx = engine(database(INTACT).url, SPEC)
    steps = [s for lookup in ctx.model.lookups for s in sync_lookup_steps(ctx.model, lookup)]
    steps += [s for r in ctx.model.references for s in sync_reference_steps(ctx.model, r)]
    ctx.conn.execute("ALTER TABLE public.keywords DROP CONSTRAINT uq_keyword")
    model = model_of(ctx.conn, SPEC)
    assert "function normalform.sync_resolve_machine_tags was changed" in sync_intact(ctx.conn, model)
    for step in steps:
        ledger.intend(ctx.conn, ctx.run, step)
    assert sync_intact(ctx.conn, model) == []


def test_triggers_that_sort_around_ours_are_found(database: Make) -> None:
    db = database(INTACT)
    db.run("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    for name in ("~~last", "été", "~normalform_kez", " first", "! first", "aa", "~a", "Z"):
        db.run(f'CREATE TRIGGER "{name}" BEFORE INSERT ON machine_tags FOR EACH ROW EXECUTE FUNCTION f()')
    db.run('CREATE TRIGGER "~~after" AFTER INSERT ON machine_tags FOR EACH ROW EXECUTE FUNCTION f()')
    db.run('CREATE TRIGGER "~~delete" BEFORE DELETE ON machine_tags FOR EACH ROW EXECUTE FUNCTION f()')
    db.run('CREATE TRIGGER "~~off" BEFORE INSERT ON machine_tags FOR EACH ROW EXECUTE FUNCTION f()')
    db.run('ALTER TABLE machine_tags DISABLE TRIGGER "~~off"')
    with db.connect() as owner:
        table = model_of(owner, SPEC).reference("machine_tags").table
    assert sorted(sorting_conflicts(table)) == [" first", "! first", "~~last", "été"]


def test_every_step_has_its_probe_and_its_undo(database: Make) -> None:
    db = database(INTACT)
    with db.connect() as owner:
        model = model_of(owner, SPEC)
        steps = [s for lookup in model.lookups for s in sync_lookup_steps(model, lookup)]
        steps += [s for r in model.references for s in sync_reference_steps(model, r)]
        assert len({s.id for s in steps}) == len(steps)
        for step in reversed(steps):
            assert owner.execute(step.done.encode()).fetchone() == (True,), step.id
            apply(owner, [step], undo=True)
            assert owner.execute(step.done.encode()).fetchone() == (False,), step.id
        assert owner.execute(
            "SELECT count(*) FROM pg_proc WHERE pronamespace = 'normalform'::regnamespace"
        ).fetchone() == (0,)
        assert owner.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (0,)
        assert len(sync_intact(owner, model)) >= len(steps)


@pytest.mark.slow
def test_rule_10_subscription_targets_fire_for_replication(fresh_pg: Callable[..., Cluster]) -> None:
    cluster = fresh_pg({"wal_level": "logical"})
    text = with_lines()
    source, target = cluster.create(), cluster.create()
    for db in (source, target):
        db.run(mini.SCHEMA + mini.DATA)
    source.run("CREATE PUBLICATION tags FOR TABLE public.machine_tags", "admin")
    source.run("SELECT pg_create_logical_replication_slot('tags', 'pgoutput')", "admin")
    target.run(
        f"CREATE SUBSCRIPTION tags CONNECTION '{source.admin_url}' "
        "PUBLICATION tags WITH (create_slot = false, copy_data = false)",
        "admin",
    )
    try:
        _expand(target, text)
        enabled = (
            "SELECT tgname, tgenabled FROM pg_trigger WHERE tgname LIKE '_normalform%' AND tgrelid = '{}'::regclass"
        )
        assert {row[1] for row in target.rows(enabled.format("machine_tags"))} == {"A"}
        assert {row[1] for row in target.rows(enabled.format("permatags"))} == {"O"}
        source.run("INSERT INTO machine_tags (image_id, tenant_id, keyword) VALUES (39, 't', 'sea')")
        deadline = time.monotonic() + 60
        arrived = "SELECT keyword_id FROM machine_tags WHERE image_id = 39 AND keyword = 'sea'"
        while not target.rows(arrived):
            assert time.monotonic() < deadline, "nothing arrived"
            time.sleep(0.05)
        assert target.rows(arrived) == [(4,)]
        with target.connect() as owner:
            model = model_of(owner, text)
            assert sync_intact(owner, model) == []
            owner.execute('ALTER TABLE public.machine_tags ENABLE TRIGGER "~normalform_key_machine_tags"')
            [problem] = sync_intact(owner, model)
            assert "does not fire for replication" in problem
    finally:
        target.run("ALTER SUBSCRIPTION tags DISABLE; ALTER SUBSCRIPTION tags SET (slot_name = NONE)", "admin")
        target.run("DROP SUBSCRIPTION tags", "admin")


def _expand(db: Database, text: str) -> None:
    """What `syncing.expanded` does, on a database that stands."""
    with db.connect() as owner:
        pin(owner)
        ledger.install(owner)
        model = model_of(owner, text)
        ledger.save_baseline(owner, model.catalog)
        for lookup in model.lookups:
            if lookup.scope_copy is not None:
                add_column(owner, lookup.table.name, lookup.scope[0], lookup.scope_types[0])
        for reference in model.references:
            add_column(owner, reference.table.name, reference.key, reference.key_type)
        for lookup in model.lookups:
            apply(owner, sync_lookup_steps(model, lookup))
        owner.execute("UPDATE public.keywords SET sort_order = 1")  # the trigger fills the scope
        for reference in model.references:
            apply(owner, sync_reference_steps(model, reference))


def test_a_tag_is_written_whole(database: Make) -> None:
    """The triggers of expand alone, with nothing filled: old code and new code side by side."""
    db = database(INTACT)
    db.run("DELETE FROM machine_tags")
    assert db.rows(tag("tree"), "app") == [("tree", None, 1)]
    assert db.rows(tag(key=2), "app") == [("bridge", "travel", 2)]
