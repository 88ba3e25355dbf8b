"""The service on a small catalogue, at each stage of the migration at which one of its two versions runs.

Tenant `t` has `bridge` in two categories, people with aliases, and tags of every source; tenant `u` has some of the
same names. Every text is clean: what `text` and `key` answer is comparable.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image
from pydantic import SecretStr
from sqlalchemy import create_engine

from fix_servers import Database, template
from normalform import api as engine
from normalform.demo.load import legacy_statements
from photocat.app import create_app, service_for
from photocat.auth import token_hash
from photocat.database import driver_url
from photocat.models.shared import Base
from photocat.sample import FOLDER
from photocat.settings import Settings, TagColumns

SPEC = (FOLDER / "normalform.toml").read_text("utf-8")

CATALOG = """
INSERT INTO tenants (id, name, active) VALUES ('t', 'T', true), ('u', 'U', NULL), ('gone', 'Gone', false);
INSERT INTO keyword_categories (id, tenant_id, name, parent_id, sort_order) VALUES
    (1, 't', 'nature', NULL, 1), (2, 't', 'plants', 1, 0), (3, 't', 'travel', NULL, 2), (4, 't', 'games', NULL, 3),
    (5, 'u', 'nature', NULL, 0), (6, 't', 'empty', NULL, 4), (7, 't', 'trees', 2, 0);
INSERT INTO keywords (id, category_id, keyword) VALUES
    (1, 2, 'tree'), (2, 3, 'bridge'), (3, 4, 'bridge'), (4, 1, 'sea'), (5, 5, 'tree'), (6, 5, 'sky'), (7, 7, 'oak'),
    (8, 3, 'a/b'), (9, 3, 'Straße');
INSERT INTO people (id, tenant_id, name, aliases) VALUES
    (1, 't', 'Ada Lovelace', '["Ada", "Countess"]'), (2, 't', 'Alan Turing', NULL), (3, 'u', 'Grace', '[]'),
    (4, 't', 'Annabella', '["Countess"]');
INSERT INTO image_metadata (id, tenant_id, filename, capture_timestamp, content_hash)
    SELECT g, 't', 'p' || g, timestamp '2020-01-01' + g * interval '1 day', md5(g::text)
    FROM generate_series(1, 40) g;
INSERT INTO image_metadata (id, tenant_id, filename) SELECT g, 'u', 'p' || g FROM generate_series(41, 50) g;
INSERT INTO machine_tags (image_id, tenant_id, keyword, category, confidence, tag_type, model_name)
    SELECT g, 't', 'tree', 'nature/plants', 0.5, 'siglip', 'm1' FROM generate_series(1, 40) g UNION ALL
    SELECT g, 't', 'bridge', CASE WHEN g % 2 = 0 THEN 'travel' ELSE 'games' END, 0.25, 'siglip', 'm1'
        FROM generate_series(1, 30) g UNION ALL
    SELECT g, 't', 'oak', 'nature/plants/trees', 0.75, 'clip', 'm2' FROM generate_series(5, 9) g UNION ALL
    SELECT g, 'u', 'tree', 'nature', 0.5, 'siglip', 'm1' FROM generate_series(41, 50) g;
INSERT INTO permatags (tenant_id, image_id, keyword, category, signum, created_by)
    SELECT 't', g, 'sea', 'nature', 1, 'x' FROM generate_series(1, 20) g UNION ALL
    SELECT 't', g, 'tree', 'nature/plants', -1, 'x' FROM generate_series(1, 5) g;
INSERT INTO image_tags (tenant_id, image_id, keyword, category, manual)
    SELECT 't', g, 'sea', NULL, true FROM generate_series(15, 25) g UNION ALL
    SELECT 'u', g, 'sky', 'nature', true FROM generate_series(41, 45) g;
INSERT INTO trained_image_tags (tenant_id, image_id, keyword, category, confidence, model_name)
    SELECT 't', g, 'bridge', 'travel', 0.9, 'own' FROM generate_series(31, 35) g;
INSERT INTO keyword_models (tenant_id, keyword, model_name, positive_centroid) VALUES
    ('t', 'tree', 'm1', '{1,2}'), ('u', 'tree', 'm1', '{1,2}');
