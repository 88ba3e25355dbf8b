"""The commands. Each one reads its options, calls the API function of its name, and shows what came back."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import psycopg
import typer
from rich.live import Live

from .. import api
from ..core import sampling
from ..core.events import tee
from ..core.findings import FAIL_ON, FailOn, fails, gate
from ..core.index_successor import DEFERRABLE, LATE
from ..core.phases import ORDER, START
from ..db.refused import refused
from ..errors import Interrupted, NormalformError, UsageError
from . import show, show_audit, show_backup, show_explain, show_init, show_sample
from .settings import DEFAULT_SPEC, Settings, Terminal

app = typer.Typer(
    name="normalform",
    help="Turns repeated text into foreign keys in a live PostgreSQL database. `init` and `audit` change nothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
resolve_app = typer.Typer(help="Decide what each unresolved value means: export, edit, check, apply, undo.")
app.add_typer(resolve_app, name="resolve", no_args_is_help=True)
_settings = Settings()

Strategy = Annotated[str, typer.Option(help="live: beside writers; window: application stopped, writes fenced off.")]
Workers = Annotated[int | None, typer.Option(min=1, max=8, help="Sessions that work at once; default: the spec's.")]
Mapping = Annotated[Path, typer.Option("--mapping", help="Local file that keeps the mapping between commands.")]
Uniques = Annotated[
    str,
    typer.Option(
        help="late: contract makes the key unique, the legacy uniques guard until then; "
        "deferrable: constrain does, by DEFERRABLE constraints, and ON CONFLICT DO NOTHING fails beside them."
    ),
]
DEFAULT_MAPPING = Path("normalform-mapping.sqlite")


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
    _settings.spec, _settings.url, _settings.environment = spec, database_url, env
    _settings.as_json, _settings.mask = as_json, mask
    _settings.out, _settings.err = Terminal(), Terminal(stderr=True)


@app.command()
def init(
    reference: Annotated[
        list[str] | None, typer.Option(help="Column that repeats a text, as schema.table.column; default: find them.")
    ] = None,
    lookup: Annotated[
        list[str] | None, typer.Option(help="Column that owns the text, as schema.table.column; default: find it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Spec file to write, which must not exist; - for stdout.")] = DEFAULT_SPEC,
    everything: Annotated[bool, typer.Option("--all", help="Also list every column left out, and why.")] = False,
) -> None:
    """Look around, guess lookups and references with their hit rates, and write a spec. Changes nothing."""
    if str(out) != "-" and out.exists():
        raise UsageError(f"{out} exists, and is not overwritten", hint="normalform init --out OTHER.toml")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent} to write {out.name} into")
    with _settings.options(spec=False) as opts:
        report = api.init(opts, references=reference or (), lookups=lookup or ())
    written = out if report.text and str(out) != "-" else None
    if written is not None:
        with written.open("x", encoding="utf-8") as file:
            file.write(report.text)
    if _settings.as_json:
        show_init.as_json(report, written)
    else:
        # What goes to stdout there is the spec alone.
        console = _settings.err if str(out) == "-" else _settings.out
        show_init.summary(console, report, asked=bool(reference), everything=everything, written=written)
        if str(out) == "-":
            print(report.text, end="")
    if not report.text:
        raise typer.Exit(1)


@app.command()
def audit(
    mapping: Mapping = DEFAULT_MAPPING,
    code: Annotated[list[str] | None, typer.Option(help="Only these findings, by code.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every offending row, not a sample.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Rows as CSV on stdout (with --all).")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL that finds each finding's rows, for psql.")] = False,
    fail_on: Annotated[str, typer.Option(help="Exit with 1 for an error, for a warning too, or never.")] = "error",
    sample: Annotated[
        str | None, typer.Option(help="Read only such a part of the blocks, as 1%, and answer with intervals.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the blocks of --sample.")] = 0,
) -> None:
    """Read everything, build the mapping, report findings. Changes nothing; SELECT rights are enough."""
    failing = _fail_on(fail_on)
    if csv and not everything:
        raise UsageError("--csv prints every offending row", hint="normalform audit --all --csv")
    if sample is not None:
        if everything or sql or code:
            raise UsageError("--sample counts, and names no row", hint="normalform audit, without --sample")
        _sample(sample, seed, failing)
        return
    with _settings.options() as opts:
        report = api.audit(opts, mapping=mapping)
        found = show_audit.chosen(report, code)
        if sql:
            show_audit.as_sql(found)
        elif csv:
            show_audit.as_csv(found, lambda finding: api.offenders(opts, finding))
        elif everything:
            show_audit.every_row(_settings.out, found, lambda finding: api.offenders(opts, finding))
        elif _settings.as_json:
            show_audit.as_json(report, found)
        else:
            show_audit.summary(_settings.out, report, found)
            if report.mapping is not None:
                settle = "normalform resolve export decisions.csv" if gate(report) else "normalform plan"
                _settings.out.print(f"  → {settle}", highlight=False)
    if fails(report, failing):
        raise typer.Exit(1)


def _sample(text: str, seed: int, failing: FailOn) -> None:
    try:
        share = sampling.share_of(text)
    except ValueError:
        raise UsageError(f"--sample {text!r} is no part of a table; it is written 1% or 0.01") from None
    with _settings.options() as opts:
        report = api.sample(opts, share, seed=seed)
    if _settings.as_json:
        print(json.dumps(report.to_json()))
    else:
        show_sample.summary(_settings.out, report)
    if sampling.fails(report, failing):
        raise typer.Exit(1)


@resolve_app.command("export")
def resolve_export(
    out: Annotated[Path, typer.Argument(help="Decision file to write (CSV).")],
    mapping: Mapping = DEFAULT_MAPPING,
    collisions: Annotated[bool, typer.Option(help="Also write groups of rows that would collide.")] = True,
) -> None:
    """Write every value that needs a decision, with candidates and suggestions, to a CSV file."""
    with _settings.options() as opts:
        report = api.resolve_export(opts, mapping, out, collisions=collisions)
    show.result(_settings, report, f"wrote {out}", next_command=f"edit it, then: normalform resolve check {out}")


@resolve_app.command("check")
def resolve_check(path: Annotated[Path, typer.Argument(help="Decision file.")]) -> None:
    """Check a decision file whole; every bad line is listed, nothing is changed."""
    with _settings.options() as opts:
        report = api.resolve_check(opts, path)
    show.result(_settings, report, f"{path} holds", next_command=f"normalform resolve apply {path}")


@resolve_app.command("apply")
def resolve_apply(path: Annotated[Path, typer.Argument(help="Decision file.")]) -> None:
    """Apply a decision file; what it changes or deletes is kept in the archive first."""
    with _settings.options() as opts:
        report = api.resolve_apply(opts, path)
    show.result(_settings, report, f"applied {path}", next_command="normalform audit")


@resolve_app.command("undo")
def resolve_undo() -> None:
    """Undo every decision: each row that still equals what the decision left comes back; others are listed."""
    with _settings.options() as opts:
        report = api.resolve_undo(opts)
    show.result(_settings, report, "decisions undone", next_command="normalform audit")


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
    kind = _kind(made)
    if check is not None:
        if keep is not None or keep_days is not None or made is not None:
            raise UsageError("--check makes no backup and removes none", hint=f"normalform backup --check {check}")
        with _settings.options(spec=False, database=False) as opts:
            found = api.backup_check(opts, check, restore=not files_only, jobs=jobs, verify_on=verify_on)
        show_backup.checked(_settings, found)
        return
    if files_only:
        raise UsageError("--files-only goes with --check", hint="normalform backup --check PATH --files-only")
    with _settings.options(spec=False) as opts:
        report = api.backup(
            opts, output, kind=kind, owners=owner, jobs=jobs, verify_on=verify_on, keep=keep, keep_days=keep_days
        )
    show_backup.made(_settings, report)


@app.command()
def plan(
    phase: Annotated[str | None, typer.Argument(help=f"One of {', '.join(api.PLANNED)}; default: all.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements instead of the table.")] = False,
    uniques: Uniques = LATE,
) -> None:
    """Show what would be done, with the lock that each step takes; changes nothing."""
    if phase is not None and phase not in api.PLANNED:
        raise UsageError(f"no plan for {phase!r}; phases with one: {', '.join(api.PLANNED)}")
    with _settings.options() as opts:
        steps = api.plan(replace(opts, uniques=_uniques(uniques)), phase)
    show.plan(_settings, steps, sql=sql)


def _phase_command(name: str, text: str) -> None:
    def command(workers: Workers = None, strategy: Strategy = "live") -> None:
        with _settings.options(strategy=_strategy(strategy), workers=workers) as opts:
            api.phase(opts, name)
            status = api.status(opts, collisions=False)
        show.result(_settings, {"last": status.last}, f"{name} done", next_command=_next(status.last))

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
    with _settings.options(strategy=_strategy(strategy), workers=workers) as opts:
        if sql:
            print(api.verify_sql(opts), end="")
            return
        if everything and not _settings.as_json:  # there the events say it
            opts = replace(opts, sink=tee(opts.sink, show.offence))
        api.phase(replace(opts, every_row=everything), "verify")
        status = api.status(opts)
    show.result(_settings, {"last": status.last}, "verify done", next_command=_next(status.last))


@app.command()
def constrain(workers: Workers = None, strategy: Strategy = "live", uniques: Uniques = LATE) -> None:
    """Build what enforces it: indexes, foreign keys, NOT NULL, the lookup's own unique."""
    with _settings.options(strategy=_strategy(strategy), workers=workers) as opts:
        api.phase(replace(opts, uniques=_uniques(uniques)), "constrain")
        status = api.status(opts, collisions=False)
    show.result(_settings, {"last": status.last}, "constrain done", next_command=_next(status.last))


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
    with _settings.options(strategy=_strategy(strategy), workers=workers) as opts:
        api.phase(replace(opts, waive=tuple(waive or ())), "contract")
    show.result(_settings, {"last": "contract"}, "contract done", next_command=_next("contract"))


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
    with _settings.options(strategy=_strategy(strategy), workers=workers) as opts:
        report = api.run(replace(opts, uniques=_uniques(uniques)), until=until)
    without = report.seconds_without_writes
    text = f"{report.last} done" + (f", {without:.1f} s without writes" if without is not None else "")
    show.result(_settings, report, text, next_command=_next(report.last))


