"""The pages without a browser: who gets in, what a post may do, what each page holds, and how many queries it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import event

from fix_api import Api, picture, sent
from photocat.context import Service
from photocat.pages.session import COOKIE
from test_service import fence

HERE = {"Origin": "http://testserver"}
HTMX = {**HERE, "HX-Request": "true"}


class Site:
    """The pages as a browser asks for them, signed in by a token."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def ask(
        self, method: str, path: str, *, token: str | None = "reader", headers: Any = HERE, **more: Any
    ) -> Response:
        cookie = {"Cookie": f"{COOKIE}={token}"} if token else {}
        return self.api.client.request(method, path, headers={**headers, **cookie}, follow_redirects=False, **more)

    def page(self, path: str, *, token: str = "admin", status: int = 200) -> str:
        answer = self.ask("GET", path, token=token)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        Balanced().feed(answer.text)
        return answer.text

    def post(self, path: str, status: int = 200, *, headers: Any = HTMX, token: str = "admin", **form: Any) -> Response:
        answer = self.ask("POST", path, token=token, headers=headers, data=form)
        assert answer.status_code == status, answer.text
        return answer


class Balanced(HTMLParser):
    """Fails where elements are not closed in the order in which they were opened, or an id stands twice."""

    VOID = frozenset({"input", "img", "meta", "link", "br", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on") and name != "style", "a strict policy runs nothing inline"
            if name == "id" and value is not None:
                assert value not in self.ids, value
                self.ids.add(value)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture
def site(api: Api) -> Site:
    return Site(api)


@pytest.fixture
def old(legacy: Api) -> Site:
    return Site(legacy)


@contextmanager
def queries(api: Api) -> Iterator[list[str]]:
    """The statements that the service sends meanwhile."""
    service: Service = api.client.app.state.service  # type: ignore[attr-defined]
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(service.engine, "before_cursor_execute", note)
    yield seen
    event.remove(service.engine, "before_cursor_execute", note)


PAGES = ["/", "/facets", "/admin", "/admin/keywords/1", "/admin/categories/1", "/complete/keywords?keyword=o",
         "/complete/people?person=a", "/pictures/1/thumbnail"]  # fmt: skip


@pytest.mark.parametrize("token", [None, "forged", "inactive", "x" * 5000])
@pytest.mark.parametrize("path", PAGES)
def test_without_a_valid_token_one_is_asked_to_sign_in(old: Site, path: str, token: str | None) -> None:
    answer = old.ask("GET", path, token=token)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
    part = old.ask("GET", path, token=token, headers=HTMX)
    assert part.status_code == 401 and part.headers["hx-redirect"] == "/sign-in" and not part.content


def test_a_token_is_pasted_once(old: Site) -> None:
    form = old.ask("GET", "/admin?q=a", token=None).headers["location"]
    assert form == "/sign-in?next=%2Fadmin%3Fq%3Da"
    assert 'value="/admin?q=a"' in old.api.client.get(form).text
    data = {"token": "  reader\n", "next": "/admin?q=a"}
    answer = old.ask("POST", "/sign-in", token=None, data=data)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin?q=a")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=reader;") and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert "Secure" not in cookie
    wrong = old.ask("POST", "/sign-in", token=None, data={"token": "forged", "next": "//evil.example"})
    assert wrong.status_code == 401 and "does not hold" in wrong.text and "evil" not in wrong.text
    assert "set-cookie" not in wrong.headers and "forged" not in wrong.text
    gone = old.ask("POST", "/sign-out")
    assert gone.headers["location"] == "/sign-in" and "Max-Age=0" in gone.headers["set-cookie"]


def test_over_https_the_cookie_goes_over_https_alone(old: Site) -> None:
    answer = old.api.client.post("https://testserver/sign-in", data={"token": "reader"}, follow_redirects=False,
                                 headers={"Origin": "https://testserver"})  # fmt: skip
    assert answer.status_code == 303 and "Secure" in answer.headers["set-cookie"]


def test_a_revoked_token_ends_the_session(old: Site) -> None:
    old.page("/", token="reader")
    old.api.db.run("UPDATE api_tokens SET revoked_at = now() WHERE name = 'reader'")
    assert old.ask("GET", "/").status_code == 303


def test_the_api_takes_no_cookie(old: Site) -> None:
    assert old.ask("GET", "/api/v1/images").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://testserver.evil.example"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://testserver:81"},
        {**HERE, "Sec-Fetch-Site": "cross-site"}, {"Origin": ""}, {"Origin": "http://["},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/pictures/1/tags", "/faces/4/person", "/admin/keywords/4", "/sign-in", "/sign-out"])
def test_no_other_site_can_post(old: Site, path: str, headers: dict[str, str]) -> None:
    before = old.api.db.rows("SELECT * FROM permatags ORDER BY id")
    form = {"approve": "4", "reject": "4", "what": "rename", "name": "x", "step": "do", "token": "admin"}
    answer = old.ask("POST", path, token="admin", headers=headers, data=form)
    assert answer.status_code == 403 and "set-cookie" not in answer.headers
    assert old.api.db.rows("SELECT * FROM permatags ORDER BY id") == before


def test_the_pages_own_posts_are_known_by_either_header(old: Site) -> None:
    for headers in (HERE, {"Sec-Fetch-Site": "same-origin"}, {**HERE, "Sec-Fetch-Site": "same-origin"}):
        old.post("/pictures/1/tags", headers={**headers, "HX-Request": "true"}, approve="4")


@pytest.mark.parametrize("path", ["/sign-in", *PAGES, "/glyphs/1f600.svg"])
def test_headers_let_nothing_foreign_run(old: Site, path: str) -> None:
    headers = old.ask("GET", path, token="admin").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"] and policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


def test_pages_load_nothing_from_elsewhere(old: Site) -> None:
    for path in ("/", "/admin", "/admin/keywords/1", "/sign-in", "/facets"):
        for url in re.findall(r'(?:src|href|action|hx-\w+)="([^"#]*)"', old.page(path)):
            assert not re.match(r"(?:[a-z]+:)?//", url), url
    for name in (
        "htmx.min.js",
        "combobox.js",
        "keys.js",
        "photocat.css",
        "icon.svg",
        "no-picture.svg",
        "LICENSE-htmx.txt",
    ):
        assert old.api.client.get(f"/static/{name}").status_code == 200


def test_pictures_carry_their_tags_by_category(site: Site) -> None:
    text = site.page("/?keyword_id=7&order=oldest")
    assert len(re.findall(r'<article class="card"', text)) == 5
    for category in ("nature/plants", "nature/plants/trees", "travel", "games", "nature"):
        assert f"<h3><bdi>{category}</bdi></h3>" in text
    assert 'id="approve-5-1"' in text and 'aria-label="Approve oak"' in text
    # Picture 5: a machine says tree, a verdict rejects it.
    assert re.search(r'class="tag rejected" id="tag-5-1"', text)
    assert re.search(r'id="reject-5-1"[^>]*name="clear"[^>]*aria-pressed="true"', text)


def test_a_page_leads_to_the_next(site: Site) -> None:
    seen: list[str] = []
    path = "/"
    while path:
        text = site.page(path)
        seen += re.findall(r'<li id="picture-(\d+)"', text)
        more = re.search(r'rel="next" href="([^"]*)"', text)
        path = more[1].replace("&amp;", "&") if more else ""
    assert [int(i) for i in seen] == list(range(40, 0, -1))


def test_another_tenant_sees_its_own(site: Site) -> None:
    text = site.page("/", token="other")
    assert set(re.findall(r'<li id="picture-(\d+)"', text)) == {str(i) for i in range(41, 51)}
    assert "sea" not in site.page("/admin", token="other").replace("search", "")
    for path in ("/pictures/1/thumbnail", "/admin/keywords/1", "/admin/categories/1"):
        site.page(path, token="other", status=404)
    site.post("/pictures/1/tags", 404, token="other", approve="5")
    site.post("/faces/1/person", 404, token="other", person="Grace")


def test_a_name_that_several_have_offers_them(site: Site) -> None:
    text = site.page("/?keyword=bridge", status=409)
    assert 'href="/?keyword_id=2"' in text and 'href="/?keyword_id=3"' in text
    assert 'href="/?keyword_id=1"' in site.page("/?keyword=tre", status=422)
    assert "No pictures are like this" in site.page("/?category=empty")
    site.page("/?verdict=perhaps", status=422)


@pytest.mark.parametrize(("act", "verdict", "keyword"), [("approve", "approved", "4"), ("reject", "rejected", "4"),
                                                     ("approve", "approved", "2")])  # fmt: skip
def test_a_verdict_and_back(site: Site, act: str, verdict: str, keyword: str) -> None:
    text = site.post("/pictures/40/tags", 200, **{act: keyword}).text
    assert f'class="tag {verdict}" id="tag-40-{keyword}"' in text
    assert 'id="title-40"' in text and "<html" not in text
    assert f'id="tag-40-{keyword}"' not in site.post("/pictures/40/tags", clear=keyword).text


def test_a_row_is_answered_where_no_other_changes(site: Site) -> None:
    row = {**HTMX, "HX-Target": "row-40-1"}
    text = site.post("/pictures/40/tags", headers=row, approve="1").text
    assert 'class="tag approved" id="tag-40-1"' in text and "title-40" not in text
    assert 'id="row-40-1" hx-target="this"' in site.page("/")
    # Picture 1 has nothing but a verdict on the sea, which goes with it.
    gone = site.post("/pictures/1/tags", headers={**HTMX, "HX-Target": "row-1-4"}, clear="4").text
    assert gone.strip() == ""


def test_a_tag_is_added_by_name_and_by_key_and_taken(site: Site) -> None:
    assert 'id="remove-40-7"' in site.post("/pictures/40/tags", keyword="oak").text
    assert 'id="tag-40-7"' not in site.post("/pictures/40/tags", remove="7").text
    assert 'id="remove-40-3"' in site.post("/pictures/40/tags", keyword="bridge", keyword_id="3").text
    refused = site.post("/pictures/40/tags", 409, headers={**HTMX, "HX-Target": "picture-40"}, keyword="bridge")
    assert refused.headers["hx-retarget"] == "#said-picture-40" and 'name="pick" value="2"' in refused.text
    assert "<form" not in refused.text
    # What was picked holds, whatever stands in the field.
    assert 'id="tag-40-2"' in site.post("/pictures/40/tags", keyword="bridge", pick="2").text
    site.post("/pictures/40/tags", 422, keyword="")
    site.post("/pictures/40/tags", 422, approve="x")


def test_without_script_a_post_leads_back_to_the_page(site: Site) -> None:
    back = {**HERE, "Referer": "http://testserver/?verdict=approved&after=41"}
    answer = site.post("/pictures/40/tags", 303, headers=back, approve="1")
    assert answer.headers["location"] == "/?verdict=approved&after=41#picture-40"
    for referer in ("http://evil.example/x?next=//evil.example", "http://testserver/pictures/40/tags", "http://[", ""):
        answer = site.post("/pictures/40/tags", 303, headers={**HERE, "Referer": referer}, approve="1")
        assert answer.headers["location"] == "/#picture-40"
    page = site.post("/pictures/40/tags", 409, headers=HERE, keyword="bridge").text
    assert '<form method="post" action="/pictures/40/tags">' in page and 'name="pick" value="3"' in page


def test_a_face_gets_a_name(site: Site) -> None:
    assert 'value="Alan Turing"' in site.post("/faces/4/person", person="Alan Turing").text
    assert 'value="Ada Lovelace"' in site.post("/faces/4/person", person_id="1", person="whatever").text
    site.post("/faces/4/person", 409, person="Countess")
    site.post("/faces/4/person", 422, person="Nobody")
    assert 'id="face-4" name="person" value=""' in site.post("/faces/4/person", person=" ").text


def test_completions(site: Site) -> None:
    def offered(path: str) -> list[str]:
        answer = site.ask("GET", path, headers={**HTMX, "HX-Target": "options-5"})
        assert answer.status_code == 200
        assert re.findall(r' id="options-5-(\d+)"', answer.text) == [
            str(n) for n in range(1, answer.text.count("<li") + 1)
        ]  # fmt: skip
        return re.findall(r'data-text="([^"]*)"', answer.text)

    assert offered("/complete/keywords?keyword=BRI") == ["bridge", "bridge"]
    assert offered("/complete/keywords?into=str") == ["Straße"]
    assert offered("/complete/keywords?keyword=%20") == offered("/complete/people?person=") == []
    assert offered("/complete/people?person=a") == ["Ada Lovelace", "Alan Turing", "Annabella"]
    assert offered("/complete/people?person=%25") == offered("/complete/people?person=_") == []
    assert offered("/complete/people?person=Grace") == []


@pytest.mark.parametrize("query", ["", "?keyword_id=7", "?category=travel", "?person=Ada"])
def test_facets_link_to_what_they_count(site: Site, query: str) -> None:
    part = site.ask("GET", f"/facets{query}", headers=HTMX).text
    assert "<html" not in part
    counted = re.findall(r'<a href="([^"]*)"[^>]*><bdi>[^<]*</bdi></a> <span class="n">(\d+)</span>', part)
    assert len(counted) > 2
    for link, images in counted:
        shown = len(re.findall("<article", site.page(link.replace("&amp;", "&"))))
        assert shown == min(int(images), 24), link
    assert "<html" in site.page("/facets")


def test_administration_needs_its_scope(site: Site) -> None:
    for path in ("/admin", "/admin/keywords/1", "/admin/categories/1"):
        assert "admin scope" in site.page(path, token="reader", status=403)
    site.post("/admin/keywords/1", 403, token="reader", what="rename", name="x", step="do")
    assert 'href="/admin"' not in site.page("/", token="reader") and 'href="/admin"' in site.page("/")


def test_the_tree_and_its_keywords(site: Site) -> None:
    text = site.page("/admin")
    assert text.index(">nature<") < text.index(">plants<") < text.index(">trees<") < text.index(">travel<")
    assert len(re.findall(r'href="/admin/keywords/\d+"', text)) == 7
    assert re.findall(r'href="/admin/keywords/(\d+)"', site.page("/admin?category_id=2")) == ["1", "7"]
    assert re.findall(r'href="/admin/keywords/(\d+)"', site.page("/admin?q=STR")) == ["9"]
    site.page("/admin?category_id=5", status=404)
    site.page("/admin?category_id=x", status=422)


def words(text: str) -> dict[str, str]:
    return dict(re.findall(r'<tr><th scope="row">([^<]+)</th><td>([\d,]+)</td></tr>', text))


def test_a_rename_says_what_it_touches_and_then_happens(site: Site) -> None:
    text = site.post("/admin/keywords/1", what="rename", name="Baum").text
    assert words(text) == {"keywords": "1", "machine tags": "40", "verdicts": "5", "keyword models": "1"}
    assert "Rename it to “Baum”" in text and "tree" in site.page("/admin/keywords/1")
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))
    assert fields == {"step": "do", "what": "rename", "name": "Baum"}
    done = site.post("/admin/keywords/1", 303, headers=HERE, **fields)
    assert done.headers["location"] == "/admin/keywords/1?said=rename"
    after = site.page(done.headers["location"])
    assert "<h1><bdi>Baum</bdi></h1>" in after and "Renamed." in after
    assert len(re.findall("<article", site.page("/?keyword=Baum"))) == 24


