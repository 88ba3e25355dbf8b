"""The models are the tables: before the migration those of the legacy schema, after it those that contract leaves."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import psycopg
import pytest
from sqlalchemy import create_engine

from fix_servers import Database, template
from normalform import api
from normalform.demo.load import legacy_statements
from photocat.database import driver_url
from photocat.models import metadata_for
from photocat.sample import FOLDER
from photocat.settings import TagColumns
from schema_lines import schema_lines

SPEC = files("normalform.demo").joinpath("normalform.toml").read_text(encoding="utf-8")


def build_legacy(url: str) -> None:
    with psycopg.connect(url) as connection:
        for part in legacy_statements():
            for statement in part:
                connection.execute(statement)


def build_contracted(url: str) -> None:
    build_legacy(url)
    api.run(api.Options(url, SPEC), until="contract")


ENDS = {
    "text": template("photocat-legacy", build_legacy),
    "key": template("photocat-contracted", build_contracted),
}


def from_models(db: Database, tag_columns: TagColumns) -> Database:
    engine = create_engine(driver_url(db.url))
    try:
        metadata_for(tag_columns).create_all(engine)
    finally:
        engine.dispose()
    return db


@pytest.mark.parametrize("tag_columns", ["text", "key"])
def test_the_models_are_the_tables(database: Callable[..., Database], tag_columns: TagColumns) -> None:
    expected = schema_lines(database(ENDS[tag_columns]))
    assert schema_lines(from_models(database(), tag_columns)) == expected
    assert any(line.startswith(("machine_tags.keyword ", "machine_tags.keyword_id ")) for line in expected)


def test_tokens_are_kept_as_hashes_of_a_tenant(db: Database) -> None:
    from_models(db, "text")
    db.run("INSERT INTO tenants (id) VALUES ('a'), ('b')")
    db.run("INSERT INTO api_tokens (tenant_id, name, token_hash) VALUES ('a', 'one', 'hash')")
    assert db.rows("SELECT admin, expires_at, revoked_at, created_at IS NOT NULL FROM api_tokens") == [
        (False, None, None, True)
    ]
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.run("INSERT INTO api_tokens (tenant_id, name, token_hash) VALUES ('b', 'two', 'hash')")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        db.run("INSERT INTO api_tokens (tenant_id, name, token_hash) VALUES ('nobody', 'two', 'other')")
    db.run("DELETE FROM tenants WHERE id = 'a'")
    assert db.value("SELECT count(*) FROM api_tokens") == 0


def test_the_spec_is_the_demos() -> None:
    assert (FOLDER / "normalform.toml").read_text("utf-8") == SPEC
