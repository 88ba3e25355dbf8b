"""From an audit to a file, from the file to decisions: nothing is left undecided, and the phase's gate opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import mini
from compare import checksums, dump_schema
from fix_servers import Database
from normalform.core.decision_file import Line, read, suggested, write
from normalform.db.connect import Connector
from normalform.db.work import Context
from normalform.errors import GateClosed, UsageError
from normalform.phases import audit, resolve
from resolving import TEMPLATE

Engine = Callable[..., Context]
Make = Callable[..., Database]


def export(db: Database, folder: Path) -> tuple[Path, list[Line]]:
    """Audit and export."""
    mapping, out = folder / "mapping.sqlite", folder / "decisions.csv"
    audit.audit(Connector(db.url), mini.spec(), mapping_path=mapping)
    resolve.export(Connector(db.url), mini.spec(), mapping, out, collisions=True)
    lines, problems = read(out.read_text("utf-8"))
    assert problems == []
    return out, lines


def decide(entry: Line) -> Line:
    """Accept what is suggested, and settle the rest in one way or another."""
    if entry.reference.startswith("lookup."):
        return entry
    found = suggested(entry)
    word = found.decision if found else "drop"
    if word == "choose":
        word = "drop"
        found = None
    return replace(entry, decision=word, target=(found.target or "") if found else "")


@pytest.mark.slow
def test_what_is_exported_can_be_decided_and_opens_the_gate(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before, schema = checksums(db), dump_schema(db)
    out, lines = export(db, tmp_path)
    assert out.stat().st_mode & 0o077 == 0
    by = {(x.reference, x.text, x.qualifier): x for x in lines}
    assert by["image_tags", "bridge", None].candidates[0].text == "bridge"
    assert {c.key for c in by["image_tags", "bridge", None].candidates} == {"2", "3"}
    assert {x.candidates[0].key for x in lines if x.reference == "lookup.keyword" and x.text == "beach"} == {"7", "8"}
    assert by["permatags", "SEA", "nature"].suggestion.startswith("fold → 4 (score 100")
    collision = by["permatags", "sea", "nature"]
    assert collision.suggestion.startswith("keep → sea") and {c.text for c in collision.candidates} >= {"SEA", "sea"}
    assert collision.rows == 5 and not any(x.decision for x in lines)
    ctx = engine(db.url)
    with pytest.raises(GateClosed, match="normalform resolve export"):
        resolve.gate(ctx)
    out.write_bytes(write([decide(x) for x in lines]).encode())
    report = resolve.apply(ctx, out)
    assert report.applied > 10
    resolve.gate(ctx)
    resolve.do(ctx)
    assert db.rows("SELECT keyword, signum FROM permatags WHERE image_id = 2 AND tenant_id = 't'") == [("sea", 1)]
    resolve.undo(ctx, clear_rows=True)
    assert checksums(db) == before
    assert dump_schema(db, ledger=False) == schema


def test_a_half_applied_file_closes_the_gate(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    ctx = engine(db.url)
    db.run("INSERT INTO normalform.decision (file, line, reference, scope, value, decision, target, state) "
           "VALUES ('f', 2, 'image_tags', '{t}', 'x', 'drop', '{}', 'checked')")  # fmt: skip
    with pytest.raises(GateClosed, match="half applied"):
        resolve.gate(ctx)


def test_there_must_be_an_audit(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    with pytest.raises(UsageError, match="no mapping file"):
        resolve.export(Connector(db.url), mini.spec(), tmp_path / "none", tmp_path / "out.csv", collisions=False)
