"""Phases as revisions of Alembic: each revision file is a few lines.

    from normalform import alembic as normalform

    def upgrade() -> None:
        normalform.expand()

    def downgrade() -> None:
        normalform.undo("expand")

A phase works on sessions of its own and commits as it goes. Before it begins, Alembic's transaction is committed and
its session left idle: CREATE INDEX CONCURRENTLY would wait for it for ever, and nothing that a phase has committed
could be taken back by it. The revision is recorded after the phase has ended; one that was not recorded is a phase that
did not end, and running it again goes on from there.

It decides which phases a revision stands for and what of the engine's events becomes a line of the log. It must never
do a part of a phase itself, nor hold a transaction of Alembic's while one runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import psycopg
from alembic import context as environment
from alembic import op, util
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from . import api
from .core.events import Event
from .core.findings import Severity, reasons
from .core.index_successor import DEFERRABLE, LATE
from .core.phases import ORDER, START, State
from .core.plan import after
from .db import ledger
from .db.connect import Connector
from .db.refused import refused
from .errors import GateClosed, NormalformError
from .interrupt import interruptible
from .log_sink import LogSink

#: Below Alembic's own logger: whatever shows or keeps its lines does so with ours.
log = logging.getLogger("alembic.normalform")

Revision = Literal["expand", "backfill", "constrain", "contract"]
#: What is carried out for each revision, in order. The runbook verifies between Phase 2 and Phase 3; here nothing
#: becomes a constraint before it is proven.
CARRIED_OUT: dict[Revision, tuple[str, ...]] = {
    "expand": ("expand",),
    "backfill": ("backfill",),
    "constrain": ("verify", "constrain"),
    "contract": ("contract",),
}
#: The last phase that stays done when a revision is taken back.
BELOW: dict[Revision, str] = {
    "expand": "resolve",
    "backfill": "expand",
    "constrain": "backfill",
    "contract": "constrain",
}
#: What `alembic -x NAME=VALUE` may say to a phase.
CHOICES = {"strategy": ("live", "window"), "uniques": (LATE, DEFERRABLE), "mask": ("true", "false")}


def expand() -> None:
    """Audit, then add key columns, the lookup's scope and sync: see ``normalform audit`` and ``normalform expand``.

    Raises:
        CommandError: the gate is closed, and nothing was changed; or the engine cannot go on.
    """
    _carry_out("expand")


def backfill() -> None:
    """Fill the keys; safe to run again. See ``normalform backfill``.

    Raises:
        CommandError: the gate is closed, or new values came in that nobody has decided.
    """
    _carry_out("backfill")


def constrain() -> None:
    """Prove the keys, then build what enforces them: ``normalform verify`` and ``normalform constrain``.

    Raises:
        CommandError: the proof failed, or the gate is closed.
    """
    _carry_out("constrain")


def contract() -> None:
    """Drop the text; what keys cannot reproduce is archived first. See ``normalform contract``.

    Raises:
        CommandError: the gate is closed.
    """
    _carry_out("contract")


def undo(revision: Revision) -> None:
    """Take back what a revision carried out; nothing happens where nothing of it stands.

    Decisions stay applied when expand is taken back: ``normalform resolve undo`` takes those back.

    Args:
        revision: which one.

    Raises:
        CommandError: the engine cannot go on.
    """
    target = BELOW[revision]
    with _phase(f"downgrade of {revision}", f"normalform rollback --to {target}") as options:
        state = _state(options)
        half_from = ORDER.index(target) + 1
        if target not in state.done or not (_half_at(state, half_from) or len(state.done) > half_from):
            log.info("%s: nothing of it stands", revision)
            return
        api.rollback(options, target)


def uninstall() -> None:
    """Take back everything, decisions included, and remove the ledger: for the downgrade of the tables' own revision.

    Raises:
        CommandError: the engine cannot go on.
    """
    with _phase("uninstall", "normalform rollback --to start, then normalform uninstall") as options:
        with Connector(options.url).open("read") as conn:
            installed = ledger.installed(conn)
        if installed:
            api.rollback(options, START)
            for line in api.uninstall(options):
                log.info("uninstall: %s", line)


def run_migrations() -> None:
    """Run the migrations: to be called in env.py in the place of ``context.run_migrations()``.

    A phase that stopped half-way was never recorded as a revision, so a downgrade to the revision before it would find
    nothing to do. It is taken back here, as the runbook's ``alembic downgrade`` after a failed phase means.
    """
    migration = environment.get_context()
    command = getattr(migration.opts.get("fn"), "__name__", "")
    if command in ("upgrade", "downgrade") and not migration.as_sql:
        options = _options(migration)
        with _as_command_error(options):
            state = _state(options)
        # Decisions that are applied before expand are no half of a revision, and stay.
        if state.half is not None and state.half[0] != "resolve":
            _half_way(migration, options, command, *state.half)
        elif command == "upgrade" and state.done and not _steps(migration):
            # Alembic alone would say nothing at all, also where `normalform rollback` has taken phases back meanwhile.
            log.info("no revision is left to run; the last phase that stands is %s", state.last)
    environment.run_migrations()


def _half_way(migration: MigrationContext, options: api.Options, command: str, phase: str, direction: str) -> None:
    """Settle what a phase that stopped half-way means to a command, before Alembic looks at its revisions."""
    # First of all: a target that Alembic does not know ends the command here, with nothing taken back.
    steps = _steps(migration)
    if command == "downgrade" and direction == "do":
        log.info("%s was left half-way and is taken back", phase)
        with _idle(migration), _as_command_error(options), interruptible(options.stop):
            api.rollback(options, _state(options).last)
    elif command == "upgrade" and direction == "undo" and not steps:
        raise util.CommandError(
            f"{phase} was being taken back and stopped half-way, while Alembic has its revision recorded. "
            f"Repeat the downgrade, or do the phase again: normalform {phase}"
        )


def _steps(migration: MigrationContext) -> list[Any]:
    """What the command is about to do. The recorded revision is read by another session: this one stays idle."""
    assert migration.connection is not None
    names = ("version_table", "version_table_schema", "version_table_pk")
    opts = {name: migration.opts[name] for name in names if migration.opts.get(name) is not None}
    with migration.connection.engine.connect() as other:
        heads = MigrationContext.configure(other, opts=opts).get_current_heads()
    return list(migration.opts["fn"](heads, migration))


def include_object(thing: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
    """Keep what the engine owns out of autogenerate: for ``context.configure(include_object=…)``.

    The index that sync probes stands until ``normalform uninstall`` and is in nobody's models.
    """
    del thing, compare_to
    return not (reflected and type_ == "index" and name is not None and name.startswith("normalform_"))


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Keep Alembic's log, and ours in it, in a file as well while the block lasts; it is appended to.

    Args:
        path: the file; its folder must exist.
    """
    logger = logging.getLogger("alembic")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s [%(name)s] %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        handler.close()


