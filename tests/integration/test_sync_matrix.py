"""DESIGN's sync matrix, row by row, by an application that has DML only. What is not in the table is not promised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

import mini
from fix_servers import Clusters, template
from syncing import expanded

# Without NOT NULL on the text, so that every row of the matrix can be written; a constant default on another table.
LOOSE = """
ALTER TABLE public.image_tags ALTER keyword DROP NOT NULL, ALTER image_id DROP NOT NULL;
ALTER TABLE public.permatags ALTER keyword SET DEFAULT 'none', ALTER category SET DEFAULT ''::character varying;
DELETE FROM public.image_tags;
"""
#: image_tags rejects, permatags creates, faces keeps its text; machine_tags defers.
SPEC = mini.SPEC_TEXT.replace(
    'table = "public.image_tags"', 'table = "public.image_tags"\non_unknown = "reject"'
).replace('table = "public.permatags"', 'table = "public.permatags"\non_unknown = "create"')
# Decisions of an operator: in t, `brug` is the bridge of travel, `weg` means nothing.
DECIDED = """
INSERT INTO normalform.mapping (reference, scope, value, qualifier, how, key) VALUES
    ('image_tags', '{t}', 'brug', NULL, 'chosen', '2'), ('image_tags', '{t}', 'brug', 'travel', 'merged', '2'),
    ('image_tags', '{t}', 'weg', NULL, 'null', NULL), ('image_tags', '{t}', 'gone', NULL, 'chosen', '999'),
    ('image_tags', '{u}', 'tree', 'decided', 'chosen', '6');
