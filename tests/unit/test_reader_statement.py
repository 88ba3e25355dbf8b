"""Does this statement touch that column? A table of statements, each with everything that is found in it."""

from __future__ import annotations

import pytest

from normalform.core.names import QName
from normalform.reader.statement import read
from normalform.reader.world import Kind
from reading import WORLD, told

NOTHING = ""
STATEMENTS = {
    # Names, and whose they are.
    "SELECT keyword FROM tags": "r keyword",
    "select KEYWORD from TAGS": "r keyword",
    'SELECT "keyword" FROM "public"."tags"': "r keyword",
    'SELECT "Keyword" FROM tags': NOTHING,
    'SELECT keyword FROM "Tags"': NOTHING,
    "SELECT id FROM tags": NOTHING,
    "SELECT keyword FROM other": NOTHING,
    "SELECT keyword FROM app.tags": NOTHING,
    "SELECT keyword FROM nowhere.tags": NOTHING,
    "SELECT tags.keyword FROM public.tags": "r keyword",
    "SELECT public.tags.keyword FROM public.tags": "r keyword",
    "SELECT o.keyword FROM other o JOIN tags t ON t.id = o.id": NOTHING,
    "SELECT t.keyword FROM other o JOIN tags t ON t.id = o.id": "r keyword",
    "SELECT tags.keyword FROM other tags": NOTHING,
    "SELECT keyword FROM images, tags": "r keyword",
    "SELECT keyword FROM some_function() f, tags": "r keyword",
    """SELECT "Ge""n;re" FROM "Air Traffic"."Fli;ghts\"""": 'r Ge"n;re of Fli;ghts',
    # Strings, comments, names of other things.
    "SELECT id, 'keyword' FROM tags -- keyword": NOTHING,
    "SELECT id /* keyword /* of tags */ keyword */ FROM tags": NOTHING,
    "SELECT $$keyword$$, E'\\'keyword', U&'keyword' FROM tags": NOTHING,
    "SELECT id AS keyword FROM tags": NOTHING,
    "SELECT id AS keyword FROM tags ORDER BY keyword": NOTHING,
    "SELECT id AS keyword FROM tags GROUP BY keyword": "r keyword",
    "SELECT keyword(id) FROM tags": NOTHING,
    "SELECT (x.keyword).y FROM plain x, tags": NOTHING,
    "SELECT f(keyword => 1) FROM tags": NOTHING,
    "SELECT a.word FROM plain a, tags keyword WHERE keyword.id = 1": NOTHING,
    # Queries in queries.
    "SELECT 1 FROM tags t WHERE EXISTS (SELECT 1 FROM other WHERE keyword = 'x')": NOTHING,
    "SELECT 1 FROM tags t WHERE EXISTS (SELECT 1 FROM images WHERE keyword = 'x')": "r keyword",
    "SELECT 1 FROM tags t WHERE EXISTS (SELECT 1 FROM unheard_of WHERE keyword = 'x')": "r keyword?",
    "SELECT 1 FROM other WHERE id IN (SELECT id FROM tags WHERE keyword = 'x')": "r keyword",
    "SELECT x.keyword FROM (SELECT * FROM tags) x": "r keyword",
    "SELECT x.id FROM (SELECT * FROM tags) x": NOTHING,
    "SELECT x.keyword FROM (SELECT id, 'a' AS keyword FROM tags) x": NOTHING,
    "SELECT x.k FROM (SELECT keyword AS k FROM tags) x": "r keyword",
    "SELECT x.d FROM tags AS x (a, b, c, d)": "r keyword",
    "SELECT x.a FROM tags AS x (a, b, c, d)": NOTHING,
    "SELECT x.b FROM (SELECT * FROM tags) AS x (a, b)": NOTHING,
    "SELECT l.keyword FROM tags t CROSS JOIN LATERAL (SELECT t.id AS keyword) l": NOTHING,
    "SELECT l.k FROM tags t CROSS JOIN LATERAL (SELECT t.keyword AS k) l": "r keyword",
    "SELECT l.keyword FROM tags t, unnest(t.list) AS l (keyword)": NOTHING,
    "SELECT x.keyword FROM tags t, jsonb_to_recordset($1) AS x (keyword text)": NOTHING,
    "WITH tags AS (SELECT 1 AS keyword) SELECT keyword FROM tags": NOTHING,
    "WITH x AS (SELECT * FROM tags) SELECT keyword FROM x": "r keyword",
    "WITH x (a, b) AS (SELECT id, image_id FROM tags) SELECT a FROM x": NOTHING,
    "WITH RECURSIVE r AS (SELECT id FROM tags UNION ALL SELECT id FROM r) SELECT id FROM r": NOTHING,
    "WITH gone AS (DELETE FROM tags RETURNING *) SELECT category FROM gone": "r category",
    # Every clause.
    "SELECT id FROM tags WHERE lower(keyword) LIKE $1": "r keyword",
    "SELECT id FROM tags ORDER BY keyword": "r keyword",
    "SELECT DISTINCT ON (keyword) id FROM tags": "r keyword",
    "SELECT count(*) FILTER (WHERE keyword IS NULL) FROM tags": "r keyword",
    "SELECT rank() OVER w FROM tags WINDOW w AS (PARTITION BY keyword)": "r keyword",
    "SELECT id FROM tags GROUP BY id HAVING max(keyword) > 'a'": "r keyword",
    "SELECT string_agg('x', ',' ORDER BY keyword) FROM tags": "r keyword",
    "SELECT CASE WHEN keyword = 'a' THEN 1 END FROM tags": "r keyword",
    "SELECT ARRAY(SELECT keyword FROM tags)": "r keyword",
    "SELECT 1 FROM tags JOIN other USING (keyword)": "r keyword",
    "SELECT 1 FROM tags JOIN other USING (id)": NOTHING,
    "SELECT 1 FROM tags NATURAL JOIN other": "r category, r keyword",
    "SELECT (t).keyword FROM tags t": "r keyword",
    "VALUES ((SELECT keyword FROM tags LIMIT 1))": "r keyword",
    "SELECT id FROM tags WHERE (keyword,category) IN (($1,$2))": "r category, r keyword",
    "SELECT id FROM tags WHERE keyword <-> $1 < 1 AND a OPERATOR(pg_catalog.=) b AND c @@@ d": "r keyword",
    "SELECT a FROM tags, plain FOR UPDATE OF tags SKIP LOCKED": NOTHING,
    # Writes.
    "INSERT INTO tags (id, keyword) VALUES ($1,$2)": "w keyword",
    "INSERT INTO tags (id) SELECT id FROM other WHERE keyword = 'x'": NOTHING,
    "INSERT INTO other (keyword) SELECT category FROM tags": "r category",
    "INSERT INTO tags (id) VALUES (1) ON CONFLICT (keyword) DO NOTHING": "r keyword",
    "INSERT INTO tags (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET category = excluded.category":
        "r category, w category",
    "INSERT INTO tags AS t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2 WHERE t.keyword = 'a'": "r keyword",
    "INSERT INTO tags (id) VALUES (1) ON CONFLICT ON CONSTRAINT tags_once DO NOTHING": "r constraint",
    "INSERT INTO tags (id) VALUES (1) ON CONFLICT ON CONSTRAINT tags_pkey DO NOTHING": NOTHING,
    "INSERT INTO tags (id) VALUES (1) RETURNING keyword": "r keyword",
    "INSERT INTO tags DEFAULT VALUES": NOTHING,
    "INSERT INTO tags (id) OVERRIDING SYSTEM VALUE VALUES (1)": NOTHING,
    "UPDATE tags SET keyword = 'x'": "w keyword",
    "UPDATE tags SET (image_id, category) = (1, 'x')": "w category",
    "UPDATE tags AS t SET image_id = 1 WHERE t.keyword = 'x'": "r keyword",
    "UPDATE other SET keyword = 'x' FROM tags t WHERE t.id = other.id": NOTHING,
    "UPDATE tags SET image_id = 1 FROM other o WHERE o.keyword = 'x'": NOTHING,
    "UPDATE tags SET image_id = 1 WHERE CURRENT OF c": NOTHING,
    "DELETE FROM tags USING other o WHERE o.keyword = 'x'": NOTHING,
    "DELETE FROM tags WHERE keyword = 'x'": "r keyword",
    "MERGE INTO tags t USING other o ON o.id = t.id WHEN MATCHED THEN UPDATE SET keyword = o.keyword": "w keyword",
    "MERGE INTO tags t USING other o ON o.id = t.id WHEN NOT MATCHED THEN INSERT (category) VALUES (o.keyword)":
        "w category",
    # What comes by position, and what breaks when a column comes.
    "SELECT * FROM tags": "star",
    "TABLE tags": "star",
    "SELECT * FROM words": "star of words",
    "SELECT t.* FROM tags t JOIN images i USING (id)": "star",
    "SELECT i.* FROM tags t JOIN images i USING (id)": NOTHING,
    "SELECT count(*) FROM tags": NOTHING,
    "SELECT id FROM images WHERE EXISTS (SELECT * FROM tags)": NOTHING,
    "SELECT id FROM images WHERE id IN (SELECT * FROM tags)": "breaks",
    "SELECT * FROM tags UNION SELECT * FROM plain": "breaks",
    "SELECT * FROM tags UNION ALL SELECT * FROM tags": "star",
    "INSERT INTO plain SELECT * FROM tags": "breaks",
    "INSERT INTO plain (a, b) SELECT t.* FROM tags t": "breaks",
    "INSERT INTO tags SELECT * FROM plain": "position",
    "INSERT INTO tags SELECT * FROM tags": "position",
    "INSERT INTO tags VALUES (1, 2, 3, 'a', 'b')": "position",
    "WITH gone AS (DELETE FROM tags RETURNING *) INSERT INTO plain SELECT * FROM gone": "breaks",
    "INSERT INTO tags (id) VALUES (1) RETURNING *": "star",
    "UPDATE tags SET id = 1 RETURNING tags.*": "star",
    "COPY tags FROM STDIN": "breaks",
    "COPY tags FROM '/tmp/x' WITH (FORMAT csv, HEADER)": "breaks",
    "COPY tags TO STDOUT": "star",
    "COPY tags (id, keyword) FROM STDIN": "w keyword",
    "COPY tags (id, category) TO STDOUT": "r category",
    "COPY tags (id) FROM STDIN": NOTHING,
    "COPY (SELECT keyword FROM tags) TO STDOUT": "r keyword",
    "COPY other FROM STDIN": NOTHING,
    "CREATE TABLE copy AS SELECT keyword FROM tags": "r keyword",
    # Whole rows.
    "SELECT to_jsonb(t) FROM tags t": "row",
    "SELECT row_to_json(tags) FROM tags": "row",
    "SELECT count(t) FROM tags t WHERE t IS NOT NULL": NOTHING,
    "SELECT to_jsonb(t) ->> 'keyword' FROM tags t": "r keyword?, row",
    "SELECT to_jsonb(t) ->> 'id' FROM tags t": "row",
    # Rows that functions and casts make.
    "SELECT keyword FROM some_tags(1)": "r keyword",
    "SELECT s.keyword FROM public.some_tags(1) AS s": "r keyword",
    "SELECT s.id FROM some_tags(1) s": NOTHING,
    "SELECT s.d FROM some_tags(1) AS s (a, b, c, d)": "r keyword",
    "SELECT keyword FROM app.some_tags(1)": NOTHING,
    "SELECT keyword FROM other_function(1)": NOTHING,
    "SELECT (some_tags(1)).keyword, (public.some_tags(2)).id": "r keyword",
    "SELECT s.keyword FROM images i, LATERAL some_tags(i.id) s": "r keyword",
    "INSERT INTO plain SELECT * FROM some_tags(1)": "breaks",
    "SELECT (NULL::public.tags).keyword": "r keyword",
    "SELECT (NULL::other).keyword, (a.keyword::text).x FROM other a": NOTHING,
    "SELECT (t.keyword::text).x FROM tags t": "r keyword",
    "SELECT (jsonb_populate_record(NULL::tags, $1)).keyword": "r keyword",
    "SELECT keyword FROM jsonb_populate_recordset(NULL::tags, $1)": "r keyword",
    "SELECT keyword FROM jsonb_populate_recordset(NULL::other, $1)": NOTHING,
    # Statements around statements; statements without rows.
    "EXPLAIN (ANALYZE, BUFFERS) SELECT keyword FROM tags": "r keyword",
    "EXPLAIN ANALYZE VERBOSE SELECT keyword FROM tags": "r keyword",
    "PREPARE p (text) AS SELECT * FROM tags WHERE keyword = $1": "r keyword, star",
    "DECLARE c CURSOR WITH HOLD FOR SELECT keyword FROM tags": "r keyword",
    "ALTER TABLE tags RENAME keyword TO word": NOTHING,
    "CREATE INDEX ON tags (keyword)": NOTHING,
    "VACUUM tags (keyword)": NOTHING,
    "SET keyword = tags": NOTHING,
    "SELECT id FROM tags; SELECT keyword FROM tags; ": "r keyword",
    "": NOTHING,
    # What cannot be parsed says so, where it names something of ours.
    "SELECT keyword FROM tags WHERE (((": "u keyword?",
    "SELECT id FROM tags JOIN": NOTHING,
    "SELECT 1 FROM nothing WHERE (((": NOTHING,
}  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement(statement: str) -> None:
    assert told(read(statement, WORLD)) == STATEMENTS[statement]


