"""How much memory the runner takes, with millions of distinct values.

    .venv/bin/python bench/memory.py [--values N] [--orphans N] [--until PHASE]

Makes a table of N rows, each with a text of its own; all but some of the texts have a lookup row. Every step runs in a
process of its own, whose peak is printed; the limit is 200 MB. Recorded results: bench/memory.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import psycopg

from normalform import api, embedded
from normalform.core.phases import ORDER

LIMIT_MB = 200
SPEC = """
version = 1
[lookup.word]
table = "public.words"
key = "id"
text = "word"
[reference.uses]
table = "public.uses"
lookup = "word"
text = "word"
qualifier = false
add = "word_id"
required = false
"""
DATA = """
CREATE TABLE public.words (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text NOT NULL UNIQUE);
CREATE TABLE public.uses (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text);
INSERT INTO public.uses (word) SELECT 'value ' || pg_catalog.md5(g::text) FROM generate_series(1, {values}) g;
INSERT INTO public.words (word) SELECT word FROM public.uses WHERE id > {orphans} ORDER BY id;
ANALYZE
"""


def step(url: str, name: str, mapping: str) -> None:
    """Take one step."""
    options = api.Options(url, SPEC)
    if name == "audit":
        api.audit(options, mapping=Path(mapping))
    else:
        api.phase(options, name)


def measured(url: str, name: str, mapping: str) -> None:
    """Take one step and say what it took."""
    began = time.monotonic()
    step(url, name, mapping)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{name:10} {time.monotonic() - began:7.1f} s  peak {peak:4} MB{'' if peak < LIMIT_MB else '  TOO MUCH'}",
        flush=True,
    )


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--values", type=int, default=5_000_000)
    parser.add_argument("--orphans", type=int, default=2_000_000)
    parser.add_argument("--until", choices=("audit", *ORDER), default="verify")
    asked = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")  # a forked process would begin with our memory
    settings = {"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum": "off", "fsync": "off"}
    with embedded.temporary(version=18, settings=settings) as server, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE bench LOGIN")
            admin.execute("CREATE DATABASE bench OWNER bench")
        url = server.url("bench", "bench")
        with psycopg.connect(url, autocommit=True) as conn:
            for statement in DATA.format(values=asked.values, orphans=asked.orphans).split(";"):
                conn.execute(statement.encode())
        print(f"{asked.values:,} distinct values, {asked.orphans:,} of them in no lookup row")
        names = ("audit", *ORDER[1:])
        for name in names[: 1 if asked.until == "audit" else names.index(asked.until) + 1]:
            process = spawn.Process(target=measured, args=(url, name, str(Path(folder) / "mapping.sqlite")))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{name} failed")


if __name__ == "__main__":
    main()
