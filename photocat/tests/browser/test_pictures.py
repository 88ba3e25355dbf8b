"""`/` by keyboard and by mouse: decide, tag, name, filter."""

from __future__ import annotations

import re

import pytest

from browsing import Desk, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_tags_are_decided_by_keyboard(desk: Desk) -> None:
    page = desk.sign_in("reader")
    desk.keys("j")
    assert desk.focused() == "approve-40-1"
    desk.keys("a")
    expect(page.locator("#tag-40-1")).to_have_class("tag approved")
    expect(page.locator("#approve-40-1")).to_be_focused()
    assert desk.verdicts(40) == [("tree", 1)]
    desk.keys("r")
    expect(page.locator("#tag-40-1")).to_have_class("tag rejected")
    assert desk.verdicts(40) == [("tree", -1)]
    desk.keys("u")
    expect(page.locator("#tag-40-1")).to_have_class("tag")
    assert desk.verdicts(40) == []
    desk.keys("j", "k", "j", "j")
    assert desk.focused() == "approve-38-1"
    desk.keys("ArrowUp")
    assert desk.focused() == "approve-39-1"


def test_whoever_is_fast_loses_nothing(desk: Desk) -> None:
    page = desk.sign_in("reader", "/?keyword_id=7&order=oldest")
    # In the order of their categories: bridge, sea (approved until now), tree (rejected until now), oak.
    desk.keys("j", "a", "ArrowDown", "r", "ArrowDown", "a", "ArrowDown", "a")
    for key, verdict in (("5-3", "approved"), ("5-4", "rejected"), ("5-1", "approved"), ("5-7", "approved")):
        expect(page.locator(f"#tag-{key}")).to_have_class(f"tag {verdict}")
    assert desk.verdicts(5) == [("bridge", 1), ("oak", 1), ("sea", -1), ("tree", 1)]


def test_tags_are_decided_by_mouse(desk: Desk) -> None:
    page = desk.sign_in("reader")
    page.get_by_role("button", name="Approve tree").first.click()
    expect(page.locator("#tag-40-1")).to_have_class("tag approved")
    page.get_by_role("button", name="Approve tree").first.click()
    expect(page.locator("#tag-40-1")).to_have_class("tag")
    page.get_by_role("button", name="Reject tree").nth(1).click()
    expect(page.locator("#tag-39-1")).to_have_class("tag rejected")
    assert desk.verdicts(39) == [("tree", -1)] and desk.verdicts(40) == []


def test_a_tag_is_added_with_completion_by_keyboard(desk: Desk) -> None:
    page = desk.sign_in("reader")
    desk.keys("j", "t")
    assert desk.focused() == "add-40"
    page.keyboard.type("OA")
    expect(page.locator("#options-40 [role=option]")).to_have_count(1)
    desk.keys("ArrowDown", "Enter")
    expect(page.locator("#remove-40-7")).to_be_visible()
    assert desk.manual(40) == [("oak", 1)]
    expect(page.locator("#add-40")).to_be_focused()
    expect(page.locator("#add-40")).to_have_value("")
    # Letters in a field are letters.
    page.keyboard.type("ar?")
    expect(page.locator("#add-40")).to_have_value("ar?")
    desk.keys("Escape", "Escape")
    expect(page.locator("#picture-40 .yes").first).to_be_focused()


def test_a_tag_is_added_with_completion_by_mouse_and_taken(desk: Desk) -> None:
    page = desk.sign_in("reader")
    page.locator("#add-40").click()
    page.keyboard.type("bri")
    games = page.locator("#options-40 [role=option]").filter(has_text="games")
    games.click()
    expect(page.locator("#remove-40-3")).to_be_visible()
    assert desk.manual(40) == [("bridge", 1)]
    page.locator("#remove-40-3").click()
    expect(page.locator("#tag-40-3")).to_have_count(0)
    assert desk.manual(40) == []


