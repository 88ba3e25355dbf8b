"""The commands as functions: what the command line, the Alembic helper and other programs call.

Each takes a connection string and a spec's text, does one thing, and returns a value or raises an error of
``normalform.errors``. Nothing here prints.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import embedded
from .backup import programs
from .core.backup_manifest import Kind
from .core.conservation import conserve
from .core.events import Event, Sink, silent
from .core.explanation import Explanation
from .core.findings import Finding
from .core.index_successor import LATE, Uniques
from .core.init_report import InitReport
from .core.phases import START
from .core.plan import Step
from .core.sampling import SampleReport
from .core.spec_file import parse
from .db import ledger
from .db import status as status_reader
from .db.connect import PRINTING, Connector
from .db.conservation import colliding_now
from .db.explain import explain as explain_row
from .db.session import read_model
from .db.status import Status
from .db.work import Context, Strategy
from .errors import GateClosed, NormalformError, UsageError
from .phases import audit as audit_phase
from .phases import backup as backup_phase
from .phases import init as init_phase
from .phases import resolve as resolve_phase
from .phases import sample as sample_phase
from .phases import uninstall as uninstall_phase
from .phases import verify as verify_phase
from .phases.audit import AuditReport
from .phases.backup import BackupReport
from .phases.resolve import ApplyReport, CheckReport, ExportReport, UndoReport
from .runner import PHASES, Runner
from .sql.sums import script

#: Phases whose plan consists of steps, in order.
PLANNED = ("expand", "backfill", "constrain", "contract")


@dataclass(frozen=True)
class Options:
    """What every command may be given.

    Args:
        url: the database, as libpq reads it.
        spec: the spec file's text; None takes the one that the ledger keeps.
        sink: where events go.
        strategy: ``live`` or ``window``.
        workers: sessions that fill at once; None takes the spec's.
        mask: hide values of rows in everything that is shown.
        stop: set it to end after the batch in hand.
        uniques: ``late`` lets plain indexes stand in the place of unique successors until contract, while the legacy
            uniques guard: every upsert that worked before goes on. ``deferrable`` makes them DEFERRABLE constraints at
            constrain: the key is unique from then on, but ``ON CONFLICT DO NOTHING`` without target fails beside them.
        every_row: verify sends every differing row to the sink, as an event ``offence``, and not the first ones only.
        waive: names of legacy objects that contract may let go without a successor.
    """

    url: str
    spec: str | None = None
    sink: Sink = silent
    strategy: Strategy = "live"
    workers: int | None = None
    mask: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    uniques: Uniques = LATE
    waive: tuple[str, ...] = ()
    every_row: bool = False

    def runner(self) -> Runner:
        """Return a runner with these options."""
        return Runner(
            self.url,
            self.spec,
            sink=self.sink,
            strategy=self.strategy,
            workers=self.workers,
            options={"mask": self.mask, "uniques": self.uniques, "waive": self.waive, "all": self.every_row},
            stop=self.stop,
        )


@dataclass(frozen=True)
class RunReport:
    """What `run` did: seconds in which the application could not write (None when live), and the state reached."""

    last: str
    seconds_without_writes: float | None


def _spec_text(options: Options) -> str:
    if options.spec is not None:
        return options.spec
    with Connector(options.url).open("read") as conn:
        if ledger.installed(conn):
            return ledger.stored_spec(conn)
    raise NormalformError(
        "there is no spec: none was given and the database keeps none",
        hint="normalform init looks around and writes one; or --spec FILE",
    )


def init(options: Options, *, references: Sequence[str] = (), lookups: Sequence[str] = ()) -> InitReport:
    """Look around and draft a spec. Changes nothing; SELECT rights are enough, and a standby will do.

    Args:
        options: the database; ``mask`` keeps values of rows out of the report. A spec is not needed.
        references: text columns that refer to a lookup, as ``schema.table.column``; none: look at every one.
        lookups: text columns that own their values; none: look for them.

    Returns:
        The guesses with their evidence, and the spec's text, which is empty when nothing was found.

    Raises:
        UsageError: a named column does not exist, or cannot be what it is named for.
    """
    connector = Connector(options.url)
    return init_phase.init(connector, references=references, lookups=lookups, sink=options.sink, mask=options.mask)


def audit(options: Options, *, mapping: Path | None = None) -> AuditReport:
    """Read everything, build the mapping, report findings. Changes nothing; SELECT rights are enough."""
    spec = parse(_spec_text(options))
    return audit_phase.audit(Connector(options.url), spec, mapping_path=mapping, sink=options.sink, mask=options.mask)


def sample(options: Options, share: float, *, seed: int = 0) -> SampleReport:
    """Read a random part of each reference's blocks and estimate counts, as intervals of 95 percent.

    Changes nothing, writes no mapping and opens no gate.

    Args:
        options: the database.
        share: what part, above 0 and up to 1; of a small table more.
        seed: draws the blocks.
    """
    spec = parse(_spec_text(options))
    return sample_phase.sample(Connector(options.url), spec, share=share, seed=seed, sink=options.sink)


def offenders(options: Options, finding: Finding) -> Iterator[Mapping[str, Any]]:
    """Stream every row that a finding is about. Reads only; values are hidden with ``mask``."""
    if options.mask:
        raise UsageError("--mask hides the rows that were asked for", hint="leave out --mask, or --all")
    return audit_phase.iter_rows(Connector(options.url), finding)


def resolve_export(options: Options, mapping: Path, out: Path, *, collisions: bool = True) -> ExportReport:
    """Write the values that need a decision to a file."""
    spec = parse(_spec_text(options))
    return resolve_phase.export(Connector(options.url), spec, mapping, out, collisions=collisions)


def resolve_check(options: Options, path: Path) -> CheckReport:
    """Check a decision file whole, against the database as it is. Raises DecisionError with every bad line."""
    return resolve_phase.check(Connector(options.url), parse(_spec_text(options)), path)


def resolve_apply(options: Options, path: Path) -> ApplyReport:
    """Check a decision file whole, then apply it; what it changes or deletes is in the archive first."""
    resolve_phase.check(Connector(options.url), parse(_spec_text(options)), path)
    with options.runner().session("resolve apply") as ctx:
        state = ledger.state(ctx.conn)
        if "constrain" in state.done or state.half not in (None, ("resolve", "do"), ("backfill", "do")):
            raise GateClosed(
                "order",
                [f"decisions are applied before constrain; the last phase done is {state.last}"],
                hint="normalform rollback --to backfill",
            )
        if not state.done and state.half is None:
            ledger.begin_phase(ctx.conn, ctx.run, "resolve", "doing")
        return resolve_phase.apply(ctx, path)


def resolve_undo(options: Options) -> UndoReport:
    """Undo every decision from the archive; only while nothing after resolve is done."""
    with Connector(options.url).open("read") as conn:
        if not ledger.installed(conn):
            return UndoReport(0, 0, (), 0)  # nothing to undo, and no reason to make a ledger
    with options.runner().session("resolve undo") as ctx:
        state = ledger.state(ctx.conn)
        if len(state.done) > 1 or (state.half is not None and state.half[0] != "resolve"):
            raise GateClosed("order", [f"the last phase done is {state.last}"], hint="normalform rollback --to resolve")
        ledger.begin_phase(ctx.conn, ctx.run, "resolve", "undoing")
        report = resolve_phase.undo_decisions(ctx)
        ledger.finish_phase(ctx.conn, ctx.run, "resolve", undone=True, seconds=0.0)
        return report


def plan(options: Options, phase: str | None = None) -> list[Step]:
    """Return the steps of one phase, or of all that are still to come, as they would be carried out now.

    What must be done by hand once a phase has ended (a rolling restart after expand and after contract, since sessions
    that prepared ``SELECT *`` fail with 0A000 until they reconnect) is :func:`core.plan.after` of these steps.
    """
    spec = parse(_spec_text(options))
    connector = Connector(options.url)
    with connector.open("plan") as conn:
        baseline = ledger.baseline(conn) if ledger.installed(conn) else {}
        model = read_model(conn, spec)
        ctx = Context(
            connector, conn, 0, model, baseline or dict(model.catalog.tables), strategy=options.strategy,
            options={"uniques": options.uniques},
        )  # fmt: skip
        done = ledger.state(conn).done if ledger.installed(conn) else ()
        wanted = [p for p in PLANNED if p not in done] if phase is None else [phase]
        return [step for name in wanted for step in PHASES[name].steps_for(ctx)]


def phase(options: Options, name: str) -> None:
    """Carry out one phase whose predecessors are done."""
    options.runner().only(name)


def verify_sql(options: Options) -> str:
    """Return a psql script that prints each reference's rows and checksums, as verify's certificates have them.

    Raises:
        GateClosed: text or key is not there (before expand, after contract).
    """
    spec = parse(_spec_text(options))
    connector = Connector(options.url)
    with connector.open("plan") as conn:
        model = read_model(conn, spec)
        verify_phase.gate(Context(connector, conn, 0, model))
    return script(model, PRINTING)


def rollback(options: Options, target: str) -> str:
    """Undo every phase after the target, which stays the last one done; ``start`` undoes everything.

    Returns:
        The last phase done, which lies below the target where the target itself had been half undone.

    Raises:
        GateClosed: the target is not done.
    """
    with Connector(options.url).open("read") as conn:
        installed, state = ledger.installed(conn), ledger.state(conn)
    if target not in (START, *state.done):
        raise GateClosed(
            "order",
            [f"{target} is not done; the last phase done is {state.last}"],
            hint=f"normalform run --until {target}",
        )
    if not installed:
        return state.last  # nothing to undo, and no reason to make a ledger
    options.runner().rollback(target)
    return status(options, collisions=False).last


def run(options: Options, *, until: str = "constrain") -> RunReport:
    """Carry out every phase up to a target, live or in a window.

    In a window the stop hook runs, then the fence refuses stray writes, then the phases go at full speed; the fence
    falls and the start hook runs when the target is reached. Where the first phase's gate is closed already, nobody is
    stopped. On an error after that the fence stays up: the operator decides whether to run again or to roll back, and
    both end with the fence down.
    """
    runner = options.runner()
    with runner.session(f"run --strategy {options.strategy} --until {until}") as ctx:
        window = options.strategy == "window"
        if window:
            runner.ask(ctx, until)
        began = time.monotonic()
        if window:
            _hook(ctx, "stop", ctx.model.spec.hooks.stop)
        with runner.fenced(ctx):
            runner.forward(ctx, until)
        seconds = time.monotonic() - began
        if window:
            _hook(ctx, "start", ctx.model.spec.hooks.start)
            ledger.note(ctx.conn, ctx.run, "window", until, f"{seconds:.1f} seconds without writes")
        return RunReport(ledger.state(ctx.conn).last, seconds if window else None)


def _hook(ctx: Context, name: str, command: str | None) -> None:
    if command is None:
        return
    ctx.sink(Event("note", f"hook-{name}", command))
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602  (the spec's own)
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise GateClosed(f"hook-{name}", [f"`{command}` ended with {done.returncode}: {tail[0]}"])


def status(options: Options, *, collisions: bool = True) -> Status:
    """Read where the migration stands, and count the rows that the next step would refuse.

    Constrained, those are rows that a unique on the key would refuse, at which contract would stop; contracted, rows
    that could not go back under the legacy uniques, at which the rollback would.

    Args:
        options: the database.
        collisions: whether to count such rows, which reads the tables.
    """
    with Connector(options.url).open("status") as conn:
        state = status_reader.read(conn)
        if not collisions or state.last not in ("constrain", "contract"):
            return state
        model = read_model(conn, parse(ledger.stored_spec(conn)))
        conserved = [t for t in conserve(model, ledger.baseline(conn)) if t.dropped]
        found = colliding_now(conn, state.last, model, conserved, mask=options.mask)
        return replace(state, collisions=tuple(found))


def explain(options: Options, table_name: str, key: Sequence[str]) -> list[Explanation]:
    """Explain a row: its old text, the key that it has, the rule or decision that moved it, by whom, in which batch.

    Reads only; works before, during and after the migration.

    Args:
        options: the database.
        table_name: a reference's table as SQL writes it, or a reference's name.
        key: the primary key's values, in the order of its columns.

    Returns:
        One explanation for each reference on the table.

    Raises:
        UsageError: there is no such reference or row.
    """
    spec = parse(_spec_text(options))
    with Connector(options.url).open("explain") as conn:
        return explain_row(conn, spec, table_name, key, mask=options.mask)


def backup(
    options: Options,
    output: Path,
    *,
    kind: Kind | None = None,
    owners: bool = True,
    jobs: int | None = None,
    verify_on: str | None = None,
    keep: int | None = None,
    keep_days: float | None = None,
) -> BackupReport:
    """Dump one snapshot, restore it elsewhere, compare, and only then give the backup its name. Needs no spec.

    Args:
        options: the database; the role reads all of it and needs no other right.
        output: a folder, in which it gets a name of database and time, or one ``.sql`` file to write.
        kind: ``directory`` (dumped and restored in parallel) or ``plain``; None: plain for a ``.sql``, else directory.
        owners: whether owners and rights are part of it.
        jobs: how many processes dump and restore; None: one for each core, at most four.
        verify_on: URL of a server to restore on, as a role that may create databases; None: a server of our own.
        keep: how many verified backups of this database stay in the folder, this one included; at least 1.
        keep_days: days for which they stay. With both a backup stays for either; with none nothing goes.

    Raises:
        GateClosed: something is missing: rights, programs, extensions, roles. Nothing was dumped.
        BackupRefused: the restored database differs. Nothing of the backup is left.
        UsageError: the output exists already, or an argument makes no sense.
    """
    if (keep is not None and keep < 1) or (keep_days is not None and keep_days < 0):
        raise UsageError("the newest backup always stays: keep at least 1, for 0 days or more")
    return backup_phase.make(
        options.url, output, _tools(options, verify_on, jobs), kind=kind, owners=owners, keep=keep, keep_days=keep_days
    )


def backup_check(
    options: Options, path: Path, *, restore: bool = True, jobs: int | None = None, verify_on: str | None = None
) -> BackupReport:
    """Check a backup: its manifest, each file's size and SHA-256, and that it restores to what it was taken of.

    Args:
        options: only its sink and stop are used: the database need not be there any more.
        path: the backup's folder, or its ``.sql``.
        restore: whether to restore and compare; False looks at the files alone.
        jobs, verify_on: as `backup` has them.

    Raises:
        BackupRefused: it is damaged, cut short, none of ours, or restores to something else.
        GateClosed: what is needed to restore it is missing.
    """
    return backup_phase.check(path, _tools(options, verify_on, jobs), restore=restore)


#: For a server that lives for one restore: nothing of it need outlast a crash.
SCRATCH_SETTINGS = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "maintenance_work_mem": "256MB",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "shared_buffers": "256MB",
    "synchronous_commit": "off",
    "wal_level": "minimal",
}


@contextmanager
def _scratch_server(major: int) -> Iterator[str]:
    with embedded.temporary(version=major, settings=SCRATCH_SETTINGS) as server:
        yield server.url()


def _tools(options: Options, verify_on: str | None, jobs: int | None) -> backup_phase.Tools:
    return backup_phase.Tools(
        programs.find(embedded.packaged_binaries()),
        _scratch_server,
        verify_on,
        jobs or min(4, os.cpu_count() or 1),
        options.sink,
        options.stop,
    )


def uninstall(options: Options, *, give_up_undo: bool = False) -> list[str]:
    """Remove the ledger and every object of ours.

    Args:
        options: the database.
        give_up_undo: needed while phases are done: key columns, keys and constraints stay, and can then no longer be
            undone by us, nor the archive read.

    Returns:
        What was removed, for people.
    """
    plain = Connector(options.url)
    with plain.open("read") as conn:
        if not ledger.installed(conn):
            return []
    with options.runner().session("uninstall") as ctx:
        return uninstall_phase.uninstall(ctx, give_up_undo=give_up_undo)
