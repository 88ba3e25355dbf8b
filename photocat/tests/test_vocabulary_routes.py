"""Categories, keywords and people: made, changed, merged, deleted; what each says beforehand, and that tags follow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fix_api import Api

KEYWORDS = "/admin/keywords"
CATEGORIES = "/admin/keywords/categories"
PEOPLE = "/admin/people"


def words(api: Api, image: int, source: str = "machine") -> list[tuple[int | None, str, str | None]]:
    """The tags of a picture from one source."""
    tags = api.ok("GET", f"/images/{image}/tags")["items"]
    return [(t["keyword_id"], t["keyword"], t["category"]) for t in tags if t["source"] == source]


def state(api: Api) -> list[Any]:
    """Every row of the catalogue's tables: what a dry run and a refusal leave as it was."""
    tables = (
        "tenants", "keyword_categories", "keywords", "people", "image_metadata", "image_tags", "machine_tags",
        "permatags", "trained_image_tags", "keyword_models", "detected_faces",
    )  # fmt: skip
    return [api.db.rows(f"SELECT t::text FROM {name} t ORDER BY 1") for name in tables]


def test_the_tree_counts(api: Api) -> None:
    tree = api.ok("GET", CATEGORIES, token="admin")["items"]
    assert [c["name"] for c in tree] == ["nature", "travel", "games", "empty"]
    nature = tree[0]
    assert (nature["keywords"], nature["keywords_below"]) == (1, 3)
    [plants] = nature["children"]
    assert (plants["category"], plants["keywords"], plants["keywords_below"]) == ("nature/plants", 1, 2)
    assert plants["children"][0]["category"] == "nature/plants/trees"
    assert [c["name"] for c in api.ok("GET", CATEGORIES, token="other")["items"]] == ["nature"]


def test_a_category_is_made_renamed_moved_and_deleted_and_tags_follow(api: Api) -> None:
    made = api.ok("POST", CATEGORIES, token="admin", status=201, json={"name": "new", "parent_id": 3})
    assert made["category"] == "travel/new"
    before = state(api)
    path = f"{CATEGORIES}/2"
    said = api.ok("PATCH", f"{path}?dry_run=true", token="admin", json={"name": "flora"})
    assert said["rows"] == {
        "image_tags": 0, "machine_tags": 45, "trained_image_tags": 0, "permatags": 5, "keyword_models": 1,
    }  # fmt: skip
    assert (said["dry_run"], said["categories"], said["keywords"]) == (True, 2, 2)
    assert state(api) == before
    done = api.ok("PATCH", path, token="admin", json={"name": "flora", "parent_id": made["category_id"]})
    assert done["rows"] == said["rows"] and done["category"]["category"] == "travel/new/flora"
    assert words(api, 5) == [
        (3, "bridge", "games"), (1, "tree", "travel/new/flora"), (7, "oak", "travel/new/flora/trees"),
    ]  # fmt: skip
    assert len(api.ok("GET", "/images?category=travel/new&keyword=oak")["items"]) == 5
    gone = api.ok("DELETE", f"{CATEGORIES}/{made['category_id']}", token="admin")
    assert (gone["categories"], gone["keywords"], gone["rows"]["machine_tags"]) == (3, 2, 45)
    assert words(api, 5) == [(3, "bridge", "games")]
    assert api.db.value("SELECT count(*) FROM machine_tags WHERE tenant_id = 'u'") == 10
    api.ok("PATCH", f"{CATEGORIES}/6", token="admin", json={"parent_id": 4, "sort_order": 3})
    assert api.ok("GET", f"{CATEGORIES}/6", token="admin")["category"] == "games/empty"
    root = api.ok("PATCH", f"{CATEGORIES}/6", token="admin", json={"parent_id": None})
    assert root["category"]["category"] == "empty"


