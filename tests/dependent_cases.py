"""What may depend on a text: one case for each kind, and the same kinds on a table of the same column names.

Shared by the tests of the audit. Every case runs beside the decoys, of which nothing may ever be found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Everything that the cases make, on a table that has columns keyword and category too, and is none of ours. Bodies say
#: tags and keyword in comments, strings and variables.
DECOYS = """
CREATE TABLE public.other (
    id serial PRIMARY KEY, tenant_id varchar(50), keyword varchar(100) DEFAULT 'none', category varchar(100),
    twice text GENERATED ALWAYS AS (keyword || keyword) STORED, tag_id integer REFERENCES public.tags,
    CONSTRAINT other_check CHECK (keyword <> ''), CONSTRAINT other_once UNIQUE (tenant_id, keyword));
CREATE TABLE public.other_inbound (
    tenant_id varchar(50), keyword varchar(100), FOREIGN KEY (tenant_id, keyword) REFERENCES public.other
    (tenant_id, keyword));
CREATE TABLE public.plain (id integer, word text);
CREATE INDEX other_lower ON public.other (lower(keyword)) WHERE keyword IS NOT NULL;
CREATE STATISTICS public.other_stats ON tenant_id, keyword FROM public.other;
CREATE VIEW public.other_view AS SELECT o.keyword, t.image_id FROM public.other o JOIN public.tags t ON t.id = o.tag_id;
CREATE VIEW public.tags_without AS SELECT id, image_id, 'keyword' AS keyword FROM public.tags;
CREATE MATERIALIZED VIEW public.other_mat AS SELECT keyword, count(*) AS n FROM public.other GROUP BY 1;
CREATE RULE other_rule AS ON UPDATE TO public.other WHERE new.keyword = 'x'
    DO ALSO INSERT INTO public.plain VALUES (1, 'x');
CREATE POLICY other_policy ON public.other USING (keyword <> 'hidden');
CREATE FUNCTION public.other_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.keyword := lower(NEW.keyword);                  -- tags.keyword
    INSERT INTO public.plain SELECT NEW.id, NEW.keyword;
    RETURN NEW;
END $$;
CREATE TRIGGER other_touch BEFORE UPDATE OF keyword ON public.other FOR EACH ROW WHEN (new.keyword IS NOT NULL)
    EXECUTE FUNCTION public.other_touch();
CREATE FUNCTION public.other_sql(text) RETURNS bigint LANGUAGE sql AS $$
    /* SELECT keyword FROM tags */ SELECT count(*) FROM public.other o JOIN public.tags t ON t.id = o.tag_id
    WHERE o.keyword = $1 AND EXISTS (SELECT 1 FROM public.other WHERE keyword = 'keyword of tags') $$;
CREATE FUNCTION public.other_standard(text) RETURNS bigint LANGUAGE sql
    BEGIN ATOMIC SELECT count(*) FROM public.other WHERE keyword = $1; END;
CREATE FUNCTION public.other_plpgsql(keyword text) RETURNS text LANGUAGE plpgsql AS $$
<<here>> DECLARE category text := 'tags.category'; n bigint; rec record; o public.other%ROWTYPE;
    word public.other.keyword%TYPE;
BEGIN
    SELECT count(*), max(t.image_id) INTO n FROM public.tags t WHERE t.tenant_id = other_plpgsql.keyword;
    FOR rec IN SELECT * FROM public.other LOOP word := rec.keyword; END LOOP;
    SELECT * INTO o FROM public.other; category := o.category || keyword; keyword := 'SELECT keyword FROM tags';
    UPDATE public.tags AS t SET image_id = 1 FROM public.other q WHERE q.keyword = word AND t.id = q.tag_id;
    EXECUTE 'UPDATE public.other SET keyword = $1' USING keyword;
    RAISE NOTICE 'no keyword in tags: %', keyword;
    RETURN keyword;
END $$;
CREATE PROCEDURE public.other_procedure() LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.other (keyword) VALUES ('tags'); DELETE FROM public.tags WHERE id IN
    (SELECT tag_id FROM public.other WHERE keyword = 'x'); END $$;
