"""Pictures: sent, listed, filtered, counted, shown; and what is refused."""

from __future__ import annotations

import random
import struct
import threading
import zlib
from typing import Any

import pytest
from PIL import Image

from fix_api import TEMPLATES, Api, Serve, picture, sent
from fix_servers import Cluster
from photocat.routes import images


def ids(api: Api, query: str) -> list[int]:
    """The keys of a list, oldest first."""
    page = api.ok("GET", f"/images?order=oldest&limit=100&{query}")
    return [item["id"] for item in page["items"]]


def span(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


def odd(numbers: list[int]) -> list[int]:
    return [n for n in numbers if n % 2]


FILTERS: dict[str, list[int]] = {
    "": span(1, 40),
    "keyword=sea": span(1, 25),
    "keyword=oak": span(5, 9),
    "keyword_id=3": odd(span(1, 30)),
    "keyword=games/bridge": odd(span(1, 30)),
    "keyword_id=2": [n for n in span(1, 30) if not n % 2] + span(31, 35),
    "keyword_id=2&source=trained": span(31, 35),
    "keyword_id=2&source=machine&source=trained": [n for n in span(1, 30) if not n % 2] + span(31, 35),
    "keyword=sea&keyword=oak": span(5, 9),
    "keyword=sea&keyword=oak&match=any": span(1, 25),
    "keyword=sea&source=manual": span(15, 25),
    "keyword=sea&source=permatag": span(1, 20),
    "category=nature/plants/trees": span(5, 9),
    "category=nature/plants": span(1, 40),
    "category=games": odd(span(1, 30)),
    "category_id=3": [n for n in span(1, 30) if not n % 2] + span(31, 35),
    "category_id=4&keyword=oak": [5, 7, 9],
    "category_id=4&category_id=7&match=any": sorted({*odd(span(1, 30)), *span(5, 9)}),
    "category=empty": [],
    "person_id=1": [1, 2],
    "person=Ada": [1, 2],
    "person=Alan%20Turing&person_id=1&match=any": [1, 2, 3],
    "person=Alan%20Turing&person_id=1": [],
    "source=manual": span(15, 25),
    "source=trained": span(31, 35),
    "verdict=approved": span(1, 20),
    "verdict=rejected": span(1, 5),
    "verdict=undecided": span(21, 40),
    "verdict=rejected&keyword=tree": span(1, 5),
    "verdict=approved&keyword=tree": [],
    "verdict=undecided&keyword=tree": span(6, 40),
    "verdict=undecided&keyword=tree&source=machine": span(6, 40),
    "after=2147483647": [],
    "captured_from=2020-01-31": span(30, 40),
    "captured_from=2020-01-31&captured_to=2020-02-02T00:00:00": span(30, 31),
    "captured_from=2020-01-31T02:00:00%2B02:00&captured_to=2020-02-01T00:00:00Z": [30],
}


def test_filters(api: Api) -> None:
    found = {query: ids(api, query) for query in FILTERS}
    assert found == FILTERS


@pytest.mark.parametrize("near", [1, 7, 10, images.NEAR])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_join_to_the_whole_list(api: Api, order: str, near: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far apart a tenant's pictures lie: what is not found near by is found all the same."""
    monkeypatch.setattr(images, "NEAR", near)
    seen: list[int] = []
    after = ""
    while True:
        page = api.ok("GET", f"/images?limit=7&order={order}{after}")
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        assert len(page["items"]) == 7
        after = f"&after={page['next']}"
    assert seen == (span(1, 40) if order == "oldest" else span(1, 40)[::-1])


def test_a_list_carries_tags_and_faces_where_they_are_asked_for(api: Api) -> None:
    [first] = api.ok("GET", "/images?order=oldest&limit=1&tags=true")["items"]
    words = [(t["keyword_id"], t["keyword"], t["category"], t["source"], t["verdict"]) for t in first["tags"]]
    assert words == [
        (3, "bridge", "games", "machine", None),
        (4, "sea", "nature", "permatag", "approved"),
        (1, "tree", "nature/plants", "machine", None),
        (1, "tree", "nature/plants", "permatag", "rejected"),
    ]
    assert [(f["person_id"], f["person"]) for f in first["faces"]] == [(1, "Ada Lovelace")]
    assert api.ok("GET", "/images?order=oldest&limit=1")["items"][0]["tags"] is None


def test_facets_count_pictures(api: Api) -> None:
    found = api.ok("GET", "/images/facets")
    assert found["images"] == 40
    assert {(k["keyword_id"], k["keyword"], k["category"]): k["images"] for k in found["keywords"]} == {
        (1, "tree", "nature/plants"): 40, (2, "bridge", "travel"): 20, (3, "bridge", "games"): 15,
        (4, "sea", "nature"): 25, (7, "oak", "nature/plants/trees"): 5,
    }  # fmt: skip
    assert {c["category"]: c["images"] for c in found["categories"]} == {
        "nature": 40, "nature/plants": 40, "nature/plants/trees": 5, "travel": 20, "games": 15,
    }  # fmt: skip
    assert {p["person"]: p["images"] for p in found["people"]} == {"Ada Lovelace": 2, "Alan Turing": 1}
    assert {s["source"]: s["images"] for s in found["sources"]} == {
        "manual": 11, "machine": 40, "trained": 5, "permatag": 20,
    }  # fmt: skip
    assert {v["verdict"]: v["images"] for v in found["verdicts"]} == {"approved": 20, "rejected": 5}
    narrowed = api.ok("GET", "/images/facets?keyword=oak&top=1")
    assert narrowed["images"] == 5 and [k["keyword"] for k in narrowed["keywords"]] == ["tree"]
    empty = api.ok("GET", "/images/facets?category=empty")
    assert empty["images"] == 0 and empty["keywords"] == [] and empty["categories"] == []


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ("keyword=bridge", 409, "ambiguous-keyword"),
        ("keyword=tre", 422, "unknown-keyword"),
        ("keyword_id=5", 422, "unknown-keyword"),
        ("category_id=5", 422, "invalid"),
        ("category=nowhere", 422, "invalid"),
        ("person_id=3", 422, "unknown-person"),
        ("person=Countess", 409, "ambiguous-person"),
        ("person=Grace", 422, "unknown-person"),
        ("limit=201", 422, "invalid"),
        ("limit=0", 422, "invalid"),
        ("after=0", 422, "invalid"),
        ("after=99999999999999999999", 422, "invalid"),
        ("source=nobody", 422, "invalid"),
        ("match=some", 422, "invalid"),
        ("surprise=1", 422, "invalid"),
        ("keyword=%00", 422, "invalid"),
        ("captured_from=yesterday", 422, "invalid"),
        ("&".join(["keyword_id=1"] * 51), 422, "invalid"),
    ],
)
def test_bad_queries(legacy: Api, query: str, status: int, kind: str) -> None:
    assert legacy.refused(status, "GET", f"/images?{query}")["type"] == f"/problems/{kind}"


