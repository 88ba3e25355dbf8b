"""Times PhotoCat's pages on all of the demo's tags: `/` with and without filters, its counts, and `/admin`.

What is timed is a request from end to end within one process, the database's time and the rendering together. Each
tenant of a sample asks for each page; the text schema first, then the key schema after the whole migration, in one run.

    python bench/pages.py [--rows 1080986] [--tenants 40] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import event

from normalform import api
from normalform.demo import decide
from normalform.embedded import temporary
from photocat.app import create_app
from photocat.auth import token_hash
from photocat.pages.session import COOKIE
from photocat.sample import FOLDER, seed
from photocat.settings import Settings, TagColumns


def ask(url: str, columns: TagColumns, tenants: list[str], chance: random.Random) -> None:
    """Asks for each page as each tenant, and prints what it took."""
    app = create_app(Settings(database_url=SecretStr(url), tag_columns=columns))
    sent = [0]

    def note(*_: Any) -> None:
        sent[0] += 1

    event.listen(app.state.service.engine, "before_cursor_execute", note)
    took: dict[str, list[float]] = defaultdict(list)
    most: dict[str, int] = defaultdict(int)
    with TestClient(app) as client, psycopg.connect(url, autocommit=True) as connection:
        for tenant in tenants:
            for name, path in pages(connection, tenant, chance).items():
                sent[0], began = 0, time.perf_counter()
                answer = client.get(path, headers={"Cookie": f"{COOKIE}={quote(tenant)}"})
                took[name].append(1000 * (time.perf_counter() - began))
                most[name] = max(most[name], sent[0])
                assert answer.status_code == 200, (path, answer.status_code)
    print(f"\n{columns}: milliseconds of {len(tenants)} tenants")
    print("| page | median | 95th percentile | slowest | queries |\n| --- | --- | --- | --- | --- |")
    for name, every in took.items():
        p95 = statistics.quantiles(every, n=20)[-1]
        print(f"| {name} | {statistics.median(every):.0f} | {p95:.0f} | {max(every):.0f} | {most[name]} |")


def pages(connection: psycopg.Connection, tenant: str, chance: random.Random) -> dict[str, str]:
    """The addresses of the pages, with a keyword and a category of the tenant."""
    keywords = connection.execute(
        "SELECT k.id FROM keywords k JOIN keyword_categories c ON c.id = k.category_id WHERE c.tenant_id = %s",
        (tenant,),
    ).fetchall()
    roots = connection.execute(
        "SELECT id FROM keyword_categories WHERE tenant_id = %s AND parent_id IS NULL", (tenant,)
    ).fetchall()
    keyword, root = chance.choice(keywords)[0], chance.choice(roots)[0]
    return {
        "`/`": "/", "`/` by keyword": f"/?keyword_id={keyword}", "`/` by category": f"/?category_id={root}",
        "its counts": "/facets", "its counts by category": f"/facets?category_id={root}", "`/admin`": "/admin",
        "`/admin`, a keyword": f"/admin/keywords/{keyword}", "completion": "/complete/keywords?keyword=a",
    }  # fmt: skip


def migrate(url: str) -> None:
    """Settles what is doubtful as the demo does, and carries the database to contract."""
    options = api.Options(url, (FOLDER / "normalform.toml").read_text("utf-8"))
    with TemporaryDirectory() as folder:
        mapping, file = Path(folder) / "mapping.sqlite", Path(folder) / "decisions.csv"
        api.audit(options, mapping=mapping)
        api.resolve_export(options, mapping, file)
        decide.fill(file)
        api.resolve_apply(options, file)
        api.run(options, until="contract")


def main() -> None:
    """Loads, asks, migrates, asks again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--tenants", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with temporary(version=18) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE bench LOGIN")
            connection.execute("CREATE DATABASE bench OWNER bench")
        url = server.url("bench", "bench")
        seed(url, rows=given.rows)
        with psycopg.connect(url, autocommit=True) as connection:
            every = [row[0] for row in connection.execute("SELECT DISTINCT tenant_id FROM machine_tags ORDER BY 1")]
            tenants = random.Random(given.seed).sample(every, min(given.tenants, len(every)))
            for tenant in tenants:
                connection.execute(
                    "INSERT INTO api_tokens (tenant_id, name, token_hash, admin) VALUES (%s, 'bench', %s, true)",
                    (tenant, token_hash(tenant)),
                )
        ask(url, "text", tenants, random.Random(given.seed))
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        ask(url, "key", tenants, random.Random(given.seed))


if __name__ == "__main__":
    main()
