"""Times PhotoCat's filters and counts on all of the demo's tags: the code on text beside the code on keys.

    .venv/bin/python bench/filters.py [--rows N] [--tenants 40] [--repeat 3] [--seed 1] [--keep FOLDER]

Asks through the service's own functions, without HTTP: a page of pictures with a keyword, or with any of a category's
subtree, and the counts beside such a list. Every tenant of a sample asks each question, of one end and then of the
other, in turn. Beside the clock stand the server's processor seconds, which other work on the machine hardly changes,
and the sizes of tables and indexes; both ends must give the same answers. Recorded results: bench/filters.md.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import psycopg
from catalogue import ENDS, End, both_ends, settings, tenants
from processor import postmaster, used
from psycopg.conninfo import make_conninfo

from photocat.app import create_app
from photocat.auth import Grant
from photocat.context import Asker, Service
from photocat.facets import facets
from photocat.filters import condition
from photocat.routes.images import filter_of, page_of
from photocat.schemas.requests import ImageQuery

#: Pictures a page; keywords and people beside a list.
PAGE, TOP = 50, 20
#: A keyword by how often it is used: one that has its name alone, or one that shares it.
KEYWORD = """
WITH mine AS (
    SELECT k.id, k.keyword, count(*) OVER (PARTITION BY k.keyword) = 1 AS alone
    FROM keywords k JOIN keyword_categories c ON c.id = k.category_id WHERE c.tenant_id = %(tenant)s)
SELECT mine.id FROM machine_tags t JOIN mine USING (keyword)
WHERE t.tenant_id = %(tenant)s AND alone = %(first)s ORDER BY hashint4(t.id + %(seed)s) LIMIT 1
"""
#: A category at the root, with all that is below it, or one below.
CATEGORY = """
SELECT id FROM keyword_categories WHERE tenant_id = %(tenant)s AND (parent_id IS NULL) = %(first)s
ORDER BY hashint4(id + %(seed)s) LIMIT 1
"""
SUBJECTS = {
    "keyword": ("keyword_id", KEYWORD, True), "keyword of several categories": ("keyword_id", KEYWORD, False),
    "category subtree": ("category_id", CATEGORY, True), "category": ("category_id", CATEGORY, False),
}  # fmt: skip
SIZES = """
SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
WHERE relname = ANY (%s) AND relnamespace = 'public'::regnamespace ORDER BY array_position(%s, relname::text)
"""
TABLES = ["image_tags", "machine_tags", "permatags", "trained_image_tags", "keyword_models", "detected_faces",
          "keywords", "people"]  # fmt: skip
Question = Callable[[Asker, ImageQuery], Any]


def page(asker: Asker, query: ImageQuery) -> list[int]:
    """The pictures of the first page."""
    with asker.reading() as session:
        wanted = filter_of(session, asker, query)
        found = page_of(session, asker, wanted, after=None, limit=PAGE, order="newest", tags=False)
        return [image["id"] for image in found["items"]]


def counts(asker: Asker, query: ImageQuery) -> dict[str, Any]:
    """How many of the pictures carry what."""
    with asker.reading() as session:
        wanted = condition(asker.tenant, asker.columns, filter_of(session, asker, query))
        return facets(session, asker.tenant, asker.columns, wanted, TOP)


class Bench:
    """Both services, the tenants who ask, and what the answers took.

    Args:
        urls: of both databases.
        asking: tenants.
        seed: which keywords and categories they ask for.
    """

    def __init__(self, urls: Mapping[End, str], asking: Sequence[str], seed: int) -> None:
        services: dict[End, Service] = {end: create_app(settings(urls[end], end)).state.service for end in ENDS}
        self.services = services
        self.askers = {end: [Asker(services[end], t, Grant(t, True, "bench")) for t in asking] for end in ENDS}
        self.queries: dict[str, list[ImageQuery | None]] = {"everything": [ImageQuery() for _ in asking]}
        self.connection = psycopg.connect(urls["text"], autocommit=True)
        self.server = postmaster(self.connection)
        for name, subject in SUBJECTS.items():
            self.queries[name] = [self._query(*subject, tenant, seed) for tenant in asking]
        self.clock: dict[tuple[str, End], list[float]] = defaultdict(list)
        self.processor: dict[tuple[str, End], list[float]] = defaultdict(list)
        self.asked = self.different = 0

    def _query(self, field: str, statement: str, first: bool, tenant: str, seed: int) -> ImageQuery | None:
        row = self.connection.execute(
            statement.encode(), {"tenant": tenant, "first": first, "seed": seed}
        ).fetchone()  # fmt: skip
        return None if row is None else ImageQuery.model_validate({field: [row[0]]})  # a tenant may have none

    def close(self) -> None:
        """Ends the sessions."""
        self.connection.close()
        for service in self.services.values():
            service.engine.dispose()

    def ask(self, chance: random.Random) -> None:
        """Puts every question once to both ends."""
        for name, queries in self.queries.items():
            # A page takes a fraction of what counts take, so it is asked for more often.
            for what, question in (*[("page", page)] * 5, ("counts", counts)):
                answers = {end: self._answers(f"{what}, {name}", end, question, queries)
                           for end in chance.sample(ENDS, len(ENDS))}  # fmt: skip
                self.asked += len(answers["text"])
                self.different += sum(a != b for a, b in zip(answers["text"], answers["key"], strict=True))

    def _answers(self, name: str, end: End, question: Question, queries: Sequence[ImageQuery | None]) -> list[Any]:
        asked = [(a, q) for a, q in zip(self.askers[end], queries, strict=True) if q is not None]
        answers, before = [], used(self.server).server
        for asker, query in asked:
            began = time.perf_counter()
            answers.append(question(asker, query))
            self.clock[name, end].append(1000 * (time.perf_counter() - began))
        self.processor[name, end].append(1000 * (used(self.server).server - before) / len(asked))
        return answers

    def show(self) -> bool:
        """Prints what each question took; says whether keys were as fast everywhere, by the processor's time."""
        print("| question | text: median, processor | key: median, processor | key : text, processor |")
        print("| --- | --- | --- | --- |")
        well = True
        for name in dict.fromkeys(name for name, _ in self.clock):
            took = {end: mean(self.processor[name, end]) for end in ENDS}
            cells = [f"{median(self.clock[name, end]):.1f} ms, {took[end]:.1f} ms" for end in ENDS]
            print(f"| {name} | {cells[0]} | {cells[1]} | {took['key'] / took['text']:.2f} |")
            well = well and took["key"] <= took["text"]
        return well


