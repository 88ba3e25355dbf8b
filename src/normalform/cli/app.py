"""The commands. Each one reads its options, calls the API function of its name, and shows what came back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from .. import api
from ..core.events import tee
from ..core.index_successor import LATE
from ..core.phases import ORDER, START
from ..errors import UsageError
from . import look, resolve, show, show_backup, show_explain
from .choices import Strategy, Uniques, Workers, kind_of, strategy_of, uniques_of
from .settings import SETTINGS, Terminal

app = typer.Typer(
    name="normalform",
    help="Turns repeated text into foreign keys in a live PostgreSQL database. `init` and `audit` change nothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.command()(look.init)
app.command()(look.audit)
app.add_typer(resolve.app, name="resolve", no_args_is_help=True)


@app.callback()
def options(
    spec: Annotated[Path | None, typer.Option(help="Spec file; default ./normalform.toml, else the ledger's.")] = None,
    database_url: Annotated[
        str | None, typer.Option(envvar="NORMALFORM_DATABASE_URL", show_envvar=True, help="postgresql://…")
    ] = None,
    env: Annotated[
        str | None, typer.Option("--env", help="Environment of the spec whose variable has the URL.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Result as JSON on stdout, events as JSON lines on stderr.")
    ] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Hide values of rows in everything that is shown.")] = False,
) -> None:
    """Read the options that every command shares."""
    SETTINGS.spec, SETTINGS.url, SETTINGS.environment = spec, database_url, env
    SETTINGS.as_json, SETTINGS.mask = as_json, mask
    SETTINGS.out, SETTINGS.err = Terminal(), Terminal(stderr=True)


@app.command()
def backup(
    output: Annotated[Path, typer.Option(help="Folder that backups go to, or one .sql to write.")] = Path("backups"),
    made: Annotated[
        str | None, typer.Option("--format", help="directory or plain; default: plain for a .sql, else directory.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at once; default: cores, at most 4.")] = None,
    verify_on: Annotated[
        str | None,
        typer.Option(
            envvar="NORMALFORM_VERIFY_URL",
            help="Server to restore it on, as a role with CREATEDB; default: one that we start.",
        ),
    ] = None,
    owner: Annotated[bool, typer.Option("--owner/--no-owner", help="Whether owners and rights are in it.")] = True,
    keep: Annotated[int | None, typer.Option(min=1, help="Then remove all but so many of this database.")] = None,
    keep_days: Annotated[
        float | None, typer.Option(min=0, help="Then remove those older than that; with --keep, older than both.")
    ] = None,
    check: Annotated[Path | None, typer.Option(help="Make none: check this one, and restore it.")] = None,
    files_only: Annotated[bool, typer.Option("--files-only", help="With --check: restore nothing.")] = False,
) -> None:
    """Dump one snapshot, restore it elsewhere, compare every table: a backup that is verified, or none."""
    kind = kind_of(made)
    if check is not None:
        if keep is not None or keep_days is not None or made is not None:
            raise UsageError("--check makes no backup and removes none", hint=f"normalform backup --check {check}")
        with SETTINGS.options(spec=False, database=False) as opts:
            found = api.backup_check(opts, check, restore=not files_only, jobs=jobs, verify_on=verify_on)
        show_backup.checked(SETTINGS, found)
        return
    if files_only:
        raise UsageError("--files-only goes with --check", hint="normalform backup --check PATH --files-only")
    with SETTINGS.options(spec=False) as opts:
        report = api.backup(
            opts, output, kind=kind, owners=owner, jobs=jobs, verify_on=verify_on, keep=keep, keep_days=keep_days
        )
    show_backup.made(SETTINGS, report)


@app.command()
def plan(
    phase: Annotated[str | None, typer.Argument(help=f"One of {', '.join(api.PLANNED)}; default: all.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements instead of the table.")] = False,
    uniques: Uniques = LATE,
) -> None:
    """Show what would be done, with the lock that each step takes; changes nothing."""
    if phase is not None and phase not in api.PLANNED:
        raise UsageError(f"no plan for {phase!r}; phases with one: {', '.join(api.PLANNED)}")
    with SETTINGS.options() as opts:
        steps = api.plan(replace(opts, uniques=uniques_of(uniques)), phase)
    show.plan(SETTINGS, steps, sql=sql)


def _phase_command(name: str, text: str) -> None:
    def command(workers: Workers = None, strategy: Strategy = "live") -> None:
        with SETTINGS.options(strategy=strategy_of(strategy), workers=workers) as opts:
            api.phase(opts, name)
            status = api.status(opts, collisions=False)
        show.result(SETTINGS, {"last": status.last}, f"{name} done", next_command=_next(status.last))

    command.__doc__ = text
    app.command(name)(command)


_phase_command("expand", "Add key columns, the lookup's scope, and sync in both directions. Nothing existing changes.")
_phase_command("backfill", "Fill the keys, in batches. Safe to run again, and to interrupt.")


@app.command()
def verify(
    workers: Workers = None,
    strategy: Strategy = "live",
    everything: Annotated[bool, typer.Option("--all", help="Print every differing row, not a sample.")] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print a psql script that gives the same checksums; verifies nothing.")
    ] = False,
) -> None:
    """Prove that keys and text say the same; writes a certificate."""
    with SETTINGS.options(strategy=strategy_of(strategy), workers=workers) as opts:
        if sql:
            print(api.verify_sql(opts), end="")
            return
        if everything and not SETTINGS.as_json:  # there the events say it
            opts = replace(opts, sink=tee(opts.sink, show.offence))
        api.phase(replace(opts, every_row=everything), "verify")
        status = api.status(opts)
    show.result(SETTINGS, {"last": status.last}, "verify done", next_command=_next(status.last))


@app.command()
def constrain(workers: Workers = None, strategy: Strategy = "live", uniques: Uniques = LATE) -> None:
    """Build what enforces it: indexes, foreign keys, NOT NULL, the lookup's own unique."""
    with SETTINGS.options(strategy=strategy_of(strategy), workers=workers) as opts:
        api.phase(replace(opts, uniques=uniques_of(uniques)), "constrain")
        status = api.status(opts, collisions=False)
    show.result(SETTINGS, {"last": status.last}, "constrain done", next_command=_next(status.last))