"""
MATRIX = template("sync-matrix", expanded(SPEC, before=LOOSE))
IMAGE = "tenant_id, keyword, category, keyword_id"


@dataclass(frozen=True)
class Case:
    """One write and what becomes of it.

    Args:
        gave: what the writer gave, for people.
        write: the statement.
        then: the row afterwards, or the SQLSTATE that refuses.
        first: the row before, as INSERT values of image_tags; None for an INSERT.
        read: how to read the row.
    """

    gave: str
    write: str
    then: tuple[Any, ...] | str
    first: str | None = None
    read: str = f"SELECT {IMAGE} FROM public.image_tags"


def insert(columns: str, values: str) -> str:
    return f"INSERT INTO public.image_tags ({columns}) VALUES ({values})"


def update(sets: str) -> str:
    return f"UPDATE public.image_tags SET {sets}"


TREE = "'t', 'tree', 'nature/plants', 1"
BRIDGE = "'t', 'bridge', 'travel', 2"

INSERTS = [
    Case("text", insert("tenant_id, keyword", "'t', 'tree'"), ("t", "tree", None, 1)),
    Case("text in another scope", insert("tenant_id, keyword", "'u', 'tree'"), ("u", "tree", None, 5)),
    Case(
        "text and qualifier",
        insert("tenant_id, keyword, category", "'t','bridge','games'"),
        ("t", "bridge", "games", 3),
    ),
    Case(
        "a qualifier that unique text needs not",
        insert("tenant_id, keyword, category", "'t','sea','x'"),
        ("t", "sea", "x", 4),
    ),
    Case("text that a decision gives a row", insert("tenant_id, keyword", "'t', 'brug'"), ("t", "brug", None, 2)),
    Case("text that a decision leaves alone", insert("tenant_id, keyword", "'t', 'weg'"), "23503"),
    Case("text whose decided row is gone", insert("tenant_id, keyword", "'t', 'gone'"), "23503"),
    Case(
        "a decision before the live lookup",
        insert("tenant_id, keyword, category", "'u','tree','decided'"),
        ("u", "tree", "decided", 6),
    ),
    Case("unknown text", insert("tenant_id, keyword", "'t', 'zebra'"), "23503"),
    Case("ambiguous text", insert("tenant_id, keyword", "'t', 'bridge'"), "23503"),
    Case("ambiguous text, qualifier of neither", insert("tenant_id, keyword, category", "'t','bridge','x'"), "23503"),
    Case("text of another scope", insert("tenant_id, keyword", "'t', 'sky'"), "23503"),
    Case("text without a scope", insert("tenant_id, keyword", "NULL, 'tree'"), "23503"),
    Case("the key", insert("tenant_id, keyword_id", "'t', 2"), ("t", "bridge", "travel", 2)),
    Case("the key, of another scope", insert("tenant_id, keyword_id", "'u', 2"), "23503"),
    Case("the key, without a scope", insert("keyword_id", "2"), "23503"),
    Case("a key that is no row", insert("tenant_id, keyword_id", "'t', 999"), "23503"),
    Case(
        "the key and its qualifier",
        insert("tenant_id, category, keyword_id", "'t','games',3"),
        ("t", "bridge", "games", 3),
    ),
    Case("the key and the other's qualifier", insert("tenant_id, category, keyword_id", "'t','travel',3"), "23514"),
    Case("the key and a label", insert("tenant_id, category, keyword_id", "'t','label',4"), ("t", "sea", "label", 4)),
    Case("text and key, agreeing", insert(IMAGE, "'t','tree',NULL,1"), ("t", "tree", None, 1)),
    Case("all, agreeing", insert(IMAGE, "'t','bridge','games',3"), ("t", "bridge", "games", 3)),
    Case("text and key, agreeing but ambiguous", insert(IMAGE, "'t','bridge',NULL,3"), ("t", "bridge", "games", 3)),
    Case("text and key, agreeing by a decision", insert(IMAGE, "'t','brug',NULL,2"), ("t", "brug", None, 2)),
    Case("text and key, disagreeing", insert(IMAGE, "'t','tree',NULL,4"), "23514"),
    Case("text and key, disagreeing by qualifier", insert(IMAGE, "'t','bridge','travel',3"), "23514"),
    Case("unknown text and a key", insert(IMAGE, "'t','zebra',NULL,4"), "23514"),
    Case("nothing", insert("tenant_id", "'t'"), ("t", None, None, None)),
]

UPDATES = [
    Case("text", update("keyword = 'sea'"), ("t", "sea", "nature/plants", 4), TREE),
    Case(
        "text, with the key as it was",
        update("keyword = 'sea', keyword_id = keyword_id"),
        ("t", "sea", "nature/plants", 4),
        TREE,
    ),
    Case(
        "text, and NULL for a key", update("keyword = 'sea', keyword_id = NULL"), ("t", "sea", "nature/plants", 4), TREE
    ),
    Case("unknown text", update("keyword = 'zebra'"), "23503", TREE),
    Case("the qualifier alone", update("category = 'games'"), ("t", "bridge", "games", 3), BRIDGE),
    Case("a qualifier that names nothing", update("category = 'x'"), "23503", BRIDGE),
    Case("a qualifier that unique text needs not", update("category = 'x'"), ("t", "tree", "x", 1), TREE),
    Case("the scope alone", update("tenant_id = 'u'"), ("u", "tree", "nature/plants", 5), TREE),
    Case("a scope in which the text is unknown", update("tenant_id = 'u'"), "23503", BRIDGE),
    Case("the key", update("keyword_id = 3"), ("t", "bridge", "games", 3), TREE),
    Case("the key, and NULL for a text", update("keyword_id = 3, keyword = NULL"), ("t", "bridge", "games", 3), TREE),
    Case("the key and the scope", update("tenant_id = 'u', keyword_id = 6"), ("u", "sky", "nature", 6), TREE),
    Case("a key of another scope", update("keyword_id = 6"), "23503", TREE),
    Case("text and key, agreeing", update("keyword = 'sea', keyword_id = 4"), ("t", "sea", "nature", 4), TREE),
    Case(
        "text and key, agreeing by a decision", update("keyword='brug', keyword_id=2"), ("t", "brug", "travel", 2), TREE
    ),
    Case("text and key, disagreeing", update("keyword = 'sea', keyword_id = 2"), "23514", TREE),
    Case(
        "text, qualifier and key, disagreeing",
        update("category='travel', keyword='bridge', keyword_id=3"),
        "23514",
        TREE,
    ),
    Case("the same key", update("keyword_id = 1"), ("t", "tree", "nature/plants", 1), TREE),
    Case("text NULL", update("keyword = NULL"), ("t", None, "nature/plants", None), TREE),
    Case("key NULL", update("keyword_id = NULL"), ("t", None, None, None), TREE),
    Case("both NULL", update("keyword = NULL, keyword_id = NULL"), ("t", None, "nature/plants", None), TREE),
    Case("nothing", update("manual = true"), ("t", "tree", "nature/plants", 1), TREE),
]

PAST = [
    Case("nothing, key NULL: filled", update("manual = true"), ("t", "tree", None, 1), "'t', 'tree', NULL, NULL"),
    Case(
        "nothing, key NULL, by qualifier",
        update("manual=true"),
        ("t", "bridge", "games", 3),
        "'t','bridge','games',NULL",
    ),
    Case(
        "nothing, unknown: left, never refused",
        update("manual = true"),
        ("t", "zebra", None, None),
        "'t','zebra',NULL,NULL",
    ),
    Case("nothing, ambiguous: left", update("manual = true"), ("t", "bridge", None, None), "'t', 'bridge', NULL, NULL"),
    Case(
        "nothing, text NULL: filled from the key",
        update("manual = true"),
        ("t", "bridge", "games", 3),
        "'t', NULL, NULL, 3",
    ),
    Case(
        "nothing, text NULL, key of nothing: left",
        update("manual = true"),
        ("t", None, None, 999),
        "'t', NULL, NULL, 999",
    ),
    Case(
        "the scope, text NULL: by the key's text",
        update("tenant_id = 'u'"),
        ("u", "tree", "nature/plants", 5),
        "'t', NULL, NULL, 1",
    ),
]


def name(case: Case) -> str:
    return case.gave


@pytest.fixture(scope="module")
def matrix(clusters: Clusters, pg_version: int) -> Iterator[Writer]:
    """One database for the whole table: every case is rolled back."""
    cluster = clusters[pg_version]
    db = cluster.create(MATRIX)
    cluster.databases.remove(db)  # other tests clean up after themselves by dropping what they find here
    with db.connect("admin", autocommit=False) as connection:
        yield Writer(connection)
    cluster.databases.append(db)
    db.drop()


class Writer:
    """Runs cases in transactions that are rolled back; the write itself as the application's role."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self.connection = connection

    def run(self, case: Case, *, bypass: bool = False) -> None:
        """Write, and compare what is there with what is promised."""
        connection = self.connection
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL ROLE nf_owner")
            connection.execute(DECIDED.encode())
            if case.first is not None:
                # As a batch, where the row before is to be exactly as it says.
                connection.execute("SELECT set_config('normalform.batch', %s, true)", ("on" if bypass else "",))
                connection.execute(insert(IMAGE, case.first).encode())
                connection.execute("SELECT set_config('normalform.batch', '', true)")
            connection.execute("SET LOCAL ROLE nf_app")
            if isinstance(case.then, str):
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(case.write.encode())
                assert caught.value.sqlstate == case.then, caught.value
                return
            connection.execute(case.write.encode())
            assert connection.execute(case.read.encode()).fetchall() == [case.then]