def sizes(url: str) -> dict[str, tuple[int, int]]:
    """Bytes of each table, and of its indexes."""
    with psycopg.connect(url) as connection:
        return {name: (heap, indexes) for name, heap, indexes in connection.execute(SIZES, (TABLES, TABLES))}


def rewritten(urls: Mapping[End, str]) -> dict[str, tuple[int, int]]:
    """Bytes of the keyed tables once they are written anew, in a copy that goes again."""
    with psycopg.connect(urls["text"], autocommit=True, dbname="postgres", user="postgres") as admin:
        admin.execute("CREATE DATABASE rewritten TEMPLATE key OWNER bench STRATEGY FILE_COPY")
        try:
            with psycopg.connect(urls["key"], autocommit=True, dbname="rewritten") as connection:
                connection.execute("VACUUM (FULL)")
            return sizes(make_conninfo(urls["key"], dbname="rewritten"))
        finally:
            admin.execute("DROP DATABASE rewritten")


def show_sizes(columns: Mapping[str, Mapping[str, tuple[int, int]]]) -> None:
    """Prints them side by side, in megabytes, and their sums."""
    print("| table + indexes, MB | " + " | ".join(columns) + " |\n| --- |" + " --- |" * len(columns))
    for name in [*TABLES, "all"]:
        cells = []
        for every in columns.values():
            parts = list(every.values()) if name == "all" else [every[name]]
            cells.append(" + ".join(f"{sum(part[i] for part in parts) / 2**20:.1f}" for i in (0, 1)))
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> int:
    """Asks, then weighs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--tenants", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where the two databases stay for the next time")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with both_ends(given.rows, given.keep) as urls:
        every = tenants(urls["text"])
        bench = Bench(urls, chance.sample(every, min(given.tenants, len(every))), given.seed)
        bench.ask(chance)  # the first time statements are made and pages read
        bench.clock.clear()
        bench.processor.clear()
        bench.asked = bench.different = 0
        load = os.getloadavg()[0]
        for _ in range(given.repeat):
            bench.ask(chance)
        well = bench.show()
        print(f"\n{bench.asked} questions, {bench.different} answered differently; load {load:.1f} at the start,"
              f" {os.getloadavg()[0]:.1f} at the end\n")  # fmt: skip
        bench.close()
        show_sizes({"text": sizes(urls["text"]), "key": sizes(urls["key"]), "key, rewritten": rewritten(urls)})
        return 0 if well and not bench.different else 1


if __name__ == "__main__":
    raise SystemExit(main())
