"""`init` on real servers: it finds the demo's references unaided, is not led astray, and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files

import psycopg
import pytest
from psycopg import sql

import compare
from fix_servers import Cluster, Database, template
from following import following
from nasty import LONG
from normalform.core.candidates import spoken
from normalform.core.events import Event
from normalform.core.init_report import InitReport
from normalform.core.spec import LookupSpec, ReferenceSpec
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.demo.load import load
from normalform.errors import UsageError
from normalform.phases.audit import audit
from normalform.phases.init import init
from second.museum import SPEC as MUSEUM_SPEC
from second.museum import TEMPLATE as MUSEUM

ROWS = 20_000


def legacy(url: str) -> None:
    load(url, rows=ROWS)


LEGACY = template("init_legacy", legacy)
READER = "nf_looker"
DECOYS = template(
    "init_decoys",
    """
    CREATE TABLE words (id serial PRIMARY KEY, word text NOT NULL UNIQUE);
    INSERT INTO words (word) SELECT w FROM unnest(ARRAY['open', 'closed', 'new', 'paid', 'red', 'blue']) w
        UNION ALL SELECT 'word' || i FROM generate_series(1, 20000) i;
    CREATE TABLE colors (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
    INSERT INTO colors (name) SELECT 'colour ' || chr(64 + i) FROM generate_series(1, 24) i;
    CREATE TABLE customers (id serial PRIMARY KEY, email text NOT NULL UNIQUE);
    INSERT INTO customers (email) SELECT 'user' || i || '@example.org' FROM generate_series(1, 300) i;
    CREATE TABLE orders (
        id serial PRIMARY KEY,
        status text NOT NULL,           -- an enum, whose values are words too
        note text,                      -- prose
        token text,                     -- hashes
        contact text,                   -- e-mails of nobody known
        payload text,                   -- JSON
        maker text,                     -- names that no table owns
        paint_color text,               -- what is to be found
        customer_email text             -- and this
    );
    INSERT INTO orders (status, note, token, contact, payload, maker, paint_color, customer_email)
    SELECT (ARRAY['open', 'closed', 'new', 'paid'])[1 + i % 4],
           'The order number ' || i || ' is to be packed with care and sent on Monday, please.',
           md5(i::text), 'stranger' || i % 2000 || '@example.com', '{"n": ' || i || '}',
           'Manufacturing Company of Town ' || i % 40,
           CASE WHEN i % 50 > 0 THEN 'colour ' || chr(65 + i % 24) END, 'user' || 1 + i % 300 || '@example.org'
      FROM generate_series(1, 12000) i;
    """,
)


def look(db: Database, role: str = "owner", **options: object) -> InitReport:
    return init(Connector(db.url_of(role)), **options)  # type: ignore[arg-type]


def found(report: InitReport) -> dict[str, str]:
    return {f"{d.table}.{d.spec.text}": d.spec.lookup for d in report.draft.references}


@pytest.fixture
def reader(pg: Cluster) -> Iterator[Callable[[Database], str]]:
    """Gives a role SELECT on everything in a database, and nothing else; its sessions are read-only."""
    role = sql.Identifier(READER)
    pg.admin(
        sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(role),
        sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(role),
    )
    granted: list[Database] = []

    def grant(db: Database) -> str:
        db.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
        granted.append(db)
        return READER

    yield grant
    for db in granted:
        db.run(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {READER}")
    pg.admin(sql.SQL("DROP ROLE {}").format(role))


# ------------------------------------------------------------------------------------------ the demo's database


def lookup_facts(spec: LookupSpec) -> LookupSpec:
    """What can be found out: not how new rows are to be filled."""
    return replace(spec, new_row={})


def reference_facts(spec: ReferenceSpec) -> ReferenceSpec:
    """What can be found out: not the name, nor what is a matter of choice."""
    return replace(spec, name="", keep_text=False, optional=False)


@pytest.mark.slow
def test_it_finds_every_reference_of_the_demo_unaided(
    database: Callable[..., Database], reader: Callable[[Database], str]
) -> None:
    db = database(LEGACY)
    written = parse(files("normalform.demo").joinpath("normalform.toml").read_text("utf-8"))
    report = look(db, reader(db))
    guessed = parse(report.text)
    assert report.unread == ()
    assert [lookup_facts(x) for x in guessed.lookups] == [lookup_facts(x) for x in written.lookups]
    assert set(map(reference_facts, guessed.references)) == set(map(reference_facts, written.references))
    # Ranked by what is saved, and the largest table saves most.
    assert guessed.references[0].name == "machine_tags"
    assert [d.bytes for d in report.draft.references] == sorted(
        (d.bytes for d in report.draft.references), reverse=True
    )
    # The audit takes it as it is, and finds the same as with the demo's own.
    theirs, ours = (audit(Connector(db.url), spec, mapping_path=None) for spec in (written, guessed))
    data = ("NF1", "NF2")  # of lookups and references; dependents go by what is to be kept, which is a choice
    assert Counter(f.code for f in ours.findings if f.code.startswith(data)) == Counter(
        f.code for f in theirs.findings if f.code.startswith(data)
    )
    assert Counter((t.how, t.rows) for t in ours.tallies) == Counter((t.how, t.rows) for t in theirs.tallies)


@pytest.mark.slow
def test_named_columns_give_the_same(database: Callable[..., Database]) -> None:
    db = database(LEGACY)
    tags = look(db, references=["public.machine_tags.keyword"], lookups=["public.keywords.keyword"])
    faces = look(db, references=["detected_faces.person_name"])
    every = parse(look(db).text)
    assert parse(tags.text).lookups == every.lookups[:1]
    assert parse(tags.text).references == tuple(r for r in every.references if r.name == "machine_tags")
    assert parse(faces.text).references == tuple(r for r in every.references if r.name == "detected_faces")
    keywords = look(db, lookups=["keywords.keyword"])
    assert parse(keywords.text).references == tuple(r for r in every.references if r.lookup == "keyword")
    # A pair that is none is not made one.
    wrong = look(db, references=["permatags.created_by"], lookups=["people.name"])
    assert wrong.text == ""
    assert [(spoken(x.column), x.why.split()[0]) for x in wrong.left_out] == [("permatags.created_by", "none")]


@pytest.mark.slow
def test_a_streaming_standby_will_do_and_says_the_same(fresh_pg: Callable[..., Cluster]) -> None:
    cluster = fresh_pg()
    db = cluster.create(LEGACY)
    cluster.admin(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(READER)))
    db.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    here = look(db, READER)
    with following(cluster) as server:
        with psycopg.connect(server.url(db.name)) as conn, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            conn.execute("CREATE TEMP TABLE t ()")
        there = init(Connector(server.url(db.name, READER)))
    assert replace(there, seconds=0) == replace(here, seconds=0)


# ------------------------------------------------------------------------------------------ another database


@pytest.mark.parametrize("analyzed", [True, False], ids=["statistics", "samples"])
def test_it_finds_a_database_that_is_nothing_like_the_demo(database: Callable[..., Database], analyzed: bool) -> None:
    db = database(MUSEUM)
    if analyzed:
        db.run("ANALYZE", "admin")
    written, guessed = parse(MUSEUM_SPEC), parse(look(db).text)
    facts = [(spec, {x.name: x for x in spec.lookups}) for spec in (written, guessed)]
    theirs, ours = (
        {
            (r.table.name, r.text): (by[r.lookup].table.name, by[r.lookup].key, by[r.lookup].text, r.scope, r.qualifier,
                                     by[r.lookup].scope, by[r.lookup].qualifier, r.required)
            for r in spec.references if not r.optional
        }
        for spec, by in facts
    )  # fmt: skip
    # A quarter of it is found nowhere, and `to` is not like any name: that is no guess.
    del theirs["visits", "to"]
    assert ours == theirs


# ------------------------------------------------------------------------------------------------------- decoys


@pytest.mark.slow
@pytest.mark.parametrize("analyzed", [True, False], ids=["statistics", "samples"])
def test_decoys_lead_nowhere(database: Callable[..., Database], analyzed: bool) -> None:
    db = database(DECOYS)
    if analyzed:
        db.run("ANALYZE")
    report = look(db)
    assert found(report) == {"orders.paint_color": "color", "orders.customer_email": "customer"}
    paint = next(d.spec for d in report.draft.references if d.spec.text == "paint_color")
    assert (paint.add, paint.required) == ("paint_color_id", False)
    left = {spoken(x.column): x.why for x in report.left_out}
    assert "may be chance" in left["orders.status"] or "words.word" in left["orders.status"]
    for column, form in (("note", "prose"), ("token", "hashes"), ("contact", "e-mail"), ("payload", "JSON")):
        assert form in left[f"orders.{column}"], column
    assert left["words.word"] == "no value stands in it twice"
    assert "less than a megabyte" in left["orders.maker"]
    db.run("INSERT INTO orders (status, maker) SELECT 'new', 'Manufacturing Company of Town ' || i % 40 "
           "FROM generate_series(1, 60000) i")  # fmt: skip
    if analyzed:
        db.run("ANALYZE")
    report = look(db)
    assert found(report)["orders.maker"] == "maker"
    lookup = next(d for d in report.draft.lookups if d.spec.name == "maker")
    assert (str(lookup.table), lookup.spec.create, lookup.spec.text) == ("makers", True, "name")
    assert report.draft.references[0].bytes > 1_000_000
    # The audit takes that, too: it says how many rows the table would have.
    read = audit(Connector(db.url), parse(report.text), mapping_path=None)
    [planned] = [f for f in read.findings if f.code == "NF111"]
    assert planned.count == 40


def test_nothing_is_found_where_nothing_repeats(db: Database) -> None:
    assert look(db).text == ""
    db.run("CREATE TABLE one (id int PRIMARY KEY, name text UNIQUE); CREATE TABLE two (id int PRIMARY KEY, name text);"
           "INSERT INTO one SELECT i, 'a' || i FROM generate_series(1, 500) i;"
           "INSERT INTO two SELECT i, 'b' || i FROM generate_series(1, 500) i")  # fmt: skip
    report = look(db)
    assert (report.text, report.draft.references) == ("", ())
    assert {spoken(x.column) for x in report.left_out} == {"one.name", "two.name"}


# ------------------------------------------------------------------------------------------- awkward and forbidden


@pytest.mark.slow
def test_identifiers_may_hold_anything(db: Database) -> None:
    db.run(f'''
        CREATE SCHEMA "Far; Away";
        CREATE TABLE "Far; Away"."Keyword ""Tree""" (
            "Node%s Id" bigint PRIMARY KEY, "na%me" text NOT NULL, "org-id" uuid NOT NULL,
            up bigint REFERENCES "Far; Away"."Keyword ""Tree""", UNIQUE ("org-id", "na%me", up));
        CREATE TABLE "Far; Away"."{LONG}" (
            "Id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "Key'Word" varchar(80) NOT NULL,
            "node; id" bigint NOT NULL REFERENCES "Far; Away"."Keyword ""Tree""", UNIQUE ("node; id", "Key'Word"));
        CREATE TABLE public."Tags\n#1" ("{LONG}" varchar(90) NOT NULL, "org-id" uuid, "Path" text);
        INSERT INTO "Far; Away"."Keyword ""Tree""" SELECT t * 100, 'root', md5(t::text)::uuid, NULL
            FROM generate_series(1, 3) t;
        INSERT INTO "Far; Away"."Keyword ""Tree""" SELECT t * 100 + i, 'leaf' || i, md5(t::text)::uuid, t * 100
            FROM generate_series(1, 3) t, generate_series(1, 3) i;
        INSERT INTO "Far; Away"."{LONG}" ("Key'Word", "node; id")
            SELECT 'word ' || w, t * 100 + i FROM generate_series(1, 3) t, generate_series(1, 3) i,
                   generate_series(1, 40) w WHERE w % 3 = i - 1 OR w < 4;
        INSERT INTO public."Tags\n#1"
            SELECT l."Key'Word", t."org-id", 'root » ' || t."na%me" FROM "Far; Away"."{LONG}" l
              JOIN "Far; Away"."Keyword ""Tree""" t ON t."Node%s Id" = l."node; id", generate_series(1, 5);
    ''')
    for _ in ("samples", "statistics"):
        report = look(db)
        [lookup], [reference] = parse(report.text).lookups, parse(report.text).references
        assert (lookup.table.name, lookup.key, lookup.text) == (LONG, "Id", "Key'Word")
        assert lookup.scope is not None and lookup.qualifier is not None
        assert (lookup.scope.add, lookup.scope.copy_column, lookup.scope.join) == ("org-id", "org-id", "node; id")
        assert (lookup.qualifier.path_column, lookup.qualifier.parent, lookup.qualifier.separator) == (
            "na%me", "up", " » "
        )  # fmt: skip
        assert (reference.table.name, reference.text, reference.qualifier) == ("Tags\n#1", LONG, "Path")
        assert (reference.scope, reference.required) == (("org-id",), True)
        read = audit(Connector(db.url), parse(report.text), mapping_path=None)
        assert [(t.how.value, t.rows) for t in read.tallies if not t.how.resolved] == []
        db.run("ANALYZE")


def test_without_declared_foreign_keys_the_names_and_values_do(db: Database) -> None:
    db.run("""
        CREATE TABLE categories (id int PRIMARY KEY, name text NOT NULL);
        CREATE TABLE words (id int PRIMARY KEY, category_id int NOT NULL, word text NOT NULL,
                            UNIQUE (category_id, word));
        CREATE TABLE tags (id serial PRIMARY KEY, word text, category text);
        INSERT INTO categories SELECT i, 'cat' || i FROM generate_series(1, 4) i;
        INSERT INTO words SELECT c * 1000 + w, c, 'word' || w FROM generate_series(1, 4) c, generate_series(1, 50) w;
        INSERT INTO tags (word, category)
            SELECT 'word' || 1 + i % 50, 'cat' || 1 + i % 4 FROM generate_series(1, 4000) i;
    """)
    report = look(db)
    [lookup], [reference] = parse(report.text).lookups, parse(report.text).references
    assert lookup.qualifier is not None
    assert (str(lookup.qualifier.path_table), lookup.qualifier.join) == ("categories", "category_id")
    assert (reference.text, reference.qualifier) == ("word", "category")
    assert "by its name, no foreign key" in report.text
    # `category` has the names of categories too; but it serves as the qualifier already.
    left = {spoken(x.column): x.why for x in report.left_out}
    assert left["tags.category"] == "it is the qualifier of tags.word"


def test_it_writes_nothing_and_leaves_nothing(
    database: Callable[..., Database], reader: Callable[[Database], str]
) -> None:
    db = database(DECOYS)
    role = reader(db)
    schema, rows = compare.dump_schema(db), compare.checksums(db)
    writes = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), count(last_analyze) FROM pg_stat_user_tables"
    before = db.rows(writes)
    seen: set[tuple[object, ...]] = set()
    query = (
        "SELECT a.state, a.backend_xmin IS NULL, a.xact_start IS NULL, "
        "(SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid') "
        "FROM pg_stat_activity a WHERE a.application_name LIKE 'normalform/%'"
    )
    report = look(db, role, sink=lambda event: seen.update(db.rows(query) if event.kind == "progress" else ()))
    assert len(report.draft.references) == 2
    assert seen == {("idle", True, True, 0)}
    assert db.rows(writes) == before
    assert (compare.dump_schema(db), compare.checksums(db)) == (schema, rows)


def test_what_may_not_be_read_is_said_or_left_alone(
    database: Callable[..., Database], reader: Callable[[Database], str]
) -> None:
    db = database(DECOYS)
    role = reader(db)
    db.run("ALTER TABLE colors ENABLE ROW LEVEL SECURITY; CREATE TABLE secret (id int PRIMARY KEY, name text UNIQUE)")
    report = look(db, role)
    assert found(report) == {"orders.customer_email": "customer"}
    assert {subject for subject, _ in report.unread} == {"colors"}
    assert report.tables == 4  # the secret one is none of them
    with pytest.raises(UsageError, match="there is no table secret that this role may read"):
        look(db, role, references=["secret.name"])


def test_a_locked_table_is_not_waited_for_long(database: Callable[..., Database]) -> None:
    db = database(DECOYS)
    with db.connect(autocommit=False) as other:
        other.execute("LOCK TABLE colors IN ACCESS EXCLUSIVE MODE")
        report = look(db)
        other.rollback()
    assert found(report) == {"orders.customer_email": "customer"}
    assert report.unread == (("colors", "somebody keeps it locked"),)


@pytest.mark.slow
def test_a_table_locked_meanwhile_is_passed_over(database: Callable[..., Database]) -> None:
    db = database(DECOYS)
    with db.connect(autocommit=False) as other:

        def lock(event: Event) -> None:
            if event.name == "init/values" and event.done == 0:
                other.execute("LOCK TABLE colors IN ACCESS EXCLUSIVE MODE")

        report = look(db, sink=lock)
        other.rollback()
    assert found(report) == {"orders.customer_email": "customer"}
    assert [(subject, why.startswith("somebody has kept it locked")) for subject, why in report.unread] == [
        ("colors.name", True)
    ]


def test_when_the_time_is_used_up_it_says_what_it_has_not_seen(database: Callable[..., Database]) -> None:
    report = look(database(DECOYS), budget=0.0)
    assert report.text == ""
    assert {s for s, _ in report.unread} >= {"colors", "orders"}
    assert {why for _, why in report.unread} == {"the time for looking around was used up"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"references": ["orders.paint_colour"]}, "has no column paint_colour; did you mean paint_color?"),
        ({"references": ["order.status"]}, 'there is no table "?order"? that this role may read; did you mean orders?'),
        ({"references": ["status"]}, "it is schema.table.column or table.column"),
        ({"references": ["orders..status"]}, "is not a name as SQL writes it"),
        ({"references": ["orders.id"]}, "it is integer, not a text type"),
        ({"lookups": ["orders.id"]}, "it is integer, not a text type"),
        ({"lookups": ["keyless.name"]}, "key not found: its table has no key of one column"),
        ({"lookups": ["natural.code"]}, "it is the table's key itself"),
    ],
)
def test_what_cannot_be_is_an_error(
    database: Callable[..., Database], options: dict[str, list[str]], problem: str
) -> None:
    db = database(DECOYS)
    db.run('CREATE TABLE keyless (name text); CREATE TABLE "natural" (code text PRIMARY KEY)')
    with pytest.raises(UsageError, match=problem.replace("?", r"\?").replace('"\\?', '"?')):
        look(db, references=options.get("references", ()), lookups=options.get("lookups", ()))
