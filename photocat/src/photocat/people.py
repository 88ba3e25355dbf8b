"""A tenant's people, and whose a name or an alias is.

A name goes before an alias, and an alias that several have is nobody's. It must never look at another tenant's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz, process
from sqlalchemy import ColumnElement, Text, case, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session

from photocat.models.shared import Base
from photocat.problems import Problem, not_found

PEOPLE = Base.metadata.tables["people"]
_LIKENESS = 60.0
_NEAR = 5


@dataclass(frozen=True)
class KnownPerson:
    """A person of a tenant.

    Attributes:
        id: its key.
        name: its name.
        aliases: other names, as they are stored.
        texts: name and aliases that mean this person and nobody else.
    """

    id: int
    name: str
    aliases: tuple[str, ...]
    texts: frozenset[str]

    def shown(self) -> dict[str, Any]:
        """As errors and facets carry it."""
        return {"person_id": self.id, "person": self.name}


def aliases_in(stored: object) -> tuple[str, ...]:
    """The aliases of a row: a list of texts; anything else that legacy code may have stored is none."""
    return tuple(a for a in stored if isinstance(a, str)) if isinstance(stored, list) else ()


def people_named(session: Session, tenant: str, *, ids: Collection[int] = (), texts: Collection[str] = ()) -> Directory:
    """The people with these keys, names or aliases, and whoever shares a text with them; two queries at most."""
    rows = _rows(session, tenant, ids, texts)
    shared = {text for _, name, aliases in rows for text in (name, *aliases)} - set(texts)
    more = _rows(session, tenant, (), shared) if shared else []
    return Directory({row[0]: row for row in (*rows, *more)}.values())


def _rows(
    session: Session, tenant: str, ids: Collection[int], texts: Collection[str]
) -> list[tuple[int, str, tuple[str, ...]]]:
    if not ids and not texts:
        return []
    wanted: list[ColumnElement[bool]] = [PEOPLE.c.id.in_(list(ids))] if ids else []
    if texts:
        wanted += [PEOPLE.c.name.in_(list(texts)), _has_alias(texts)]
    query = select(PEOPLE.c.id, PEOPLE.c.name, PEOPLE.c.aliases).where(PEOPLE.c.tenant_id == tenant, or_(*wanted))
    return [(row.id, row.name or "", aliases_in(row.aliases)) for row in session.execute(query.order_by(PEOPLE.c.id))]


def _has_alias(texts: Collection[str]) -> ColumnElement[bool]:
    # `?|` on jsonb: true where any of the texts stands in the array. `json` itself has no such operator.
    stored = cast(cast(PEOPLE.c.aliases, Text), JSONB)
    any_of = stored.has_any(literal(sorted(texts), ARRAY(Text)))
    return case((func.json_typeof(PEOPLE.c.aliases) == "array", any_of), else_=False)


class Directory:
    """Some people, and whose a text is among them."""

    def __init__(self, rows: Iterable[tuple[int, str, Sequence[str]]]) -> None:
        every = list(rows)
        self.by_name: Mapping[str, int] = {name: key for key, name, _ in every}
        owners: dict[str, set[int]] = defaultdict(set)
        for key, _, aliases in every:
            for alias in aliases:
                if alias not in self.by_name:
                    owners[alias].add(key)
        self.owners: Mapping[str, set[int]] = owners
        self.people = {
            key: KnownPerson(
                key, name, tuple(aliases), frozenset({name, *(a for a in aliases if owners.get(a) == {key})})
            )
            for key, name, aliases in every
        }

    def means(self, text: str) -> list[KnownPerson]:
        """Whom a text can mean: one by name, else everybody with that alias."""
        if text in self.by_name:
            return [self.people[self.by_name[text]]]
        return [self.people[key] for key in sorted(self.owners.get(text, ()))]


def people_of_faces(
    session: Session, tenant: str, faces: Iterable[tuple[int | None, str | None]]
) -> dict[tuple[int | None, str | None], KnownPerson]:
    """Whose faces are, by key where they have one, else by the name they carry."""
    every = set(faces)
    ids = {key for key, _ in every if key is not None}
    texts = {text for key, text in every if key is None and text is not None}
    directory = people_named(session, tenant, ids=ids, texts=texts)
    found = {}
    for key, text in every:
        meant = [directory.people[key]] if key in directory.people else directory.means(text) if text else []
        if len(meant) == 1:
            found[key, text] = meant[0]
    return found


def person_by_id(session: Session, tenant: str, person_id: int) -> KnownPerson:
    """One person.

    Raises:
        Problem: 404 if the tenant has none with this key.
    """
    person = people_named(session, tenant, ids=[person_id]).people.get(person_id)
    if person is None:
        raise not_found("person", person_id)
    return person


def find_person(session: Session, tenant: str, *, person_id: int | None, name: str | None) -> KnownPerson:
    """What a request means that names a person by key, name or alias.

    Raises:
        Problem: 409 with the candidates for an alias that several have; 422 with near names for nobody's.
    """
    return find_people(session, tenant, [(person_id, name)])[person_id, name]


def find_people(
    session: Session, tenant: str, asked: Collection[tuple[int | None, str | None]]
) -> dict[tuple[int | None, str | None], KnownPerson]:
    """The same for several at once; see `find_person`."""
    ids = {key for key, _ in asked if key is not None}
    texts = {text for key, text in asked if key is None and text is not None}
    directory = people_named(session, tenant, ids=ids, texts=texts)
    found = {}
    for key, text in asked:
        if key is not None:
            person = directory.people.get(key)
            meant = [person] if person is not None and text in (None, person.name) else []
        else:
            meant = directory.means(text or "")
        if len(meant) > 1:
            shown = [p.shown() for p in meant]
            raise Problem(409, "ambiguous-person", f"{text!r} is an alias of {len(meant)} people.", candidates=shown)
        if not meant:
            raise _unknown(session, tenant, key, text)
        found[key, text] = meant[0]
    return found


def _unknown(session: Session, tenant: str, key: int | None, text: str | None) -> Problem:
    if text is None or key is not None:
        return Problem(422, "unknown-person", f"There is no person {key}.", near=[])
    query = select(PEOPLE.c.id, PEOPLE.c.name).where(PEOPLE.c.tenant_id == tenant)
    # Of equally near ones the first goes first: no answer may hang on the order of rows in a table.
    rows = sorted(session.execute(query), key=lambda row: (row.name or "", row.id))
    names = {row.id: row.name or "" for row in rows}
    hits = process.extract(text, names, scorer=fuzz.ratio, processor=str.casefold, limit=_NEAR, score_cutoff=_LIKENESS)
    near = [{"person_id": key, "person": names[key]} for _, _, key in hits]
    return Problem(422, "unknown-person", f"There is no person {text!r}.", near=near)
