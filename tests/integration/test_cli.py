"""The command line on real servers: each exit status by a real case, one whole migration, no secret anywhere."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest

import mini
from compare import dump_schema
from fix_commands import Commands, Ran, finish
from fix_proxy import PassThrough, TransactionPool
from fix_servers import Database
from fix_sessions import Sessions, wait_for
from normalform.db.connect import Connector
from normalform.db.session import open_run

Databases = Callable[..., Database]
SessionsOf = Callable[[Database], Sessions]
SECRET = "s3cret"
ORPHAN = "INSERT INTO public.permatags (tenant_id, image_id, keyword, category) VALUES ('t', 30, 'lyra', 'nature')"


@pytest.fixture
def db(database: Databases) -> Database:
    return database("mini", mini.SCHEMA + mini.DATA)


@pytest.fixture
def nf(normalform: Commands, db: Database) -> Callable[..., Ran]:
    """Run a command on the database, with the small PhotoCat's spec in the working folder."""
    normalform.write("normalform.toml", mini.SPEC_TEXT)
    return lambda *arguments: normalform(*arguments, NORMALFORM_DATABASE_URL=db.url)


Run = Callable[..., Ran]


def ledger_stands(db: Database) -> bool:
    return bool(db.value("SELECT to_regnamespace('normalform') IS NOT NULL"))


# --------------------------------------------------------------------------------------------------- 0: it is done


@pytest.mark.slow
def test_one_migration_there_and_back(nf: Run, db: Database) -> None:
    before = dump_schema(db)
    assert nf("audit").status == 0
    for phase in ("expand", "backfill", "verify", "constrain"):
        ran = nf(phase)
        assert ran.status == 0, ran.all
        assert f"✓ {phase} done" in ran.out
    status = nf("--json", "status").json
    assert (status["installed"], status["last"]) == (True, "constrain")
    assert [p["state"] for p in status["phases"]] == ["done"] * 5 + ["open"]
    assert [r["command"] for r in status["runs"]] == ["constrain", "verify", "backfill", "expand"]
    assert {r["outcome"] for r in status["runs"]} == {"done"}

    assert nf("--json", "rollback", "--to", "expand").json == {"last": "expand"}
    assert nf("--json", "rollback", "--to", "start").json == {"last": "start"}
    assert nf("uninstall").status == 0
    assert dump_schema(db) == before


@pytest.mark.slow
def test_run_goes_to_a_target_and_again_does_nothing(nf: Run) -> None:
    assert nf("--json", "run", "--until", "backfill").json["last"] == "backfill"
    assert nf("--json", "run", "--until", "constrain").json == {"last": "constrain", "seconds_without_writes": None}
    assert nf("run").status == 0


@pytest.mark.slow
def test_a_database_that_nobody_has_touched(nf: Run, db: Database) -> None:
    before = dump_schema(db)
    text = nf("status")
    assert text.status == 0
    assert "nothing of Normalform is in this database" in text.out
    data = nf("--json", "status").json
    assert (data["installed"], data["last"], data["runs"]) == (False, "start", [])
    assert [p["state"] for p in data["phases"]] == ["open"] * 6
    for arguments in (("plan",), ("--json", "plan"), ("plan", "--sql"), ("plan", "expand"), ("watch", "--times", "2")):
        assert nf(*arguments).status == 0
    assert nf("--json", "rollback", "--to", "start").json == {"last": "start"}
    assert "nothing of ours is here" in nf("uninstall").out
    assert dump_schema(db) == before, "not even a ledger was made"


def test_a_plan_says_what_each_step_locks(nf: Run) -> None:
    steps = nf("--json", "plan", "expand").json["steps"]
    column = next(s for s in steps if "machine_tags" in s["id"] and "ADD COLUMN" in " ".join(s["do"]))
    assert column["lock"] == "ACCESS EXCLUSIVE"
    assert column["mode"] == "transaction"
    text = nf("plan", "expand").out
    assert "ACCESS EXCLUSIVE" in text
    script = nf("plan", "--sql", "expand").out
    assert all(statement in script for step in steps for statement in step["do"])
    assert script.count("BEGIN;") == script.count("COMMIT;")


