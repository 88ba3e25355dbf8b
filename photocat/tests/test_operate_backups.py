"""Backups of an environment, and another one made anew from them: verified, whole, masked where that is asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fix_api import SPEC, TEMPLATES
from fix_servers import Database
from normalform import api
from normalform.backup.folder import read
from photocat.operate import backups
from photocat.operate.environments import Environment, client, client_environment
from photocat.operate.errors import OperateError

Make = Callable[..., Database]
NAMES = ("Ada Lovelace", "Countess", "Alan Turing", "Annabella", "Grace")
FACES = "SELECT id, person_name FROM detected_faces ORDER BY id"


def environment(db: Database, name: str = "prod") -> Environment:
    return Environment("prod" if name == "prod" else "dev", db.url, db.app_url)


def dumped(db: Database) -> str:
    command = [client("pg_dump"), "--no-owner", "--no-privileges", "--restrict-key=x"]
    return subprocess.run(
        command, env=dict(client_environment(db.url)), capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


@pytest.mark.slow
def test_a_reset_gives_the_backup_and_nothing_else(database: Make, tmp_path: Path) -> None:
    prod, dev = database(TEMPLATES[None]), database(TEMPLATES["constrain"])
    dev.run(
        "CREATE TYPE public.mood AS ENUM ('a'); CREATE TABLE public.other (m public.mood); CREATE SEQUENCE public.s"
    )
    backup = backups.take(environment(prod), tmp_path)
    found, manifest = backups.newest("prod", tmp_path)
    assert found == backup and manifest.verified_at and oct(backup.stat().st_mode & 0o777) == "0o600"
    backups.reset(environment(dev, "dev"), backup, manifest)
    assert dev.value("SELECT count(*) FROM api_tokens") == 0
    prod.run("DELETE FROM api_tokens")
    assert dumped(dev) == dumped(prod)
    assert dev.rows("SELECT count(*) FROM machine_tags", role="app") == [(85,)]
    dev.run("INSERT INTO image_tags (image_id, tenant_id, keyword) VALUES (1, 't', 'sky')", role="app")


@pytest.mark.slow
def test_masked_names_are_gone_and_still_belong_together(database: Make, tmp_path: Path) -> None:
    prod, dev = database(TEMPLATES[None]), database()
    prod.run("UPDATE people SET face_embedding_ref = 'faces/Grace' WHERE name = 'Grace'")
    prod.run("UPDATE people SET aliases = '\"Gracie\"' WHERE name = 'Grace'")
    prod.run("UPDATE permatags SET created_by = 'Annabella'")
    backup = backups.take(environment(prod), tmp_path)
    backups.reset(environment(dev, "dev"), backup, read(backup), mask=True)
    text = dumped(dev)
    assert [name for name in (*NAMES, "Gracie", "Ada") if name in text] == []
    faces = dict(dev.rows(FACES))
    people = dict(dev.rows("SELECT id, name FROM people"))
    assert len(set(people.values())) == 4 and all(name.startswith("Person ") for name in people.values())
    assert (faces[1], faces[3], faces[4], faces[5]) == (people[1], people[2], None, people[3])
    aliases = dict(dev.rows("SELECT id, aliases FROM people"))
    assert faces[2] in aliases[1] and aliases[2] is None and aliases[1][1] == aliases[4][0]
    before = (faces, people)
    backups.reset(environment(dev, "dev"), backup, read(backup), mask=True)
    assert (dict(dev.rows(FACES)), dict(dev.rows("SELECT id, name FROM people"))) != before, "the key is drawn anew"


@pytest.mark.slow
def test_a_reset_that_fails_leaves_everything_as_it_was(database: Make, tmp_path: Path) -> None:
    prod, dev = database(TEMPLATES[None]), database(TEMPLATES["contract"])
    backup = backups.take(environment(prod), tmp_path)
    before = dumped(dev)
    broken = tmp_path / "broken.sql"
    broken.write_text(backup.read_text("utf-8") + "\nSELECT 1/0;\n")
    with pytest.raises(OperateError, match=r"dev was not reset, and is as it was(.|\n)*division by zero"):
        backups.reset(environment(dev, "dev"), broken, read(backup))
    assert dumped(dev) == before
    with pytest.raises(OperateError, match="prod is never reset"):
        backups.reset(environment(prod), backup, read(backup))


@pytest.mark.slow
def test_the_newest_verified_backup_is_taken_and_a_damaged_one_refused(database: Make, tmp_path: Path) -> None:
    with pytest.raises(OperateError, match=r"no verified backup of prod(.|\n)*make db-backup-prod"):
        backups.newest("prod", tmp_path)
    prod = database(TEMPLATES[None])
    paths = []
    for name in ("b", "a"):  # the order of their names is not that of their dates
        path = tmp_path / f"photocat-prod-{name}.sql"
        api.backup(api.Options(prod.url, None), path, owners=False)
        paths.append(path)
    later, earlier = sorted(paths, key=lambda p: read(p).when, reverse=True)
    assert backups.newest("prod", tmp_path)[0] == later
    whole = later.read_bytes()
    later.write_bytes(whole[:-1])
    with pytest.raises(OperateError, match="cut short"):
        backups.newest("prod", tmp_path)
    later.unlink()
    later.with_name(later.name + ".manifest.json").unlink()
    assert backups.newest("prod", tmp_path)[0] == earlier
    earlier.write_bytes(whole.replace(b"Grace", b"Grise", 1))
    with pytest.raises(OperateError, match="was changed"):
        backups.newest("prod", tmp_path)
    (tmp_path / "photocat-prod-x.sql").write_text("SELECT 1;")
    with pytest.raises(OperateError, match="no manifest"):
        backups.newest("prod", tmp_path)


@pytest.mark.slow
def test_what_masking_would_not_reach_is_not_masked(database: Make, tmp_path: Path) -> None:
    prod, dev = database(TEMPLATES[None]), database()
    api.run(api.Options(prod.url, SPEC), until="expand")
    backup = backups.take(environment(prod), tmp_path)
    with pytest.raises(OperateError, match="ledger's archive and mapping"):
        backups.reset(environment(dev, "dev"), backup, read(backup), mask=True)
    backups.reset(environment(dev, "dev"), backup, read(backup))
    assert api.status(api.Options(dev.url), collisions=False) is not None
    dev.run("INSERT INTO image_tags (image_id, tenant_id, keyword) VALUES (41, 'u', 'sky')", role="app")
    assert dev.value("SELECT count(*) FROM image_tags WHERE image_id = 41 AND keyword_id = 6") == 1


def test_a_backup_that_is_not_made_says_so(tmp_path: Path) -> None:
    away = Environment("prod", f"postgresql://nobody@/nothing?host={tmp_path}", "")
    with pytest.raises(OperateError, match="normalform backup ended with status"):
        backups.take(away, tmp_path)
    assert list(tmp_path.glob("*.sql")) == []
    assert "nobody" not in repr(replace(away, app_url="x"))