def test_ambiguous_and_unknown_names_say_what_was_near(api: Api) -> None:
    candidates = api.refused(409, "GET", "/images?keyword=bridge")["candidates"]
    assert {(c["keyword_id"], c["keyword"], c["category"]) for c in candidates} == {
        (2, "bridge", "travel"), (3, "bridge", "games"),
    }  # fmt: skip
    near = api.refused(422, "GET", "/images?keyword=tre")["near"]
    assert near[0] == {"keyword_id": 1, "keyword": "tree", "category": "nature/plants"}
    assert ids(api, "keyword=a/b") == []  # a name may hold the separator


def test_another_tenants_pictures_are_not_there(api: Api) -> None:
    for path in ("/images/41", "/images/41/tags", "/images/41/file", "/images/41/thumbnail"):
        api.refused(404, "GET", path)
    api.refused(404, "DELETE", "/images/41")
    api.refused(404, "POST", "/images/41/tags", json={"keyword_id": 1})
    api.refused(404, "PUT", "/images/41/permatags", json={"keyword_id": 1, "verdict": "approved"})
    api.refused(404, "PUT", "/faces/5/person", json={})
    api.refused(404, "GET", "/people/3/images")
    assert api.db.value("SELECT count(*) FROM image_metadata WHERE tenant_id = 'u'") == 10