@pytest.mark.slow
def test_a_plan_says_how_uniques_stand_until_contract(nf: Run) -> None:
    def statements(*arguments: str) -> list[str]:
        steps = nf("--json", "plan", *arguments).json["steps"]
        said = [" ".join(s.replace('"', "").split()) for step in steps for s in step["do"]]
        return [s for s in said if "uq_machine_tags_keyword_id" in s]

    late = statements("constrain")
    assert [s.split(" ON ")[0].split() for s in late] == [
        ["CREATE", "INDEX", "CONCURRENTLY", "uq_machine_tags_keyword_id"]
    ]
    assert not any("DEFERRABLE" in s for s in statements("--uniques", "late"))
    shown = " ".join(nf("plan", "constrain").out.split())
    assert "contract makes it so" in shown
    # Contract takes back what constrain would have made, before there is any.
    assert any(re.fullmatch(r"DROP INDEX .*public\.uq_machine_tags_keyword_id", s) for s in statements("contract"))
    now = statements("constrain", "--uniques", "deferrable")
    assert len(now) == 2
    assert now[1].endswith("DEFERRABLE INITIALLY IMMEDIATE")
    assert "DROP CONSTRAINT IF EXISTS uq_machine_tags_keyword_id" in " ".join(
        statements("contract", "--uniques", "deferrable")
    )
    for command in ("plan", "constrain", "run"):
        ran = nf(command, "--uniques", "soon")
        assert (ran.status, "one of late, deferrable" in ran.err) == (2, True)


@pytest.mark.slow
def test_verify_names_every_row_and_prints_its_own_check(nf: Run, db: Database) -> None:
    assert nf("verify", "--sql").status == 3, "there is no key to compare with yet"
    assert nf("run", "--until", "verify").status == 0
    behind = "SET session_replication_role = replica; UPDATE public.machine_tags SET keyword_id = 4 WHERE id <= 25"
    db.run(behind, role="admin")
    few, every = nf("verify"), nf("verify", "--all")
    assert (few.status, every.status) == (1, 1)
    assert few.out == "" and few.err.count(": differing:") == 10
    assert every.out.count(": differing:") == 25
    events = [json.loads(line) for line in nf("--json", "verify", "--all").err.splitlines()]
    assert len([e for e in events if e["kind"] == "offence"]) == 25
    script = nf("verify", "--sql")
    assert script.status == 0 and script.out.startswith("-- ") and script.out.count("-- reference ") == 5


@pytest.mark.slow
def test_the_ledgers_spec_is_taken_where_there_is_no_file(normalform: Commands, nf: Run, db: Database) -> None:
    assert nf("expand").status == 0
    (normalform.folder / "normalform.toml").unlink()
    assert nf("backfill").status == 0


@pytest.mark.slow
def test_watch_shows_each_look(nf: Run) -> None:
    nf("expand")
    ran = nf("--json", "watch", "--times", "2", "--every", "0.2")
    assert [json.loads(line)["last"] for line in ran.out.splitlines()] == ["expand", "expand"]


@pytest.mark.slow
def test_events_are_lines_of_json(nf: Run) -> None:
    ran = nf("--json", "run", "--until", "backfill")
    events = [json.loads(line) for line in ran.err.splitlines()]
    phases = [(e["name"], e["text"]) for e in events if e["kind"] == "phase"]
    assert phases == [(p, t) for p in ("resolve", "expand", "backfill") for t in ("do", "done")]
    assert not any(e["kind"] == "point" for e in events)


@pytest.mark.slow
def test_what_is_done_is_no_longer_planned(nf: Run, db: Database) -> None:
    def phases() -> list[str]:
        return sorted({step["phase"] for step in nf("--json", "plan").json["steps"]})

    assert phases() == ["backfill", "constrain", "contract", "expand"]
    nf("run")
    assert phases() == ["contract"]
    assert nf("contract").status == 0
    assert phases() == []
    for phase in ("expand", "constrain"):  # done long since: what comes next is what comes after contract
        assert nf("--json", phase).json == {"last": "contract"}
        assert "→ normalform status" in nf(phase).out
    ran = nf("resolve", "export", "d.csv")
    assert ran.status == 3
    assert "has no text any more" in ran.err