CREATE FUNCTION public.other_rows() RETURNS SETOF public.other LANGUAGE sql AS 'SELECT * FROM public.other';
"""


@dataclass(frozen=True)
class Dependent:
    """Something on ``public.tags`` and what an audit then finds.

    Args:
        script: makes it.
        finds: by (code, subject): severity, the phase before which it is to be settled, and for each offender a part
            of what is shown of it.
        role: who runs the script.
        undo: run afterwards as superuser, where dropping the database would fail otherwise.
        also: codes that other tests are about, and that this one gives as well.
    """

    script: str
    finds: dict[tuple[str, str], tuple[str, str, list[str]]]
    role: str = "owner"
    undo: str = ""
    also: set[str] = field(default_factory=set)


def function(name: str, body: str, *, returns: str = "void", language: str = "plpgsql", arguments: str = "") -> str:
    """Return the statement that makes a function with a string body."""
    return f"CREATE FUNCTION public.{name}({arguments}) RETURNS {returns} LANGUAGE {language} AS $f$ {body} $f$; "


def touches(*told: str) -> dict[tuple[str, str], tuple[str, str, list[str]]]:
    """A function that certainly reads or writes the text of tags."""
    return {("NF321", "tags"): ("error", "contract", list(told))}


def perhaps(*told: str) -> dict[tuple[str, str], tuple[str, str, list[str]]]:
    """A function that may."""
    return {("NF322", "tags"): ("warning", "contract", list(told))}


def trigger(name: str, events: str = "BEFORE INSERT", table: str = "tags", more: str = "FOR EACH ROW") -> str:
    """Return the statement that makes a trigger of the function of its name."""
    return f"CREATE TRIGGER {name} {events} ON public.{table} {more} EXECUTE FUNCTION public.{name}(); "


DEPENDENTS = {
    "an index": Dependent(
        "CREATE INDEX ix_tags_keyword ON tags (tenant_id, keyword)",
        {("NF310", "tags"): ("info", "", ["ix_tags_keyword_id (tenant_id, keyword_id)"])},
    ),
    "a unique constraint, a check and a partial index": Dependent(
        """ALTER TABLE tags ADD CONSTRAINT tags_once UNIQUE (image_id, keyword, id),
               ADD CONSTRAINT tags_named CHECK (keyword IS NOT NULL);
           CREATE INDEX tags_some ON tags (image_id) WHERE keyword IS NOT NULL""",
        {("NF310", "tags"): ("info", "", ["tags_named", "tags_once", "tags_some"])},
    ),
    "an index on an expression, a check on the words": Dependent(
        """CREATE INDEX tags_lower ON tags (lower(keyword));
           ALTER TABLE tags ADD CONSTRAINT tags_short CHECK (length(category) < 90)""",
        {("NF311", "tags"): ("error", "contract", ["tags_lower", "tags_short"])},
    ),
    "an inbound foreign key": Dependent(
        """ALTER TABLE tags ADD CONSTRAINT tags_once UNIQUE (id, keyword);
           CREATE TABLE pinned (tag integer, keyword varchar(100),
               CONSTRAINT pinned_tag FOREIGN KEY (tag, keyword) REFERENCES tags (id, keyword))""",
        {
            ("NF310", "tags"): ("info", "", ["tags_once"]),
            ("NF311", "tags"): ("error", "contract", ["pinned_tag"]),
        },
    ),
    "a view": Dependent(
        "CREATE VIEW shown AS SELECT id, upper(keyword) AS k FROM tags; CREATE VIEW above AS SELECT k FROM shown",
        {("NF312", "tags"): ("error", "contract", ["'public.shown', 'columns': ['keyword'], 'views_on_it': 1"])},
    ),
    "a materialized view": Dependent(
        "CREATE MATERIALIZED VIEW counted AS SELECT category, count(*) FROM tags GROUP BY 1",
        {("NF313", "tags"): ("error", "contract", ["counted"])},
    ),
    "rules": Dependent(
        """CREATE RULE here AS ON DELETE TO tags WHERE old.keyword = 'kept' DO INSTEAD NOTHING;
           CREATE RULE there AS ON INSERT TO plain DO ALSO UPDATE tags SET category = new.word WHERE id = new.id""",
        {("NF314", "tags"): ("error", "contract", ["here", "there"])},
    ),
    "policies": Dependent(
        """CREATE POLICY words ON tags USING (keyword <> 'hidden');
           CREATE POLICY elsewhere ON plain USING (word IN (SELECT category FROM tags))""",
        {("NF315", "tags"): ("error", "contract", ["elsewhere", "words"])},
    ),
    "triggers that name the text": Dependent(
        function("noted", "BEGIN RETURN NEW; END", returns="trigger")
        + """CREATE TRIGGER listed AFTER UPDATE OF category ON tags FOR EACH ROW EXECUTE FUNCTION noted();
             CREATE TRIGGER conditional AFTER INSERT ON tags FOR EACH ROW WHEN (new.keyword = 'x')
                 EXECUTE FUNCTION noted();
             CREATE TRIGGER neither AFTER UPDATE OF image_id ON tags FOR EACH ROW EXECUTE FUNCTION noted()""",
        {("NF316", "tags"): ("error", "contract", ["conditional", "listed"])},
    ),
    "a generated column": Dependent(
        "ALTER TABLE tags ADD slug text GENERATED ALWAYS AS (lower(keyword)) STORED",
        {("NF317", "tags"): ("error", "contract", ["slug"])},
    ),
    "a publication of columns, and one of rows": Dependent(
        """CREATE PUBLICATION words FOR TABLE tags (id, keyword);
           CREATE PUBLICATION others FOR TABLE tags WHERE (category = 'x') WITH (publish = 'insert');
           CREATE PUBLICATION without FOR TABLE tags (id, image_id)""",
        {("NF318", "tags"): ("error", "contract", ["others", "words"])},
        also={"NF304"},
    ),
    "extended statistics": Dependent(
        "CREATE STATISTICS tags_stats ON tenant_id, keyword FROM tags; CREATE STATISTICS no ON id, image_id FROM tags",
        {("NF319", "tags"): ("info", "", ["tags_stats"])},
    ),
    "a default": Dependent(
        "ALTER TABLE tags ALTER keyword SET DEFAULT 'tree', ALTER image_id SET DEFAULT 1",
        {("NF320", "tags"): ("warning", "contract", ["'tree'"])},
    ),
    "a function with an SQL-standard body": Dependent(
        """CREATE FUNCTION how_many(text) RETURNS bigint LANGUAGE sql
               BEGIN ATOMIC SELECT count(*) FROM tags WHERE keyword = $1; END;
           CREATE FUNCTION best(integer) RETURNS text LANGUAGE sql
               RETURN (SELECT max(category) FROM tags t WHERE t.image_id = $1)""",
        touches("best(integer)", "how_many(text)"),
    ),
    "a function with a string of SQL": Dependent(
        function("words", "SELECT 1; SELECT keyword FROM tags WHERE id = $1", returns="SETOF text", language="sql",
                 arguments="integer"),
        touches("words(integer)', 'language': 'sql', 'uses': 'reads keyword (line 1)"),
    ),
    "a function in PL/pgSQL, by an alias": Dependent(
        function("plain_reader", "DECLARE n bigint;\nBEGIN\n  SELECT count(*) INTO n FROM public.tags AS x\n"
                 "  WHERE x.\"keyword\" = 'a';\nEND"),
        touches("reads keyword (line 4)"),
    ),
    "a procedure that writes": Dependent(
        "CREATE PROCEDURE renames(a text, b text) LANGUAGE plpgsql AS "
        "'BEGIN UPDATE tags SET keyword = b WHERE keyword = a; COMMIT; END'",
        touches("reads keyword (line 1), writes keyword (line 1)"),
    ),
    "a trigger function that names NEW.keyword": Dependent(
        function("lowers", "BEGIN NEW.keyword := lower(NEW.keyword); RETURN NEW; END", returns="trigger")
        + trigger("lowers") + "CREATE TRIGGER lowers BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION lowers()",
        touches("lowers()"),
    ),
    "a trigger function with transition tables": Dependent(
        function("counts", "BEGIN PERFORM count(*) FROM arrived WHERE category IS NULL; RETURN NULL; END",
                 returns="trigger")
        + trigger("counts", "AFTER INSERT", more="REFERENCING NEW TABLE AS arrived"),
        touches("reads category"),
    ),
    "types that are the text's": Dependent(
        function("typed", "DECLARE k tags.keyword%TYPE; BEGIN NULL; END")
        + function("rowed", "DECLARE r public.tags%ROWTYPE; BEGIN r.category := 'x'; END")
        + function("taken", "SELECT ($1).keyword", returns="text", language="sql", arguments="tags"),
        touches("rowed()", "taken(public.tags)", "%TYPE"),
    ),
    "row variables": Dependent(
        function("looped", "DECLARE r record; BEGIN FOR r IN SELECT * FROM tags LOOP PERFORM upper(r.keyword);"
                 " END LOOP; END")
        + function("fetched", "DECLARE c CURSOR FOR SELECT * FROM tags; r record; BEGIN OPEN c; FETCH c INTO r; "
                   "RAISE NOTICE 'x %', r.category; END"),
        touches("fetched()", "looped()"),
    ),
    "rows that a function returns": Dependent(
        function("gives", "SELECT * FROM tags", returns="SETOF tags", language="sql")
        + function("takes", "BEGIN RETURN (SELECT max(keyword) FROM gives()); END", returns="text"),
        touches("takes()"),
    ),
    "an upsert on the text": Dependent(
        """ALTER TABLE tags ADD CONSTRAINT tags_once UNIQUE (image_id, keyword, id);"""
        + function("upserts", "INSERT INTO tags (image_id) VALUES (1) ON CONFLICT ON CONSTRAINT tags_once DO NOTHING",
                   language="sql"),
        {**touches("ON CONSTRAINT tags_once"), ("NF310", "tags"): ("info", "", ["tags_once"])},
    ),
    "an insert without a list of columns": Dependent(
        function("fills", "BEGIN INSERT INTO tags VALUES (1, 2, 't', 'tree', NULL); END"),
        touches("by position (INSERT without a list of columns"),
    ),
    "SQL in a constant string": Dependent(
        function("constant", "BEGIN EXECUTE 'DELETE FROM public.tags WHERE keyword = $1' USING 'x'; END"),
        touches("reads keyword"),
    ),
    "SQL put together at run time": Dependent(
        function("dynamic", "BEGIN EXECUTE format('UPDATE %I SET keyword = upper(keyword)', $1); END",
                 arguments="text")
        + function("gathered", "DECLARE q text := 'SELECT count(*)'; BEGIN q := q || ' FROM tags WHERE category'; "
                   "EXECUTE q || ' = 1'; END"),
        # Whose keyword the first one means depends on what it is given.
        {**perhaps("dynamic(text)", "gathered()"), ("NF322", "models"): ("warning", "contract", ["dynamic(text)"])},
    ),
    "SQL put together at run time from nothing that says a name": Dependent(
        function("anything", "BEGIN EXECUTE format('ANALYZE %s', $1); END", arguments="regclass"),
        {("NF329", "server"): ("info", "", ["anything(regclass)"])},
    ),
    "a key of a row as JSON": Dependent(
        function("audits", "BEGIN IF to_jsonb(NEW) ->> 'keyword' = 'x' THEN RETURN NULL; END IF; RETURN NEW; END",
                 returns="trigger") + trigger("audits"),
        {**perhaps("a key of the row as JSON"), ("NF324", "tags"): ("info", "", ["audits()"])},
    ),
    "a bare table's name that another search path would find": Dependent(
        "CREATE SCHEMA app; " + function("ours", "BEGIN PERFORM keyword FROM tags; END").replace(
            "LANGUAGE plpgsql", "LANGUAGE plpgsql SET search_path = app"),
        perhaps("ours()"),
    ),
    "a statement that cannot be parsed": Dependent(
        # An alias of the joined columns, which sqlglot does not know.
        function(
            "strange", "BEGIN PERFORM 1 FROM tags JOIN plain USING (id) AS j WHERE keyword = 'a'; END"
        ),
        perhaps("strange()"),
    ),
    "functions that fail when a column comes": Dependent(
        function("returns", "BEGIN RETURN QUERY SELECT * FROM tags; END",
                 returns="TABLE (a integer, b integer, c varchar, d varchar, e varchar)")
        + function("mirrors", "BEGIN INSERT INTO plain SELECT OLD.*; RETURN OLD; END", returns="trigger")
        + trigger("mirrors", "AFTER DELETE")
        + function("scoped", "SELECT * FROM keywords", language="sql",
                   returns="TABLE (a integer, b integer, c varchar)"),
        {
            ("NF323", "tags"): ("warning", "expand", ["mirrors()", "returns()"]),
            ("NF323", "keywords"): ("warning", "expand", ["scoped()"]),
        },
    ),
    "whole rows": Dependent(
        function("logs", "BEGIN PERFORM pg_notify('x', to_jsonb(NEW)::text); RETURN NEW; END", returns="trigger")
        + trigger("logs", "AFTER INSERT")
        + "CREATE VIEW as_json AS SELECT t.id, row_to_json(t.*) AS j FROM tags t",
        {("NF324", "tags"): ("info", "", ["as_json", "logs()"])},
    ),
    "widening": Dependent(
        """ALTER TABLE keywords ALTER keyword TYPE varchar(200);
           CREATE VIEW models_shown AS SELECT keyword FROM models; CREATE VIEW keywords_shown AS SELECT keyword
           FROM keywords""",
        {
            ("NF312", "models"): ("error", "contract", ["models_shown"]),
            ("NF328", "models"): ("error", "", ["models_shown"]),
        },
        also={"NF210"},
    ),
}  # fmt: skip
