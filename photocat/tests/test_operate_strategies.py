"""The whole job, there and back, under both strategies: the application goes on where it may, and nothing is lost.

Alembic's own commands and those of the runbook, in its order. `make test-runbook ROWS=1080986` runs it on all data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from compare import checksums, dump_schema
from fix_alembic import Alembic
from fix_load import loaded
from fix_servers import Database
from photocat.auth import token_hash
from photocat.operate import deploy, staging
from photocat.operate.control import Application
from photocat.operate.environments import Environment
from sample_data import DECIDED

LEGACY, EXPAND, BACKFILL, CONSTRAIN, CONTRACT = (
    "202601171500", "202601200800", "202601200900", "202601201000", "202601201100",
)  # fmt: skip
#: A tenant of the test's own, with one picture and one keyword.
TENANT = f"""
INSERT INTO tenants (id, name, active) VALUES ('load', 'Load', true);
INSERT INTO keyword_categories (id, tenant_id, name) VALUES (900001, 'load', 'load');
INSERT INTO keywords (id, category_id, keyword) VALUES (900001, 900001, 'load');
INSERT INTO image_metadata (id, tenant_id, filename) VALUES (90000001, 'load', 'load.png');
INSERT INTO api_tokens (tenant_id, name, token_hash) VALUES ('load', 'load', '{token_hash("load")}');
"""

Make = Callable[..., Database]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    """Prod's application, which is stopped in the end."""
    found = Application(tmp_path / "app", tmp_path / "production.log")
    yield found
    found.stop()


@pytest.mark.runbook
@pytest.mark.parametrize("strategy", ["window", "live"])
def test_there_and_back(
    database: Make, alembic: Alembic, app: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setenv("PATH", "")  # no Docker answers
    db, said = database(DECIDED), list[str]()
    prod = Environment("prod", db.url, db.app_url)
    db.run(TENANT)
    before = checksums(db), dump_schema(db, ledger=False, column_order=False)

    def to(verb: str, revision: str, *options: str) -> None:
        ended = alembic(db, *options, verb, revision)
        assert ended.status == 0, ended.log

    def start() -> None:
        found = app.start(prod, deploy.first(app.folder, "text").tag_columns, port=0, instances=1)
        load = loads.enter_context(loaded(found, "load", image=90000001, keyword=900001))
        loads.callback(lambda: sent.append((load.sent, load.failed)))

    sent: list[tuple[int, list[str]]] = []
    with ExitStack() as loads:
        start()
        if strategy == "window":
            loads.close()
            app.stop()
            for revision in (EXPAND, BACKFILL, CONSTRAIN):
                to("upgrade", revision, "-x", "strategy=window")
            assert deploy.deploy(prod, app, said.append).tag_columns == "key"
            start()
        else:
            to("upgrade", EXPAND)
            app.restart()
            to("upgrade", BACKFILL)
            to("upgrade", CONSTRAIN)
            assert deploy.deploy(prod, app, said.append).tag_columns == "key"
        to("upgrade", CONTRACT)
        staging.check(prod, tmp_path / "smoke", tmp_path / "log", said.append)
        to("downgrade", CONSTRAIN)
        assert deploy.roll_back(prod, app, said.append).tag_columns == "text"
        for revision in (BACKFILL, EXPAND, LEGACY):
            to("downgrade", revision)
        staging.check(prod, tmp_path / "smoke", tmp_path / "log", said.append)
    assert [failed for _, failed in sent] == [[]] * len(sent) and sum(count for count, _ in sent) > 100
    assert (checksums(db), dump_schema(db, ledger=False, column_order=False)) == before
    assert [line for line in said if line.startswith("✓ prod")] == [
        "✓ prod at contract, code with key: 37 operations answer as they must",
        "✓ prod at legacy, code with text: 37 operations answer as they must",
    ]
