"""Settings come from the environment, and the engine is made as they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import text

from fix_servers import Database
from photocat.database import driver_url, engine_for, sessions_for
from photocat.settings import Settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOCAT_TAG_COLUMNS", "key")
    monkeypatch.setenv("PHOTOCAT_DATABASE_URL", "postgresql://cat:purr@host/db")
    monkeypatch.setenv("PHOTOCAT_MAX_PAGE_SIZE", "7")
    settings = Settings()
    assert (settings.tag_columns, settings.max_page_size) == ("key", 7)
    assert settings.database_url.get_secret_value() == "postgresql://cat:purr@host/db"
    assert "purr" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"), [("TAG_COLUMNS", "both"), ("MAX_PIXELS", "0"), ("PAGE_SIZE", "-1"), ("POOL_SIZE", "many")]
)
def test_settings_out_of_bounds_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PHOTOCAT_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


@pytest.mark.parametrize("url", ["mysql://cat:purr@host/db", "cat:purr@host", "postgresql://", ""])
def test_a_foreign_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with postgresql") as error:
        driver_url(url)
    assert "purr" not in str(error.value)


def test_sessions_are_seen_by_name_and_end_long_statements(database: Callable[..., Database]) -> None:
    settings = Settings(database_url=SecretStr(database().app_url), tag_columns="key", statement_timeout=1234)
    engine = engine_for(settings)
    try:
        with sessions_for(engine).begin() as session:
            shown = [session.scalar(text(f"SHOW {name}")) for name in ("application_name", "statement_timeout")]
            assert shown == ["photocat-key", "1234ms"]
            assert session.scalar(text("SHOW timezone")) == "UTC"
    finally:
        engine.dispose()
