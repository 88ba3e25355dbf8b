"""Names, of any identifier that PostgreSQL can hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from normalform.core.names import QName, display, nearest, parse_table, shorten, split_name, unusable

ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
IDENTIFIERS = st.one_of(
    ANY.filter(lambda s: len(s.encode()) <= 63),
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_$]{0,40}", fullmatch=True),
    st.text('".ä \n;', min_size=1, max_size=8),
)


@given(st.lists(IDENTIFIERS, min_size=1, max_size=3))
def test_what_is_quoted_reads_back(parts: list[str]) -> None:
    assert split_name(".".join(display(p) for p in parts)) == tuple(parts)


@given(IDENTIFIERS, IDENTIFIERS)
def test_what_psycopg_quotes_reads_back(schema: str, name: str) -> None:
    assert parse_table(sql.Identifier(schema, name).as_string(None)) == QName(schema, name)


@given(st.sampled_from(["", "public", "photos"]), IDENTIFIERS)
def test_a_shown_table_reads_back(schema: str, name: str) -> None:
    read = parse_table(str(QName(schema, name)))
    assert read.name == name
    assert read.schema == ("" if schema in ("", "public") else schema)


@given(st.text())
def test_any_text_is_a_name_or_a_clean_error(text: str) -> None:
    try:
        parts = split_name(text)
    except ValueError:
        return
    assert all(unusable(part) is None for part in parts)


@given(ANY, st.sets(ANY, max_size=5))
def test_a_shortened_name_is_kept_whole_and_free(name: str, taken: set[str]) -> None:
    short = shorten(name, taken)
    assert unusable(short) is None
    assert short not in taken
    assert short == shorten(name, taken), "a resumed run finds the same name"
    if unusable(name) is None and name not in taken:
        assert short == name


@given(st.lists(ANY, max_size=8, unique=True))
def test_names_given_one_after_another_differ(names: list[str]) -> None:
    made: list[str] = []
    for name in [n + "x" * 60 for n in names] * 2:
        made.append(shorten(name, made))
    assert len(set(made)) == len(made)


@given(st.text(), st.lists(st.text()))
def test_the_nearest_is_one_that_exists(name: str, existing: list[str]) -> None:
    found = nearest(name, existing)
    assert found is None or found in existing
    if name in existing:
        assert found is not None
        assert found.lower() == name.lower()
