"""How much longer a verified backup takes than a bare dump and restore.

    .venv/bin/python bench/backup.py [--rows N] [--rounds N] [--jobs N] [--format directory|plain]

Loads the demo's data into a server of its own. Then, in turns within one run: pg_dump and pg_restore (or psql) with the
same options into a database of a second server that is up already, with the settings that `backup` gives its own; and
`normalform backup`, which starts and removes that server by itself, hashes, compares and has everything on the disk.
Prints the seconds of each turn, and the ratio of the medians. Recorded results: bench/backup.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import psycopg

from normalform import api, embedded
from normalform.api import Options
from normalform.demo.load import load


def bare(source: embedded.Server, scratch: embedded.Server, folder: Path, form: str, jobs: int) -> tuple[float, float]:
    """Dump and restore once; return the seconds of each."""
    dump = folder / "bare"
    with psycopg.connect(scratch.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE bare TEMPLATE template0")
        began = time.monotonic()
        several = ["--format=directory", f"--jobs={jobs}"] if form == "directory" else ["--format=plain"]
        source.run_tool("pg_dump", f"--dbname={source.url('bench', 'bench')}", f"--file={dump}", *several)
        dumped = time.monotonic()
        into = f"--dbname={scratch.url('bare')}"
        if form == "directory":
            scratch.run_tool("pg_restore", into, "--exit-on-error", f"--jobs={jobs}", dump)
        else:
            scratch.run_tool("psql", into, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump)
        restored = time.monotonic()
        admin.execute("DROP DATABASE bare")
    if dump.is_dir():
        shutil.rmtree(dump)
    else:
        dump.unlink()
    return dumped - began, restored - dumped


def main() -> None:
    """Measure in turns."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--format", choices=("directory", "plain"), default="directory")
    asked = parser.parse_args()
    with (
        embedded.temporary(version=18, settings={"shared_buffers": "512MB", "autovacuum": "off"}) as source,
        embedded.temporary(version=18, settings=api.SCRATCH_SETTINGS) as scratch,
        tempfile.TemporaryDirectory(prefix="nf-bench-") as name,
    ):
        for server in (source, scratch):
            with psycopg.connect(server.url(), autocommit=True) as admin:
                admin.execute("CREATE ROLE bench LOGIN")
        with psycopg.connect(source.url(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE bench OWNER bench")
        load(source.url("bench", "bench"), rows=asked.rows)
        with psycopg.connect(source.url("bench"), autocommit=True) as admin:
            admin.execute("VACUUM ANALYZE")
            size = admin.execute("SELECT pg_database_size('bench')").fetchone()
        assert size is not None
        print(f"{asked.format}, {asked.jobs} jobs, database of {size[0] / 2**20:,.0f} MB", flush=True)
        folder = Path(name)
        plain, ours = [], []
        for number in range(asked.rounds):
            dumped, restored = bare(source, scratch, folder, asked.format, asked.jobs)
            plain.append(dumped + restored)
            began = time.monotonic()
            report = api.backup(
                Options(source.url("bench", "bench")),
                folder / "ours",
                kind=asked.format,
                jobs=asked.jobs,
            )
            ours.append(time.monotonic() - began)
            steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in report.seconds.items())
            print(
                f"{number + 1}: bare {plain[-1]:.1f} s (dump {dumped:.1f}, restore {restored:.1f}); "
                f"verified {ours[-1]:.1f} s ({steps}): x{ours[-1] / plain[-1]:.2f}",
                flush=True,
            )
            shutil.rmtree(folder / "ours")
    print(f"x{statistics.median(ours) / statistics.median(plain):.2f} of the medians, {report.rows:,} rows")


if __name__ == "__main__":
    main()