def test_an_upload_is_read_kept_and_given_back(api: Api) -> None:
    exif = Image.Exif()
    exif[271], exif[272], exif[274] = "Maker\x00", "Model", 6
    exif.get_ifd(0x8769)[36867] = "2024:02:29 10:11:12"
    exif.get_ifd(0x8769)[34855] = 400
    exif.get_ifd(0x8769)[33434] = 0.004
    exif.get_ifd(0x8825).update({1: "S", 2: (10.0, 30.0, 0.0), 3: "E", 4: (20.0, 0.0, 36.0)})
    content = picture((800, 600), "JPEG", exif=exif.tobytes())
    made = api.ok("POST", "/images", status=201, files=sent(content, "../../etc/passwd.png"))
    assert (made["width"], made["height"], made["format"]) == (600, 800, "JPEG")
    assert made["filename"] == "passwd.png" and made["file_size"] == len(content)
    assert (made["camera_make"], made["camera_model"], made["iso"]) == ("Maker", "Model", 400)
    assert made["captured_at"] == "2024-02-29T10:11:12" and made["shutter_speed"] == "1/250"
    assert (made["gps_latitude"], round(made["gps_longitude"], 4)) == (-10.5, 20.01)
    assert made["exif"]["Make"] == "Maker" and not made["duplicate"]
    again = api.ok("POST", "/images", files=sent(content, "other.jpg"))
    assert again["duplicate"] and again["id"] == made["id"]
    other = api.ok("POST", "/images", status=201, token="other", files=sent(content))
    assert other["id"] != made["id"]
    file = api.call("GET", f"/images/{made['id']}/file")
    assert file.content == content and file.headers["content-type"] == "image/jpeg"
    assert file.headers["x-content-type-options"] == "nosniff"
    small = api.call("GET", f"/images/{made['id']}/thumbnail")
    assert small.status_code == 200 and len(small.content) < len(content)
    assert api.ok("GET", f"/images/{made['id']}")["tags"] == []
    files = [p for p in api.storage.rglob("*") if p.is_file()]
    assert len(files) == 4 and all(p.stat().st_mode & 0o777 == 0o600 for p in files)
    api.ok("DELETE", f"/images/{made['id']}", status=204)
    api.refused(404, "GET", f"/images/{made['id']}")
    assert len([p for p in api.storage.rglob("*") if p.is_file()]) == 2


def test_one_file_sent_by_many_at_once_is_one_picture(legacy: Api) -> None:
    content = picture((50, 50))
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(legacy.call("POST", "/images", files=sent(content))))
               for _ in range(6)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.status_code for a in answers) == [200] * 5 + [201]
    assert len({a.json()["id"] for a in answers}) == 1


def bomb() -> bytes:
    """A PNG of 60 bytes that says it has 10¹⁰ pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        (b"", 415, "unsupported-type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported-type"),
        (picture(kind="BMP"), 415, "unsupported-type"),
        (picture(kind="TIFF"), 415, "unsupported-type"),
        (bomb(), 422, "too-many-pixels"),
        (picture((101, 100)), 422, "too-many-pixels"),
        (picture((100, 100), "JPEG")[:300], 422, "bad-picture"),
        (bytes(20_000), 413, "too-large"),
        (bytes(400_000), 413, "too-large"),
    ],
)
def test_uploads_that_are_refused(pg: Cluster, serve: Serve, content: bytes, status: int, kind: str) -> None:
    api = serve(pg.create(TEMPLATES[None]), "text", max_pixels=10_000, max_upload_bytes=10_000)
    assert api.refused(status, "POST", "/images", files=sent(content))["type"] == f"/problems/{kind}"
    assert api.db.value("SELECT count(*) FROM image_metadata") == 50
    assert not api.storage.exists()


def test_damaged_pictures_never_crash(legacy: Api) -> None:
    source = random.Random(7)
    kinds = [picture((64, 48), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF")]
    statuses = set()
    for number in range(120):
        content = bytearray(kinds[number % 4])
        for _ in range(source.randint(1, 12)):
            content[source.randrange(len(content))] = source.randrange(256)
        if number % 3 == 0:
            del content[source.randrange(10, len(content)) :]
        statuses.add(legacy.call("POST", "/images", files=sent(bytes(content))).status_code)
    assert statuses <= {200, 201, 415, 422} and 422 in statuses


def test_a_body_without_a_length_is_cut_off_too(legacy: Api) -> None:
    def endless() -> Any:
        for _ in range(40):
            yield b"[" * 65536

    legacy.refused(413, "POST", "/tags/bulk", content=endless())
    legacy.refused(413, "POST", "/tags/bulk", content=b" " * (1024 * 1024 + 1))
    legacy.refused(422, "POST", "/tags/bulk", content=b"[" * 1000)
