"""What holds for every route: tokens, tenants, the fence, a database that is away, health, and the document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from fix_api import SPEC, STAGES, TEMPLATES, Api, Serve, picture, sent
from fix_servers import Cluster, Database
from normalform.core.spec_file import parse
from normalform.db import ledger
from normalform.db.session import read_model
from normalform.sql.fence import fence_steps
from photocat import __main__ as command
from photocat import __version__, settings
from syncing import apply

Make = Callable[..., Database]


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Bearer ", "Bearer reader2", "Basic reader", "reader", "Bearer inactive",
        "Bearer ' OR true --", "Bearer " + "x" * 100_000, b"Bearer \xff\xfe", "Bearer reader\t", "Bearer READER",
    ],
)  # fmt: skip
def test_without_a_valid_token_nobody_gets_in(legacy: Api, header: Any) -> None:
    given = {} if header is None else {"Authorization": header}
    answer = legacy.call("GET", "/images", token=None, headers=given)
    valid = header == "Bearer reader\t"  # white space around a header's value is no part of it
    assert answer.status_code == (200 if valid else 401)
    if not valid:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/unauthorized" and "www-authenticate" in answer.headers


@pytest.mark.parametrize("ended", ["revoked_at = now() AT TIME ZONE 'UTC'", "expires_at = now() - interval '1 day'"])
def test_a_token_that_has_ended_gives_nothing(legacy: Api, ended: str) -> None:
    legacy.ok("GET", "/images?limit=1")
    legacy.db.run(f"UPDATE api_tokens SET {ended} WHERE name = 'reader'")
    legacy.refused(401, "GET", "/images")
    legacy.ok("GET", "/images?limit=1", token="admin")


def test_tenants_see_their_own_alone(api: Api) -> None:
    assert {i["id"] for i in api.ok("GET", "/images?limit=100", token="other")["items"]} == set(range(41, 51))
    assert [k["keyword"] for k in api.ok("GET", "/keywords", token="other")["items"]] == ["tree", "sky"]
    facets = api.ok("GET", "/images/facets", token="other")
    assert facets["images"] == 10 and {k["keyword_id"] for k in facets["keywords"]} == {5, 6}
    tags = api.ok("POST", "/images/41/tags", token="other", json={"keyword": "tree"})["items"]
    assert {(t["keyword"], t["keyword_id"]) for t in tags} == {("tree", 5), ("sky", 6)}


def test_a_row_across_tenants_is_shown_to_neither(legacy: Api) -> None:
    legacy.db.run("INSERT INTO image_tags (image_id, tenant_id, keyword) VALUES (1, 'u', 'sky')")
    assert all(t["keyword"] != "sky" for t in legacy.ok("GET", "/images/1/tags")["items"])
    legacy.db.run("INSERT INTO image_tags (image_id, tenant_id, keyword) VALUES (1, 'u', 'oak')")
    assert {i["id"] for i in legacy.ok("GET", "/images?keyword=oak")["items"]} == {5, 6, 7, 8, 9}
    sky = legacy.ok("GET", "/images?keyword=sky", token="other")["items"]
    assert 1 not in {i["id"] for i in sky} and len(sky) == 5
    assert legacy.ok("GET", "/images/facets?keyword=sky", token="other")["images"] == 5


def fence(db: Database) -> None:
    with db.connect() as owner:
        ledger.install(owner)
        apply(owner, fence_steps(read_model(owner, parse(SPEC))))


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/images/40/tags", {"keyword": "oak"}),
    ("DELETE", "/images/20/tags?keyword=sea", None),
    ("PUT", "/images/1/permatags", {"keyword": "tree", "verdict": "approved"}),
    ("POST", "/tags/bulk", {"image_ids": [1], "add": [{"keyword": "oak"}]}),
    ("POST", "/intake/faces", {"faces": [{"image_id": 1, "top": 9, "right": 9, "bottom": 9, "left": 9}]}),
    ("PUT", "/faces/1/person", {"person_id": 2}),
    ("POST", "/admin/keywords", {"keyword": "new", "category_id": 1}),
    ("PATCH", "/admin/keywords/1", {"keyword": "new"}),
    ("DELETE", "/admin/keywords/categories/1", None),
    ("POST", "/admin/people", {"name": "new"}),
    ("DELETE", "/images/1", None),
]


def test_a_fenced_database_refuses_writes_and_reading_goes_on(legacy: Api) -> None:
    fence(legacy.db)
    for method, path, body in WRITES:
        more = {} if body is None else {"json": body}
        answer = legacy.call(method, path, token="admin", **more)
        assert (answer.status_code, answer.headers.get("retry-after")) == (503, "5"), (path, answer.text)
        assert answer.json()["type"] == "/problems/fenced"
    assert legacy.ok("GET", "/images?tags=true&limit=1")["items"][0]["tags"]
    legacy.ok("GET", "/images/facets")
    assert legacy.ok("PATCH", "/admin/keywords/1?dry_run=true", token="admin", json={"keyword": "x"})["rows"]
    assert legacy.client.get("/health").json()["status"] == "ok"


def test_without_a_database(serve: Serve, pg: Cluster) -> None:
    db = pg.create(TEMPLATES[None])
    api = serve(db, "text")
    api.ok("GET", "/images?limit=1")
    db.drop()
    answer = api.call("GET", "/images")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "/problems/unavailable" and "nf_app" not in answer.text
    health = api.client.get("/health")
    assert health.status_code == 503 and health.json()["database"] == "unreachable"


@pytest.mark.parametrize("stage", STAGES)
def test_health_tells_the_phase_though_the_ledger_is_closed_to_it(database: Make, serve: Serve, stage: str) -> None:
    mode, until = STAGES[stage]
    api = serve(database(TEMPLATES[until]), mode)
    phase = {None: "legacy", "constrain": "constrain", "contract": "contract"}[until]
    expected = {
        "status": "ok", "database": "ok", "revision": None, "phase": phase, "tag_columns": mode, "version": __version__,
    }  # fmt: skip
    assert api.client.get("/health").json() == expected
    api.db.run("CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('1')")
    assert api.client.get("/health").json() == {**expected, "revision": "1"}
    if until:
        api.db.run("GRANT USAGE ON SCHEMA normalform TO nf_app; GRANT SELECT ON normalform.phase TO nf_app")
        assert api.client.get("/health").json()["phase"] == phase


def test_the_document_has_every_route_and_its_problems(legacy: Api) -> None:
    document = legacy.client.get("/openapi.json").json()
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert len(operations) >= 35
    assert len({o["operationId"] for o in operations.values()}) == len(operations)
    for (_, path), operation in operations.items():
        if path == "/health":
            continue
        assert {"400", "401", "413", "422", "503"} <= operation["responses"].keys(), path
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (path, status)
        assert "Retry-After" in operation["responses"]["503"]["headers"]
    assert "HTTPValidationError" not in str(document)


def test_what_nobody_offers_is_a_problem_too(legacy: Api) -> None:
    legacy.refused(404, "GET", "/nothing")
    legacy.refused(
        400, "POST", "/admin/keywords", token="admin", content=b"\xf5", headers={"Content-Type": "application/json"}
    )
    legacy.refused(405, "PUT", "/images")
    legacy.refused(422, "POST", "/images", files={"other": ("a", b"b")})
    legacy.refused(422, "GET", "/images/one")
    legacy.refused(422, "GET", "/images/99999999999999999999999")
    assert legacy.refused(404, "GET", "/images/2147483647")["instance"] == "/api/v1/images/2147483647"


def test_tokens_are_made_and_revoked_on_the_command_line(legacy: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOCAT_DATABASE_URL", legacy.db.app_url)
    settings.from_environment.cache_clear()
    try:
        runner = CliRunner()
        made = runner.invoke(command.app, ["token", "create", "--tenant", "t", "--name", "cli", "--admin"])
        assert made.exit_code == 0, made.output
        token = made.output.strip()
        legacy.ok("GET", "/admin/people", token=token)
        assert legacy.db.value(f"SELECT count(*) FROM api_tokens t WHERE t::text LIKE '%{token}%'") == 0
        assert runner.invoke(command.app, ["token", "revoke", "--tenant", "t", "--name", "cli"]).output == "revoked 1\n"
        legacy.refused(401, "GET", "/admin/people", token=token)
        nobody = runner.invoke(command.app, ["token", "create", "--tenant", "nobody"])
        assert nobody.exit_code == 1 and "there is no tenant 'nobody'" in nobody.output
    finally:
        settings.from_environment.cache_clear()


def test_a_page_takes_few_queries(api: Api) -> None:
    seen: list[str] = []
    engine = api.client.app.state.service.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    for path in ("/images?tags=true&keyword=oak&category=nature&person=Ada", "/images/facets?keyword=oak",
                 "/images/1", "/keywords?q=b"):  # fmt: skip
        seen.clear()
        api.ok("GET", path)
        assert 0 < len(seen) <= 10, (path, len(seen))


def test_uploads_go_on_beside_the_fence(legacy: Api) -> None:
    """Pictures are in no table that the fence stands on: what it does not refuse is taken."""
    fence(legacy.db)
    legacy.ok("POST", "/images", status=201, files=sent(picture()))
