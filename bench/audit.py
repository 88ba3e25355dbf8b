"""How long an audit takes, beside the bare GROUP BYs of the same columns.

    .venv/bin/python bench/audit.py [--rows N] [--repeat N]

Loads the demo's data into a server of its own. Then, in turn and several times: the GROUP BYs of scope, text and
qualifier of every reference and lookup, each result fetched to this process by psycopg; and `audit`, with its mapping
file. Prints three ratios. The one that is recorded is the median of the turns' own ratios: what runs in one turn meets
the same load. Beside it the ratio of the medians, which mixes turns, and that of processor seconds, client and server
together, which other work hardly changes. Recorded results: bench/audit.md.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from statistics import median

import psycopg
from processor import Seconds, postmaster, used
from psycopg import sql

from normalform import embedded
from normalform.core.bind import bind
from normalform.core.model import Lookup, Model, Reference, tables_of
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.db.inspect import inspect
from normalform.demo.load import load
from normalform.phases.audit import audit

#: As the demo's server is set up.
SETTINGS = {"shared_buffers": "256MB", "work_mem": "64MB", "max_wal_size": "4GB", "autovacuum": "off"}
SPEC = files("normalform.demo").joinpath("normalform.toml").read_text("utf-8")


def of_reference(reference: Reference) -> sql.Composable:
    """The bare GROUP BY of a reference's scope, text and qualifier."""
    columns = [*reference.scope, reference.text, *([reference.qualifier] if reference.qualifier else [])]
    names = sql.SQL(", ").join([sql.Identifier(c.name) for c in columns])
    table = sql.Identifier(reference.table.name.schema or "public", reference.table.name.name)
    return sql.SQL("SELECT {n}, count(*) FROM {t} GROUP BY {n}").format(n=names, t=table)


def of_lookup(lookup: Lookup) -> sql.Composable:
    """The same for a lookup; the demo's keywords have their scope from the category, which is their qualifier too."""
    table = sql.Identifier(lookup.table.name.schema or "public", lookup.table.name.name)
    text = sql.SQL("l.{}").format(sql.Identifier(lookup.text.name))
    copy = lookup.scope_copy
    if copy is None:
        names = sql.SQL(", ").join([*[sql.SQL("l.{}").format(sql.Identifier(s)) for s in lookup.scope], text])
        return sql.SQL("SELECT {n}, count(*) FROM {t} l GROUP BY {n}").format(n=names, t=table)
    names = sql.SQL(", ").join(
        [
            sql.SQL("c.{}").format(sql.Identifier(copy.column.name)),
            text,
            sql.SQL("l.{}").format(sql.Identifier(copy.join)),
        ]
    )
    return sql.SQL("SELECT {n}, count(*) FROM {t} l JOIN {c} c ON c.{k} = l.{j} GROUP BY {n}").format(
        n=names,
        t=table,
        c=sql.Identifier(copy.table.name.schema or "public", copy.table.name.name),
        k=sql.Identifier(copy.key),
        j=sql.Identifier(copy.join),
    )


def bare(url: str, model: Model) -> tuple[float, float]:
    """Run the GROUP BYs; return the seconds of the references', and of all."""
    with psycopg.connect(url, autocommit=True) as conn:
        began = time.monotonic()
        for reference in model.references:
            conn.execute(of_reference(reference)).fetchall()
        between = time.monotonic()
        for lookup in model.lookups:
            conn.execute(of_lookup(lookup)).fetchall()
        return between - began, time.monotonic() - began


def _shown(costs: list[Seconds]) -> str:
    client, server = median(c.client for c in costs), median(c.server for c in costs)
    return f"{client:.1f} client, {server:.1f} server"


def main() -> None:
    """Measure in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    with embedded.temporary(version=18, settings=SETTINGS) as server, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE bench LOGIN")
            admin.execute("CREATE DATABASE bench OWNER bench")
            process = postmaster(admin)
        url = server.url("bench", "bench")
        loaded = load(url, rows=asked.rows)
        connector, spec = Connector(url), parse(SPEC)
        with connector.open() as conn:
            model = bind(spec, inspect(conn, tables_of(spec)), {})
        references, all_columns, audits = list[float](), list[float](), list[float]()
        costs = list[tuple[Seconds, Seconds]]()
        for turn in range(asked.repeat + 1):
            before = used(process)
            those, both = bare(url, model)
            between, began = used(process), time.monotonic()
            report = audit(connector, spec, mapping_path=Path(folder) / "mapping.sqlite")
            seconds = time.monotonic() - began
            if turn:  # the first one warms the caches
                references.append(those)
                all_columns.append(both)
                audits.append(seconds)
                costs.append((between - before, used(process) - between))
                print(f"  {turn}: GROUP BYs {both:.2f} s ({those:.2f} s without lookups), audit {seconds:.2f} s")
    rows = sum(r.rows for r in report.read)
    turns = median(a / b for a, b in zip(audits, all_columns, strict=True))
    alone = median(a / b for a, b in zip(audits, references, strict=True))
    bare_costs, audit_costs = [c[0] for c in costs], [c[1] for c in costs]
    cost = median(a.both / b.both for b, a in costs)
    print(
        f"{rows:,} rows in {len(report.read)} references, {sum(r.values for r in report.read):,} distinct values, "
        f"{loaded.rows['keywords']:,} keywords, {len(report.findings)} findings\n"
        f"medians of {asked.repeat}: GROUP BYs {median(all_columns):.2f} s, audit {median(audits):.2f} s: {turns:.2f} "
        f"times as long ({alone:.2f} times the references' alone; ratio of the medians "
        f"{median(audits) / median(all_columns):.2f})\n"
        f"processor seconds, medians: GROUP BYs {_shown(bare_costs)}; audit {_shown(audit_costs)}: {cost:.2f} times\n"
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB (the GROUP BYs' results)"
    )


if __name__ == "__main__":
    main()