def _carry_out(revision: Revision) -> None:
    phases = CARRIED_OUT[revision]
    with _phase(f"revision {revision}", f"normalform plan {revision} --sql") as options:
        state = _state(options)
        if phases[-1] in state.done and state.half is None:
            log.info("%s: done before; nothing to do", revision)
            return
        if revision == "expand" and (state.half is None or state.half[0] == "resolve"):
            _audit(options)
        steps = api.plan(options, revision)
        for phase in phases:
            api.phase(options, phase)
        columns = [step.object.removeprefix("column ") for step in steps if step.object.startswith("column ")]
        if columns and revision == "expand":
            log.info("expand: columns added: %s", ", ".join(columns))
        for name, text in after(steps).items():
            log.info("%s: afterwards: %s", name, text)


def _audit(options: api.Options) -> None:
    """Say what an audit finds, and stop before anything is changed where it closes the gate."""
    report = api.audit(replace(options, sink=_quiet(options)))
    for finding in report.findings:
        level = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING}.get(finding.severity, logging.INFO)
        log.log(level, "finding %s %s: %s", finding.code, finding.subject, finding.title)
    found = reasons(report)
    if found:
        raise GateClosed(
            "audit",
            [*found, "nothing was changed"],
            hint="normalform audit, then normalform resolve export decisions.csv; edit it, apply it, and upgrade again",
        )


def _quiet(options: api.Options) -> Any:
    """The sink without the audit's notes: its findings are logged in order when it has ended."""

    def sink(event: Event) -> None:
        if event.kind != "note":
            options.sink(event)

    return sink


@contextmanager
def _phase(what: str, instead: str) -> Iterator[api.Options]:
    """Hand out the engine's options with Alembic's transaction ended; errors become messages.

    Args:
        what: what is about to be done.
        instead: the command that shows or does it where Alembic prints SQL only.
    """
    migration = op.get_context()
    if migration.as_sql:
        raise util.CommandError(
            f"{what} is no script: it works in many transactions, and in batches that depend on what it finds. "
            f"Leave out --sql, or: {instead}"
        )
    options = _options(migration)
    with _idle(migration), _as_command_error(options), interruptible(options.stop):
        yield options


