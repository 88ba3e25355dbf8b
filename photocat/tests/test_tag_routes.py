"""Tags by hand, verdicts, and what external taggers send: each done twice is done once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fix_api import Api

Words = list[tuple[int | None, str, str | None, str]]


def words(answer: Any) -> Words:
    """What a picture's tags say."""
    return [(t["keyword_id"], t["keyword"], t["category"], t["source"]) for t in answer["items"]]


def test_a_tag_by_hand_is_set_once_and_taken(api: Api) -> None:
    for body in ({"keyword_id": 7}, {"keyword": "oak"}, {"keyword": "nature/plants/trees/oak"},
                 {"keyword": "oak", "category": "nature/plants/trees"}):  # fmt: skip
        tags = words(api.ok("POST", "/images/40/tags", json=body))
        assert tags == [(1, "tree", "nature/plants", "machine"), (7, "oak", "nature/plants/trees", "manual")]
    assert words(api.ok("DELETE", "/images/40/tags?keyword=oak")) == [(1, "tree", "nature/plants", "machine")]
    assert words(api.ok("DELETE", "/images/40/tags?keyword_id=7")) == [(1, "tree", "nature/plants", "machine")]


def test_a_tag_without_category_is_the_same_tag(api: Api) -> None:
    before = words(api.ok("GET", "/images/25/tags"))
    assert (4, "sea", "nature", "manual") in before
    assert words(api.ok("POST", "/images/25/tags", json={"keyword": "sea"})) == before


def test_the_last_verdict_holds_and_can_be_taken_back(api: Api) -> None:
    def verdicts() -> list[tuple[int, str, str]]:
        tags = api.ok("GET", "/images/40/tags")["items"]
        return [(t["keyword_id"], t["verdict"], t["created_by"]) for t in tags if t["source"] == "permatag"]

    api.ok("PUT", "/images/40/permatags", json={"keyword": "tree", "verdict": "approved"})
    assert verdicts() == [(1, "approved", "reader")]
    api.ok("PUT", "/images/40/permatags", token="admin", json={"keyword_id": 1, "verdict": "rejected"})
    assert verdicts() == [(1, "rejected", "admin")]
    # A picture carries a name once: the verdict moves to the other one of this name.
    api.ok("PUT", "/images/40/permatags", json={"keyword_id": 2, "verdict": "approved"})
    api.ok("PUT", "/images/40/permatags", json={"keyword_id": 3, "verdict": "approved"})
    assert sorted(verdicts()) == [(1, "rejected", "admin"), (3, "approved", "reader")]
    api.ok("DELETE", "/images/40/permatags?keyword_id=3")
    api.ok("DELETE", "/images/40/permatags?keyword=tree")
    assert verdicts() == []


def test_many_pictures_at_once(api: Api) -> None:
    body = {"image_ids": [1, 2, 3], "add": [{"keyword_id": 7}, {"keyword": "travel/bridge"}]}
    assert api.ok("POST", "/tags/bulk", json=body) == {"added": 6, "updated": 0, "removed": 0}
    again = {**body, "remove": [{"keyword": "sea"}, {"keyword_id": 7}]}
    assert api.ok("POST", "/tags/bulk", json=again) == {"added": 3, "updated": 3, "removed": 3}
    images = api.ok("GET", "/images?keyword_id=2&source=manual")["items"]
    assert sorted(i["id"] for i in images) == [1, 2, 3]


def machine(**more: Any) -> dict[str, Any]:
    base = {"image_id": 40, "keyword": "oak", "confidence": 0.5, "tag_type": "siglip", "model_name": "m1"}
    return {**base, **more}


def test_intake_of_machine_tags(api: Api) -> None:
    tags = [machine(), machine(model_name="m2"), machine(keyword="tree", confidence=1), machine(confidence=0.75)]
    assert api.ok("POST", "/intake/machine-tags", json={"tags": tags}) == {"added": 2, "updated": 1, "removed": 0}
    assert api.ok("POST", "/intake/machine-tags", json={"tags": tags}) == {"added": 0, "updated": 3, "removed": 0}
    found = api.ok("GET", "/images/40/tags")["items"]
    assert [(t["keyword"], t["model_name"], t["confidence"]) for t in found] == [
        ("tree", "m1", 1.0), ("oak", "m1", 0.75), ("oak", "m2", 0.5),
    ]  # fmt: skip
    moved = machine(image_id=1, keyword="travel/bridge", model_version="2")  # it has the one of games
    assert api.ok("POST", "/intake/machine-tags", json={"tags": [moved]})["updated"] == 1
    assert (2, "bridge", "travel", "machine") in words(api.ok("GET", "/images/1/tags"))
    assert (3, "bridge", "games", "machine") not in words(api.ok("GET", "/images/1/tags"))


