"""Times PhotoCat's pages on all of the demo's tags: `/` with and without filters, its counts, and `/admin`.

    .venv/bin/python bench/pages.py [--rows N] [--tenants 40] [--seed 1] [--keep FOLDER]

What is timed is a request from end to end within one process: queries, rendering and what a test's client adds. Each
tenant of a sample asks for each page, first one of the two ends (text, key) and then the other; both have answered each
page of each tenant once before. Beside the clock stand the processor's seconds of this process and the server, which
other work on the machine hardly changes. Recorded results: bench/pages.md.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from catalogue import ENDS, End, both_ends, settings, tenants
from fastapi.testclient import TestClient
from processor import postmaster, used
from sqlalchemy import event

from photocat.app import create_app
from photocat.auth import token_hash
from photocat.pages.session import COOKIE

#: At most, for every page: milliseconds at the 95th percentile, and queries.
BOUND, QUERIES = 150, 10


class Desk:
    """Whoever asks one of the two services for pages, and what each took."""

    def __init__(self, url: str, end: End, stack: ExitStack) -> None:
        app = create_app(settings(url, end))
        event.listen(app.state.service.engine, "before_cursor_execute", self._note)
        self.client = stack.enter_context(TestClient(app))
        self.took: dict[str, list[float]] = defaultdict(list)
        self.most: dict[str, int] = defaultdict(int)
        self.processor: dict[str, float] = {}
        self.sent = 0

    def ask(self, tenant: str, name: str, path: str) -> None:
        """Asks for a page as a tenant."""
        self.sent, began = 0, time.perf_counter()
        answer = self.client.get(path, headers={"Cookie": f"{COOKIE}={quote(tenant)}"})
        self.took[name].append(1000 * (time.perf_counter() - began))
        self.most[name] = max(self.most[name], self.sent)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-2000:])

    def _note(self, *_: Any) -> None:
        self.sent += 1


def tokens(url: str, wanted: list[str]) -> None:
    """Gives each of these tenants a token, unless an earlier run did."""
    with psycopg.connect(url) as connection:
        for tenant in wanted:
            connection.execute(
                "INSERT INTO api_tokens (tenant_id, name, token_hash, admin) VALUES (%s, 'bench', %s, true)"
                " ON CONFLICT DO NOTHING",
                (tenant, token_hash(tenant)),
            )


def pages(connection: psycopg.Connection, tenant: str, chance: random.Random) -> dict[str, str]:
    """The addresses of the pages, with a keyword and a category of the tenant."""
    keywords = connection.execute(
        "SELECT k.id FROM keywords k JOIN keyword_categories c ON c.id = k.category_id WHERE c.tenant_id = %s"
        " ORDER BY 1",
        (tenant,),
    ).fetchall()
    roots = connection.execute(
        "SELECT id FROM keyword_categories WHERE tenant_id = %s AND parent_id IS NULL ORDER BY 1", (tenant,)
    ).fetchall()
    keyword, root = chance.choice(keywords)[0], chance.choice(roots)[0]
    return {
        "`/`": "/", "`/` by keyword": f"/?keyword_id={keyword}", "`/` by category": f"/?category_id={root}",
        "its counts": "/facets", "its counts by category": f"/facets?category_id={root}", "`/admin`": "/admin",
        "`/admin`, a keyword": f"/admin/keywords/{keyword}", "completion": "/complete/keywords?keyword=a",
    }  # fmt: skip


def show(desks: Mapping[End, Desk]) -> bool:
    """Prints what each page took; says whether all are within their bounds."""
    print("| page | columns | processor, ms | median, ms | 95th percentile, ms | slowest, ms | queries |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    well = True
    for name in desks["text"].took:
        for end, desk in desks.items():
            every = desk.took[name]
            p95 = statistics.quantiles(every, n=20, method="inclusive")[-1]
            well = well and p95 <= BOUND and desk.most[name] <= QUERIES
            clock = f"{statistics.median(every):.0f} | {p95:.0f} | {max(every):.0f}"
            print(f"| {name} | {end} | {desk.processor[name]:.0f} | {clock} | {desk.most[name]} |")
    return well


def main() -> int:
    """Asks both services in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--tenants", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="where the two databases stay for the next time")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with both_ends(given.rows, given.keep) as urls, ExitStack() as stack:
        every = tenants(urls["text"])
        asking = chance.sample(every, min(given.tenants, len(every)))
        for url in urls.values():
            tokens(url, asking)
        desks = {end: Desk(urls[end], end, stack) for end in ENDS}
        connection = stack.enter_context(psycopg.connect(urls["text"], autocommit=True))
        server = postmaster(connection)
        asked = {tenant: pages(connection, tenant, chance) for tenant in asking}
        load = os.getloadavg()[0]
        for name in asked[asking[0]]:
            for warm in (False, True):
                for desk in (desks[end] for end in chance.sample(ENDS, len(ENDS))):
                    desk.took[name], before = [], used(server)
                    for tenant in asking:
                        desk.ask(tenant, name, asked[tenant][name])
                    if warm:
                        desk.processor[name] = 1000 * (used(server) - before).both / len(asking)
        print(f"{len(asking)} tenants; load {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end\n")
        return 0 if show(desks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
