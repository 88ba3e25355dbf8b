"""What the runbook's commands decide by themselves: environments, clients, logs, smoke tests, the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from typer.testing import CliRunner

from fix_api import TEMPLATES
from fix_servers import Database
from photocat.auth import token_hash
from photocat.operate import __main__ as command
from photocat.operate import environments, logs, staging
from photocat.operate.environments import ROOT, Environment
from photocat.operate.errors import OperateError
from photocat.operate.migrate import migrate
from photocat.operate.smoke import Smoke

Make = Callable[..., Database]


def environment(db: Database, name: str = "staging") -> Environment:
    return Environment(environments.named(name), db.url, db.app_url)


def test_an_environment_is_where_its_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_DEV", "postgresql://o:secret@h/d")
    found = environments.open_environment("dev")
    assert (found.url, found.app_url, found.server) == ("postgresql://o:secret@h/d", "postgresql://o:secret@h/d", None)
    monkeypatch.setenv("DATABASE_URL_DEV_APP", "postgresql://a@h/d")
    found = environments.open_environment("dev")
    assert found.app_url == "postgresql://a@h/d" and "secret" not in repr(found)
    assert not environments.stop_server("dev")
    monkeypatch.setenv(environments.CHOSEN, "production")
    with pytest.raises(OperateError, match=r"no environment 'production'\n  → one of dev, staging, prod"):
        environments.chosen()
    monkeypatch.delenv(environments.CHOSEN)
    assert environments.chosen() == "dev"


def test_a_client_gets_the_database_by_its_environment_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    got = environments.client_environment("postgresql://o:s%40cret@h:5433/d?sslmode=require&application_name=x")
    pg = {key: value for key, value in got.items() if key.startswith("PG")}
    assert pg == {
        "PGUSER": "o", "PGPASSWORD": "s@cret", "PGHOST": "h", "PGPORT": "5433", "PGDATABASE": "d",
        "PGSSLMODE": "require", "PGAPPNAME": "x",
    }  # fmt: skip
    with pytest.raises(OperateError) as refused:
        environments.client_environment("postgresql://o:secret@h:port/d?nonsense")
    assert "secret" not in str(refused.value)


def test_the_log_is_searched_for_what_is_new(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert logs.end_of(log) == 0 and logs.lines_from(log, 0) == []
    log.write_text("ERROR: violates foreign key constraint\n")
    begin = logs.end_of(log)
    lines = ["photocat: all is well", "a FOREIGN KEY", "Constraint x", "value violates check", "phase constrain"]
    with log.open("a") as file:
        file.write("\n".join(lines) + "\n")
    assert logs.lines_from(log, begin) == lines
    assert logs.constraint_errors(lines) == lines[1:4]


def test_the_root_knows_the_same_revisions_as_photocat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    root = Config(toml_file="pyproject.toml")
    ours = Config(ROOT / "photocat" / "alembic.ini")
    for name in ("script_location", "normalform_spec", "log_file"):
        assert root.get_alembic_option(name) == ours.get_alembic_option(name)
    found = [[r.revision for r in ScriptDirectory.from_config(c).walk_revisions()] for c in (root, ours)]
    assert found[0] == found[1] and "202601200800" in found[0]


def test_two_databases_at_once_are_refused(database: Make, tmp_path: Path) -> None:
    db = database()
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "current"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PHOTOCAT_DATABASE_URL": db.url, environments.CHOSEN: "prod",
             "PHOTOCAT_ALEMBIC_LOG": str(tmp_path / "log")},
    )  # fmt: skip
    assert done.returncode == 255 and "are both set" in done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "codes"), [(None, ["text"]), ("constrain", ["text", "key"]), ("contract", ["key"])])
def test_every_operation_answers_and_nothing_is_left(
    database: Make, tmp_path: Path, stage: str | None, codes: list[str]
) -> None:
    db, said, log = database(TEMPLATES[stage]), list[str](), tmp_path / "staging-logs.txt"
    tables = [
        t
        for (t,) in db.rows(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
    ]
    before = {t: db.value(f"SELECT count(*) FROM {t}") for t in tables}
    staging.check(environment(db), tmp_path / "smoke", log, said.append)
    assert [line.split("code with ")[1].split(":")[0] for line in said if "code with" in line] == codes
    assert "none about constraints" in said[-1] and "POST /api/v1/images" in log.read_text("utf-8")
    assert {t: db.value(f"SELECT count(*) FROM {t}") for t in tables} == before
    assert not (tmp_path / "smoke").exists()


@pytest.mark.slow
def test_a_broken_endpoint_and_a_broken_constraint_are_found(
    database: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, log = database(TEMPLATES[None]), tmp_path / "staging-logs.txt"
    db.run("ALTER TABLE permatags ADD CONSTRAINT never CHECK (created_by IS DISTINCT FROM 'admin')")
    with pytest.raises(OperateError, match=r"PUT /api/v1/images/\{image_id\}/permatags answered 409, not 200"):
        staging.check(environment(db), tmp_path / "smoke", log, lambda line: None)
    assert "constraint error on PUT" in log.read_text("utf-8")
    assert db.value("SELECT count(*) FROM tenants WHERE id LIKE 'smoke-%'") == 0
    db.run("ALTER TABLE permatags DROP CONSTRAINT never")
    whole = Smoke.run

    def noisy(self: Smoke) -> int:
        with log.open("a") as file:
            file.write("ERROR: insert or update violates foreign key constraint x\n")
        return whole(self)

    monkeypatch.setattr(Smoke, "run", noisy)
    with pytest.raises(OperateError, match=r"has 1 lines about constraints, the first of them:\n  ERROR: insert"):
        staging.check(environment(db), tmp_path / "smoke", log, lambda line: None)


@pytest.mark.slow
def test_an_operation_without_a_smoke_test_is_a_failure(
    database: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = database(TEMPLATES[None])
    monkeypatch.setattr(Smoke, "_people", lambda self: self.call(
        "POST", "/admin/people", status=201, body={"name": "Ada"})["person_id"])  # fmt: skip
    with pytest.raises(OperateError, match="have no smoke test: GET /api/v1/admin/people, GET"):
        staging.check(environment(db), tmp_path / "smoke", tmp_path / "log", lambda line: None)


@pytest.mark.slow
def test_no_code_runs_on_an_empty_database(database: Make, tmp_path: Path) -> None:
    with pytest.raises(OperateError, match="no code runs on staging"):
        staging.check(environment(database()), tmp_path / "smoke", tmp_path / "log", lambda line: None)


def test_prod_is_not_migrated_at_once(tmp_path: Path) -> None:
    with pytest.raises(OperateError, match="phase by phase"):
        migrate(Environment("prod", "x", "x"), "head")


def test_the_command_line_says_what_stops_it(
    database: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    db = database(TEMPLATES[None])
    nowhere = f"postgresql://o:secret@/d?host={tmp_path}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHOTOCAT_OPERATE_FOLDER", str(tmp_path / "operate"))
    for arguments, prod, status, said in (
        (["psql", "test"], db.url, 1, "error: there is no environment 'test'"),
        (["restart"], db.url, 1, "error: the application does not run\n  → make start-app"),
        (["health"], db.url, 1, "error: the application does not run\n  → make start-app"),
        (["stop"], db.url, 0, ""),
        (["reset"], db.url, 1, "error: there is no verified backup of prod in backups"),
        (["deploy"], nowhere, 1, "error: the database refused: "),
        (["deploy"], "mysql://o:secret@h/d", 1, "error: "),
        (["deploy", "--tag-columns", "both"], db.url, 1, "there is no code that reads 'both'"),
        (["rollback"], db.url, 1, "error: there is no release before this one"),
        (["migrate", "prod"], db.url, 1, "error: prod is migrated phase by phase"),
        (["token", "prod", "--tenant", "nobody"], db.url, 1, "error: there is no tenant 'nobody'"),
        (["start", "--port", "eighty"], db.url, 2, "--port"),
    ):
        monkeypatch.setenv("DATABASE_URL_PROD", prod)
        monkeypatch.setattr(sys, "argv", ["operate", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == status and said in err, (arguments, out, err)
        assert "secret" not in out + err and "Traceback" not in err


@pytest.mark.slow
def test_psql_and_a_shell_reach_the_environment(
    database: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    db = database(TEMPLATES[None])
    monkeypatch.setenv("DATABASE_URL_DEV", db.url)
    query = "SELECT current_user, count(*) FROM people"
    done = subprocess.run(
        [sys.executable, "-m", "photocat.operate", "psql", "dev", "--", "-XAtc", query], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == "nf_owner|4\n", done.stderr
    command.app(["env", "dev"], standalone_mode=False)
    shell = capsys.readouterr().out
    printed = subprocess.run(
        ["sh", "-c", f'{shell}\necho "$PHOTOCAT_ENVIRONMENT $NORMALFORM_DATABASE_URL"'], capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    assert printed == f"dev {db.url}\n"
    command.app(["token", "dev", "--tenant", "t", "--admin"], standalone_mode=False)
    token = capsys.readouterr().out.strip()
    found = db.rows("SELECT admin, token_hash FROM api_tokens WHERE name = 'operate'")
    assert found == [(True, token_hash(token))]


def test_a_decision_file_of_the_sample_is_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(
        "reference,scope,text,qualifier,rows,candidates,suggestion,decision,target,note\n"
        'permatags,"[""bcg""]",family,\\N,1,[],,,,\n'
    )
    done = CliRunner().invoke(command.app, ["decide", str(file)])
    assert done.exit_code == 0 and ",drop,," in file.read_text()