# ------------------------------------------------------------------------------------------------- 1: findings


@pytest.mark.slow
def test_audit_that_finds_something(nf: Run, db: Database) -> None:
    db.run(ORPHAN)
    assert nf("audit").status == 1
    data = nf("--json", "audit")
    assert data.status == 1
    assert "lyra" in data.out
    masked = nf("--mask", "--json", "audit")
    assert masked.status == 1
    assert "lyra" not in masked.all
    assert "lyra" not in nf("--mask", "audit").all


@pytest.mark.slow
def test_audit_fails_on_what_it_is_told_to(nf: Run, db: Database) -> None:
    def statuses() -> list[int]:
        return [nf("audit", "--fail-on", on).status for on in ("error", "warning", "never")]

    assert statuses() == [0, 1, 0], "nobody knows one of the faces, and they need no key"
    db.run(ORPHAN)
    assert statuses() == [1, 1, 0]
    ran = nf("audit", "--fail-on", "all")
    assert (ran.status, "'all' is none of error, warning, never" in ran.err) == (2, True)


@pytest.mark.slow
def test_verify_that_does_not_hold(nf: Run, db: Database) -> None:
    assert nf("run", "--until", "backfill").status == 0
    with db.connect("admin") as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("UPDATE public.machine_tags SET keyword_id = 4 WHERE id = 1")
    ran = nf("verify")
    assert ran.status == 1, ran.all
    assert "machine_tags" in ran.all
    assert nf("constrain").status == 3


# ---------------------------------------------------------------------------------------------------- 2: usage


def test_a_spec_that_does_not_fit(normalform: Commands, nf: Run, db: Database) -> None:
    normalform.write("normalform.toml", mini.SPEC_TEXT.replace('text = "keyword"', 'text = "keywrod"'))
    for command in ("audit", "plan", "expand"):
        ran = nf(command)
        assert ran.status == 2
        assert "lookup.keyword.text: keywords has no column keywrod; did you mean keyword?" in ran.err
        assert "reference.machine_tags.text: machine_tags has no column keywrod" in ran.err
    assert not ledger_stands(db)


def test_no_spec_anywhere(normalform: Commands, nf: Run, db: Database) -> None:
    (normalform.folder / "normalform.toml").unlink()
    for command in ("audit", "plan", "expand"):
        ran = nf(command)
        assert (ran.status, "there is no spec" in ran.err, "--spec FILE" in ran.err) == (2, True, True)
    assert not ledger_stands(db)


@pytest.mark.slow
def test_a_decision_file_with_bad_lines(normalform: Commands, nf: Run, db: Database) -> None:
    db.run(ORPHAN)
    assert nf("audit").status == 1
    assert nf("resolve", "export", "d.csv").status == 0
    exported = (normalform.folder / "d.csv").read_text("utf-8")
    assert "lyra" in exported
    normalform.write("bad.csv", exported + "nonsense,,,,,,,frobnicate,,\n")
    for command in ("check", "apply"):
        ran = nf("resolve", command, "bad.csv")
        assert ran.status == 2
        assert "nothing was changed" in ran.err
    for target in ("[" * 20_000, "9" * 5_000):  # JSON that Python cannot read
        normalform.write("bad.csv", exported + f'faces,"[""t""]",Nobody Known,\\N,1,[],,split,"{target}",\n')
        ran = nf("resolve", "check", "bad.csv")
        assert (ran.status, "the target of split is a JSON array" in ran.err) == (2, True)
    normalform.write("good.csv", exported.replace(",,,\n", ",drop,,\n"))
    assert "decisions: 2 drop" in nf("resolve", "check", "good.csv").out
    assert nf("resolve", "check", "nowhere.csv").status == 2
    assert not ledger_stands(db)


# ----------------------------------------------------------------------------------------------------- 3: gates


