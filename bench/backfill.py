"""How fast backfill fills a million rows, and how far the table grows.

    .venv/bin/python bench/backfill.py [--strategy live|window] [--workers N] [--vacuum between|after|never] [--rows N]

Loads the demo's data into a server of its own, lets expand do its work, then fills machine_tags alone and prints rows a
second, growth of heap and indexes, WAL, and this process's peak memory. Recorded results: bench/backfill.md.
"""

from __future__ import annotations

import argparse
import re
import resource
import time
from importlib.resources import files

import psycopg

from normalform import embedded
from normalform.core.events import Event
from normalform.db.blocks import sweep
from normalform.db.session import open_run
from normalform.demo.load import load
from normalform.runner import Runner
from normalform.sql.fill import fill_work

SIZES = "SELECT pg_relation_size('machine_tags'), pg_indexes_size('machine_tags'), pg_current_wal_insert_lsn() - '0/0'"


def spec(vacuum: str) -> str:
    """The demo's spec with nothing required, so that no decision stands in the way."""
    text = files("normalform.demo").joinpath("normalform.toml").read_text("utf-8")
    text = re.sub(r"(\[reference\.(?!faces)\w+\]\n)", r"\1required = false\n", text)
    return f'{text}\n[backfill]\nvacuum = "{vacuum}"\n'


def show(event: Event) -> None:
    """Say what a batch was refused for; anything else is not news here."""
    if "halved" in event.text:
        print(f"  {event.text}")


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--strategy", choices=("live", "window"), default="live")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--vacuum", choices=("between", "after", "never"), default="between")
    parser.add_argument("--rows", type=int)
    asked = parser.parse_args()
    settings = {"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum": "off"}
    with embedded.temporary(version=18, settings=settings) as server:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE bench LOGIN")
            admin.execute("CREATE DATABASE bench OWNER bench")
        url, text = server.url("bench", "bench"), spec(asked.vacuum)
        load(url, rows=asked.rows)
        Runner(url, text).advance("expand")
        with (
            psycopg.connect(server.url("bench"), autocommit=True) as admin,
            open_run(url, text, "bench", sink=show, strategy=asked.strategy, workers=asked.workers) as ctx,
        ):
            before = admin.execute(SIZES).fetchone()
            began = time.monotonic()
            swept = sweep(ctx, fill_work(ctx.model.reference("machine_tags")))
            seconds = time.monotonic() - began
            after = admin.execute(SIZES).fetchone()
    assert before is not None
    assert after is not None
    print(
        f"{asked.strategy}, {asked.workers} workers, vacuum {asked.vacuum}: {swept.rows:,} rows in {seconds:.1f} s, "
        f"{swept.rows / seconds:,.0f} rows/s; heap x{after[0] / before[0]:.2f}, indexes x{after[1] / before[1]:.2f}, "
        f"WAL {(after[2] - before[2]) / 2**20:,.0f} MB; "
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"
    )


if __name__ == "__main__":
    main()