@contextmanager
def _idle(migration: MigrationContext) -> Iterator[None]:
    """Commit Alembic's transaction, and leave its session without one inside the block."""
    block = migration.autocommit_block()
    try:
        block.__enter__()
    except (AssertionError, AttributeError) as error:  # how Alembic says that the transaction is none of its own
        raise util.CommandError(
            "env.py holds a transaction around the migrations, and no phase can work beside that: hand "
            "context.configure() a connection without one, and transaction_per_migration=True"
        ) from error
    try:
        yield
    except BaseException:
        # What ended the phase is what is worth knowing, whatever has become of Alembic's session.
        with suppress(DBAPIError):
            block.__exit__(None, None, None)
        raise
    try:
        block.__exit__(None, None, None)
    except DBAPIError as error:
        raise util.CommandError(
            f"the phase is done, but Alembic's own session was lost meanwhile: {error.orig}. "
            "Give the same command again: it records what is done"
        ) from error


@contextmanager
def _as_command_error(options: api.Options) -> Iterator[None]:
    """Turn the engine's errors into the kind that Alembic shows without a traceback; the log has them line by line."""
    try:
        yield
    except (NormalformError, psycopg.Error) as error:
        said = refused(error, mask=options.mask) if isinstance(error, psycopg.Error) else error
        for line in str(said).splitlines():
            log.error(line.rstrip())
        raise util.CommandError(str(said)) from error


def _state(options: api.Options) -> State:
    with Connector(options.url).open("read") as conn:
        return ledger.state(conn)


def _half_at(state: State, position: int) -> bool:
    """Whether a phase at that place of the order, or above it, is half-way."""
    return state.half is not None and ORDER.index(state.half[0]) >= position


def _options(migration: MigrationContext) -> api.Options:
    """The engine's options: the spec beside alembic.ini, Alembic's own database, and what ``-x`` says.

    Where the connection cannot be told from Alembic's engine, ``config.attributes["normalform_url"]`` names it.
    """
    config = migration.config
    assert config is not None, "a revision runs within Alembic's environment"
    given = _given()
    path = Path(config.get_alembic_option("normalform_spec") or _beside(config.config_file_name))
    try:
        spec = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise util.CommandError(
            f"cannot read the spec {path}: {error}; alembic.ini names it: normalform_spec"
        ) from error
    url = config.attributes.get("normalform_url")
    if url is None:
        assert migration.connection is not None
        url = migration.connection.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    _refuse_another_database(migration, str(url))
    workers = given.get("workers")
    if workers and not (workers[-1].isdecimal() and 1 <= int(workers[-1]) <= 8):
        raise util.CommandError(f"-x workers={workers[-1]} is no number from 1 to 8")
    return api.Options(
        str(url),
        spec,
        LogSink(log),
        strategy="window" if given.get("strategy") == ["window"] else "live",
        workers=int(workers[-1]) if workers else None,
        mask=given.get("mask") == ["true"],
        uniques=DEFERRABLE if given.get("uniques") == [DEFERRABLE] else LATE,
        waive=tuple(given.get("waive", ())),
    )


def _refuse_another_database(migration: MigrationContext, url: str) -> None:
    """Make sure that a URL leads to where Alembic's session is: an engine with a ``creator`` may go elsewhere.

    Asked of the driver and not by SQL, which would begin a transaction on Alembic's session. A driver that does not
    tell its server process is believed.
    """
    if migration.connection is None:
        return
    process = getattr(getattr(migration.connection.connection.driver_connection, "info", None), "backend_pid", None)
    if process is None:
        return
    connector = Connector(url)
    with connector.open("read") as conn:
        found = conn.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s AND datname = current_database())", (process,)
        ).fetchone()
    if not (found and found[0]):
        raise util.CommandError(
            f"Alembic's own session is not in the database that its URL leads to ({connector.display}): name that "
            'database in env.py, config.attributes["normalform_url"] = "postgresql://…"'
        )


def _given() -> dict[str, list[str]]:
    """What ``-x`` says to us, by name; other names are the application's."""
    given: dict[str, list[str]] = {}
    for argument in environment.get_x_argument():
        name, _, value = argument.partition("=")
        given.setdefault(name, []).append(value)
    for name, values in CHOICES.items():
        for value in given.get(name, []):
            if value not in values:
                raise util.CommandError(f"-x {name}={value} is none of {', '.join(values)}")
    return given


def _beside(config_file: str | Path | None) -> Path:
    return (Path(config_file).parent if config_file else Path()) / "normalform.toml"
