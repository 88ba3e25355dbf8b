"""A small clean database on which an audit finds nothing, and what makes each finding appear on it.

Shared by the tests of the audit. A case is a script, run by a role, and exactly what an audit then finds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SCHEMA = """
CREATE TABLE public.categories (
    id serial PRIMARY KEY, tenant_id varchar(50), name varchar(100) NOT NULL, parent_id integer);
CREATE TABLE public.keywords (
    id serial PRIMARY KEY, category_id integer NOT NULL REFERENCES public.categories, keyword varchar(100));
CREATE TABLE public.people (
    id serial PRIMARY KEY, tenant_id varchar(50) NOT NULL, name varchar(100) NOT NULL, aliases json);
CREATE TABLE public.tags (
    id serial CONSTRAINT tags_pkey PRIMARY KEY, image_id integer, tenant_id varchar(50), keyword varchar(100),
    category varchar(100));
CREATE TABLE public.models (
    id serial PRIMARY KEY, tenant_id varchar(50) NOT NULL, keyword varchar(100) NOT NULL, model varchar(20) NOT NULL,
    retired boolean NOT NULL DEFAULT false);
CREATE UNIQUE INDEX models_once ON public.models (tenant_id, keyword, model) WHERE NOT retired;
CREATE TABLE public.faces (
    id serial PRIMARY KEY, image_id integer, tenant_id varchar(50), person_name varchar(100),
    CONSTRAINT faces_once UNIQUE (image_id, person_name));
INSERT INTO public.categories (id, tenant_id, name, parent_id) VALUES
    (1, 't', 'nature', NULL), (2, 't', 'plants', 1), (3, 't', 'travel', NULL), (4, 'u', 'nature', NULL);
INSERT INTO public.keywords (id, category_id, keyword) VALUES
    (1, 2, 'tree'), (2, 3, 'bridge'), (3, 1, 'sea'), (4, 4, 'tree'), (5, 4, 'sky 100%');
INSERT INTO public.people (id, tenant_id, name, aliases) VALUES
    (1, 't', 'Ada Lovelace', '["Ada", "Countess"]'), (2, 't', 'Alan Turing', NULL), (3, 'u', 'Grace', '[]');
INSERT INTO public.tags (image_id, tenant_id, keyword, category)
    SELECT g, 't', 'tree', 'nature/plants' FROM generate_series(1, 40) g UNION ALL
    SELECT g, 't', 'bridge', NULL FROM generate_series(1, 30) g UNION ALL
    SELECT g, 'u', 'tree', 'nature' FROM generate_series(41, 50) g;
INSERT INTO public.models (tenant_id, keyword, model) VALUES
    ('t', 'tree', 'm1'), ('t', 'sea', 'm1'), ('u', 'tree', 'm1');
INSERT INTO public.faces (image_id, tenant_id, person_name) VALUES
    (1, 't', 'Ada Lovelace'), (2, 't', 'Ada'), (3, 't', 'Alan Turing'), (4, 't', NULL), (41, 'u', 'Grace');
SELECT setval(pg_get_serial_sequence('public.' || t, 'id'), 1000)
    FROM unnest(ARRAY['categories', 'keywords', 'people']) t;
"""

SPEC = """
version = 1

[lookup.keyword]
table = "public.keywords"
text = "keyword"
unique = ["tenant_id", "category_id", "keyword"]
scope = { add = "tenant_id", copy = "public.categories.tenant_id", join = "category_id" }
qualifier = { path = "public.categories.name", join = "category_id", parent = "parent_id" }
new_row = { category_id = { from = "qualifier", otherwise = "Unsorted" } }

[lookup.person]
table = "public.people"
text = "name"
aliases = "aliases"
scope = "tenant_id"

[reference.tags]
table = "public.tags"
lookup = "keyword"
text = "keyword"
qualifier = "category"
scope = "tenant_id"
add = "keyword_id"

[reference.models]
table = "public.models"
lookup = "keyword"
text = "keyword"
scope = "tenant_id"
add = "keyword_id"