def test_tags_told_apart_by_their_category_alone_follow_it(api: Api) -> None:
    api.ok("PATCH", f"{CATEGORIES}/4", token="admin", json={"name": "play", "parent_id": 6})
    assert words(api, 1) == [(3, "bridge", "empty/play"), (1, "tree", "nature/plants")]
    assert words(api, 2) == [(1, "tree", "nature/plants"), (2, "bridge", "travel")]
    assert len(api.ok("GET", "/images?keyword=empty/play/bridge")["items"]) == 15


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", CATEGORIES, {"name": "nature"}, 409),
        ("POST", CATEGORIES, {"name": "plants", "parent_id": 1}, 409),
        ("POST", CATEGORIES, {"name": "a/b"}, 422),
        ("POST", CATEGORIES, {"name": " "}, 422),
        ("POST", CATEGORIES, {"name": "x" * 101}, 422),
        ("POST", CATEGORIES, {"name": "x\u0000"}, 422),
        ("POST", CATEGORIES, {"name": "x", "parent_id": 5}, 404),
        ("POST", CATEGORIES, {"name": "x", "tenant_id": "u"}, 422),
        ("PATCH", f"{CATEGORIES}/1", {"parent_id": 7}, 409),
        ("PATCH", f"{CATEGORIES}/1", {"parent_id": 1}, 409),
        ("PATCH", f"{CATEGORIES}/1", {"name": "travel"}, 409),
        ("PATCH", f"{CATEGORIES}/1", {"name": None}, 422),
        ("PATCH", f"{CATEGORIES}/5", {"name": "mine"}, 404),
        ("DELETE", f"{CATEGORIES}/5", None, 404),
        ("GET", f"{CATEGORIES}/0", None, 422),
        ("POST", KEYWORDS, {"keyword": "tree", "category_id": 2}, 409),
        ("POST", KEYWORDS, {"keyword": "x", "category_id": 5}, 404),
        ("POST", KEYWORDS, {"keyword": "x\n", "category_id": 1}, 422),
        ("POST", KEYWORDS, {"keyword": "\ud800", "category_id": 1}, 422),
        ("PATCH", f"{KEYWORDS}/1", {"keyword": "x", "category_id": 5}, 404),
        ("PATCH", f"{KEYWORDS}/2", {"category_id": 4}, 409),
        ("PATCH", f"{KEYWORDS}/5", {"keyword": "x"}, 404),
        ("DELETE", f"{KEYWORDS}/5", None, 404),
        ("POST", f"{KEYWORDS}/1/merge", {"into": 5}, 404),
        ("POST", f"{KEYWORDS}/5/merge", {"into": 1}, 404),
        ("POST", f"{KEYWORDS}/1/merge", {"into": 1}, 409),
        ("GET", f"{KEYWORDS}?category_id=5", None, 404),
        ("GET", f"{KEYWORDS}/5", None, 404),
        ("GET", f"{KEYWORDS}/2147483648", None, 422),
        ("POST", PEOPLE, {"name": "Alan Turing"}, 409),
        ("POST", PEOPLE, {"name": ""}, 422),
        ("POST", PEOPLE, {"name": "x", "aliases": "y"}, 422),
        ("PATCH", f"{PEOPLE}/1", {"name": "Alan Turing"}, 409),
        ("PATCH", f"{PEOPLE}/3", {"name": "x"}, 404),
        ("DELETE", f"{PEOPLE}/3", None, 404),
        ("GET", f"{PEOPLE}/3", None, 404),
    ],
)
def test_what_is_refused_changes_nothing(legacy: Api, method: str, path: str, body: Any, status: int) -> None:
    before = state(legacy)
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    legacy.refused(status, method, path, token="admin", content=content, headers=headers)
    assert state(legacy) == before


def test_a_keyword_is_made_found_renamed_moved_and_deleted(api: Api) -> None:
    made = api.ok(
        "POST", KEYWORDS, token="admin", status=201, json={"keyword": "birch", "category_id": 7, "prompt": "p"}
    )
    assert made["category"] == "nature/plants/trees" and made["prompt"] == "p"
    assert [k["keyword"] for k in api.ok("GET", "/keywords?q=B")["items"]] == ["bridge", "bridge", "birch"]
    assert [k["keyword"] for k in api.ok("GET", f"{KEYWORDS}?category_id=2", token="admin")["items"]] == [
        "tree", "oak", "birch",
    ]  # fmt: skip
    page = api.ok("GET", "/keywords?limit=3")
    rest = api.ok("GET", f"/keywords?limit=100&after={page['next']}")
    assert len(page["items"]) == 3 and len(rest["items"]) == 5 and rest["next"] is None

    before = state(api)
    said = api.ok("PATCH", f"{KEYWORDS}/3?dry_run=true", token="admin", json={"keyword": "bridge (cards)"})
    assert said["rows"]["machine_tags"] == 15 and state(api) == before
    api.ok("PATCH", f"{KEYWORDS}/3", token="admin", json={"keyword": "bridge (cards)"})
    assert words(api, 1) == [(3, "bridge (cards)", "games"), (1, "tree", "nature/plants")]
    assert words(api, 2) == [(1, "tree", "nature/plants"), (2, "bridge", "travel")]
    assert len(api.ok("GET", "/images?keyword=bridge")["items"]) == 20  # no longer ambiguous

    api.ok("PATCH", f"{KEYWORDS}/7", token="admin", json={"category_id": 6})
    assert (7, "oak", "empty") in words(api, 5)
    gone = api.ok("DELETE", f"{KEYWORDS}/7?dry_run=true", token="admin")
    assert gone["rows"]["machine_tags"] == 5 and (7, "oak", "empty") in words(api, 5)
    api.ok("DELETE", f"{KEYWORDS}/7", token="admin")
    assert len(words(api, 5)) == 2
    api.refused(404, "GET", f"{KEYWORDS}/7", token="admin")