def test_intake_of_trained_tags_models_and_faces(api: Api) -> None:
    trained = {"tags": [{"image_id": i, "keyword_id": 2, "model_name": "own"} for i in (30, 31)]}
    assert api.ok("POST", "/intake/trained-tags", json=trained) == {"added": 1, "updated": 1, "removed": 0}
    models = {"models": [{"keyword": k, "model_name": "m1", "positive_centroid": [0.5]} for k in ("tree", "sea")]}
    assert api.ok("POST", "/intake/keyword-models", json=models) == {"added": 1, "updated": 1, "removed": 0}
    assert api.db.value("SELECT count(*) FROM keyword_models WHERE positive_centroid = '{0.5}'") == 2
    box = {"top": 1, "right": 2, "bottom": 3, "left": 4}
    faces = {"faces": [{"image_id": 1, **box, "confidence": 1}, {"image_id": 9, **box, "person": "Ada"}]}
    assert api.ok("POST", "/intake/faces", json=faces) == {"added": 1, "updated": 1, "removed": 0}
    assert api.ok("POST", "/intake/faces", json=faces) == {"added": 0, "updated": 2, "removed": 0}
    [face] = api.ok("GET", "/images/1")["faces"]
    assert (face["person"], face["confidence"]) == ("Ada Lovelace", 1.0)  # a name that was given stays
    assert [i["id"] for i in api.ok("GET", "/people/1/images?order=oldest")["items"]] == [1, 2, 9]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/intake/machine-tags", {"tags": []}, 422),
        ("/intake/machine-tags", {"tags": [machine()] * 1001}, 422),
        ("/intake/machine-tags", {"tags": [machine(), machine(keyword="oaq")]}, 422),
        ("/intake/machine-tags", {"tags": [machine(), machine(keyword="bridge")]}, 409),
        ("/intake/machine-tags", {"tags": [machine(), machine(image_id=41)]}, 404),
        ("/intake/machine-tags", {"tags": [machine(), machine(keyword=None)]}, 422),
        ("/intake/machine-tags", {"tags": [machine(), machine(keyword_id=5)]}, 422),
        ("/intake/machine-tags", {"tags": [machine(confidence=1.5)]}, 422),
        ("/intake/machine-tags", {"tags": [machine(confidence=None)]}, 422),
        ("/intake/machine-tags", {"tags": [machine(tenant_id="u")]}, 422),
        ("/intake/trained-tags", {"tags": [{"image_id": 41, "keyword_id": 5, "model_name": "m"}]}, 404),
        ("/intake/keyword-models", {"models": [{"keyword": "tree", "model_name": "m", "positive_centroid": []}]}, 422),
        ("/intake/faces", {"faces": [{"image_id": 41, "top": 1, "right": 1, "bottom": 1, "left": 1}]}, 404),
        ("/intake/faces", {"faces": [{"image_id": 1, "top": 2**31, "right": 1, "bottom": 1, "left": 1}]}, 422),
        ("/tags/bulk", {"image_ids": [1]}, 422),
        ("/tags/bulk", {"image_ids": [1, 41], "add": [{"keyword_id": 1}]}, 404),
        ("/tags/bulk", {"image_ids": [*range(1, 1002)], "add": [{"keyword_id": 1}]}, 422),
        ("/tags/bulk", {"image_ids": [1], "add": [{"keyword": "bridge"}]}, 409),
        ("/tags/bulk", {"image_ids": [True], "add": [{"keyword_id": 1}]}, 422),
        ("/images/1/tags", {"keyword": "tree", "category": "travel"}, 422),
        ("/images/1/tags", {"keyword_id": 1, "keyword": "sea"}, 422),
        ("/images/1/tags", {}, 422),
        ("/images/1/tags", {"keyword": "x\u0000"}, 422),
        ("/images/1/tags", [], 422),
    ],
)
def test_all_or_nothing(legacy: Api, path: str, body: Any, status: int) -> None:
    legacy.refused(status, "POST", path, json=body)
    for table, rows in {"machine_tags": 85, "trained_image_tags": 5, "keyword_models": 2, "image_tags": 16,
                        "detected_faces": 5}.items():  # fmt: skip
        assert legacy.db.value(f"SELECT count(*) FROM {table}") == rows


def test_many_taggers_at_once_make_one_tag(api: Api) -> None:
    tags = [machine(image_id=i, keyword=k) for i in range(1, 11) for k in ("oak", "sea")]
    answers: list[int] = []

    def send(turned: bool) -> None:
        body = {"tags": tags[::-1] if turned else tags}
        answers.append(api.call("POST", "/intake/machine-tags", json=body).status_code)

    threads = [threading.Thread(target=send, args=(n % 2 == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    count = "SELECT count(*) FROM machine_tags WHERE tag_type = 'siglip' AND tenant_id = 't'"
    assert api.db.value(count) == 70 + 20
