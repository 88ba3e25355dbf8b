"""`init` and `audit` on a streaming standby, by a role with SELECT alone, with ten million rows and more.

    .venv/bin/python bench/standby.py [--times N]

Loads the demo's data into a server of its own, N times its machine tags, and makes a standby that streams from it. Both
commands run there and on the primary, while a writer goes on writing. Printed are how long each took, the longest
transaction of ours that another session saw (looked for every 50 ms), and whether both servers say the same. It fails
where they do not, where something was written, or where a transaction lasted longer than 30 s. Recorded results:
bench/standby.md.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from typing import TypeVar

import psycopg

from normalform import embedded
from normalform.core.findings import AuditReport
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.demo.load import load
from normalform.phases.audit import audit
from normalform.phases.init import init

SETTINGS = {"shared_buffers": "256MB", "work_mem": "64MB", "max_wal_size": "8GB", "autovacuum": "off"}
SPEC = files("normalform.demo").joinpath("normalform.toml").read_text("utf-8")
READER = "bench_reader"
#: Seconds that no transaction of ours may last.
LONGEST = 30.0
MORE = """
INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category, confidence, tag_type, model_name, created_at)
SELECT image_id, tenant_id, keyword, category, confidence, 'again' || {number}, model_name, created_at
FROM public.machine_tags WHERE tag_type NOT LIKE 'again%'
"""
AGE = (
    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity "
    "WHERE usename = %s"
)
TOUCH = "UPDATE public.machine_tags SET confidence = 0.5 WHERE id = %s"
T = TypeVar("T")


@contextmanager
def watched(url: str) -> Iterator[list[float]]:
    """Watch a server; the list's one number is the longest age of a transaction of the reader."""
    longest, stop = [0.0], threading.Event()

    def watch() -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            while not stop.wait(0.05):
                row = conn.execute(AGE, (READER,)).fetchone()
                longest[0] = max(longest[0], row[0] if row else 0.0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield longest
    finally:
        stop.set()
        thread.join()


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Let an application change rows meanwhile, without changing what they say."""
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            number = 0
            while not stop.wait(0.02):
                number += 1
                conn.execute(
                    "UPDATE public.machine_tags SET confidence = 0.5 WHERE id = %s", (number * 7919 % 1_000_000,)
                )

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def timed(what: str, server: embedded.Server, call: Callable[[], T]) -> T:
    """Run it, and say how long it and its longest transaction took."""
    began = time.monotonic()
    with watched(server.url("bench")) as longest:
        result = call()
    print(f"  {what:18} {time.monotonic() - began:6.1f} s, longest transaction {longest[0]:5.1f} s", flush=True)
    if longest[0] > LONGEST:
        raise SystemExit(f"{what}: a transaction lasted {longest[0]:.1f} s")
    return result


def told(report: AuditReport) -> set[tuple[str, str, int]]:
    """What an audit found, but for what is only true of one of the two servers."""
    return {(f.code, f.subject, f.count) for f in report.findings if f.code not in ("NF403", "NF406")}


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    with embedded.temporary(version=18, settings=SETTINGS) as primary:
        with psycopg.connect(primary.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE bench LOGIN")
            admin.execute(f"CREATE ROLE {READER} LOGIN".encode())
            admin.execute("CREATE DATABASE bench OWNER bench")
        owner = primary.url("bench", "bench")
        load(owner)
        with psycopg.connect(owner, autocommit=True) as conn:
            for number in range(1, asked.times):
                conn.execute(MORE.format(number=number).encode())
            conn.execute("ANALYZE")
            conn.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}".encode())
            row = conn.execute("SELECT count(*) FROM public.machine_tags").fetchone()
            print(f"{row[0] if row else 0:,} machine tags")
        schema = primary.run_tool("pg_dump", "--schema-only", "bench").stdout
        with embedded.standby(primary) as standby, writing(owner):
            reports, drafts = [], []
            for name, server in (("primary", primary), ("standby", standby)):
                connector = Connector(server.url("bench", READER))
                drafts.append(timed(f"init, {name}", server, partial(init, connector)))
                reports.append(
                    timed(f"audit, {name}", server, partial(audit, connector, parse(SPEC), mapping_path=None))
                )
                with psycopg.connect(server.url("bench"), autocommit=True) as conn:
                    if server is standby:
                        row = conn.execute("SELECT status FROM pg_stat_wal_receiver").fetchone()
                        print(f"  the standby is {row[0] if row else 'alone'}")
        here, there = (told(r) for r in reports)
        known = {(r.table.name, r.text) for r in parse(SPEC).references}
        missing = known - {(r.table.name, r.text) for r in parse(drafts[1].text).references}
        noise = [line for line in schema.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        after = primary.run_tool("pg_dump", "--schema-only", "bench").stdout.splitlines()
        same = noise == [line for line in after if not line.startswith(("\\restrict", "\\unrestrict"))]
        equal = reports[0].tallies == reports[1].tallies
        print(
            f"findings on the primary {len(here)}, on the standby {len(there)}, different {len(here ^ there)}; "
            f"tallies {'equal' if equal else 'DIFFERENT'}; references that init did not find: {len(missing)}; "
            f"schema {'unchanged' if same else 'CHANGED'}"
        )
        if here ^ there or missing or not same or not equal:
            raise SystemExit(f"not the same: {sorted(here ^ there)} {missing}")


if __name__ == "__main__":
    main()
