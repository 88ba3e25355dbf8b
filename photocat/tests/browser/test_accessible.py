"""For everybody: axe finds nothing serious on any page in any state, narrow screens, both directions, no script."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from browsing import Desk, expect
from fix_api import TEMPLATES
from fix_servers import Database

pytestmark = [pytest.mark.browser, pytest.mark.slow]

URDU = """
UPDATE keywords SET keyword = v.word FROM (VALUES (1, 'درخت'), (2, 'پل'), (3, 'پل'), (4, 'سمندر'), (7, 'بلوط'),
    (8, 'سفر'), (9, 'سڑک')) v (id, word) WHERE keywords.id = v.id;
UPDATE machine_tags SET keyword = CASE keyword WHEN 'tree' THEN 'درخت' WHEN 'bridge' THEN 'پل' ELSE 'بلوط' END
    WHERE tenant_id = 't';
"""

STATES = (
    "/?verdict=approved", "/?category=empty", "/?keyword=nowhere", "/facets", "/admin", "/admin?category_id=2",
    "/admin/categories/2", "/admin/keywords/99",
)  # fmt: skip


def rtl(desk: Desk) -> None:
    desk.db.run(URDU)


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_axe_finds_nothing_serious(plain: Desk, direction: str) -> None:
    if direction == "rtl":
        rtl(plain)
    page = plain.open("/sign-in")
    plain.accessible()
    page.get_by_label("Token").fill("forged")
    plain.keys("Enter")
    expect(page.locator("#said")).to_be_visible()
    plain.accessible()
    plain.sign_in("admin", "/?order=oldest")
    assert page.locator("html").get_attribute("dir") == direction
    plain.accessible()
    page.locator("#add-5").fill("a" if direction == "ltr" else "س")
    expect(page.locator("#options-5")).to_be_visible()
    plain.keys("ArrowDown")
    plain.accessible()
    page.locator("#add-4").fill("nothing like it")
    plain.keys("Enter")
    expect(page.locator("#said-picture-4")).to_contain_text("There is no keyword")
    page.get_by_role("button", name="Keyboard help").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    plain.accessible()
    for path in STATES:
        plain.open(path)
        plain.accessible()
    plain.open("/admin/keywords/1")
    page.get_by_role("button", name="What would a rename touch?").click()
    expect(page.locator("#confirm")).to_be_visible()
    plain.accessible()
    page.locator("#confirm").click()
    expect(page.get_by_role("status")).to_be_visible()
    plain.accessible()


def test_axe_finds_what_is_planted(plain: Desk) -> None:
    page = plain.sign_in()
    page.evaluate("document.querySelector('.card img').removeAttribute('alt')")
    with pytest.raises(AssertionError, match="image-alt"):
        plain.accessible()


def test_everything_is_reached_by_tab_in_the_order_that_is_seen(plain: Desk) -> None:
    page = plain.sign_in("admin", "/?keyword_id=7&order=oldest")
    seen: list[str] = []
    for _ in range(120):
        plain.keys("Tab")
        here = plain.focused()
        if here.startswith(("approve-", "reject-", "add-", "added-", "by-")):
            seen.append(here)
    seen = list(dict.fromkeys(seen))  # a date has several stops, and after the last link it begins again
    assert seen.index("by-keyword") < seen.index("by-order") < seen.index("approve-5-3")
    first = [i for i in seen if i.split("-")[1] == "5"]
    order = page.evaluate("[...document.querySelectorAll('#picture-5 button, #add-5')].map(e => e.id)")
    assert first == [i for i in order if i.startswith(("approve-", "reject-", "add-", "added-"))]
    plain.open("/")
    plain.keys("Tab", "Enter")
    assert plain.focused() == "main"


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_narrow_screens_need_no_scrolling_sideways(
    sit: Callable[..., Desk], database: Callable[..., Database], direction: str
) -> None:
    desk = sit(database(TEMPLATES[None]), "text", width=320, height=640)
    if direction == "rtl":
        rtl(desk)
    desk.open("/sign-in")
    desk.fits()
    desk.sign_in()
    for path in ("/?order=oldest", "/facets", "/admin", "/admin/keywords/1", "/admin/categories/2"):
        desk.open(path)
        desk.fits()


def test_a_page_from_right_to_left_is_mirrored(plain: Desk) -> None:
    def left(selector: str) -> float:
        box = page.locator(selector).first.bounding_box()
        assert box is not None
        return box["x"]

    page = plain.sign_in()
    assert left(".filters") < left(".shown") and left(".picture") < left(".told") < left(".acts")
    rtl(plain)
    page = plain.open("/")
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert left(".filters") > left(".shown") and left(".picture") > left(".told") and left(".word") > left(".acts")
    plain.keys("j", "a")
    expect(page.locator("#tag-40-1")).to_have_class("tag approved")
    page = plain.open("/admin")
    assert page.locator("html").get_attribute("dir") == "rtl" and left(".tree") > left(".shown")


def test_all_of_it_works_without_script(sit: Callable[..., Desk], database: Callable[..., Database]) -> None:
    desk = sit(database(TEMPLATES[None]), "text", script=False)
    page = desk.open("/sign-in")
    page.get_by_label("Token").fill("admin")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Approve tree").first.click()
    expect(page.locator("#tag-40-1")).to_have_class("tag approved")
    page.locator("#add-40").fill("bridge")
    page.locator("#added-40").click()
    page.get_by_role("button", name="bridge in games").click()
    expect(page.locator("#picture-40 #remove-40-3")).to_be_visible()
    page.get_by_role("link", name="How many pictures carry what").click()
    page.get_by_role("link", name="oak").click()
    expect(page.locator(".card")).to_have_count(5)
    page = desk.open("/admin/keywords/7")
    page.get_by_label("New name").fill("Eiche")
    page.get_by_role("button", name="What would a rename touch?").click()
    page.locator("#confirm").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Eiche")
