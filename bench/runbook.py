"""In-place backfill with 2 workers beside the runbook's own Phases 1 to 3, in turn, on copies of one database.

    .venv/bin/python bench/runbook.py [--rows N] [--repeat N] [--workers N] [--strategy live|window] [--whole] [--keys]

Loads the demo's data once; each measurement starts from a copy of that database, with all the legacy indexes, and
concerns machine_tags alone. Ours is `backfill` after `expand`; what expand, verify and constrain take is printed beside
it. The runbook's is one transaction, as its `alembic upgrade` was. Beside each stand processor seconds (this process's
and the server's) and WAL, which other work on the machine hardly changes. Recorded results: bench/backfill.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from importlib.resources import files
from statistics import median

import psycopg
from processor import Seconds, postmaster, used

from normalform import embedded
from normalform.demo.load import load
from normalform.runner import Runner

SETTINGS = {"shared_buffers": "512MB", "work_mem": "64MB", "max_wal_size": "4GB", "autovacuum": "off"}
#: The runbook's phases, for machine_tags; its sections 7, 9 ("manually backfill") and 10.
RUNBOOK = {
    "phase 1": """
        ALTER TABLE keywords ADD COLUMN tenant_id varchar(255);
        UPDATE keywords k SET tenant_id = c.tenant_id FROM keyword_categories c WHERE c.id = k.category_id;
        ALTER TABLE machine_tags ADD COLUMN keyword_id integer;
    """,
    "phase 2": """
        UPDATE machine_tags it
        SET keyword_id = k.id
        FROM keywords k
        WHERE k.keyword = it.keyword
        AND it.tenant_id = k.tenant_id
        AND it.keyword_id IS NULL;
    """,
    "phase 3": """
        ALTER TABLE machine_tags ALTER COLUMN keyword_id SET NOT NULL;
        ALTER TABLE keywords ADD CONSTRAINT uq_tenant_keyword_category UNIQUE (tenant_id, keyword, category_id);
    """,
}
#: "The new FK columns", its section 8 calls them; it does not show the statements. Left out unless asked for.
KEYS = """
    ALTER TABLE machine_tags ADD FOREIGN KEY (keyword_id) REFERENCES keywords (id);
    CREATE INDEX ix_machine_tags_keyword_id ON machine_tags (keyword_id);
"""
WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
#: Six tags are too long for keywords.keyword, so that no keyword has them: the runbook's NOT NULL would fail on them.
SOUND = "DELETE FROM machine_tags WHERE char_length(keyword) > 100; VACUUM ANALYZE machine_tags"
PHASES = ("expand", "backfill", "verify", "constrain")


def spec() -> str:
    """The demo's spec with machine_tags as its only reference."""
    text = files("normalform.demo").joinpath("normalform.toml").read_text("utf-8")
    lookup, _, rest = text.partition("[lookup.person]")
    defaults = rest[rest.index("[defaults.reference]") : rest.index("[reference.image_tags]")]
    return f"{lookup}{defaults}[reference.machine_tags]\n"


def ours(url: str, strategy: str, workers: int, phases: Sequence[str]) -> dict[str, float]:
    """Carry the table forward; seconds by phase."""
    seconds = {}
    runner = Runner(url, spec(), strategy="window" if strategy == "window" else "live", workers=workers)
    for phase in phases:
        began = time.monotonic()
        runner.advance(phase)
        seconds[phase] = time.monotonic() - began
    return seconds


def theirs(url: str, keys: bool) -> dict[str, float]:
    """Run the runbook's phases, with foreign key and index or without; seconds by phase, the commit with the last."""
    seconds = {}
    with psycopg.connect(url) as conn:
        for phase, statements in RUNBOOK.items():
            began = time.monotonic()
            conn.execute(statements)
            if keys and phase == "phase 1":
                conn.execute(KEYS)
            if phase == "phase 3":
                conn.commit()
            seconds[phase] = time.monotonic() - began
    return seconds