def test_a_merge_says_and_does_what_it_says(api: Api) -> None:
    for image in (31, 32):
        api.ok("POST", f"/images/{image}/tags", json={"keyword_id": 4})
    api.ok("POST", "/images/31/tags", json={"keyword_id": 2})
    before = state(api)
    said = api.ok("POST", f"{KEYWORDS}/2/merge?dry_run=true", token="admin", json={"into": 4})
    assert said["rows"] == {
        "image_tags": 1, "machine_tags": 15, "trained_image_tags": 5, "permatags": 0, "keyword_models": 0,
    }  # fmt: skip
    assert said["dropped"]["image_tags"] == 1 and sum(said["dropped"].values()) == 1
    assert state(api) == before
    done = api.ok("POST", f"{KEYWORDS}/2/merge", token="admin", json={"into": 4})
    assert (done["rows"], done["dropped"]) == (said["rows"], said["dropped"])
    assert words(api, 31, "trained") == [(4, "sea", "nature")] and words(api, 31, "manual") == [(4, "sea", "nature")]
    assert words(api, 2) == [(4, "sea", "nature"), (1, "tree", "nature/plants")]
    assert len(api.ok("GET", "/images?keyword=bridge")["items"]) == 15


def test_namesakes_can_be_merged(api: Api) -> None:
    done = api.ok("POST", f"{KEYWORDS}/3/merge", token="admin", json={"into": 2})
    assert done["rows"]["machine_tags"] == 15 and sum(done["dropped"].values()) == 0
    assert {words(api, image)[-1] for image in (1, 2)} == {(2, "bridge", "travel")}


def test_people_have_aliases_faces_and_pictures(api: Api) -> None:
    made = api.ok("POST", PEOPLE, token="admin", status=201, json={"name": "Kurt", "aliases": ["K", "K", "Ku"]})
    assert made["aliases"] == ["K", "Ku"]
    face = api.ok("PUT", "/faces/4/person", json={"person": "Ku"})
    assert (face["person_id"], face["person"]) == (made["person_id"], "Kurt")
    path = f"{PEOPLE}/{made['person_id']}"
    assert api.ok("PATCH", f"{path}?dry_run=true", token="admin", json={"name": "Gödel"}) == {
        "dry_run": True, "faces": 1, "person": None,
    }  # fmt: skip
    assert api.ok("PATCH", path, token="admin", json={"name": "Gödel", "aliases": []})["person"]["aliases"] == []
    assert [i["id"] for i in api.ok("GET", f"/people/{made['person_id']}/images")["items"]] == [4]
    assert api.ok("GET", "/images?person=G%C3%B6del&tags=true")["items"][0]["faces"][0]["person"] == "Gödel"
    assert api.ok("DELETE", path, token="admin")["faces"] == 1
    assert api.ok("GET", "/images/4")["faces"][0]["person_id"] is None
    assert [i["id"] for i in api.ok("GET", "/people/1/images?order=oldest")["items"]] == [1, 2]
    names = [p["person"] for p in api.ok("GET", f"{PEOPLE}?limit=2", token="admin")["items"]]
    assert names == ["Ada Lovelace", "Alan Turing"]
    api.refused(409, "PUT", "/faces/1/person", json={"person": "Countess"})
    near = api.refused(422, "PUT", "/faces/1/person", json={"person": "Alan Turin"})["near"]
    assert near[0]["person"] == "Alan Turing"
    api.refused(422, "PUT", "/faces/1/person", json={"person_id": 3})
    assert api.ok("PUT", "/faces/1/person", json={})["person"] is None


@pytest.mark.parametrize("path", [CATEGORIES, KEYWORDS, PEOPLE, f"{KEYWORDS}/1", f"{CATEGORIES}/1", f"{PEOPLE}/1"])
def test_administration_wants_its_scope(legacy: Api, path: str) -> None:
    legacy.ok("GET", path, token="admin")
    legacy.refused(403, "GET", path, token="reader")
    answer = legacy.call("GET", path, token=None)
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