@app.command()
def rollback(
    to: Annotated[str, typer.Option("--to", help=f"Phase that stays done, or {START} for everything.")],
    workers: Workers = None,
    strategy: Strategy = "live",
) -> None:
    """Undo every phase after the given one, last first; `start` undoes everything, decisions included."""
    if to not in (*ORDER, START):
        raise UsageError(f"no phase {to!r}; one of {', '.join(ORDER)}, or {START}")
    with _settings.options(strategy=_strategy(strategy), workers=workers) as opts:
        last = api.rollback(opts, to)
    show.result(_settings, {"last": last}, f"rolled back; the last phase done is {last}", next_command=_next(last))


@app.command()
def status() -> None:
    """Show where the migration stands, who works on it, and whom it waits for."""
    with _settings.options() as opts:
        show.status(_settings, api.status(opts))


@app.command()
def watch(
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    times: Annotated[int | None, typer.Option(min=1, help="Stop after so many looks.")] = None,
) -> None:
    """Show the status again and again, until Ctrl-C; colliding rows are counted by `status` alone."""
    with _settings.options() as opts:
        if _settings.as_json or not _settings.out.is_terminal:
            for _ in _looks(opts, every, times):
                show.status(_settings, api.status(opts, collisions=False))
            return
        with Live(console=_settings.out, auto_refresh=False) as live:
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
    with _settings.options() as opts:
        show_explain.show(_settings, api.explain(opts, table, key))


