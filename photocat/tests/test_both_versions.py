"""The whole migration under traffic: the old version alone, then both versions at once, then the new one alone."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import sample_data
from fix_api import Api, Serve
from fix_servers import Database
from normalform import api as engine
from photocat.auth import token_hash
from test_same_answers import Generator, Request, Tenant, comparable, send, tenants_of

#: Seconds that both versions run at once, and how often a request is repeated that was asked to come later.
TOGETHER, TRIES = 4.0, 10
#: Rows whose text is not that of their key, though nobody has decided what that text means.
DISAGREE = """
SELECT t.id, t.tenant_id, t.keyword, k.tenant_id, k.keyword FROM {table} t LEFT JOIN keywords k ON k.id = t.keyword_id
WHERE k.tenant_id IS DISTINCT FROM t.tenant_id OR t.keyword IS DISTINCT FROM k.keyword
    AND NOT EXISTS (SELECT FROM normalform.mapping m WHERE m.reference = '{table}' AND m.value = t.keyword)
"""
TABLES = ("image_tags", "machine_tags", "permatags", "trained_image_tags", "keyword_models")


class Traffic:
    """Askers of one version, each with requests from a seed of its own."""

    def __init__(self, api: Api, tenants: list[Tenant], seeds: range) -> None:
        self.api, self.tenants = api, tenants
        self.statuses: Counter[int] = Counter()
        self.failed: list[object] = []
        self._stop = threading.Event()
        self._askers = [threading.Thread(target=self._ask, args=(random.Random(seed),)) for seed in seeds]

    @contextmanager
    def going(self) -> Iterator[None]:
        """Let them ask while the block lasts, and hold them to what they were answered."""
        for asker in self._askers:
            asker.start()
        try:
            yield
        finally:
            self._stop.set()
            for asker in self._askers:
                asker.join()
        assert self.failed == []
        assert self.statuses[200] > 20, self.statuses

    def _ask(self, source: random.Random) -> None:
        while not self._stop.is_set() and not self.failed:
            tenant = source.choice(self.tenants)
            request = Generator(source, tenant).request()
            try:
                status, answer = self._insist(request, tenant)
            except Exception as error:  # noqa: BLE001 - the test's own thread tells of it
                self.failed.append((request, error))
                return
            self.statuses[status] += 1
            if status >= 500:
                self.failed.append((request, status, answer))

    def _insist(self, request: Request, tenant: Tenant) -> tuple[int, object]:
        """As a client does that was told to come later."""
        for _ in range(TRIES):
            status, answer = send(self.api, request, tenant)
            if status != 503:
                break
            time.sleep(0.1)
        return status, answer


@pytest.mark.slow
def test_the_migration_under_traffic_of_both_versions(database: Callable[..., Database], serve: Serve) -> None:
    db = database(sample_data.DECIDED)
    tenants = tenants_of(db)
    with db.connect() as owner:
        for tenant in tenants:
            owner.execute(
                "INSERT INTO api_tokens (tenant_id, name, token_hash, admin) VALUES (%s, 'me', %s, true)",
                (tenant.name, token_hash(f"token-{tenant.name}")),
            )
    options = sample_data.options(db.url)
    text = serve(db, "text")
    with Traffic(text, tenants, range(2)).going():
        engine.run(options, until="constrain")
    key = serve(db, "key")
    with Traffic(text, tenants, range(10, 12)).going(), Traffic(key, tenants, range(20, 22)).going():
        time.sleep(TOGETHER)
    assert db.value("SELECT count(*) FROM normalform.pending") == 0
    assert {table: db.rows(DISAGREE.format(table=table)) for table in TABLES} == {table: [] for table in TABLES}
    source = random.Random(7)
    for _ in range(40):
        tenant = source.choice(tenants)
        request = Generator(source, tenant).listing()
        old, new = (send(api, request, tenant) for api in (text, key))
        assert (new[0], comparable(new[1])) == (old[0], comparable(old[1])), (tenant.name, request)
    with Traffic(key, tenants, range(30, 32)).going():
        engine.run(options, until="contract")
    assert engine.status(options, collisions=False).last == "contract"
    missing = {table: db.value(f"SELECT count(*) FROM {table} WHERE keyword_id IS NULL") for table in TABLES}
    assert missing == dict.fromkeys(TABLES, 0)