def test_a_merge_says_what_goes(site: Site) -> None:
    preview = site.post("/admin/keywords/1", what="merge", into="oak").text
    assert words(preview)["machine tags"] == "40" and "Merge it into “oak” in nature/plants/trees" in preview
    assert "go, since" not in preview
    page = site.post("/admin/keywords/1", headers=HERE, what="merge", into="oak").text
    assert "<html" in page and 'id="confirm"' in page
    asked = site.post("/admin/keywords/1", 409, headers={**HTMX, "HX-Target": "touched"}, what="merge", into="bridge")
    assert "hx-retarget" not in asked.headers and '<input type="hidden" name="what" value="merge">' in asked.text
    assert "“bridge” in games" in site.post("/admin/keywords/1", what="merge", into="bridge", pick="3").text
    site.post("/admin/keywords/1", 409, what="merge", into_id="1")
    site.post("/admin/keywords/1", 422, what="merge", into=" ")
    done = site.post("/admin/keywords/1", 303, what="merge", into_id="7", step="do")
    assert done.headers["location"] == "/admin/keywords/7?said=merge"
    site.page("/admin/keywords/1", status=404)
    assert len(re.findall("<article", site.page("/?keyword_id=7"))) == 24


def test_moves(site: Site) -> None:
    touched = words(site.post("/admin/keywords/1", what="move", category_id="3").text)
    assert touched["machine tags"] == "40"
    assert "No tag changes" in site.post("/admin/keywords/1", what="move", category_id="2").text
    site.post("/admin/keywords/1", 303, what="move", category_id="3", step="do")
    assert "Keywords in <bdi>travel</bdi>" in site.page("/admin/keywords/1")
    site.post("/admin/keywords/1", 404, what="move", category_id="5")

    touched = words(site.post("/admin/categories/2", what="move", parent_id="3").text)
    assert touched["categories"] == "2" and touched["keywords"] == "1"
    site.post("/admin/categories/2", 303, what="move", parent_id="", step="do")
    assert "Keywords in <bdi>plants/trees</bdi>" in site.page("/admin/categories/7")
    site.post("/admin/categories/2", 409, what="move", parent_id="7")
    assert 'value="7"' not in site.page("/admin/categories/2")

    assert words(site.post("/admin/categories/3", what="rename", name="trips").text)["keywords"] == "4"
    site.post("/admin/categories/3", 303, what="rename", name="trips", step="do")
    assert len(re.findall("<article", site.page("/?category=trips"))) == 24
    site.post("/admin/categories/3", 422, what="rename", name="a/b")
    site.post("/admin/categories/3", 422, what="rename", name="")