[reference.faces]
table = "public.faces"
lookup = "person"
text = "person_name"
scope = "tenant_id"
add = "person_id"
required = false
keep_text = true
"""

TOUCH = "CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "


@dataclass(frozen=True)
class Case:
    """What is done to the clean database, and what an audit then finds.

    Args:
        script: run before the audit; several statements, each committed by itself.
        finds: severity and count by (code, subject); nothing else may be found.
        role: who runs the script.
        spec: (old, new) replaced in the spec.
        undo: run after the test as superuser, where dropping the database would fail otherwise.
        unchecked: subjects that could not be looked at.
    """

    script: str
    finds: dict[tuple[str, str], tuple[str, int]]
    role: str = "owner"
    spec: tuple[str, str] = ("", "")
    undo: str = ""
    unchecked: set[str] = field(default_factory=set)


CASES = {
    "duplicate under equal paths": Case(
        """INSERT INTO categories (id, tenant_id, name) VALUES (10, 't', 'travel');
           INSERT INTO keywords (category_id, keyword) VALUES (10, 'bridge');
           INSERT INTO tags (image_id, tenant_id, keyword, category) VALUES (1, 't', 'bridge', 'travel')""",
        {
            ("NF101", "keyword"): ("error", 2),
            ("NF108", "keyword"): ("warning", 2),
            ("NF202", "tags"): ("error", 31),
        },
    ),
    "duplicate in a lookup without qualifier": Case(
        "INSERT INTO people (tenant_id, name) VALUES ('t', 'Alan Turing')",
        {("NF101", "person"): ("error", 2), ("NF202", "faces"): ("warning", 1)},
    ),
    "a name in several categories, told apart by each row": Case(
        """INSERT INTO keywords (category_id, keyword) VALUES (3, 'sea');
           INSERT INTO tags (image_id, tenant_id, keyword, category)
               SELECT g, 't', 'sea', CASE WHEN g <= 3 THEN 'nature' ELSE 'travel' END FROM generate_series(1, 10) g;
           DELETE FROM models WHERE keyword = 'sea'""",
        {("NF102", "keyword"): ("info", 1)},
    ),
    "a name in several categories, not told apart": Case(
        "INSERT INTO keywords (category_id, keyword) VALUES (3, 'sea')",
        {("NF102", "keyword"): ("warning", 1), ("NF202", "models"): ("error", 1)},
    ),
    "lookup texts that differ by case, space and form": Case(
        """INSERT INTO keywords (category_id, keyword) VALUES
               (2, 'Tree'), (3, 'TREE '), (4, 'caf' || chr(233)), (4, 'cafe' || chr(769)), (1, 'rock')""",
        {("NF103", "keyword"): ("warning", 5)},
    ),
    "equal in the spec's unique": Case(
        "INSERT INTO keywords (category_id, keyword) VALUES (1, 'bridge')",
        {
            ("NF102", "keyword"): ("warning", 1),
            ("NF104", "keyword"): ("error", 2),
            ("NF202", "tags"): ("error", 30),
        },
        spec=('unique = ["tenant_id", "category_id", "keyword"]', 'unique = ["tenant_id", "keyword"]'),
    ),
    "a lookup row without scope": Case(
        """INSERT INTO categories (id, tenant_id, name) VALUES (10, NULL, 'nowhere');
           INSERT INTO keywords (category_id, keyword) VALUES (10, 'ghost'), (10, 'wraith')""",
        {("NF105", "keyword"): ("warning", 2)},
    ),
    "a lookup row without text": Case(
        "INSERT INTO keywords (category_id, keyword) VALUES (1, NULL)", {("NF106", "keyword"): ("warning", 1)}
    ),
    "categories in a circle": Case(
        """INSERT INTO categories (id, tenant_id, name, parent_id) VALUES (10, 't', 'a', 11), (11, 't', 'b', 10);
           INSERT INTO keywords (category_id, keyword) VALUES (10, 'lost')""",
        {("NF107", "keyword"): ("warning", 1)},
    ),
    "row security on a lookup": Case(
        "ALTER TABLE keywords ENABLE ROW LEVEL SECURITY", {("NF109", "server"): ("warning", 1)}
    ),
    "forced row security on a lookup": Case(
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY; ALTER TABLE people FORCE ROW LEVEL SECURITY",
        {("NF109", "server"): ("error", 1)},
        unchecked={"people", "faces", "savings"},
    ),
    "forced row security on the categories, which sync reads too": Case(
        "ALTER TABLE categories ENABLE ROW LEVEL SECURITY; ALTER TABLE categories FORCE ROW LEVEL SECURITY",
        {("NF109", "server"): ("error", 1)},
        unchecked={"categories", "keyword", "tags", "models", "savings"},
    ),
    "lookup values that a reference cannot hold": Case(
        "ALTER TABLE tags DROP COLUMN category; ALTER TABLE tags ADD category varchar(8); "
        "ALTER TABLE models ALTER keyword TYPE varchar(6)",
        {
            ("NF110", "tags"): ("warning", 1),  # nature/plants
            ("NF110", "models"): ("warning", 1),  # sky 100%
            ("NF210", "models"): ("info", 1),
        },
    ),
    "orphans": Case(
        """INSERT INTO tags (image_id, tenant_id, keyword, category) VALUES
               (1, 't', 'zeppelin', 'travel'), (2, 't', 'zeppelin', 'travel'), (3, 't', 'sky 100%', NULL);
           INSERT INTO models (tenant_id, keyword, model) VALUES ('u', 'sea', 'm1');
           INSERT INTO faces (image_id, tenant_id, person_name) VALUES (9, 't', 'Nobody Known')""",
        {("NF201", "tags"): ("error", 3), ("NF201", "models"): ("error", 1), ("NF201", "faces"): ("warning", 1)},
    ),
    "an alias that two people have": Case(
        """INSERT INTO people (tenant_id, name, aliases) VALUES ('t', 'Ada Berg', '["Ada"]')""",
        {("NF202", "faces"): ("warning", 1)},
    ),
    "rows without scope": Case(
        """INSERT INTO tags (tenant_id, keyword, category) VALUES (NULL, 'tree', NULL), (NULL, 'zeppelin', 'x');
           INSERT INTO faces (tenant_id, person_name) VALUES (NULL, 'Ada')""",
        {("NF203", "tags"): ("error", 2), ("NF203", "faces"): ("warning", 1)},
    ),
    "rows of a scope that does not exist": Case(
        """INSERT INTO tags (tenant_id, keyword) VALUES ('ghost', 'tree');
           INSERT INTO faces (tenant_id, person_name) VALUES ('ghost', 'Ada')""",
        {("NF204", "tags"): ("error", 1), ("NF204", "faces"): ("warning", 1)},
    ),
    "categories that disagree, or do not exist": Case(
        """INSERT INTO tags (tenant_id, keyword, category) VALUES
               ('t', 'tree', 'travel'), ('t', 'sea', 'nature/plants'), ('t', 'tree', 'plants'),
               ('u', 'tree', 'travel')""",
        {("NF205", "tags"): ("warning", 2), ("NF206", "tags"): ("warning", 2)},
    ),
    "rows that fold to a keyword": Case(
        """INSERT INTO tags (image_id, tenant_id, keyword, category) VALUES
               (100, 't', 'TREE', 'nature/plants'), (101, 't', ' tree ', NULL), (102, 't', U&'\\FF54ree', 'travel'),
               (103, 't', 'zeppelin', NULL)""",
        {("NF201", "tags"): ("error", 4), ("NF207", "tags"): ("warning", 3)},
    ),
    "two names of one person on one picture": Case(
        """INSERT INTO faces (image_id, tenant_id, person_name) VALUES
               (1, 't', 'Countess'), (2, 't', 'Countess'), (8, 't', 'Ada'),
               (NULL, 't', 'Ada'), (NULL, 't', 'Countess')""",
        {("NF208", "faces"): ("error", 4)},
    ),
    "models that collide if they are folded": Case(
        """INSERT INTO models (tenant_id, keyword, model, retired) VALUES
               ('t', 'Tree', 'm1', false), ('t', 'TREE', 'm1', true), ('t', 'SEA', 'm2', false)""",
        {
            ("NF201", "models"): ("error", 3),
            ("NF207", "models"): ("warning", 3),
            ("NF208", "models"): ("warning", 2),
        },
    ),
    "tags that only their category keeps apart": Case(
        """CREATE UNIQUE INDEX tags_once ON tags (tenant_id, image_id, keyword, category);
           INSERT INTO tags (image_id, tenant_id, keyword, category) VALUES (1, 't', 'tree', 'travel')""",
        {("NF205", "tags"): ("warning", 1), ("NF208", "tags"): ("error", 2)},
    ),
    "a text that no keyword can hold": Case(
        """ALTER TABLE tags ALTER keyword TYPE varchar(200);
           INSERT INTO tags (image_id, tenant_id, keyword) VALUES
               (1, 't', repeat('x', 150)), (2, 't', repeat('é', 100))""",
        {
            ("NF201", "tags"): ("error", 2),
            ("NF209", "tags"): ("error", 1),
            ("NF210", "tags"): ("info", 1),
        },
    ),
    "rows without text": Case(
        "INSERT INTO tags (image_id, tenant_id, category) VALUES (1, 't', 'travel'), (2, NULL, NULL)",
        {("NF211", "tags"): ("error", 2)},
    ),
    "an optional table that is absent": Case(
        "DROP TABLE models",
        {("NF212", "models"): ("info", 1)},
        spec=("[reference.models]", "[reference.models]\noptional = true"),
    ),
    "a table without primary key": Case(
        "ALTER TABLE tags DROP CONSTRAINT tags_pkey; INSERT INTO tags (tenant_id, keyword) VALUES ('t', 'zeppelin')",
        {("NF213", "tags"): ("warning", 1), ("NF201", "tags"): ("error", 1)},
    ),
    "a trigger of the application": Case(
        TOUCH
        + """CREATE TRIGGER touch BEFORE UPDATE ON tags FOR EACH ROW EXECUTE FUNCTION touch();
           CREATE TRIGGER columns AFTER UPDATE OF category ON tags FOR EACH ROW EXECUTE FUNCTION touch();
           CREATE TRIGGER off AFTER UPDATE ON tags FOR EACH ROW EXECUTE FUNCTION touch();
           ALTER TABLE tags DISABLE TRIGGER off""",
        {("NF301", "tags"): ("warning", 1), ("NF316", "tags"): ("error", 1)},
    ),
    "a trigger of the application that is to be skipped": Case(
        TOUCH + "CREATE TRIGGER touch AFTER UPDATE ON tags EXECUTE FUNCTION touch()",
        {("NF301", "tags"): ("info", 1)},
        spec=("[reference.tags]", '[reference.tags]\napp_triggers = "skip"'),
    ),
    "triggers outside ours": Case(
        TOUCH
        + """CREATE TRIGGER " first" BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION touch();
           CREATE TRIGGER "~zz" BEFORE INSERT OR UPDATE ON tags FOR EACH ROW EXECUTE FUNCTION touch();
           CREATE TRIGGER "within" BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION touch();
           CREATE TRIGGER "~zzz" AFTER INSERT ON tags FOR EACH ROW EXECUTE FUNCTION touch()""",
        {("NF302", "server"): ("error", 2), ("NF301", "tags"): ("warning", 1)},
    ),
    "deletes that cascade onto keywords": Case(
        """CREATE TABLE tenants (id varchar(50) PRIMARY KEY);
           INSERT INTO tenants VALUES ('t'), ('u');
           ALTER TABLE categories ADD FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE;
           ALTER TABLE keywords ADD FOREIGN KEY (category_id) REFERENCES categories ON DELETE CASCADE""",
        {("NF303", "keyword"): ("warning", 2)},
    ),
    "published tables": Case(
        """CREATE TABLE other (id integer PRIMARY KEY);
           CREATE PUBLICATION p FOR TABLE tags, other; CREATE PUBLICATION q FOR TABLE tags WITH (publish = 'insert')""",
        {("NF304", "server"): ("error", 2)},
    ),
    "a published table without identity": Case(
        """ALTER TABLE faces REPLICA IDENTITY NOTHING;
           CREATE PUBLICATION p FOR TABLE faces, tags; CREATE PUBLICATION q FOR TABLE models WITH (publish = 'insert');
           ALTER TABLE models REPLICA IDENTITY NOTHING""",
        {("NF304", "server"): ("error", 3), ("NF305", "server"): ("error", 1)},
    ),
    "a publication of all tables": Case(
        "CREATE PUBLICATION everything FOR ALL TABLES",
        {("NF304", "server"): ("error", 5), ("NF306", "server"): ("error", 1)},
        role="admin",
    ),
    "a subscription that writes": Case(
        """CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p
               WITH (connect = false, slot_name = NONE);
           INSERT INTO pg_catalog.pg_subscription_rel (srsubid, srrelid, srsubstate)
               SELECT oid, 'public.tags'::regclass, 'i' FROM pg_catalog.pg_subscription WHERE subname = 's'""",
        {("NF307", "server"): ("warning", 1)},
        role="admin",
        undo="DROP SUBSCRIPTION s",
    ),
    "an invalid index": Case(
        """CREATE INDEX half ON public.tags (image_id);
           UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'public.half'::regclass""",
        {("NF308", "server"): ("warning", 1)},
        role="admin",
    ),
    "names of ours that are taken": Case(
        TOUCH
        + """CREATE SCHEMA normalform;
           CREATE TRIGGER "!normalform_x" BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION touch()""",
        {("NF309", "server"): ("error", 2)},
    ),
}