def test_what_cannot_be_parsed_is_counted_where_it_names_a_table_of_ours() -> None:
    assert read("SELECT id\nFROM tags JOIN", WORLD).unread == [1]
    assert read("SELECT 1;\n\nSELECT keyword FROM tags WHERE ((", WORLD).unread == [3]
    assert read("SELECT 1 FROM nothing WHERE ((", WORLD).unread == []
    assert read("ALTER TABLE tags ((", WORLD).unread == []


def test_a_bare_name_means_the_first_table_along_the_path() -> None:
    assert told(read("SELECT keyword FROM tags", WORLD.along(["app", "public"]))) == ""
    assert told(read("SELECT keyword FROM tags", WORLD.along(["public", "app"]))) == "r keyword"
    # Nothing of that name there: whoever runs it has another path, and may mean ours.
    assert told(read("SELECT keyword FROM tags", WORLD.along(["elsewhere"]))) == "r keyword?"
    assert told(read("SELECT keyword FROM other", WORLD.along(["elsewhere"]))) == ""


def test_lines_are_those_of_the_text() -> None:
    text = "SELECT id, -- keyword\n  $1,\n  'a\nb',\n  t.category\nFROM tags t\nWHERE keyword = 'x'"
    assert [(u.column, u.line) for u in read(text, WORLD).of(Kind.READS)] == [("category", 5), ("keyword", 7)]


def test_a_very_deep_statement_is_unread_and_no_crash() -> None:
    deep = "SELECT keyword FROM tags WHERE " + "(" * 3000 + "id" + ")" * 3000
    reading = read(deep, WORLD)
    assert reading.unread == [1] or told(reading) == "r keyword"


def test_which_tables_are_known_is_asked_by_name() -> None:
    assert WORLD.find("", "tags")[0] is WORLD.watched[0]
    assert WORLD.find("app", "tags") == (None, frozenset({"id", "keyword"}), True)
    assert WORLD.find("", "nothing") == (None, None, True)
    assert WORLD.along(None) is WORLD
    assert QName("public", "tags") in WORLD.relations