def test_words_are_never_markup(site: Site) -> None:
    evil = '"><script>alert(1)</script>{{ 7*7 }}'
    site.api.ok("POST", "/admin/keywords", token="admin", status=201, json={"keyword": evil, "category_id": 1})
    site.api.ok("POST", "/images/40/tags", json={"keyword": evil, "category": "nature"})
    site.api.db.run(f"UPDATE image_metadata SET filename = '{evil}' WHERE id = 40")
    site.api.db.run(f"UPDATE people SET name = '{evil}' WHERE id = 1")
    paths = ["/", "/facets", "/admin", "/complete/keywords?keyword=%22", "/complete/people?person=%22"]
    for text in (*map(site.page, paths), site.page("/?keyword=" + "%3Cscript%3E", status=422)):
        assert "<script>" not in text
        assert "{{ 7*7 }}" in text or "&lt;script&gt;" in text


def test_files_go_before_characters(old: Site) -> None:
    made = old.api.ok("POST", "/images", status=201, files=sent(picture(), "1f600.webp"))["id"]
    assert f'src="/pictures/{made}/thumbnail"' in old.page("/")
    thumbnail = old.ask("GET", f"/pictures/{made}/thumbnail")
    assert thumbnail.headers["content-type"] == "image/jpeg"
    old.api.db.run("UPDATE image_metadata SET filename = '1f600.webp' WHERE id = 1")
    assert "/glyphs/1f600.svg" in old.page("/?order=oldest")
    assert old.ask("GET", "/pictures/1/thumbnail").headers["content-type"] == "image/svg+xml"
    assert old.ask("GET", "/pictures/2/thumbnail").headers["location"] == "/static/no-picture.svg"
    glyph = old.ask("GET", "/glyphs/1f600.svg", token=None)
    assert "😀" in glyph.text and "immutable" in glyph.headers["cache-control"]
    assert old.ask("GET", "/glyphs/..%2f.svg", token=None).status_code == 404


