# ruff: noqa: E501  (rows of SQL read better on one line)
"""An airport whose lookups do not exist: airlines, places, dishes and tongues are to be made of the texts that there are.

Each table of texts has a copy that nobody migrates (``truth``): what a key must lead to is what the copy says.
"""

from __future__ import annotations

from fix_servers import template
from second.citext import provide

SCHEMA = """
CREATE SCHEMA "Air;port"; CREATE SCHEMA truth;
GRANT USAGE ON SCHEMA "Air;port" TO nf_app;
CREATE TABLE "Air;port".flights (
    id int PRIMARY KEY, tenant int, airline varchar(40) NOT NULL, origin text COLLATE "C" NOT NULL, "to" varchar(200),
    UNIQUE (tenant, airline, id));
CREATE TABLE "Air;port".crews (no int, airline varchar(60) NOT NULL, tenant bigint NOT NULL, home varchar(90));
CREATE TABLE "Air;port".meals (id int PRIMARY KEY, dish text NOT NULL, course varchar(20), says citext);
CREATE INDEX ON "Air;port".meals (dish, course);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "Air;port" TO nf_app;
GRANT SELECT (airline) ON "Air;port".crews TO pg_monitor;
INSERT INTO "Air;port".flights SELECT g, g % 3,
    (ARRAY['ELF', 'El Al', 'el al', '日航', '  ', 'Fly "x"; --', E'tab\\t', ''])[1 + g % 8],
    (ARRAY['בית', 'Paris', 'PARIS', E'two\\nlines', '👩‍👩‍👧‍👦'])[1 + g % 5],
    CASE WHEN g % 7 > 0 THEN (ARRAY['Paris', 'Rome', '', 'بيت'])[1 + g % 4] END FROM generate_series(1, 240) g;
INSERT INTO "Air;port".crews SELECT g % 50, (ARRAY['ELF', 'only in crews', 'trailing '])[1 + g % 3], g % 3,
    (ARRAY['Rome', 'Home of crews', NULL])[1 + g % 3] FROM generate_series(1, 100) g;
INSERT INTO "Air;port".meals SELECT g, (ARRAY['soup', 'stew', 'plain', 'soup'])[1 + g % 4],
    (ARRAY['first', 'main', NULL, 'main'])[1 + g % 4], (ARRAY['Tree', 'tree', 'TREE', 'sea', NULL])[1 + g % 5]
    FROM generate_series(1, 120) g;
CREATE TABLE truth.flights AS SELECT * FROM "Air;port".flights;
CREATE TABLE truth.crews AS SELECT DISTINCT * FROM "Air;port".crews;
CREATE TABLE truth.meals AS SELECT * FROM "Air;port".meals;
"""
SPEC = """
version = 1

[lookup.airline]
table = '"Air;port"."Air; lines"'
create = true
key = "Nr."
key_type = "integer"
text = "Na;me"

[lookup.place]
table = '"Air;port".place'
create = true
text = "place"
scope = "owner"

[lookup.dish]
table = '"Air;port".dish'
create = true
key_type = "uuid"
text = "dish"
qualifier = "course"

[lookup.word]
table = '"Air;port".word'
create = true
text = "word"

[reference.flies]
table = '"Air;port".flights'
lookup = "airline"
text = "airline"
add = "airline_id"
[reference.from]
table = '"Air;port".flights'
lookup = "place"
text = "origin"
scope = "tenant"
add = "origin_id"
[reference.to]
table = '"Air;port".flights'
lookup = "place"
text = "to"
scope = "tenant"
add = "to_id"
required = false
[reference.crew]
table = '"Air;port".crews'
lookup = "airline"
text = "airline"
add = "airline_id"
[reference.home]
table = '"Air;port".crews'
lookup = "place"
text = "home"
scope = "tenant"
add = "home_id"
required = false
[reference.meal]
table = '"Air;port".meals'
lookup = "dish"
text = "dish"
qualifier = "course"
add = "dish_id"
[reference.says]
table = '"Air;port".meals'
lookup = "word"
text = "says"
add = "word_id"
required = false
"""
#: How many rows each lookup gets, counted on the copies.
EXPECTED = {
    "airline": "SELECT count(DISTINCT airline) FROM (SELECT airline FROM truth.flights UNION SELECT airline FROM truth.crews) t",
    "place": """SELECT count(*) FROM (SELECT tenant, origin COLLATE "C" FROM truth.flights UNION
        SELECT tenant, "to" FROM truth.flights WHERE "to" IS NOT NULL UNION SELECT tenant, home FROM truth.crews WHERE home IS NOT NULL) t""",
    "dish": "SELECT count(DISTINCT (dish, course)) FROM truth.meals",
    "word": "SELECT 2",
}
TABLES = {
    "airline": '"Air;port"."Air; lines"',
    "place": '"Air;port".place',
    "dish": '"Air;port".dish',
    "word": '"Air;port".word',
}
#: Rows whose keys do not lead to what the copy says; those that writers have touched are numbered from 1000.
WRONG = """
SELECT 'flights', t.id FROM "Air;port".flights t JOIN truth.flights o ON o.id = t.id
    LEFT JOIN "Air;port"."Air; lines" a ON a."Nr." = t.airline_id LEFT JOIN "Air;port".place f ON f.id = t.origin_id
    LEFT JOIN "Air;port".place d ON d.id = t.to_id
    WHERE a."Na;me" IS DISTINCT FROM o.airline OR f.place IS DISTINCT FROM o.origin COLLATE "C" OR f.owner <> o.tenant
    OR d.place IS DISTINCT FROM o."to" OR d.owner <> o.tenant
UNION ALL SELECT 'meals', t.id FROM "Air;port".meals t JOIN truth.meals o ON o.id = t.id
    LEFT JOIN "Air;port".dish d ON d.id = t.dish_id LEFT JOIN "Air;port".word w ON w.id = t.word_id
    WHERE (d.dish, d.course) IS DISTINCT FROM (o.dish, o.course::text) OR w.word IS DISTINCT FROM o.says
UNION ALL SELECT 'crews', t.no FROM "Air;port".crews t LEFT JOIN "Air;port"."Air; lines" a ON a."Nr." = t.airline_id
    LEFT JOIN "Air;port".place h ON h.id = t.home_id WHERE t.no < 1000 AND NOT EXISTS (SELECT FROM truth.crews o
    WHERE o.no = t.no AND o.airline = a."Na;me" AND o.tenant = t.tenant AND o.home IS NOT DISTINCT FROM h.place)
"""


def load(url: str) -> None:
    """Builds the template."""
    import psycopg

    provide(url)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())


TEMPLATE = template("airport", load)
