"""The command line without a database: mistakes, help, and that no secret is ever shown."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator

import psycopg
import pytest

from fix_commands import Commands, finish
from normalform import api
from normalform.cli import show
from normalform.core.plan import Lock, Mode, Step
from normalform.errors import GateClosed, LockHeld, NormalformError, ProofFailed

COMMANDS = [
    ("init",), ("audit",), ("plan",), ("expand",), ("backfill",), ("verify",), ("constrain",), ("contract",), ("run",),
    ("rollback",), ("status",), ("watch",), ("explain",), ("uninstall",), ("demo",), ("backup",), ("resolve",),
    ("resolve", "export"), ("resolve", "check"), ("resolve", "apply"), ("resolve", "undo"),
]  # fmt: skip
SPEC = """
version = 1
[lookup.keyword]
text = "keyword"
[reference.tags]
lookup = "keyword"
text = "tag"
add = "keyword_id"
[environment.prod]
url_env = "PHOTOCAT_URL"
"""
SECRET = "s3cret"


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL with a password at which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"postgresql://me:{SECRET}@127.0.0.1:{probe.getsockname()[1]}/photocat"


# ------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(normalform: Commands, command: tuple[str, ...]) -> None:
    ran = normalform(*command, "--help")
    assert ran.status == 0
    assert f"Usage: normalform {' '.join(command)}" in ran.out
    assert ran.err == ""


def test_help_lists_every_command(normalform: Commands) -> None:
    ran = normalform("--help")
    assert ran.status == 0
    for name in {c[0] for c in COMMANDS}:
        assert f" {name} " in ran.out
    assert "NORMALFORM_DATABASE_URL" in ran.out


def test_every_command_that_there_is_is_under_test(normalform: Commands) -> None:
    commands = normalform("--help").out.partition("Commands")[2]
    listed = set(re.findall(r"^\W (\w+)  ", commands, re.MULTILINE))
    assert listed == {c[0] for c in COMMANDS}


def test_help_never_shows_the_urls_value(normalform: Commands, nobody: str) -> None:
    for arguments in (("--help",), ("status", "--help"), (), ("frobnicate",)):
        assert SECRET not in normalform(*arguments, NORMALFORM_DATABASE_URL=nobody).all


@pytest.mark.parametrize("arguments", [(), ("resolve",)])
def test_without_a_command_there_is_help(normalform: Commands, arguments: tuple[str, ...]) -> None:
    ran = normalform(*arguments)
    assert ran.status == 2
    assert "Usage: normalform" in ran.all
    assert "✗" not in ran.all


# --------------------------------------------------------------------------------------------------- usage: 2

MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("frobnicate",), "No such command 'frobnicate'"),
    (("status", "--frob"), "No such option: --frob"),
    (("status",), "no database given"),
    (("plan", "audit"), "no plan for 'audit'; phases with one: expand, backfill, constrain, contract"),
    (("run", "--until", "there"), "no phase 'there'; phases: resolve, expand"),
    (("rollback",), "Missing option '--to'"),
    (("rollback", "--to", "there"), "no phase 'there'; one of resolve, expand"),
    (("expand", "--strategy", "fast"), "no strategy 'fast'; one of live, window"),
    (("backfill", "--workers", "9"), "--workers"),
    (("backfill", "--workers", "many"), "--workers"),
    (("watch", "--times", "0"), "--times"),
    (("audit", "--csv"), "--csv prints every offending row"),
    (("init", "--out", "/"), "/ exists, and is not overwritten"),
    (("init", "--out", "no/such/folder.toml"), "there is no folder no/such to write folder.toml into"),
    (("resolve", "check"), "Missing argument"),
    (("--spec", "nowhere.toml", "status"), "there is no spec file nowhere.toml"),
    (("--env", "prod", "status"), "no spec file says what environment 'prod' is"),
]


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_mistake_of_the_command_line(
    normalform: Commands, nobody: str, arguments: tuple[str, ...], expected: str, as_json: bool
) -> None:
    url = () if expected == "no database given" or "--env" in arguments else ("--database-url", nobody)
    ran = normalform(*(["--json"] if as_json else []), *url, *arguments)
    assert ran.status == 2
    assert "Traceback" not in ran.all
    assert SECRET not in ran.all
    if as_json:
        assert expected in ran.json["message"]
        assert ran.json["exit_status"] == 2
    else:
        assert ran.out == ""
        assert ran.err.startswith("✗ ")
        assert expected in ran.err


def test_an_unknown_environment_names_the_nearest(normalform: Commands) -> None:
    normalform.write("normalform.toml", SPEC)
    ran = normalform("--env", "prd", "status")
    assert (ran.status, "did you mean 'prod'?" in ran.err) == (2, True)
    assert "it has prod" in normalform("--env", "zzz", "status").err


def test_an_environment_whose_variable_is_not_set(normalform: Commands) -> None:
    normalform.write("normalform.toml", SPEC)
    ran = normalform("--env", "prod", "status")
    assert ran.status == 2
    assert "environment 'prod' takes its URL from PHOTOCAT_URL, which is not set" in ran.err


def test_an_environment_gives_the_url(normalform: Commands, nobody: str) -> None:
    normalform.write("normalform.toml", SPEC)
    ran = normalform("--env", "prod", "status", PHOTOCAT_URL=nobody)
    assert ran.status == 5
    assert "cannot connect to photocat on 127.0.0.1" in ran.err


def test_a_url_in_place_of_a_variables_name_is_refused_unseen(normalform: Commands, nobody: str) -> None:
    normalform.write("normalform.toml", SPEC.replace("PHOTOCAT_URL", nobody))
    ran = normalform("--env", "prod", "status")
    assert ran.status == 2
    assert "environment.prod.url_env: must be the name of an environment variable" in ran.err
    assert SECRET not in ran.all


def test_a_bad_spec_lists_everything(normalform: Commands, nobody: str) -> None:
    path = normalform.write("bad.toml", SPEC.replace('text = "keyword"', 'txt = "keyword"').replace("version = 1", ""))
    for command in (("audit",), ("plan",)):
        ran = normalform("--spec", path, "--database-url", nobody, *command)
        assert ran.status == 2
        for line in (
            "version: is missing",
            "lookup.keyword.txt: unknown key; did you mean 'text'?",
            "lookup.keyword.text: is missing",
        ):
            assert line in ran.err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"version = 1 = 2"])
def test_a_spec_that_is_no_text(normalform: Commands, nobody: str, content: bytes) -> None:
    path = normalform.folder / "bad.toml"
    path.write_bytes(content)
    ran = normalform("--spec", path, "--database-url", nobody, "audit")
    assert ran.status == 2
    assert "Traceback" not in ran.all


def test_a_file_that_cannot_be_written(normalform: Commands, monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    def refuse(*args: object, **kw: object) -> None:
        raise PermissionError(13, "Permission denied", "/etc/decisions.csv")

    monkeypatch.setattr(api, "resolve_export", refuse)
    ran = normalform("--database-url", nobody, "resolve", "export", "/etc/decisions.csv")
    assert (ran.status, ran.err) == (2, "✗ /etc/decisions.csv: Permission denied\n")


# ------------------------------------------------------------------------------------------- other exit statuses


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("audit",),
        ("plan",),
        ("expand",),
        ("rollback", "--to", "start"),
        ("explain", "tags", "1"),
        ("uninstall",),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_database_that_does_not_answer(
    normalform: Commands, nobody: str, command: tuple[str, ...], as_json: bool
) -> None:
    path = normalform.write("s.toml", SPEC)
    flags = ["--json"] if as_json else []
    for given, environment in ((["--database-url", nobody], {}), ([], {"NORMALFORM_DATABASE_URL": nobody})):
        ran = normalform(*flags, "--spec", path, *given, *command, **environment)
        assert ran.status == 5
        message = ran.json["message"] if as_json else ran.err
        assert "cannot connect to photocat on 127.0.0.1" in message
        assert SECRET not in ran.all


@pytest.mark.parametrize(
    "url",
    [f"postgresql://me:{SECRET}%zz@db/x", f"host=db pasword={SECRET}", f"postgresql://me:a@{SECRET}@db/x", SECRET],
)
def test_a_url_that_cannot_be_read(normalform: Commands, url: str) -> None:
    for flags in ([], ["--json"]):
        ran = normalform(*flags, "--database-url", url, "status")
        assert ran.status == 2
        assert SECRET not in ran.all


class Failing:
    """An API function that raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *args: object, **kw: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (ProofFailed("2 rows differ", hint="look"), 1, "ProofFailed"),
        (NormalformError("what"), 2, "NormalformError"),
        (GateClosed("order", ["expand first"], hint="normalform expand"), 3, "GateClosed"),
        (KeyboardInterrupt(), 4, "Interrupted"),
        (LockHeld("another runner"), 5, "LockHeld"),
        (psycopg.OperationalError("server closed the connection\nunexpectedly"), 5, "DatabaseRefused"),
    ],
)
def test_every_error_has_its_status(
    normalform: Commands, monkeypatch: pytest.MonkeyPatch, nobody: str, error: BaseException, status: int, name: str
) -> None:
    monkeypatch.setattr(api, "status", Failing(error))
    text = normalform("--database-url", nobody, "status")
    assert (text.status, text.out) == (status, "")
    data = normalform("--json", "--database-url", nobody, "status")
    assert (data.status, data.json["error"], data.json["exit_status"], data.err) == (status, name, status, "")
    if isinstance(error, NormalformError):
        assert data.json["message"] == error.message
        assert data.json["hint"] == error.hint
        assert error.hint is None or f"→ {error.hint}" in text.err


