"""A spec that is written is the spec that is read, whatever identifiers hold and whatever its comments say."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasty import LONG
from normalform.core.names import QName
from normalform.core.spec import LookupSpec, QualifierSpec, ReferenceSpec, ScopeSpec
from normalform.core.spec_file import parse
from normalform.core.spec_write import Notes, write

#: What PostgreSQL lets an identifier hold: anything but NUL, up to 63 bytes of UTF-8.
ANYTHING = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).map(
    lambda s: s.encode()[:63].decode(errors="ignore")
)
PLAIN = st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True)
AWKWARD = st.sampled_from(
    ['a"b', "it's", "FAA Code", "x;y", "a.b", "#", "=", "[t]", "a\nb", "\t", "\\", '"""', "'''", "\x7f", "\x85",
     " ", "id ", "été", "العربية", "漢字", "🐘", "\u2028", "true", "1", LONG, "x" * 63]
)  # fmt: skip
IDENTIFIER = st.one_of(PLAIN, AWKWARD, ANYTHING).filter(bool)
TABLE = st.builds(QName, st.one_of(st.just(""), IDENTIFIER), IDENTIFIER)
COLUMNS = st.lists(IDENTIFIER, min_size=1, max_size=3, unique=True).map(tuple)
SCOPE = st.one_of(
    st.none(),
    st.builds(lambda c: ScopeSpec(columns=c), COLUMNS),
    st.builds(
        lambda a, t, c, j: ScopeSpec(add=a, copy_table=t, copy_column=c, join=j),
        IDENTIFIER, TABLE, IDENTIFIER, IDENTIFIER,
    ),
)  # fmt: skip
QUALIFIER = st.one_of(
    st.none(),
    st.builds(lambda c: QualifierSpec(column=c), IDENTIFIER),
    st.builds(
        lambda t, c, j, p, s: QualifierSpec(path_table=t, path_column=c, join=j, parent=p, separator=s),
        TABLE, IDENTIFIER, IDENTIFIER, st.none() | IDENTIFIER, st.sampled_from(["/", " > ", "::", "\\", '"', "\t"]),
    ),
)  # fmt: skip
LOOKUP = st.builds(
    lambda n, t, k, x, a, s, q, u: LookupSpec(
        name=n, table=t, key=k, text=x, aliases=a, scope=s, qualifier=q, unique=u
    ),
    IDENTIFIER, TABLE, IDENTIFIER, IDENTIFIER, st.none() | IDENTIFIER, SCOPE, QUALIFIER, st.just(()) | COLUMNS,
)  # fmt: skip
CREATED = st.builds(
    lambda n, t, k, x, s, q, y: LookupSpec(
        name=n, table=t, key=k, text=x, create=True, key_type=y,
        scope=ScopeSpec(columns=s) if s else None, qualifier=QualifierSpec(column=q) if q else None,
    ),
    IDENTIFIER, TABLE, IDENTIFIER, IDENTIFIER, st.just(()) | COLUMNS, st.none() | IDENTIFIER,
    st.sampled_from(["bigint", "integer", "uuid"]),
)  # fmt: skip


@st.composite
def specs(draw: st.DrawFn) -> tuple[list[LookupSpec], list[ReferenceSpec]]:
    lookups = draw(st.lists(LOOKUP | CREATED, min_size=1, max_size=3, unique_by=lambda s: s.name))
    references = []
    for name in draw(st.lists(IDENTIFIER, min_size=1, max_size=5, unique=True)):
        lookup = draw(st.sampled_from(lookups))
        parts = 0 if lookup.scope is None else 1 if lookup.scope.add else len(lookup.scope.columns)
        references.append(
            ReferenceSpec(
                name=name,
                table=draw(TABLE),
                lookup=lookup.name,
                text=draw(IDENTIFIER),
                qualifier=draw(st.none() | IDENTIFIER) if lookup.qualifier is not None else None,
                scope=tuple(draw(st.lists(IDENTIFIER, min_size=parts, max_size=parts, unique=True))),
                add=draw(IDENTIFIER),
                required=draw(st.booleans()),
                keep_text=draw(st.booleans()),
                optional=draw(st.booleans()),
                on_unknown=draw(st.sampled_from(["defer", "create", "reject"])),
                app_triggers=draw(st.sampled_from(["fire", "skip"])),
            )
        )
    return lookups, references


@pytest.mark.slow
@given(specs())
def test_what_is_written_is_what_is_read(spec: tuple[list[LookupSpec], list[ReferenceSpec]]) -> None:
    lookups, references = spec
    read = parse(write(lookups, references))
    assert list(read.lookups) == lookups
    assert list(read.references) == references


@pytest.mark.slow
@given(specs(), st.lists(st.text(max_size=60), max_size=3))
def test_no_comment_changes_a_spec(spec: tuple[list[LookupSpec], list[ReferenceSpec]], lines: list[str]) -> None:
    lookups, references = spec
    notes = Notes(lines, {s.name: lines for s in lookups}, {s.name: lines for s in references})
    # What cannot be UTF-8 can be in no file; a server never sends it.
    encodable = all(not any("\ud800" <= c <= "\udfff" for c in line) for line in lines)
    text = write(lookups, references, notes)
    assert tomllib.loads(text) == tomllib.loads(write(lookups, references))
    assert not encodable or parse(text.encode().decode()).references == tuple(references)
