"""Does this function touch that column? A table of bodies, each with everything that is found in it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from normalform.reader.bodies import Argument, Function, Trigger, read_function
from normalform.reader.world import Kind, Reading
from reading import WORLD, told

ON_TAGS, ON_OTHER = Trigger(("public", "tags")), Trigger(("public", "other"))
NOTHING = ""


@dataclass(frozen=True)
class Body:
    """A body in PL/pgSQL unless it says otherwise, and what is found in it."""

    text: str
    found: str
    language: str = "plpgsql"
    arguments: tuple[Argument, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    returns: tuple[str, str] | None = None
    nothing: bool = False
    opaque: tuple[int, ...] = ()


def trigger(text: str, found: str, *on: Trigger) -> Body:
    return Body(text, found, triggers=on or (ON_TAGS,), nothing=True)


def sql(text: str, found: str, *arguments: Argument, returns: tuple[str, str] | None = None) -> Body:
    return Body(text, found, language="sql", arguments=arguments, returns=returns)


BODIES = {
    # Rows of triggers.
    "NEW of ours": trigger("BEGIN NEW.keyword := lower(OLD.category); RETURN NEW; END", "r category, w keyword"),
    "NEW of another's": trigger("BEGIN NEW.keyword := lower(NEW.keyword); RETURN NEW; END", NOTHING, ON_OTHER),
    "NEW of both": trigger("BEGIN NEW.keyword := 'x'; RETURN NEW; END", "w keyword", ON_OTHER, ON_TAGS),
    "NEW of nobody": Body("BEGIN NEW.keyword := 'x'; RETURN NEW; END", NOTHING),
    "a row handed back": trigger("BEGIN IF NEW.id > 1 THEN RETURN NULL; END IF; RETURN NEW; END", NOTHING),
    "a row handed on": trigger("BEGIN PERFORM log(NEW); RETURN NEW; END", "row"),
    "a row spread out": trigger("BEGIN INSERT INTO plain SELECT NEW.*; INSERT INTO plain VALUES (OLD.*); "
                                "RETURN NEW; END", "breaks"),
    "a row compared": trigger("BEGIN IF NEW IS DISTINCT FROM OLD THEN NULL; END IF; RETURN NEW; END", "row"),
    "a key of its JSON": trigger("BEGIN IF to_jsonb(NEW)->>'keyword' = 'x' THEN NULL; END IF; END", "r keyword?, row"),
    "another key of its JSON": trigger("BEGIN IF to_jsonb(NEW)->>'id' = 'x' THEN NULL; END IF; END", "row"),
    "transition tables": trigger("BEGIN PERFORM 1 FROM new_rows n WHERE n.keyword = 'x'; RETURN NULL; END", "r keyword",
                                 Trigger(("public", "tags"), ("new_rows",))),
    "another's transition tables": trigger("BEGIN PERFORM 1 FROM new_rows n WHERE n.keyword = 'x'; RETURN NULL; END",
                                           NOTHING, Trigger(("public", "other"), ("new_rows",))),
    "TG_OP by cases": trigger(
        "BEGIN CASE TG_OP WHEN 'INSERT' THEN NULL; WHEN 'UPDATE' THEN IF NEW.keyword = 'x' THEN NULL; END IF; "
        "ELSE RETURN OLD; END CASE; RETURN NEW; END", "r keyword"),
    # Declarations.
    "%TYPE": Body("DECLARE a public.tags.keyword%TYPE; b tags.id%TYPE; BEGIN END", "r keyword"),
    "%TYPE of another's": Body("DECLARE a other.keyword%TYPE; b app.tags.keyword%TYPE; BEGIN END", NOTHING),
    "%TYPE of a variable": Body("DECLARE keyword text; b keyword%TYPE; BEGIN END", NOTHING),
    "%ROWTYPE": Body("DECLARE r tags%ROWTYPE; BEGIN r.id := 1; r.category := 'x'; END", "w category"),
    "%ROWTYPE of another's": Body("DECLARE r other%ROWTYPE; BEGIN r.keyword := 'x'; END", NOTHING),
    "a row type": Body("DECLARE r public.tags; BEGIN PERFORM r.keyword; END", "r keyword"),
    "a default": Body("DECLARE n bigint := (SELECT count(keyword) FROM tags); BEGIN END", "r keyword"),
    "quoted names": Body('DECLARE r "Air Traffic"."Fli;ghts"%ROWTYPE; BEGIN PERFORM r."Ge""n;re"; END',
                         'r Ge"n;re of Fli;ghts'),
    "an alias for an argument": Body("DECLARE t ALIAS FOR $1; BEGIN PERFORM t.keyword; END", "r keyword",
                                     arguments=(Argument("", ("public", "tags")),)),
    # Variables named like the column.
    "a local variable": Body("DECLARE keyword text := 'a'; BEGIN keyword := upper(keyword); RETURN keyword; END",
                             NOTHING),
    "a local variable beside the table": Body(
        "DECLARE keyword text; BEGIN SELECT count(*) INTO keyword FROM tags WHERE id = 1; RAISE NOTICE '%', keyword; "
        "UPDATE tags SET image_id = 1 WHERE tenant_id = f.keyword; END", NOTHING),
    "an argument": Body("BEGIN PERFORM 1 FROM other o WHERE o.keyword = keyword; RETURN keyword; END", NOTHING,
                        arguments=(Argument("keyword"),)),
    "a variable that the server would refuse beside the column": Body(
        "DECLARE keyword text; BEGIN UPDATE tags SET id = 1 WHERE tenant_id = keyword; END", "r keyword?"),
    "use_variable": Body("#variable_conflict use_variable\nDECLARE keyword text; BEGIN UPDATE tags SET id = 1 "
                         "WHERE tenant_id = keyword; END", NOTHING),
    "use_column": Body("#variable_conflict use_column\nDECLARE keyword text; BEGIN UPDATE tags SET id = 1 "
                       "WHERE tenant_id = keyword; END", "r keyword"),
    "a loop's variable": Body("BEGIN FOR keyword IN 1..3 LOOP PERFORM id FROM images WHERE id = keyword; END LOOP; END",
                              NOTHING),
    # Strings, comments, messages.
    "strings and comments": Body("BEGIN -- SELECT keyword FROM tags\n/* tags.keyword */ RAISE NOTICE 'tags %', "
                                 "'keyword'; PERFORM $x$ SELECT keyword FROM tags $x$; END", NOTHING),
    "a message's values": Body("BEGIN RAISE EXCEPTION 'x % %', 1, (SELECT max(keyword) FROM tags) "
                               "USING HINT = 'tags.category'; END", "r keyword"),
    "a message's option": trigger("BEGIN RAISE EXCEPTION USING MESSAGE = 'x' || NEW.category; END", "r category"),
    # Statements where they may stand.
    "if, elsif, while, exit": Body(
        "BEGIN IF EXISTS (SELECT 1 FROM tags WHERE keyword = 'x') THEN NULL; ELSIF 1 = (SELECT 1 FROM tags WHERE "
        "category = 'x') THEN NULL; ELSE NULL; END IF; END", "r category, r keyword"),
    "exit when": Body("BEGIN LOOP EXIT WHEN (SELECT max(keyword) FROM tags) IS NULL; END LOOP; END", "r keyword"),
    "while": Body("BEGIN WHILE EXISTS (SELECT FROM tags WHERE keyword = '') LOOP NULL; END LOOP; END", "r keyword"),
    "a range": Body("BEGIN FOR i IN REVERSE 1..(SELECT count(keyword) FROM tags) BY 2 LOOP NULL; END LOOP; END",
                    "r keyword"),
    "foreach": Body("BEGIN FOREACH x SLICE 1 IN ARRAY (SELECT array_agg(keyword) FROM tags) LOOP NULL; END LOOP; END",
                    "r keyword"),
    "return": Body("BEGIN RETURN (SELECT max(keyword) FROM tags); END", "r keyword"),
    "return next": Body("BEGIN RETURN NEXT (SELECT max(keyword) FROM tags); RETURN; END", "r keyword"),
    "an assertion": Body("BEGIN ASSERT (SELECT count(keyword) FROM tags) > 0, 'none'; END", "r keyword"),
    "a call": Body("BEGIN CALL p((SELECT max(keyword) FROM tags)); COMMIT; END", "r keyword"),
    "an assignment with =": Body("DECLARE n text; BEGIN n = (SELECT max(keyword) FROM tags); END", "r keyword"),
    "an element": Body("DECLARE a text[]; BEGIN a[1] := (SELECT max(keyword) FROM tags); END", "r keyword"),
    "handlers": Body("BEGIN NULL; EXCEPTION WHEN unique_violation OR SQLSTATE '22012' THEN DELETE FROM tags "
                     "WHERE keyword = 'x'; WHEN OTHERS THEN GET STACKED DIAGNOSTICS x = MESSAGE_TEXT; END",
                     "r keyword"),
    "labels and blocks": Body("<<a>> DECLARE x int; BEGIN <<b>> BEGIN UPDATE tags SET category = 'x'; END b; END a;",
                              "w category"),
    "into, anywhere": Body("DECLARE a text; b int; BEGIN SELECT keyword INTO STRICT a FROM tags WHERE id = 1; "
                           "INSERT INTO tags (id) VALUES (1) RETURNING id INTO b; SELECT 1 FROM other INTO b; END",
                           "r keyword"),
    "scalars by position": Body("DECLARE a int; b int; BEGIN SELECT * INTO a, b FROM tags; END", "position"),
    "do not read on": Body("BEGIN ANALYZE tags; TRUNCATE other; LOCK TABLE tags IN SHARE MODE; NULL; END", NOTHING),
    # Row variables.
    "a record from a loop": Body("DECLARE r record; BEGIN FOR r IN SELECT * FROM tags LOOP PERFORM r.keyword; END LOOP;"
                                 " END", "r keyword"),
    "a record of another's": Body("DECLARE r record; BEGIN FOR r IN SELECT * FROM other LOOP PERFORM r.keyword; "
                                  "END LOOP; END", NOTHING),
    "a record of what is computed": Body("DECLARE r record; BEGIN SELECT t.id, 'x' AS keyword INTO r FROM tags t; "
                                         "PERFORM r.keyword; END", NOTHING),
    "a record, used above": Body("DECLARE r record; BEGIN LOOP PERFORM r.keyword; SELECT * INTO r FROM tags; END LOOP;"
                                 " END", "r keyword"),
    "a cursor": Body("DECLARE c CURSOR FOR SELECT * FROM tags; r record; BEGIN OPEN c; FETCH c INTO r; "
                     "RETURN r.keyword; END", "r keyword"),
    "a cursor's loop": Body("DECLARE c CURSOR (n int) FOR SELECT * FROM tags WHERE id > n; BEGIN FOR r IN c(1) LOOP "
                            "PERFORM r.keyword; END LOOP; END", "r keyword"),
    "a cursor opened for a query": Body("DECLARE c refcursor; BEGIN OPEN c FOR SELECT keyword FROM tags; RETURN c; END",
                                        "r keyword"),
    # What is returned.
    "all columns into a fixed list": Body("BEGIN RETURN QUERY SELECT * FROM tags; END", "breaks"),
    "all columns into the row type": Body("BEGIN RETURN QUERY SELECT * FROM tags; END", NOTHING,
                                          returns=("public", "tags")),
    # Dynamic SQL.
    "a constant": Body("BEGIN EXECUTE 'UPDATE tags SET keyword = $1' USING 'x'; END", "w keyword"),
    "a constant of another's": Body("BEGIN EXECUTE 'UPDATE other SET keyword = $1' USING 'x'; END", NOTHING),
    "a constant's row": Body("DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT * FROM tags' LOOP PERFORM r.keyword; "
                             "END LOOP; END", "r keyword"),
    "its arguments": Body("BEGIN EXECUTE 'SELECT $1' USING (SELECT max(keyword) FROM tags); END", "r keyword"),
    "parts that name it": Body("BEGIN EXECUTE 'UPDATE ' || x || ' SET a = 1 FROM tags t WHERE t.keyword = 1'; END",
                               "u keyword?"),
    "parts that name the table": Body("BEGIN EXECUTE format('SELECT %I FROM tags', c); END", "u constraint?"),
    "parts in a variable": Body("DECLARE q text := 'DELETE FROM tags '; BEGIN q := q || 'WHERE keyword = 1'; "
                                "EXECUTE q; END", "u keyword?"),
    "parts that name another's": Body("BEGIN EXECUTE format('UPDATE other SET x = %L', 'y'); END", NOTHING,
                                      opaque=(1,)),
    "a string that is not run": Body("DECLARE q text := 'DELETE FROM tags WHERE keyword'; z text; BEGIN z := 'a' || q; "
                                     "EXECUTE format('ANALYZE %s', x); END", NOTHING, opaque=(1,)),
    # SQL bodies.
    "sql": sql("SELECT keyword FROM tags WHERE id = $1", "r keyword", Argument("")),
    "sql, several": sql("INSERT INTO tags (id) VALUES ($1); SELECT keyword FROM other;", NOTHING, Argument("")),
    "sql, an argument of the column's name": sql("SELECT id FROM tags WHERE keyword = 'x'", "r keyword",
                                                 Argument("keyword")),
    "sql, an argument beside another's": sql("SELECT image_id FROM tags t JOIN plain USING (id) WHERE t.id = $1 "
                                             "AND word = f.keyword", NOTHING, Argument("keyword")),
    "sql, a row's field": sql("SELECT ($1).keyword || t.category || (t).id", "r category, r keyword",
                              Argument("t", ("public", "tags"))),
    "sql, OUT arguments have no number": sql("SELECT $1.keyword", "r keyword", Argument("o", None, given=False),
                                             Argument("t", ("public", "tags"))),
    "sql, standard": sql("BEGIN ATOMIC\n SELECT keyword FROM other;\n DELETE FROM tags\n WHERE keyword = 'a';\nEND",
                         "r keyword"),
    "sql, a standard expression": sql("RETURN (SELECT max(tags.keyword) FROM tags)", "r keyword"),
    "sql, all columns into a fixed list": sql("SELECT * FROM tags", "breaks"),
    "sql, all columns into the row type": sql("SELECT * FROM tags", NOTHING, returns=("public", "tags")),
    "sql, all columns, but not at the end": sql("SELECT * FROM tags; SELECT 1", NOTHING),
    # Other languages.
    "another language": Body("plpy.execute('select keyword from tags')", "u keyword?", language="plpython3u"),
    "another language, another's": Body("plpy.execute('select keyword from other')", NOTHING, language="plpython3u"),
    "another language's trigger": Body("TD['new']['keyword'] = 'x'", "u keyword?", "plpython3u", triggers=(ON_TAGS,)),
    "a compiled one": Body("tags_keyword", NOTHING, language="c"),
}  # fmt: skip


def reading(body: Body, path: tuple[str, ...] | None = None) -> Reading:
    return read_function(
        Function("f()", body.language, body.text, body.arguments, body.returns, body.nothing, body.triggers, path),
        WORLD,
    )


@pytest.mark.parametrize("name", BODIES)
def test_a_body(name: str) -> None:
    body = BODIES[name]
    found = reading(body)
    assert told(found) == body.found
    assert tuple(found.opaque) == body.opaque
    assert found.unread == []


def test_a_function_s_own_search_path_counts() -> None:
    body = Body("BEGIN PERFORM keyword FROM tags; END", "")
    assert told(reading(body, ("app",))) == ""
    assert told(reading(body, ("public",))) == "r keyword"
    assert told(reading(body, ("nowhere",))) == "r keyword?"


def test_lines_are_the_body_s() -> None:
    text = (
        "DECLARE\n  r record;\nBEGIN\n  FOR r IN\n    SELECT *\n    FROM tags LOOP\n    PERFORM 1,\n      r.keyword;\n"
    )
    found = reading(Body(text + "  END LOOP;\n  EXECUTE 'SELECT category\n FROM tags';\nEND", ""))
    assert [(u.column, u.line) for u in found.of(Kind.READS)] == [("category", 10), ("keyword", 8)]


def test_what_cannot_be_parsed_is_uncertain_and_counted() -> None:
    found = reading(Body("BEGIN\nPERFORM 1 FROM tags JOIN plain USING (id) AS j WHERE keyword = 'a';\nEND", ""))
    assert (told(found), found.unread) == ("u keyword?", [2])
    assert found.may_touch and not found.touches