@app.command()
def contract(
    workers: Workers = None,
    strategy: Strategy = "live",
    waive: Annotated[
        list[str] | None,
        typer.Option(
            help="Index or constraint that may go without a successor, or function that may break; repeatable."
        ),
    ] = None,
) -> None:
    """Drop the text; what the keys cannot reproduce is archived first."""
    with SETTINGS.options(strategy=strategy_of(strategy), workers=workers) as opts:
        api.phase(replace(opts, waive=tuple(waive or ())), "contract")
    show.result(SETTINGS, {"last": "contract"}, "contract done", next_command=_next("contract"))


@app.command()
def run(
    strategy: Strategy = "live",
    until: Annotated[str, typer.Option(help=f"Last phase to do: {', '.join(ORDER)}.")] = "constrain",
    workers: Workers = None,
    uniques: Uniques = LATE,
) -> None:
    """Carry out every phase up to a target."""
    if until not in ORDER:
        raise UsageError(f"no phase {until!r}; phases: {', '.join(ORDER)}")
    with SETTINGS.options(strategy=strategy_of(strategy), workers=workers) as opts:
        report = api.run(replace(opts, uniques=uniques_of(uniques)), until=until)
    without = report.seconds_without_writes
    text = f"{report.last} done" + (f", {without:.1f} s without writes" if without is not None else "")
    show.result(SETTINGS, report, text, next_command=_next(report.last))


@app.command()
def rollback(
    to: Annotated[str, typer.Option("--to", help=f"Phase that stays done, or {START} for everything.")],
    workers: Workers = None,
    strategy: Strategy = "live",
) -> None:
    """Undo every phase after the given one, last first; `start` undoes everything, decisions included."""
    if to not in (*ORDER, START):
        raise UsageError(f"no phase {to!r}; one of {', '.join(ORDER)}, or {START}")
    with SETTINGS.options(strategy=strategy_of(strategy), workers=workers) as opts:
        last = api.rollback(opts, to)
    show.result(SETTINGS, {"last": last}, f"rolled back; the last phase done is {last}", next_command=_next(last))


@app.command()
def status() -> None:
    """Show where the migration stands, who works on it, and whom it waits for."""
    with SETTINGS.options() as opts:
        show.status(SETTINGS, api.status(opts))


@app.command()
def watch(
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    times: Annotated[int | None, typer.Option(min=1, help="Stop after so many looks.")] = None,
) -> None:
    """Show the status again and again, until Ctrl-C; colliding rows are counted by `status` alone."""
    with SETTINGS.options() as opts:
        if SETTINGS.as_json or not SETTINGS.out.is_terminal:
            for _ in _looks(opts, every, times):
                show.status(SETTINGS, api.status(opts, collisions=False))
            return
        with Live(console=SETTINGS.out, auto_refresh=False) as live:
            for _ in _looks(opts, every, times):
                live.update(show.status_table(api.status(opts, collisions=False)), refresh=True)


def _looks(opts: api.Options, every: float, times: int | None) -> Any:
    count = 0
    while not opts.stop.is_set() and (times is None or count < times):
        count += 1
        yield count
        if times is None or count < times:
            opts.stop.wait(every)


@app.command()
def explain(
    table: Annotated[str, typer.Argument(help="A reference's table, quoted as in SQL, or a reference's name.")],
    key: Annotated[
        list[str],
        typer.Argument(
            help="Primary key: one value for each column, or all separated by commas; without one, the ctid."
        ),
    ],
) -> None:
    """Explain a row: its old text, its key, the rule or decision that moved it, by whom, in which run and batch."""
    with SETTINGS.options() as opts:
        show_explain.show(SETTINGS, api.explain(opts, table, key))


@app.command()
def uninstall(
    give_up_undo: Annotated[bool, typer.Option(help="Also after constrain or contract: undo is then gone.")] = False,
) -> None:
    """Remove the ledger and everything that only the migration needed."""
    with SETTINGS.options() as opts:
        removed = api.uninstall(opts, give_up_undo=give_up_undo)
    show.result(
        SETTINGS, {"removed": removed}, f"removed {len(removed)} objects" if removed else "nothing of ours is here"
    )


@app.command()
def demo(
    rows: Annotated[int | None, typer.Option(min=1000, help="Fewer machine tags than the data's 1,080,986.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server up and print its URL.")] = False,
) -> None:
    """The whole job on real data, on an embedded PostgreSQL 18."""
    from ..demo.main import demo as run_demo

    run_demo(SETTINGS.out, rows=rows, keep=keep)


def _next(phase: str) -> str | None:
    if phase not in ORDER or phase == ORDER[-1]:
        return "normalform status"
    return f"normalform {ORDER[ORDER.index(phase) + 1]}"
