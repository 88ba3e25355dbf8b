"""PhotoCat with all of the demo's tags twice on one server: as text, and the same carried to keys.

Both databases are copies of one in which every decision has been taken, so that they hold the same tags, and both are
vacuumed and analyzed; nothing is rewritten after contract, so that the keyed tables are as a migration leaves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import psycopg
from pydantic import SecretStr

from normalform import api, embedded
from normalform.demo import decide
from photocat.sample import FOLDER, seed
from photocat.settings import Settings

End = Literal["text", "key"]
ENDS: tuple[End, End] = ("text", "key")
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum": "off"}


@contextmanager
def both_ends(rows: int | None = None, keep: Path | None = None) -> Iterator[Mapping[End, str]]:
    """The addresses of the two databases, by the name of their columns.

    Args:
        rows: of the data file; None: all.
        keep: where the server's files stay for the next time; None: they go at the end.
    """
    server = embedded.start(keep, settings=SETTINGS) if keep else embedded.temporary(settings=SETTINGS)
    with server:
        urls: dict[End, str] = {end: server.url(end, "bench") for end in ENDS}
        with psycopg.connect(server.url(), autocommit=True) as admin:
            if admin.execute("SELECT FROM pg_database WHERE datname = 'ready'").fetchone() is None:
                admin.execute("CREATE ROLE bench LOGIN")
                admin.execute("CREATE DATABASE text OWNER bench")
                seed(urls["text"], rows=rows)
                settle(urls["text"])
                admin.execute("CREATE DATABASE key TEMPLATE text OWNER bench STRATEGY FILE_COPY")
                api.run(options(urls["key"]), until="contract")
                for url in urls.values():
                    with psycopg.connect(url, autocommit=True) as connection:
                        connection.execute("VACUUM ANALYZE")
                admin.execute("CREATE DATABASE ready")
        yield urls


def options(url: str) -> api.Options:
    """PhotoCat's spec on a database."""
    return api.Options(url, (FOLDER / "normalform.toml").read_text("utf-8"))


def settle(url: str) -> None:
    """Takes every decision, as the demo does."""
    with TemporaryDirectory() as folder:
        mapping, file = Path(folder) / "mapping.sqlite", Path(folder) / "decisions.csv"
        api.audit(options(url), mapping=mapping)
        api.resolve_export(options(url), mapping, file)
        decide.fill(file)
        api.resolve_apply(options(url), file)


def settings(url: str, end: End) -> Settings:
    """Of PhotoCat on one of the two."""
    return Settings(database_url=SecretStr(url), tag_columns=end)


def tenants(url: str) -> list[str]:
    """Every tenant with tags."""
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT DISTINCT tenant_id FROM machine_tags ORDER BY 1")]