def test_an_ambiguous_name_is_asked_back(desk: Desk) -> None:
    page = desk.sign_in("reader")
    page.locator("#add-40").fill("bridge")
    desk.keys("Enter")
    said = page.locator("#said-picture-40")
    expect(said).to_contain_text("2 keywords answer")
    said.get_by_role("button", name=re.compile("travel")).click()
    expect(page.locator("#remove-40-2")).to_be_visible()
    page.locator("#add-40").fill("nothing like it")
    desk.keys("Enter")
    expect(said).to_contain_text("There is no keyword")


def test_a_face_is_named(desk: Desk) -> None:
    page = desk.sign_in("reader", "/?order=oldest")
    page.locator("#approve-4-1").focus()
    desk.keys("f")
    assert desk.focused() == "face-4"
    page.keyboard.type("ala")
    expect(page.locator("#people-4 [role=option]")).to_have_count(1)
    desk.keys("ArrowDown", "Enter")
    expect(page.locator("#face-4")).to_have_value("Alan Turing")
    # Not what was chosen, which stands there at once, but what has come back.
    expect(page.locator("#face-4")).to_have_attribute("value", "Alan Turing")
    assert desk.db.value("SELECT person_name FROM detected_faces WHERE id = 4") == "Alan Turing"
    page.locator("#face-4").fill("Ada")
    page.locator("#named-4").click()
    expect(page.locator("#face-4")).to_have_value("Ada Lovelace")


def test_filters_and_counts(desk: Desk) -> None:
    page = desk.sign_in("reader")
    page.locator("#facets").get_by_role("link", name="oak").click()
    expect(page.locator(".card")).to_have_count(5)
    expect(page.locator("#facets .count")).to_have_text("5 pictures")
    page.get_by_role("link", name="Without keyword oak").click()
    expect(page.locator(".card")).to_have_count(24)
    page.get_by_label("Person", exact=True).fill("Alan Turing")
    desk.keys("Enter")
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_label("Keyword", exact=True).fill("bridge")
    desk.keys("Enter")
    expect(page.get_by_role("alert").filter(has_text="Several keywords")).to_be_visible()
    page.get_by_role("link", name="bridge").first.click()
    expect(page.locator(".card").first).to_be_visible()


def test_help_and_keys_that_are_off(plain: Desk) -> None:
    page = plain.sign_in("reader")
    plain.keys("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    plain.keys("j")
    page.get_by_label("Use these keys").uncheck()
    plain.keys("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    plain.keys("j", "a")
    assert plain.focused() != "approve-40-1"
    page = plain.open("/")
    plain.keys("j")
    assert plain.focused() != "approve-40-1"
    page.get_by_role("button", name="Keyboard help").click()
    page.get_by_label("Use these keys").check()
    page.get_by_role("button", name="Close").click()
    plain.keys("j")
    assert plain.focused() == "approve-40-1"


def test_when_the_session_ends_one_is_asked_to_sign_in(plain: Desk) -> None:
    page = plain.sign_in("reader")
    plain.db.run("UPDATE api_tokens SET revoked_at = now() WHERE name = 'reader'")
    plain.keys("j", "a")
    page.wait_for_url("**/sign-in")
    assert plain.verdicts(40) == []


def test_what_fails_is_said(plain: Desk) -> None:
    page = plain.sign_in("reader")
    plain.db.run("ALTER DATABASE " + plain.db.name + " SET default_transaction_read_only = on", role="admin")
    plain.db.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'photocat%'"
    )
    plain.keys("j", "a")
    expect(page.locator("#notice")).to_contain_text("maintenance")
    expect(page.locator("#tag-40-1")).to_have_class("tag")
    expect(page.locator("#approve-40-1")).to_be_focused()
    plain.complaints.clear()  # the browser notes a 503


def test_signing_out(plain: Desk) -> None:
    page = plain.sign_in("reader")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    plain.open("/")
    page.wait_for_url("**/sign-in")
    page.get_by_label("Token").fill("forged")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="does not hold")).to_be_visible()