@pytest.mark.parametrize("command", [("backfill",), ("verify",), ("constrain",), ("contract",)])
def test_a_phase_before_its_time(nf: Run, command: tuple[str, ...]) -> None:
    ran = nf(*command)
    assert ran.status == 3
    assert "gate order is closed" in ran.err
    assert nf("--json", *command).json["error"] == "GateClosed"


@pytest.mark.slow
def test_a_spec_that_is_not_the_one_of_expand(normalform: Commands, nf: Run, db: Database) -> None:
    assert nf("run", "--until", "expand").status == 0
    normalform.write("normalform.toml", mini.SPEC_TEXT.replace('add = "keyword_id"', 'add = "kw_id"'))
    ran = nf("backfill")
    assert ran.status == 3
    assert "machine_tags has no column kw_id (reference machine_tags)" in ran.err
    assert nf("rollback", "--to", "start").status == 0  # by what the ledger has recorded


def test_what_is_unresolved_keeps_expand_closed(nf: Run, db: Database) -> None:
    db.run(ORPHAN)
    ran = nf("expand")
    assert ran.status == 3, ran.all
    assert "permatags" in ran.err


@pytest.mark.parametrize("target", ["expand", "contract"])
def test_a_rollback_to_what_is_not_done(nf: Run, db: Database, target: str) -> None:
    ran = nf("rollback", "--to", target)
    assert ran.status == 3
    assert f"{target} is not done; the last phase done is start" in ran.err
    assert not ledger_stands(db)


@pytest.mark.parametrize("phase", ["backfill", "verify", "constrain", "contract"])
def test_a_phase_out_of_order_leaves_nothing(nf: Run, db: Database, phase: str) -> None:
    ran = nf(phase)
    assert ran.status == 3
    assert f"{phase} needs expand first" in ran.err
    assert not ledger_stands(db)


def test_undoing_decisions_where_there_are_none_leaves_nothing(nf: Run, db: Database) -> None:
    ran = nf("--json", "resolve", "undo")
    assert ran.status == 0
    assert ran.json["decisions"] == 0
    assert not ledger_stands(db)


@pytest.mark.slow
def test_uninstall_while_both_matter(nf: Run, db: Database) -> None:
    assert nf("run", "--until", "backfill").status == 0
    assert nf("uninstall").status == 3
    assert nf("run", "--until", "constrain").status == 0
    ran = nf("uninstall")
    assert ran.status == 3
    assert "without the ledger it can no longer be undone" in ran.err
    assert nf("uninstall", "--give-up-undo").status == 0
    assert not ledger_stands(db)
    assert db.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%normalform%'") == 0


# ---------------------------------------------------------------------------------------------- 4: interrupted


@pytest.mark.slow
def test_ctrl_c_while_a_lock_is_waited_for_and_again(
    normalform: Commands, nf: Run, db: Database, sessions: SessionsOf
) -> None:
    all_sessions = sessions(db)
    app = all_sessions.one("photocat-web")
    app.run("BEGIN; SELECT count(*) FROM public.machine_tags")
    with normalform.start("expand", NORMALFORM_DATABASE_URL=db.url) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "is held by" in line)
        assert f"process {app.pid} (photocat-web" in line
        process.send_signal(signal.SIGINT)
        ran = finish(process)
    assert ran.status == 4
    assert "run the same command again to resume" in ran.err
    assert "Traceback" not in ran.err
    status = nf("--json", "status").json
    assert status["runs"][0]["outcome"] == "interrupted"
    assert next(p["state"] for p in status["phases"] if p["name"] == "expand") == "doing"
    app.run("COMMIT")
    assert nf("expand").status == 0


@pytest.mark.slow
def test_ctrl_c_twice_ends_the_statement_in_hand(
    normalform: Commands, nf: Run, db: Database, sessions: SessionsOf
) -> None:
    """A build that waits for an older snapshot takes as long as that lasts; nobody need wait for it."""
    all_sessions = sessions(db)
    report = all_sessions.one("report")
    report.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    monitor = all_sessions.monitor
    building = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%%' AND state = 'active'"
    with normalform.start("expand", NORMALFORM_DATABASE_URL=db.url) as process:
        wait_for(lambda: [report.pid in monitor.blockers(pid) for (pid,) in monitor.rows(building)] == [True], "a wait")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert any("Ctrl-C again ends it at once" in line for line in process.stderr)
        assert monitor.rows(building), "the first one lets the statement end"
        process.send_signal(signal.SIGINT)
        ran = finish(process)
    assert ran.status == 4, ran.all
    assert "Traceback" not in ran.err
    assert db.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0, "what it left half built is gone"
    report.run("COMMIT")
    assert nf("expand").status == 0


