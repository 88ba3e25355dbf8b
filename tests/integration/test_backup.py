"""A backup that was verified gives the database back, whoever writes meanwhile; what would fail is said before."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from backing_up import KEEPER, NASTY, keeper, options, scratch
from compare import checksums, dump_schema
from fix_commands import Commands
from fix_servers import OWNER, Cluster, Clusters, Database
from normalform import api
from normalform.backup.scratch import PREFIX, _key, _prefix
from normalform.core.backup_manifest import parse
from normalform.db import ledger
from normalform.errors import GateClosed, UsageError

Make = Callable[..., Database]
KINDS = ("directory", "plain")


def restore(db: Database, path: Path) -> None:
    """Restore a backup without us, as docs/how-to/backup.md says, as superuser."""
    if path.is_dir():
        db.server.run_tool("pg_restore", "-d", db.name, "--exit-on-error", path / "dump")
    else:
        db.server.run_tool("psql", "-d", db.name, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_gives_everything_back(pg: Cluster, database: Make, tmp_path: Path, kind: str) -> None:
    db = database(NASTY)
    # A plain file holds owners, which another role cannot give: it is restored as superuser.
    on = keeper(pg) if kind == "directory" else pg.server.url()
    report = api.backup(options(db), tmp_path / "b", kind=kind, jobs=2, verify_on=on)  # type: ignore[arg-type]
    assert report.tables == len(checksums(db)) == 7
    assert report.rows == 4 + 500 + 1 + 40 + 1 + 1 + 1  # the last one is a large object
    assert report.sequences == 3
    assert scratch(pg) == []
    assert api.backup_check(options(db), report.path, jobs=2, verify_on=on).verified_on
    again = database()
    restore(again, report.path)
    assert checksums(again) == checksums(db)
    assert dump_schema(again) == dump_schema(db), "owners and rights too"
    assert again.value("SELECT (last_value, is_called)::text FROM called") == "(41,t)"
    assert again.value("SELECT (last_value, is_called)::text FROM never") == "(7,f)"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_else_reads_it(pg: Cluster, database: Make, tmp_path: Path, kind: str) -> None:
    on = pg.server.url()
    report = api.backup(options(database(NASTY)), tmp_path / "b", kind=kind, verify_on=on)  # type: ignore[arg-type]
    entries = [tmp_path / "b", *(tmp_path / "b").rglob("*")]
    modes = {stat.filemode(e.stat().st_mode) for e in entries}
    assert modes == {"drwx------", "-rw-------"}
    kept = {e.name for e in (tmp_path / "b").iterdir()}
    beside = {f"{report.path.name}.manifest.json"} if kind == "plain" else set()
    assert kept == {report.path.name} | beside, "no lock and nothing partial is left"


def test_a_folder_that_was_there_keeps_its_mode(pg: Cluster, db: Database, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    report = api.backup(options(db), tmp_path / "photocat.sql", verify_on=pg.server.url())
    assert report.kind == "plain"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE(report.path.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="not overwritten"):
        api.backup(options(db), tmp_path / "photocat.sql", verify_on=pg.server.url())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_server_to_verify_on_one_is_started(database: Make, tmp_path: Path, kind: str) -> None:
    """It has no role of ours: those that are needed are made, owners and rights are restored too."""
    db = database(NASTY)
    db.run("CREATE POLICY mine ON tags TO nf_app USING (true)")
    report = api.backup(options(db), tmp_path, kind=kind)  # type: ignore[arg-type]
    assert report.verified_on == f"a server of PostgreSQL {db.version} of ours"
    renamed = report.path.with_name("renamed" + report.path.suffix)
    report.path.rename(renamed)
    if kind == "plain":
        (tmp_path / f"{report.path.name}.manifest.json").rename(tmp_path / "renamed.sql.manifest.json")
    assert api.backup_check(options(db), renamed).rows == report.rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_writers_go_on(pg: Cluster, database: Make, tmp_path: Path, kind: str) -> None:
    """A snapshot is one: what moves between two tables is in exactly one of them, however often it moves."""
    db = database(NASTY)
    db.run("DROP TRIGGER t ON tags; CREATE TABLE here AS SELECT g AS n FROM generate_series(1, 20000) g;"
           "CREATE TABLE there (n integer)")  # fmt: skip
    done = threading.Event()
    moved = [0]

    def write() -> None:
        with db.connect() as conn:
            while not done.is_set():
                with conn.transaction():
                    conn.execute(
                        "WITH g AS (DELETE FROM here WHERE n = (SELECT n FROM here LIMIT 1) RETURNING n)"
                        "INSERT INTO there SELECT n FROM g"
                    )
                    conn.execute("INSERT INTO tags (tenant, keyword) VALUES ('t', 'new'); SELECT nextval('called')")
                    conn.execute("UPDATE parts SET tenant = tenant + 1 WHERE text = 'p1'")
                moved[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = api.backup(options(db), tmp_path, kind=kind, verify_on=pg.server.url())  # type: ignore[arg-type]
    finally:
        done.set()
        writer.join()
    assert moved[0] > 0
    assert db.value("SELECT count(*) FROM tags") == 501 + moved[0]
    again = database()
    restore(again, report.path)
    in_both = "SELECT (SELECT count(*) FROM here), (SELECT count(*) FROM there), (SELECT count(*) FROM ONLY tags)"
    [(left, gone, tags)] = again.rows(in_both)
    assert left + gone == 20000
    assert tags == 500 + gone, "as of the same instant"


def test_who_cannot_read_everything_is_told_before(pg: Cluster, database: Make, tmp_path: Path) -> None:
    db = database(NASTY)
    db.run("ALTER TABLE parts_1 ENABLE ROW LEVEL SECURITY; GRANT SELECT ON parts_1 TO nf_app")
    with pytest.raises(GateClosed) as caught:
        api.backup(options(db, "nf_app"), tmp_path / "b", verify_on=keeper(pg))
    said = str(caught.value)
    assert 'table "Air Traffic"."Flights; --": no USAGE on its schema' in said
    assert "table quick: no SELECT" not in said  # default privileges gave it
    assert "table parts_1: row security hides rows" in said
    assert not (tmp_path / "b").exists()


def test_an_extension_that_is_missing_is_told_before(pg: Cluster, database: Make, tmp_path: Path) -> None:
    db = database(NASTY)
    db.run("INSERT INTO pg_extension SELECT 99999, 'nf_gone', extowner, extnamespace, false, '1.2', NULL, NULL "
           "FROM pg_extension WHERE extname = 'plpgsql'", role="admin")  # fmt: skip
    with pytest.raises(GateClosed, match=r"extension nf_gone 1\.2 is not available on") as caught:
        api.backup(options(db), tmp_path / "b", verify_on=keeper(pg))
    assert caught.value.hint
    assert not (tmp_path / "b").exists()


def test_roles_that_are_missing_are_told_before(pg: Cluster, database: Make, tmp_path: Path) -> None:
    db = database(NASTY)
    with pytest.raises(GateClosed, match=f"role {KEEPER} is no member of {OWNER}") as caught:
        api.backup(options(db), tmp_path / "b", kind="plain", verify_on=keeper(pg))
    assert "--no-owner" in str(caught.value.hint)
    assert not (tmp_path / "b").exists()
    report = api.backup(options(db), tmp_path / "b", kind="plain", owners=False, verify_on=keeper(pg))
    assert OWNER not in report.path.read_text()
    with pytest.raises(GateClosed, match=f"role {OWNER} may not create a scratch database"):
        api.backup(options(db), tmp_path / "b", verify_on=db.url)


def test_an_older_server_to_verify_on_is_refused(clusters: Clusters, tmp_path: Path) -> None:
    new, old = clusters[18].create(), clusters[16]
    with pytest.raises(GateClosed, match="restore on is PostgreSQL 16, and the backup is of PostgreSQL 18"):
        api.backup(options(new), tmp_path / "b", verify_on=keeper(old))
    assert not (tmp_path / "b").exists()
    new.drop()


def test_a_newer_server_will_do_and_is_needed_from_then_on(clusters: Clusters, tmp_path: Path) -> None:
    old, new = clusters[16].create(NASTY), clusters[18]
    report = api.backup(options(old), tmp_path, verify_on=keeper(new))
    manifest = parse((report.path / "manifest.json").read_text())
    assert (manifest.major, manifest.server.partition(".")[0]) == (18, "16")
    with pytest.raises(GateClosed, match=r"is PostgreSQL 16, and the backup was written by pg_dump 18"):
        api.backup_check(options(old), report.path, verify_on=keeper(clusters[16]))
    old.drop()


def test_the_ledger_keeps_a_line(pg: Cluster, db: Database, tmp_path: Path) -> None:
    with db.connect() as conn:
        ledger.install(conn)
    report = api.backup(options(db), tmp_path, verify_on=keeper(pg))
    [(name, text)] = db.rows("SELECT name, text FROM normalform.event WHERE kind = 'backup'")
    assert name == report.path.name
    assert text.startswith("verified on ")


def test_scratch_databases_of_dead_runs_go(pg: Cluster, db: Database, tmp_path: Path) -> None:
    url = keeper(pg)
    with psycopg.connect(url, autocommit=True) as conn:
        here = _prefix(conn)
        # Made from another database, where its lock is: whether it is in use cannot be told here.
        dead, alive, elsewhere = f"{here}d1", f"{here}e1", f"{PREFIX}1_f1"
        for name in (dead, alive, elsewhere):
            conn.execute(f"CREATE DATABASE {name}".encode())
        pg.admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(PREFIX + "not_ours")))
        conn.execute("SELECT pg_advisory_lock(%s)", (_key(alive),))
        api.backup(options(db), tmp_path, verify_on=url)
        assert sorted(scratch(pg)) == sorted([alive, elsewhere, PREFIX + "not_ours"])
        for name in scratch(pg):
            pg.admin(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@pytest.mark.slow
def test_old_ones_go_by_policy(normalform: Commands, pg: Cluster, database: Make, tmp_path: Path) -> None:
    db, other = database(NASTY), database(NASTY)
    url = keeper(pg)
    first = api.backup(options(db), tmp_path / "b" / "first.sql", owners=False, verify_on=url).path
    theirs = api.backup(options(other), tmp_path / "b" / "theirs.sql", owners=False, verify_on=url).path
    damaged = api.backup(options(db), tmp_path / "b" / "damaged.sql", owners=False, verify_on=url).path
    damaged.write_text(damaged.read_text() + "\n")
    (tmp_path / "b" / "notes.sql").write_text("SELECT 1;")
    environment = {"NORMALFORM_DATABASE_URL": db.url, "NORMALFORM_VERIFY_URL": url}
    ran = normalform("--json", "backup", "--output", "b", "--keep", "2", **environment)
    assert ran.status == 0
    assert ran.json["pruned"] == []
    second = tmp_path / ran.json["path"]
    ran = normalform("backup", "--output", "b/third.sql", "--no-owner", "--keep", "2", **environment)
    assert ran.status == 0, ran.all
    assert "pruned: first.sql" in ran.out
    assert "b/third.sql is verified" in ran.out
    stay = {second.name, *(f"{n}.sql{m}" for n in ("third", "theirs", "damaged") for m in ("", ".manifest.json"))}
    assert {e.name for e in (tmp_path / "b").iterdir()} == {*stay, "notes.sql"}
    assert not first.exists() and theirs.exists()
    ran = normalform("backup", "--check", "b/third.sql", "--files-only")
    assert (ran.status, "every file is as written" in ran.out) == (0, True), ran.all
    ran = normalform("--json", "backup", "--check", "b/damaged.sql")
    assert (ran.status, ran.json["error"]) == (1, "BackupRefused")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "tar"), "no format 'tar'"),
        (("--files-only",), "--files-only goes with --check"),
        (("--check", "x", "--keep", "3"), "--check makes no backup"),
        (("--check", "x"), "there is no backup x"),
        (("--output", "x.sql", "--format", "directory"), "is one file"),
    ],
)
def test_mistakes_of_the_command_line(normalform: Commands, db: Database, arguments: list[str], said: str) -> None:
    ran = normalform("backup", *arguments, NORMALFORM_DATABASE_URL=db.url)
    assert ran.status == 2
    assert said in ran.err