def test_during_maintenance_pages_are_read_and_not_written(old: Site) -> None:
    fence(old.api.db)
    old.page("/")
    old.page("/admin/keywords/1")
    answer = old.post("/pictures/1/tags", 503, approve="4")
    assert answer.headers["retry-after"] and answer.headers["hx-retarget"] == "#notice"
    assert "maintenance" in answer.text
    assert "maintenance" in old.post("/admin/keywords/1", 503, headers=HERE, what="rename", name="x", step="do").text


BUSY = "?keyword_id=1&keyword=oak&category=nature&category_id=3&person_id=1&person=Ada&match=any&source=machine"


@pytest.mark.parametrize("path", ["/", f"/{BUSY}", "/facets", f"/facets{BUSY}", "/admin", "/admin?category_id=2&q=o",
                                  "/admin/keywords/1", "/admin/categories/2"])  # fmt: skip
def test_a_page_takes_ten_queries_at_most(site: Site, path: str) -> None:
    site.api.db.run("UPDATE detected_faces SET person_name = 'Countess' WHERE id = 4")
    with queries(site.api) as seen:
        site.page(path)
    assert 0 < len(seen) <= 10, seen


def test_a_page_of_many_tags_takes_no_more(site: Site) -> None:
    with queries(site.api) as few:
        site.page("/?keyword_id=7")
    with queries(site.api) as many:
        site.page("/?keyword_id=1")
    assert len(few) == len(many)


def test_pages_are_no_part_of_the_document(old: Site) -> None:
    paths = old.api.client.get("/openapi.json").json()["paths"]
    assert all(path.startswith("/api/v1/") or path == "/health" for path in paths)