# ------------------------------------------------------------------------------------------------- 5: refused


@pytest.mark.slow
def test_another_runner(nf: Run, db: Database) -> None:
    with open_run(db.url, mini.SPEC_TEXT, "somebody else's"):
        ran = nf("expand")
        assert ran.status == 5
        assert "another runner holds this database" in ran.err
        assert "`somebody else's`" in ran.err
        assert nf("status").status == 0, "looking is always possible"


@pytest.mark.slow
def test_a_role_that_may_not(normalform: Commands, nf: Run, db: Database) -> None:
    ran = normalform("expand", NORMALFORM_DATABASE_URL=db.app_url)
    assert ran.status == 5
    assert "permission denied for database" in ran.err
    assert "SQLSTATE 42501" in ran.err
    assert nf("expand").status == 0
    ran = normalform("status", NORMALFORM_DATABASE_URL=db.app_url)
    assert ran.status == 5
    assert "may not read it" in ran.err


def test_a_pooling_proxy(normalform: Commands, nf: Run, db: Database, proxies: ExitStack) -> None:
    proxy = proxies.enter_context(TransactionPool(db, 2))
    ran = normalform("expand", NORMALFORM_DATABASE_URL=proxy.url(password=SECRET))
    assert ran.status == 5
    assert "pools transactions" in ran.err
    assert SECRET not in ran.all


@pytest.mark.slow
def test_a_server_that_goes_away_in_the_middle(
    normalform: Commands, nf: Run, db: Database, proxies: ExitStack, sessions: SessionsOf
) -> None:
    proxy = proxies.enter_context(PassThrough(db))
    all_sessions = sessions(db)
    app = all_sessions.one("photocat-web")
    app.run("BEGIN; SELECT count(*) FROM public.machine_tags")
    with normalform.start("expand", NORMALFORM_DATABASE_URL=proxy.url(password=SECRET)) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "is held by" in line)
        proxy.cut()
        ran = finish(process)
    assert ran.status == 5, ran.all
    assert "Traceback" not in ran.err
    assert SECRET not in ran.all
    app.run("COMMIT")
    assert nf("expand").status == 0


# ---------------------------------------------------------------------------------------------------- secrets


@pytest.mark.slow
def test_a_password_is_nowhere(normalform: Commands, nf: Run, db: Database, proxies: ExitStack) -> None:
    """Not in what any command says, well or ill, nor in anything that the ledger keeps."""
    url = proxies.enter_context(PassThrough(db)).url(password=SECRET)
    db.run(ORPHAN)
    commands: list[tuple[str, ...]] = [
        ("audit",), ("resolve", "export", "d.csv"), ("resolve", "check", "d.csv"), ("status",), ("plan",),
        ("plan", "--sql"), ("expand",), ("constrain",), ("verify",), ("rollback", "--to", "start"), ("uninstall",),
    ]  # fmt: skip
    for command in commands:
        for flags in ([], ["--json"]):
            given = [*flags, "--database-url", url] if flags else flags
            assert SECRET not in normalform(*given, *command, NORMALFORM_DATABASE_URL=url).all
    db.run("DELETE FROM public.permatags WHERE keyword = 'lyra'")
    assert normalform("run", "--until", "backfill", NORMALFORM_DATABASE_URL=url).status == 0
    with Connector(db.url).open() as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'normalform'").fetchall()
        for (table,) in tables:
            held = conn.execute(f"SELECT count(*) FROM normalform.{table} t WHERE t::text LIKE '%{SECRET}%'".encode())
            assert held.fetchone() == (0,), table
    assert SECRET not in db.server.log_path.read_text()