@app.command()
def uninstall(
    give_up_undo: Annotated[bool, typer.Option(help="Also after constrain or contract: undo is then gone.")] = False,
) -> None:
    """Remove the ledger and everything that only the migration needed."""
    with _settings.options() as opts:
        removed = api.uninstall(opts, give_up_undo=give_up_undo)
    show.result(
        _settings, {"removed": removed}, f"removed {len(removed)} objects" if removed else "nothing of ours is here"
    )


@app.command()
def demo(
    rows: Annotated[int | None, typer.Option(min=1000, help="Fewer machine tags than the data's 1,080,986.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server up and print its URL.")] = False,
) -> None:
    """The whole job on real data, on an embedded PostgreSQL 18."""
    from ..demo.main import demo as run_demo

    run_demo(_settings.out, rows=rows, keep=keep)


def _strategy(text: str) -> Any:
    if text not in ("live", "window"):
        raise UsageError(f"no strategy {text!r}; one of live, window")
    return text


def _kind(text: str | None) -> Any:
    if text not in (None, "directory", "plain"):
        raise UsageError(f"no format {text!r}; one of directory, plain")
    return text


def _uniques(text: str) -> Any:
    if text not in (LATE, DEFERRABLE):
        raise UsageError(f"no such uniques {text!r}; one of {LATE}, {DEFERRABLE}")
    return text