class Meter:
    """Processor seconds and WAL between two looks.

    Args:
        admin: a session of the server, in autocommit mode.
    """

    def __init__(self, admin: psycopg.Connection) -> None:
        self.admin, self.server = admin, postmaster(admin)
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self.before, self.wal = used(self.server), self._wal()

    def read(self) -> tuple[Seconds, float]:
        """Return the processor seconds and the megabytes of WAL since the start."""
        return used(self.server) - self.before, (self._wal() - self.wal) / 2**20

    def _wal(self) -> int:
        row = self.admin.execute(WAL).fetchone()
        assert row is not None
        return int(row[0])


def shown(seconds: dict[str, float]) -> str:
    """Seconds by phase, on a line."""
    return ", ".join(f"{phase} {value:.1f} s" for phase, value in seconds.items())


def main() -> None:
    """Measure in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--strategy", choices=("live", "window"), default="live")
    parser.add_argument("--whole", action="store_true", help="carry ours to constrain, and print what that takes too")
    parser.add_argument("--keys", action="store_true", help="the runbook's phase 1 with foreign key and index")
    asked = parser.parse_args()
    phases = PHASES if asked.whole else PHASES[:2]
    with (
        embedded.temporary(version=18, settings=SETTINGS) as server,
        psycopg.connect(server.url(), autocommit=True) as admin,
    ):
        admin.execute("CREATE ROLE bench LOGIN")
        admin.execute("CREATE DATABASE loaded OWNER bench")
        load(server.url("loaded", "bench"), rows=asked.rows)
        with psycopg.connect(server.url("loaded", "bench"), autocommit=True) as conn:
            for statement in SOUND.split("; "):
                conn.execute(statement.encode())
            [(rows,)] = conn.execute("SELECT count(*) FROM machine_tags").fetchall()
        mine, others = list[dict[str, float]](), list[dict[str, float]]()
        meter, costs = Meter(admin), dict[str, list[tuple[Seconds, float]]](ours=[], runbook=[])
        for turn in range(asked.repeat):
            for kind in ("ours", "runbook"):
                admin.execute("CREATE DATABASE copy TEMPLATE loaded OWNER bench STRATEGY FILE_COPY")
                admin.execute("CHECKPOINT")
                url = server.url("copy", "bench")
                if kind == "ours":
                    seconds = ours(url, asked.strategy, asked.workers, phases[:1])
                    meter.start()
                    seconds |= ours(url, asked.strategy, asked.workers, phases[1:2])
                    costs[kind].append(meter.read())
                    seconds |= ours(url, asked.strategy, asked.workers, phases[2:])
                else:
                    meter.start()
                    seconds = theirs(url, asked.keys)
                    costs[kind].append(meter.read())
                admin.execute("DROP DATABASE copy")
                (mine if kind == "ours" else others).append(seconds)
                print(f"  {turn + 1}, {kind}: {shown(seconds)}")
    backfill, runbook = [m["backfill"] for m in mine], [sum(p.values()) for p in others]
    for kind, read in costs.items():
        client, server, wal = (median(v) for v in zip(*[(c.client, c.server, w) for c, w in read], strict=True))
        what = "backfill" if kind == "ours" else "phases 1 to 3"
        print(f"{kind}, {what}: processor {client:.1f} s client, {server:.1f} s server, WAL {wal:,.0f} MB (medians)")
    times = [b / a for a, b in zip(backfill, runbook, strict=True)]
    print(
        f"{rows:,} rows, {asked.strategy}, {asked.workers} workers; medians of {asked.repeat}: backfill "
        f"{median(backfill):.1f} s, {rows / median(backfill):,.0f} rows/s; the runbook's phases 1 to 3 "
        f"{median(runbook):.1f} s; backfill is {median(times):.2f} times as fast"
    )


if __name__ == "__main__":
    main()