@pytest.mark.parametrize("case", INSERTS, ids=name)
def test_matrix_insert(matrix: Writer, case: Case) -> None:
    matrix.run(case)


@pytest.mark.parametrize("case", UPDATES, ids=name)
def test_matrix_update(matrix: Writer, case: Case) -> None:
    matrix.run(case)


@pytest.mark.parametrize("case", PAST, ids=name)
def test_matrix_on_the_way_past(matrix: Writer, case: Case) -> None:
    matrix.run(case, bypass=True)


def faces(columns: str, values: str) -> str:
    return f"INSERT INTO public.detected_faces (image_id, tenant_id, {columns}) VALUES (9, 't', {values})"


FACE = "SELECT person_name, person_id FROM public.detected_faces WHERE image_id = 9"
KEEPS = [
    Case("an alias", faces("person_name", "'Countess'"), ("Countess", 1), read=FACE),
    Case("an alias and its key", faces("person_name, person_id", "'Countess', 1"), ("Countess", 1), read=FACE),
    Case("an alias and another key", faces("person_name, person_id", "'Countess', 2"), "23514", read=FACE),
    Case("unknown text where it may stay", faces("person_name", "'Somebody'"), ("Somebody", None), read=FACE),
    Case("the key", faces("person_id", "2"), ("Alan Turing", 2), read=FACE),
    Case(
        "key NULL, text kept",
        faces("person_id", "2") + "; UPDATE public.detected_faces SET person_id = NULL WHERE image_id = 9",
        ("Alan Turing", None),
        read=FACE,
    ),
    Case(
        "text NULL",
        faces("person_name", "'Ada'") + "; UPDATE public.detected_faces SET person_name = NULL WHERE image_id = 9",
        (None, None),
        read=FACE,
    ),
]