def _fail_on(text: str) -> FailOn:
    wanted = next((level for level in FAIL_ON if level == text), None)
    if wanted is None:
        raise UsageError(f"--fail-on {text!r} is none of {', '.join(FAIL_ON)}")
    return wanted


def _next(phase: str) -> str | None:
    if phase not in ORDER or phase == ORDER[-1]:
        return "normalform status"
    return f"normalform {ORDER[ORDER.index(phase) + 1]}"


#: Base of Typer's own usage errors: Click's, or that of the copy of Click which later versions of Typer carry.
_CommandLineError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
#: Exit status of a defect of ours, which no status of the documentation may be taken for (EX_SOFTWARE).
DEFECT = 70


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 findings, 2 usage or spec, 3 gate, 4 interrupted, 5 database.

    Args:
        arguments: instead of ``sys.argv[1:]``.
    """
    given = sys.argv[1:] if arguments is None else arguments
    _settings.as_json = "--json" in given  # for mistakes of the command line itself
    sys.exit(_guarded(given))


def _guarded(arguments: list[str]) -> int:
    # Not by calling the app: Typer would turn Ctrl-C and a closed pipe into exit statuses of its own.
    command = typer.main.get_command(app)
    try:
        with command.make_context("normalform", list(arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        return ended.exit_code
    except NormalformError as error:
        return show.error(_settings, error)
    except psycopg.Error as error:
        return show.error(_settings, refused(error, mask=_settings.mask))
    except (KeyboardInterrupt, typer.Abort):
        return show.error(_settings, Interrupted("stopped", hint="run the same command again to resume"))
    except BrokenPipeError:
        # Whoever read our output has enough, as `head` has; nor must Python fail while it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        return show.error(_settings, UsageError(f"{error.filename or 'file'}: {error.strerror or error}"))
    except Exception as error:  # noqa: BLE001  (a defect is shown whole, with a status of its own)
        if isinstance(error, _CommandLineError):
            text = str(error.format_message())
            # Without a text the help has been printed: no command was given.
            return show.error(_settings, UsageError(text, hint="normalform --help")) if text else UsageError.exit_status
        traceback.print_exc()
        return DEFECT
    return 0
