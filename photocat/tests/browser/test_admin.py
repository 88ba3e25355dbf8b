"""`/admin` by keyboard and by mouse: nothing is renamed, moved or merged before it was said what that touches."""

from __future__ import annotations

import pytest

from browsing import Desk, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_keyword_is_renamed_by_keyboard(desk: Desk) -> None:
    page = desk.sign_in("admin", "/admin")
    page.get_by_role("link", name="tree", exact=True).focus()
    desk.keys("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("tree")
    page.get_by_label("New name").focus()
    desk.keys("Control+a")
    page.keyboard.type("Baum")
    desk.keys("Enter")
    expect(page.locator("#touched")).to_contain_text("machine tags")
    assert desk.db.value("SELECT count(*) FROM keywords WHERE keyword = 'Baum'") == 0
    page.locator("#confirm").focus()
    desk.keys("Enter")
    expect(page.get_by_role("status")).to_have_text("Renamed.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Baum")
    assert desk.db.value("SELECT keyword FROM keywords WHERE id = 1") == "Baum"


def test_a_keyword_is_merged_by_mouse(desk: Desk) -> None:
    page = desk.sign_in("admin", "/admin/keywords/7")
    page.locator("#into").click()
    page.keyboard.type("bri")
    page.locator("#options-into [role=option]").filter(has_text="travel").click()
    expect(page.locator("#into")).to_have_value("bridge")
    page.get_by_role("button", name="What would a merge touch?").click()
    expect(page.locator("#touched")).to_contain_text("machine tags")
    page.get_by_role("button", name="Merge it into").click()
    expect(page.get_by_role("status")).to_contain_text("Merged")
    assert page.url.partition("?")[0].endswith("/admin/keywords/2")
    assert desk.db.value("SELECT count(*) FROM keywords WHERE id = 7") == 0


def test_an_ambiguous_name_is_asked_back(desk: Desk) -> None:
    page = desk.sign_in("admin", "/admin/keywords/7")
    page.locator("#into").fill("bridge")
    page.get_by_role("button", name="What would a merge touch?").click()
    page.locator("#touched").get_by_role("button", name="bridge in games").click()
    expect(page.get_by_role("button", name="Merge it into “bridge” in games")).to_be_visible()


def test_a_keyword_is_moved(desk: Desk) -> None:
    page = desk.sign_in("admin", "/admin/keywords/1")
    page.get_by_label("To the category").select_option("travel")
    page.get_by_role("button", name="What would a move touch?").click()
    page.get_by_role("button", name="Move it there").click()
    expect(page.get_by_role("status")).to_have_text("Moved.")
    expect(page.get_by_role("link", name="Keywords in travel")).to_be_visible()


def test_a_category_is_renamed_and_moved(desk: Desk) -> None:
    page = desk.sign_in("admin", "/admin")
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="plants").click()
    page.get_by_role("link", name="Rename or move this category").click()
    page.get_by_label("New name").fill("flora")
    page.get_by_role("button", name="What would a rename touch?").click()
    page.get_by_role("button", name="Rename it to “flora”").click()
    expect(page.get_by_role("status")).to_have_text("Renamed.")
    page.get_by_label("Below the category").select_option("none, at the root")
    page.get_by_role("button", name="What would a move touch?").click()
    page.get_by_role("button", name="Move it there").click()
    expect(page.get_by_role("link", name="Keywords in flora")).to_be_visible()
    page = desk.open("/?category=flora")
    expect(page.locator(".card").first).to_be_visible()


def test_a_name_that_is_taken_is_refused(desk: Desk) -> None:
    page = desk.sign_in("admin", "/admin/keywords/8")
    page.get_by_label("New name").fill("bridge")
    page.get_by_role("button", name="What would a rename touch?").click()
    expect(page.locator("#touched")).to_contain_text("has a keyword 'bridge' already")
