"""How a text is laid out never changes what is found in it, and names in strings and comments are never names."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from normalform.reader.bodies import Function, Trigger, read_function
from normalform.reader.statement import read
from normalform.reader.tokens import FOLD, Token, tokens
from reading import WORLD, told

STATEMENTS = [
    "SELECT keyword FROM tags t WHERE t . category = 'a' AND id IN ($1,$2)",
    "INSERT INTO tags (id,keyword) VALUES ($1,$2) ON CONFLICT (keyword) DO UPDATE SET category = excluded.category",
    "WITH x AS (SELECT * FROM tags) SELECT x.keyword, o.category FROM x JOIN other o USING (id) ORDER BY o.keyword",
    "UPDATE other SET keyword = t.category FROM tags t WHERE t.id = other.id",
    "INSERT INTO plain SELECT t.* FROM tags AS t",
    "SELECT o.keyword FROM other o JOIN tags t ON t.id = o.id WHERE o.category = 'keyword of tags'",
    "COPY tags FROM STDIN",
]
BODIES = [
    "BEGIN NEW.keyword := lower(OLD.category); RETURN NEW; END",
    "DECLARE r record; BEGIN FOR r IN SELECT * FROM tags LOOP PERFORM r.keyword; END LOOP; END",
    "DECLARE keyword text; BEGIN SELECT o.keyword INTO keyword FROM other o; RETURN keyword; END",
    "BEGIN IF 1 = 1 THEN EXECUTE 'UPDATE tags SET keyword = 1'; END IF; END",
    "DECLARE k tags.keyword%TYPE; BEGIN RETURN QUERY SELECT * FROM tags; EXCEPTION WHEN OTHERS THEN NULL; END",
]
gaps = st.sampled_from([
    " ", "\n", "\t \r\n", "/* tags.keyword */", " -- keyword FROM tags\n", "/* a /* SELECT keyword */ b' \" */",
])  # fmt: skip
names = st.text(st.sampled_from("abAB_é\"; .$-/*'\n"), min_size=1, max_size=12)


def laid_out(data: st.DataObject, text: str) -> str:
    """The same tokens with other things between them, words in any case, plain names quoted here and there."""
    return "".join(data.draw(gaps) + spelt(data, token) for token in tokens(text)) + data.draw(gaps)


def spelt(data: st.DataObject, token: Token) -> str:
    if token.kind != "word":
        return token.text
    if token.value in ("keyword", "category", "tags", "other") and data.draw(st.booleans()):
        return f'"{token.value}"'
    return token.text.upper() if data.draw(st.booleans()) else token.text


@pytest.mark.slow
@given(st.data(), st.sampled_from(STATEMENTS))
def test_the_layout_of_a_statement_changes_nothing(data: st.DataObject, statement: str) -> None:
    written = laid_out(data, statement)
    assert told(read(written, WORLD)) == told(read(statement, WORLD)), written


@pytest.mark.slow
@given(st.data(), st.sampled_from(BODIES))
def test_the_layout_of_a_body_changes_nothing(data: st.DataObject, body: str) -> None:
    def found(text: str) -> str:
        on = (Trigger(("public", "tags")),)
        return told(read_function(Function("f()", "plpgsql", text, triggers=on), WORLD))

    written = laid_out(data, body)
    assert found(written) == found(body), written


@given(names, st.sampled_from(["'", "$q$", '"']))
def test_whatever_stands_in_quotes_is_one_token_that_means_itself(content: str, quote: str) -> None:
    assume("$q$" not in content)
    inside = content if quote == "$q$" else content.replace(quote, quote * 2)
    found = tokens(f"SELECT {quote}{inside}{quote} FROM tags")
    assert [t.text for t in found][:1] == ["SELECT"] and [t.text for t in found][2:] == ["FROM", "tags"]
    assert found[1].value == content
    assert (found[1].name is not None) == (quote == '"')


@pytest.mark.slow
@given(st.text(max_size=60))
def test_any_text_is_cut_into_tokens_without_loss(text: str) -> None:
    found = tokens(text)
    assert all(text[t.start : t.end] == t.text for t in found)
    assert [t.start for t in found] == sorted({t.start for t in found})
    assert all(t.line == 1 + text.count("\n", 0, t.start) for t in found)


@given(st.text(max_size=60))
def test_any_text_can_be_read_as_a_statement_or_a_body(text: str) -> None:
    read(f"SELECT keyword FROM tags {text}", WORLD)
    read_function(Function("f()", "plpgsql", f"DECLARE {text} BEGIN {text} tags keyword"), WORLD)
    read_function(Function("f()", "sql", f"SELECT keyword FROM tags; {text}"), WORLD)


@given(st.text(string.ascii_letters + "ÉÄÇ", max_size=9))
def test_words_fold_as_the_server_folds_them(word: str) -> None:
    assume(word)
    assert tokens(word)[0].value == word.translate(FOLD) == "".join(c.lower() if c.isascii() else c for c in word)