@pytest.mark.parametrize("case", KEEPS, ids=name)
def test_matrix_keep_text_and_aliases(matrix: Writer, case: Case) -> None:
    matrix.run(case)


def perma(columns: str, values: str) -> str:
    return f"INSERT INTO public.permatags (tenant_id, image_id, {columns}) VALUES ('t', 39, {values})"


PERMA = "SELECT keyword, category, keyword_id FROM public.permatags WHERE image_id = 39"
DEFAULTS = [
    Case("only the key; the default text is not given", perma("keyword_id", "3"), ("bridge", "games", 3), read=PERMA),
    Case("nothing; a default creates nothing", perma("signum", "1"), ("none", "", None), read=PERMA),
    Case(
        "text beside a default qualifier and the key",
        perma("keyword, keyword_id", "'bridge', 3"),
        ("bridge", "games", 3),
        read=PERMA,
    ),
    Case("ambiguous text never creates", perma("keyword", "'bridge'"), ("bridge", "", None), read=PERMA),
]


@pytest.mark.parametrize("case", DEFAULTS, ids=name)
def test_rule_06_defaults_are_not_given(matrix: Writer, case: Case) -> None:
    matrix.run(case)


DEFERRED = [
    Case(
        "unknown text",
        write,
        then,
        read="SELECT keyword, keyword_id FROM public.machine_tags WHERE image_id = 39 AND keyword <> 'tree'",
    )
    for text, then in (("zebra", ("zebra", None)), ("bridge", ("bridge", None)))
    for write in [f"INSERT INTO public.machine_tags (image_id, tenant_id, keyword) VALUES (39, 't', '{text}')"]
]


@pytest.mark.parametrize("case", DEFERRED, ids=name)
def test_matrix_deferred_text_has_no_key(matrix: Writer, case: Case) -> None:
    matrix.run(case)


def refused(matrix: Writer, values: str) -> psycopg.errors.Diagnostic:
    with matrix.connection.transaction(force_rollback=True):
        matrix.connection.execute("SET LOCAL ROLE nf_app")
        with pytest.raises(psycopg.errors.IntegrityError) as caught:
            matrix.connection.execute(insert(IMAGE, values).encode())
    return caught.value.diag


def test_disagreement_names_both_values(matrix: Writer) -> None:
    diag = refused(matrix, "'t', 'bridge', 'travel', 3")
    for part in (
        "image_tags.keyword 'bridge'",
        "category 'travel'",
        "keyword_id '3'",
        "tenant_id 't'",
        "'games'",
        "id 2",
    ):
        assert part in (diag.message_primary or ""), diag.message_primary
    assert "alone" in (diag.message_hint or "")


def test_rejection_says_what_to_do(matrix: Writer) -> None:
    diag = refused(matrix, "'t', '100% zebra', NULL, NULL")
    message = "image_tags.keyword '100% zebra' (category NULL) in tenant_id 't' means no row of keywords"
    assert diag.message_primary == message
    assert diag.message_hint == "Insert it into keywords first, or write a text that stands there."
