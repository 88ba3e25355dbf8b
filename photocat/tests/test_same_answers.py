"""The same requests, to the code before the migration and to the code after it, get the same answers.

Both begin with the same real tags, on which every decision was applied; the one stays as it is, the other is carried
to contract. Requests are generated, reads and writes mixed, and sent to both in one order: what one of them changes
stays changed. `PHOTOCAT_REQUESTS` says how many there are; an ordinary run takes a sample.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

import sample_data
from fix_api import Api, Serve
from fix_servers import Database
from normalform import api as engine
from photocat.auth import token_hash

Make = Callable[..., Database]
REQUESTS = int(os.environ.get("PHOTOCAT_REQUESTS", "150"))
#: What was dated while the test ran is dated by two clocks.
YEAR = str(datetime.now(UTC).year)


@dataclass(frozen=True)
class Request:
    """One request; `body` is JSON, `query` may repeat a name."""

    method: str
    path: str
    query: tuple[tuple[str, Any], ...] = ()
    body: Any = None


@dataclass
class Tenant:
    """What a tenant has, for requests that mean something."""

    name: str
    images: list[int] = field(default_factory=list)
    keywords: list[tuple[int, str, str]] = field(default_factory=list)
    categories: list[tuple[int, str]] = field(default_factory=list)
    people: list[tuple[int, str, list[str]]] = field(default_factory=list)
    faces: list[int] = field(default_factory=list)


def tenants_of(db: Database) -> list[Tenant]:
    """The tenants that have the most, with what they have."""
    names = db.rows("SELECT tenant_id FROM machine_tags GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 6")
    tenants = [Tenant(name) for (name,) in names]
    for tenant in tenants:
        of = f"tenant_id = '{tenant.name}'"
        used = "SELECT image_id FROM machine_tags UNION SELECT image_id FROM permatags"
        images = f"SELECT id FROM image_metadata WHERE {of} AND id IN ({used}) ORDER BY id LIMIT 40"
        tenant.images = [i for (i,) in db.rows(images)]
        paths = f"""WITH RECURSIVE p(id, path) AS (
            SELECT id, name::text FROM keyword_categories WHERE {of} AND parent_id IS NULL UNION ALL
            SELECT c.id, p.path || '/' || c.name FROM keyword_categories c JOIN p ON c.parent_id = p.id)"""
        tenant.categories = db.rows(f"{paths} SELECT id, path FROM p ORDER BY id")
        tenant.keywords = db.rows(
            f"{paths} SELECT k.id, k.keyword, p.path FROM keywords k JOIN p ON p.id = k.category_id ORDER BY k.id"
        )
        people = db.rows(f"SELECT id, name, aliases FROM people WHERE {of} ORDER BY id")
        tenant.people = [(i, name, aliases if isinstance(aliases, list) else []) for i, name, aliases in people]
        tenant.faces = [i for (i,) in db.rows(f"SELECT id FROM detected_faces WHERE {of} ORDER BY id")]
    return tenants


class Generator:
    """Requests of one tenant, from a seed."""

    def __init__(self, source: random.Random, tenant: Tenant) -> None:
        self.source = source
        self.tenant = tenant

    def request(self) -> Request:
        """The next one: reads are as many as writes."""
        kinds: list[Callable[[], Request]] = [
            self.listing, self.listing, self.listing, self.listing, self.counting, self.counting, self.showing,
            self.tagging, self.tagging, self.bulk, self.deciding, self.intake, self.intake, self.naming, self.changing,
        ]  # fmt: skip
        return self.source.choice(kinds)()

    def image(self) -> int:
        return 2**31 - 1 if self.rare() else self.source.choice(self.tenant.images)

    def rare(self) -> bool:
        return self.source.random() < 0.05

    def keyword(self) -> dict[str, Any]:
        key, name, path = self.source.choice(self.tenant.keywords)
        if self.rare():
            name = name[:-1] + "x"
        return self.source.choice([
            {"keyword_id": key}, {"keyword": name}, {"keyword": name, "category": path}, {"keyword": f"{path}/{name}"},
        ])  # fmt: skip

    def filters(self) -> tuple[tuple[str, Any], ...]:
        parts: list[tuple[str, Any]] = []
        for _ in range(self.source.choice([0, 1, 1, 2])):
            asked = self.keyword()
            parts.append(("keyword_id", asked["keyword_id"]) if "keyword_id" in asked else
                         ("keyword", "/".join(p for p in (asked.get("category"), asked["keyword"]) if p)))  # fmt: skip
        if self.source.random() < 0.3:
            key, path = self.source.choice(self.tenant.categories)
            parts.append(self.source.choice([("category_id", key), ("category", path)]))
        if self.tenant.people and self.source.random() < 0.2:
            key, name, aliases = self.source.choice(self.tenant.people)
            parts.append(self.source.choice([("person_id", key), ("person", self.source.choice([name, *aliases]))]))
        parts += [("source", s) for s in ("manual", "machine", "trained", "permatag") if self.source.random() < 0.1]
        if self.source.random() < 0.2:
            parts.append(("verdict", self.source.choice(["approved", "rejected", "undecided"])))
        return (*parts, ("match", self.source.choice(["any", "all"])))

    def listing(self) -> Request:
        more = (("tags", self.source.choice(["true", "false"])), ("limit", self.source.choice([1, 7, 50])))
        order = ("order", self.source.choice(["newest", "oldest"]))
        return Request("GET", "/images", (*self.filters(), *more, order))

    def counting(self) -> Request:
        return Request("GET", "/images/facets", (*self.filters(), ("top", self.source.choice([3, 30, 200]))))

    def showing(self) -> Request:
        image = self.image()
        return Request("GET", self.source.choice([f"/images/{image}", f"/images/{image}/tags"]))

    def tagging(self) -> Request:
        path = f"/images/{self.image()}/tags"
        if self.source.random() < 0.3:
            return Request("DELETE", path, tuple(self.keyword().items()))
        return Request("POST", path, body=self.keyword())

    def bulk(self) -> Request:
        images = self.source.sample(self.tenant.images, k=min(5, len(self.tenant.images)))
        body = {"image_ids": images, "add": [self.keyword(), self.keyword()], "remove": [self.keyword()]}
        return Request("POST", "/tags/bulk", body=body)

    def deciding(self) -> Request:
        path = f"/images/{self.image()}/permatags"
        if self.source.random() < 0.2:
            return Request("DELETE", path, tuple(self.keyword().items()))
        return Request("PUT", path, body={**self.keyword(), "verdict": self.source.choice(["approved", "rejected"])})

    def intake(self) -> Request:
        kind = self.source.choice(["machine", "trained"])
        tags = []
        for _ in range(self.source.randint(1, 5)):
            tag = {"image_id": self.image(), **self.keyword(), "confidence": self.source.random(), "model_name": "new"}
            tags.append({**tag, "tag_type": "siglip"} if kind == "machine" else tag)
        return Request("POST", f"/intake/{kind}-tags", body={"tags": tags})

    def naming(self) -> Request:
        if not self.tenant.faces or not self.tenant.people:
            return self.showing()
        key, name, _ = self.source.choice(self.tenant.people)
        face = self.source.choice(self.tenant.faces)
        body = self.source.choice([{"person_id": key}, {"person": name}, {}])
        return Request("PUT", f"/faces/{face}/person", body=body)

    def changing(self) -> Request:
        dry = (("dry_run", self.source.choice(["true", "true", "false"])),)
        key, name, _ = self.source.choice(self.tenant.keywords)
        other, _, _ = self.source.choice(self.tenant.keywords)
        category, path = self.source.choice(self.tenant.categories)
        end = f"{self.source.randrange(10**6)}"
        last = path.rsplit("/", 1)[-1][-60:]
        return self.source.choice([
            Request("PATCH", f"/admin/keywords/{key}", dry, {"keyword": f"{name[:80]} {end}"}),
            Request("PATCH", f"/admin/keywords/{key}", dry, {"category_id": category}),
            Request("POST", f"/admin/keywords/{key}/merge", dry, {"into": other}),
            Request("DELETE", f"/admin/keywords/{key}", dry),
            Request("PATCH", f"/admin/keywords/categories/{category}", dry, {"name": f"{last} {end}"}),
            Request("GET", "/admin/keywords/categories"),
            Request("GET", "/keywords", (("q", name[:2]), ("limit", 20))),
        ])  # fmt: skip


def comparable(value: Any) -> Any:
    """An answer without what may differ: a `keyword_id` that is not known, and the moments of this test."""
    if isinstance(value, list):
        return [comparable(v) for v in value]
    if not isinstance(value, dict):
        return value
    skip = {"keyword_id"}
    return {
        k: "now" if k == "created_at" and str(v).startswith(YEAR) else comparable(v)
        for k, v in value.items()
        if k not in skip
    }


def send(api: Api, request: Request, tenant: Tenant) -> tuple[int, Any]:
    more = {} if request.body is None else {"json": request.body}
    params = [(name, str(value)) for name, value in request.query]
    answer = api.call(request.method, request.path, token=f"token-{tenant.name}", params=params, **more)
    return answer.status_code, answer.json() if answer.content else None


@pytest.mark.slow
def test_text_before_and_key_after_give_the_same_answers(database: Make, serve: Serve) -> None:
    before = database(sample_data.DECIDED)
    tenants = tenants_of(before)
    with before.connect() as owner:
        for tenant in tenants:
            owner.execute(
                "INSERT INTO api_tokens (tenant_id, name, token_hash, admin) VALUES (%s, 'me', %s, true)",
                (tenant.name, token_hash(f"token-{tenant.name}")),
            )
    after = before.clone()
    engine.run(sample_data.options(after.url), until="contract")
    apis = serve(before, "text"), serve(after, "key")
    source = random.Random(20260120)
    statuses: dict[int, int] = {}
    for number in range(REQUESTS):
        tenant = source.choice(tenants)
        request = Generator(source, tenant).request()
        old, new = (send(api, request, tenant) for api in apis)
        assert (new[0], comparable(new[1])) == (old[0], comparable(old[1])), (number, tenant.name, request)
        assert old[0] < 500, (number, request, old)
        statuses[old[0]] = statuses.get(old[0], 0) + 1
    assert statuses[200] > REQUESTS / 2 and {404, 422} <= statuses.keys(), statuses
