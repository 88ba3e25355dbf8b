"""Reading in block ranges: every row once, a range that the server ends is cut, what came of it is forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fix_servers import Database
from normalform.db import ranges
from normalform.db.mapping_file import building, entries
from normalform.errors import DatabaseRefused

ROWS = "SELECT n FROM public.numbers WHERE ctid >= '({},0)'::tid AND ctid < '({},0)'::tid"


@pytest.fixture
def numbers(db: Database) -> Iterator[tuple[psycopg.Connection, int]]:
    """A session, and the OID of a table of some twenty blocks."""
    db.run("CREATE TABLE public.numbers AS SELECT g AS n, repeat('x', 100) AS filler FROM generate_series(1, 1100) g")
    with db.connect() as conn:
        yield conn, db.value("SELECT 'public.numbers'::regclass::oid::bigint")


def test_every_row_is_read_once_whatever_the_ranges(numbers: tuple[psycopg.Connection, int]) -> None:
    conn, relation = numbers
    total = ranges.blocks(conn, relation)
    assert total > 15
    for first_blocks in (1, 3, total, 1000):
        read: list[int] = []
        spans: list[tuple[int, int]] = []

        def one(first: int, end: int, read: list[int] = read, spans: list[tuple[int, int]] = spans) -> None:
            spans.append((first, end))
            read += [n for (n,) in conn.execute(ROWS.format(first, end).encode())]

        done = list(ranges.each(conn, relation, one, read.clear, first_blocks=first_blocks))
        assert sorted(read) == list(range(1, 1101))
        assert done[-1] == (total, total)
        assert [end for _, end in spans] == [d for d, _ in done]
        assert all(after[0] == before[1] for before, after in pairwise(spans))
    [(timeout,)] = conn.execute("SHOW statement_timeout").fetchall()
    assert timeout == "0"


def test_an_empty_table_has_nothing_to_read(db: Database) -> None:
    db.run("CREATE TABLE public.numbers (n integer)")
    with db.connect() as conn:
        relation = db.value("SELECT 'public.numbers'::regclass::oid::bigint")
        assert list(ranges.each(conn, relation, lambda first, end: None, lambda: None)) == [(0, 0)]


@pytest.mark.slow
def test_a_range_that_takes_too_long_is_cut_and_what_came_of_it_forgotten(
    numbers: tuple[psycopg.Connection, int], tmp_path: Path
) -> None:
    conn, relation = numbers
    file, cut = tmp_path / "m.sqlite", []
    with building(file) as made:
        made.begin_reference("numbers")

        def rows(first: int, end: int) -> Iterator[tuple[Any, ...]]:
            for (n,) in conn.execute(ROWS.format(first, end).encode()).fetchall():
                yield json.dumps(["t"]), str(n % 7), None, 1, "exact", "1", None, None, 1
            if end - first > 4:
                cut.append((first, end))
                conn.execute("SELECT pg_sleep(600)")  # the server ends this one

        for _ in ranges.each(
            conn, relation, lambda first, end: made.add_range(rows(first, end)), made.forget_range, longest=2
        ):
            pass
        made.end_reference()
    assert cut
    found = {e.text: e.rows for e in entries(file)}
    assert found == {str(d): sum(1 for n in range(1, 1101) if n % 7 == d) for d in range(7)}


def test_one_block_that_takes_too_long_is_refused(numbers: tuple[psycopg.Connection, int]) -> None:
    conn, relation = numbers

    def slow(first: int, end: int) -> None:
        conn.execute("SELECT pg_sleep(600)")

    with pytest.raises(DatabaseRefused, match=r"one block takes longer than 0\.2 s"):
        list(ranges.each(conn, relation, slow, lambda: None, longest=0.2, first_blocks=4))


def test_a_stream_gives_every_row_in_order(db: Database) -> None:
    with db.connect() as conn:
        found = list(ranges.stream(conn, "SELECT g, 'a%b' FROM generate_series(1, 5000) g"))
    assert found == [(g, "a%b") for g in range(1, 5001)]