def test_a_defect_is_shown_whole_and_is_no_finding(
    normalform: Commands, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    monkeypatch.setattr(api, "status", Failing(ZeroDivisionError("a defect of ours")))
    ran = normalform("--database-url", nobody, "status")
    assert ran.status == 70
    assert "Traceback" in ran.err
    assert "a defect of ours" in ran.err
    assert SECRET not in ran.all


def test_markup_in_what_is_shown_is_shown(normalform: Commands, monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    """A column may be called [red] or [/]: neither is eaten, nor breaks the output."""
    monkeypatch.setattr(api, "status", Failing(GateClosed("order", ["column [/red] of [bold]t"], hint="[x]")))
    assert "column [/red] of [bold]t" in normalform("--database-url", nobody, "status").err


def test_a_reader_that_has_enough(normalform: Commands) -> None:
    """As `normalform plan --sql | head` does."""
    program = (
        "from normalform import api; from normalform.cli import main; from normalform.core.plan import Step; "
        "api.plan = lambda *a: [Step(str(n), 'expand', 'x' * 1000, ()) for n in range(2000)]; main()"
    )
    with normalform.start("--database-url", "postgresql://h/d", "plan", "--sql", program=program) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        ran = finish(process)
    assert ran.status == 128 + 13
    assert ran.err == ""


# ----------------------------------------------------------------------------------------------- what is shown

STEP = Step(
    id="expand/t/x",
    phase="expand",
    object="column x",
    do=('ALTER TABLE "public"."t" ADD COLUMN "100%" integer', "SELECT 1"),
    lock=Lock.ACCESS_EXCLUSIVE,
    table='"public"."t"',
    reason="it holds the key",
)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (
            Mode.TRANSACTION,
            ["BEGIN;", "SET LOCAL lock_timeout = '700ms';", "SET LOCAL statement_timeout = '700ms';", "COMMIT;"],
        ),
        (Mode.REWRITE, ["BEGIN;", "SET LOCAL lock_timeout = '700ms';", "SET LOCAL statement_timeout = 0;", "COMMIT;"]),
        (Mode.CONCURRENT, ["SET lock_timeout = 0;", "SET statement_timeout = 0;"]),
        (Mode.BATCHES, ["--   the shape of one batch; it is repeated over the table's blocks"]),
    ],
)
def test_a_step_as_a_script(mode: Mode, expected: list[str]) -> None:
    """It says under which timeouts the engine runs it, and psql can run it as it stands."""
    step = Step(**{**STEP.__dict__, "mode": mode})
    lines = show.sql_of(step).splitlines()
    assert lines[0] == "-- expand/t/x: column x"
    assert [line for line in lines if line in expected] == expected
    assert [line for line in lines if line.startswith(("ALTER", "SELECT"))] == [f"{s};" for s in STEP.do]


def test_the_demo_is_loaded_only_when_asked_for() -> None:
    """The engine must start where the demo's servers are not installed."""
    import subprocess

    program = "import sys, normalform.cli; sys.exit(any(m.startswith('normalform.demo.') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
