"""The docs' pictures of the pages, on real tags. `make screenshots` takes them anew; otherwise they are only tried."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from PIL import Image, ImageStat

from browsing import Desk, expect
from fix_servers import Database, template
from photocat.auth import token_hash
from photocat.sample import FOLDER, seed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DOCS = FOLDER.parent / "docs" / "images"
#: So many that English and Urdu are among them, whole.
ROWS = 47_000


def build(url: str) -> None:
    seed(url, rows=ROWS)
    with psycopg.connect(url, autocommit=True) as connection:
        for tenant in ("en", "ur"):
            connection.execute(
                "INSERT INTO api_tokens (tenant_id, name, token_hash, admin) VALUES (%s, %s, %s, true)",
                (tenant, tenant, token_hash(tenant)),
            )


SAMPLE = template("photocat-shown", build)


@pytest.fixture
def shown(database: Callable[..., Database], sit: Callable[..., Desk]) -> Desk:
    """Before the sample's pictures."""
    return sit(database(SAMPLE), "text", width=1280, height=860)


def take(desk: Desk, name: str, folder: Path) -> None:
    """Takes a picture, which must show something."""
    place = (DOCS if os.environ.get("NORMALFORM_WRITE_DOCS") else folder) / name
    place.parent.mkdir(exist_ok=True)
    desk.page.screenshot(path=place)
    with Image.open(place) as image:
        assert image.size == (1280, 860)
        assert all(deviation > 5 for deviation in ImageStat.Stat(image.convert("RGB")).stddev)
    assert (DOCS / name).is_file(), "make screenshots"


def characters_are_drawn(desk: Desk) -> None:
    """Each picture in sight is a character, loaded."""
    loaded = desk.page.evaluate(
        "[...document.images].slice(0, 4).map(i => i.src.includes('/glyphs/') && i.complete && i.naturalWidth > 0)"
    )
    assert loaded and all(loaded)


#: The oldest, which every font has.
FACES = "/?category=smileys-emotion&order=oldest"


def test_pictures(shown: Desk, tmp_path: Path) -> None:
    page = shown.sign_in("en", FACES)
    characters_are_drawn(shown)
    shown.keys("j", "a")
    expect(page.locator(".tag.approved").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    shown.accessible()
    take(shown, "pictures.png", tmp_path)


def test_pictures_from_right_to_left(shown: Desk, tmp_path: Path) -> None:
    page = shown.sign_in("ur", FACES)
    assert page.locator("html").get_attribute("dir") == "rtl"
    characters_are_drawn(shown)
    shown.keys("j", "a")
    expect(page.locator(".tag.approved").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    shown.accessible()
    take(shown, "pictures-rtl.png", tmp_path)


@pytest.mark.parametrize("tenant", ["en", "ur"])
def test_keywords(shown: Desk, tmp_path: Path, tenant: str) -> None:
    shown.sign_in(tenant, "/admin")
    shown.accessible()
    take(shown, "admin.png" if tenant == "en" else "admin-rtl.png", tmp_path)


def test_a_merge(shown: Desk, tmp_path: Path) -> None:
    page = shown.sign_in("en", "/admin?q=smile")
    page.locator(".keywords a").first.click()
    page.locator("#into").fill("happ")
    shown.page.locator("#options-into [role=option]").first.click()
    page.get_by_role("button", name="What would a merge touch?").click()
    expect(page.locator("#confirm")).to_be_visible()
    page.locator("#confirm").scroll_into_view_if_needed()
    shown.accessible()
    take(shown, "admin-merge.png", tmp_path)