INSERT INTO detected_faces (id, image_id, tenant_id, person_name, bbox_top, bbox_right, bbox_bottom, bbox_left) VALUES
    (1, 1, 't', 'Ada Lovelace', 1, 2, 3, 4), (2, 2, 't', 'Ada', 1, 2, 3, 4), (3, 3, 't', 'Alan Turing', 1, 2, 3, 4),
    (4, 4, 't', NULL, 1, 2, 3, 4), (5, 41, 'u', 'Grace', 1, 2, 3, 4);
SELECT setval(pg_get_serial_sequence(n, 'id'), 1000) FROM unnest(
    ARRAY['keyword_categories', 'keywords', 'people', 'image_metadata', 'detected_faces']) n;
"""
TOKENS = {"reader": ("t", False), "admin": ("t", True), "other": ("u", True), "inactive": ("gone", True)}
#: Which version of the code runs on which schema.
STAGES: dict[str, tuple[TagColumns, str | None]] = {
    "text": ("text", None),
    "text-constrain": ("text", "constrain"),
    "key-constrain": ("key", "constrain"),
    "key": ("key", "contract"),
}


def _build(until: str | None) -> Callable[[str], None]:
    def build(url: str) -> None:
        tables = create_engine(driver_url(url))
        with psycopg.connect(url, autocommit=True) as connection:
            for part in legacy_statements():
                for statement in part:
                    connection.execute(statement)
            connection.execute(CATALOG)
            Base.metadata.tables["api_tokens"].create(tables)
            tables.dispose()
            for name, (tenant, admin) in TOKENS.items():
                connection.execute(
                    "INSERT INTO api_tokens (tenant_id, name, token_hash, admin) VALUES (%s, %s, %s, %s)",
                    (tenant, name, token_hash(name), admin),
                )
        if until is not None:
            engine.run(engine.Options(url, SPEC), until=until)

    return build


TEMPLATES = {until: template(f"api-{until or 'legacy'}", _build(until)) for until in (None, "constrain", "contract")}


class Api:
    """The service as its askers see it: `call("GET", "/images", token="reader")`."""

    def __init__(self, client: TestClient, db: Database, storage: Path) -> None:
        self.client = client
        self.db = db
        self.storage = storage

    def call(self, method: str, path: str, *, token: str | None = "reader", **more: Any) -> Response:
        """One request below the prefix."""
        headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        return self.client.request(method, f"/api/v1{path}", headers=headers, **more)

    def ok(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """The body of an answer that must have this status."""
        answer = self.call(method, path, **more)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def refused(self, status: int, method: str, path: str, **more: Any) -> Any:
        """The problem that must be answered, with this status."""
        answer = self.call(method, path, **more)
        assert answer.status_code == status, (answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status and problem["type"].startswith("/problems/") and problem["detail"]
        return problem


Serve = Callable[..., Api]
#: Applications of the default settings that no test is using: to put one together takes longer than most tests.
_spare: list[FastAPI] = []


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Runs the service on a database, as the role that has DML alone: `serve(db, "key", max_pixels=100)`."""
    with ExitStack() as stack:

        def start(db: Database, tag_columns: TagColumns, *, storage: Path = tmp_path / "storage", **more: Any) -> Api:
            settings = Settings(
                database_url=SecretStr(db.app_url), tag_columns=tag_columns, storage=storage, pool_size=2, **more
            )
            if more or not _spare:
                app = create_app(settings)
            else:
                app = _spare.pop()
                app.state.service = service_for(settings)
            if not more:
                stack.callback(_spare.append, app)
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            return Api(client, db, storage)

        yield start


@pytest.fixture(params=STAGES)
def api(request: pytest.FixtureRequest, database: Callable[..., Database], serve: Serve) -> Api:
    """The service at each stage in turn."""
    mode, until = STAGES[request.param]
    return serve(database(TEMPLATES[until]), mode)


@pytest.fixture
def legacy(database: Callable[..., Database], serve: Serve) -> Api:
    """The service before the migration: for what tags have no part in."""
    return serve(database(TEMPLATES[None]), "text")


def picture(size: tuple[int, int] = (40, 30), kind: str = "PNG", color: str = "red", **more: Any) -> bytes:
    """A real file."""
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, kind, **more)
    return out.getvalue()


def sent(content: bytes, name: str = "a.png") -> dict[str, tuple[str, bytes, str]]:
    """The files of an upload."""
    return {"file": (name, content, "application/octet-stream")}
