"""Contract stopped half-way and taken back: what was renamed meanwhile reaches the texts that were never dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mini
from fix_servers import Database, template
from normalform import api
from normalform.core.events import Event
from resolving import file, line

Make = Callable[..., Database]
HALF = template(
    "half",
    mini.SCHEMA
    + mini.DATA
    + """
INSERT INTO public.permatags (tenant_id, image_id, keyword, category) VALUES ('t', 30, 'SEA', 'nature'),
    ('t', 31, 'sea', 'elsewhere'), ('t', 32, 'tree', NULL);
""",
)
DECIDED = [line("permatags", "t", "SEA", "nature", "fold", "4"), line("faces", "t", "Nobody Known", None, "null")]
TEXTS = 'SELECT keyword, category, count(*)::int FROM {} GROUP BY 1, 2 ORDER BY keyword COLLATE "C", 2'


class Stopped(Exception):
    """The runner is gone."""


@pytest.mark.slow
@pytest.mark.parametrize("point", ["contract/drop/machine_tags:intend", "contract/drop/permatags:intend"])
def test_renames_while_contract_stands_half_way(database: Make, tmp_path: Path, point: str) -> None:
    db = database(HALF)
    options = api.Options(db.url, mini.SPEC_TEXT)
    api.resolve_apply(options, file(tmp_path, DECIDED))
    api.run(options, until="constrain")

    def stop(event: Event) -> None:
        if event.kind == "point" and event.name == point:
            db.run("UPDATE keywords SET keyword = 'ocean' WHERE id = 4", "app")
            db.run("UPDATE keyword_categories SET name = 'earth' WHERE id = 1", "app")
            raise Stopped

    with pytest.raises(Stopped):
        api.run(api.Options(db.url, mini.SPEC_TEXT, stop), until="contract")
    assert api.rollback(options, "constrain") == "constrain"
    # What is a row's own stays: a folded spelling, a category that is not the key's, or none.
    assert db.rows(TEXTS.format("permatags")) == [
        ("SEA", "nature", 1), ("ocean", "earth", 20), ("ocean", "elsewhere", 1), ("tree", None, 1),
    ]  # fmt: skip
    assert db.value("SELECT count(*) FROM keyword_models WHERE keyword = 'ocean'") == 1
    assert ("tree", "earth/plants", 40) in db.rows(TEXTS.format("machine_tags"))
    api.phase(options, "verify")


@pytest.mark.slow
def test_a_decided_spelling_comes_back_with_its_qualifier(database: Make, tmp_path: Path) -> None:
    """The decision is about both, and sync would have left both alone."""
    db = database(HALF)
    options = api.Options(db.url, mini.SPEC_TEXT)
    api.resolve_apply(options, file(tmp_path, DECIDED))
    api.run(options, until="contract")
    db.run("UPDATE keyword_categories SET name = 'earth' WHERE id = 1", "app")
    api.rollback(options, "constrain")
    assert ("SEA", "nature", 1) in db.rows(TEXTS.format("permatags"))
    assert ("sea", "earth", 20) in db.rows(TEXTS.format("permatags"))
    api.phase(options, "verify")
