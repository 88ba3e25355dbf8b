"""The commands that look and change nothing, before there is a ledger: `init` and `audit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .. import api
from ..core import sampling
from ..core.findings import FailOn, fails, gate
from ..errors import UsageError
from . import show_audit, show_init, show_sample
from .choices import DEFAULT_MAPPING, Mapping, fail_on_of
from .settings import DEFAULT_SPEC, SETTINGS


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
    with SETTINGS.options(spec=False) as opts:
        report = api.init(opts, references=reference or (), lookups=lookup or ())
    written = out if report.text and str(out) != "-" else None
    if written is not None:
        with written.open("x", encoding="utf-8") as file:
            file.write(report.text)
    if SETTINGS.as_json:
        show_init.as_json(report, written)
    else:
        # What goes to stdout there is the spec alone.
        console = SETTINGS.err if str(out) == "-" else SETTINGS.out
        show_init.summary(console, report, asked=bool(reference), everything=everything, written=written)
        if str(out) == "-":
            print(report.text, end="")
    if not report.text:
        raise typer.Exit(1)


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
    failing = fail_on_of(fail_on)
    if csv and not everything:
        raise UsageError("--csv prints every offending row", hint="normalform audit --all --csv")
    if sample is not None:
        if everything or sql or code:
            raise UsageError("--sample counts, and names no row", hint="normalform audit, without --sample")
        _sample(sample, seed, failing)
        return
    with SETTINGS.options() as opts:
        report = api.audit(opts, mapping=mapping)
        found = show_audit.chosen(report, code)
        if sql:
            show_audit.as_sql(found)
        elif csv:
            show_audit.as_csv(found, lambda finding: api.offenders(opts, finding))
        elif everything:
            show_audit.every_row(SETTINGS.out, found, lambda finding: api.offenders(opts, finding))
        elif SETTINGS.as_json:
            show_audit.as_json(report, found)
        else:
            show_audit.summary(SETTINGS.out, report, found)
            if report.mapping is not None:
                settle = "normalform resolve export decisions.csv" if gate(report) else "normalform plan"
                SETTINGS.out.print(f"  → {settle}", highlight=False)
    if fails(report, failing):
        raise typer.Exit(1)


def _sample(text: str, seed: int, failing: FailOn) -> None:
    try:
        share = sampling.share_of(text)
    except ValueError:
        raise UsageError(f"--sample {text!r} is no part of a table; it is written 1% or 0.01") from None
    with SETTINGS.options() as opts:
        report = api.sample(opts, share, seed=seed)
    if SETTINGS.as_json:
        print(json.dumps(report.to_json()))
    else:
        show_sample.summary(SETTINGS.out, report)
    if sampling.fails(report, failing):
        raise typer.Exit(1)
