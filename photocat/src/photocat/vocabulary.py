"""A tenant's keywords with their paths, and what a request means that names one.

It decides how a name finds its keyword: by id, by name alone where one keyword has it, by name and category otherwise.
It must never guess among several, and never look at another tenant's keywords.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz, process
from sqlalchemy import CTE, Select, Table, Text, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from photocat.models import text as models
from photocat.models.shared import Base
from photocat.problems import Problem, not_found

SEPARATOR = "/"
NEAR = 5
_LIKENESS = 60.0
_CANDIDATES = 20

#: The columns of a keyword that are the same at both ends of the migration. Whoever is given a table of keywords
#: searches it by its `tenant_id` where that end has one: the index begins with it.
KEYWORDS = models.metadata.tables["keywords"]
CATEGORIES = Base.metadata.tables["keyword_categories"]


@dataclass(frozen=True)
class Known:
    """A keyword of a tenant.

    Attributes:
        id: its key.
        keyword: its name.
        category_id: where it stands.
        category: the path of that category.
        namesakes: keys of every keyword of the tenant with this name, this one's too.
        exact: no other keyword has both this name and this path.
    """

    id: int
    keyword: str
    category_id: int
    category: str
    namesakes: frozenset[int]
    exact: bool

    @property
    def alone(self) -> bool:
        """No other keyword of the tenant has this name."""
        return len(self.namesakes) == 1

    def shown(self) -> dict[str, Any]:
        """As responses carry it."""
        return {"keyword_id": self.id, "keyword": self.keyword, "category": self.category}


@dataclass(frozen=True)
class Asked:
    """How a request names a keyword: by id, or by name with or without its category's path."""

    keyword_id: int | None = None
    keyword: str | None = None
    category: str | None = None

    def __str__(self) -> str:
        """In words, for errors."""
        if self.keyword_id is not None:
            return f"keyword {self.keyword_id}"
        return f"{self.keyword!r}" + (f" in {self.category!r}" if self.category is not None else "")


def paths(tenant: str, name: str = "paths") -> CTE:
    """A tenant's categories: `id`, `path` and `depth` (the root's is 1); `name` as in `subtree`."""
    mine = CATEGORIES.c.tenant_id == tenant
    roots = select(CATEGORIES.c.id, cast(CATEGORIES.c.name, Text).label("path"), literal(1).label("depth"))
    tree = roots.where(mine, CATEGORIES.c.parent_id.is_(None)).cte(name, recursive=True)
    below = select(CATEGORIES.c.id, tree.c.path + SEPARATOR + CATEGORIES.c.name, tree.c.depth + 1)
    return tree.union_all(below.join(tree, CATEGORIES.c.parent_id == tree.c.id).where(mine))


def vocabulary(
    tenant: str, *names: Select[Any] | Sequence[str], name: str = "vocabulary", keywords: Table = KEYWORDS
) -> CTE:
    """A tenant's keywords: `id`, `keyword`, `category_id`, `path`, `alone` and `exact` as in `Known`.

    Args:
        tenant: whose.
        names: queries and lists of names; only the keywords of these, and what is said of namesakes holds all the same.
        name: of the CTE; a statement with several gives each its own.
        keywords: the table, as the end at hand has it.
    """
    tree = paths(tenant, f"{name}_paths")
    named = func.count().over(partition_by=keywords.c.keyword)
    placed = func.count().over(partition_by=(keywords.c.keyword, tree.c.path))
    query = select(
        keywords.c.id, keywords.c.keyword, keywords.c.category_id, tree.c.path,
        (named == 1).label("alone"), (placed == 1).label("exact"),
    ).join(tree, tree.c.id == keywords.c.category_id)  # fmt: skip
    if "tenant_id" in keywords.c:
        query = query.where(keywords.c.tenant_id == tenant)
    if names:
        query = query.where(or_(*(keywords.c.keyword.in_(some) for some in names)))
    return query.cte(name)


def subtree(tenant: str, category_ids: Collection[int], name: str = "subtree") -> CTE:
    """The ids of categories and of all below them; a statement with several gives each its name."""
    mine = CATEGORIES.c.tenant_id == tenant
    tree = select(CATEGORIES.c.id).where(mine, CATEGORIES.c.id.in_(category_ids)).cte(name, recursive=True)
    below = select(CATEGORIES.c.id).join(tree, CATEGORIES.c.parent_id == tree.c.id).where(mine)
    return tree.union(below)


def keywords_of(
    session: Session, tenant: str, keywords: Table, *, ids: Collection[int] = (), names: Collection[str] = ()
) -> list[Known]:
    """The keywords with these keys or names, and every namesake of theirs.

    Args:
        session: in which to ask.
        tenant: whose keywords.
        keywords: the table, as the end at hand has it.
        ids: keys.
        names: names.
    """
    if not ids and not names:
        return []
    by_id = select(keywords.c.keyword).where(keywords.c.id.in_(list(ids)))
    vocab = vocabulary(tenant, *([by_id] if ids else []), *([list(names)] if names else []), keywords=keywords)
    rows = session.execute(select(vocab).order_by(vocab.c.path, vocab.c.id)).all()
    namesakes: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        namesakes[row.keyword].add(row.id)
    return [
        Known(row.id, row.keyword, row.category_id, row.path, frozenset(namesakes[row.keyword]), row.exact)
        for row in rows
    ]


def find_keywords(session: Session, tenant: str, keywords: Table, asked: Iterable[Asked]) -> dict[Asked, Known]:
    """What each of several requests means, in one query.

    Args:
        session: in which to ask.
        tenant: whose keywords.
        keywords: the table, as the end at hand has it.
        asked: the requests.

    Raises:
        Problem: 409 with the candidates for a name that several keywords have; 422 with near names for an unknown
            one, or for an id that is none of this tenant's.
    """
    every = list(dict.fromkeys(asked))
    ids = {a.keyword_id for a in every if a.keyword_id is not None}
    names = {name for a in every if a.keyword is not None for name, _ in _readings(a)}
    known = keywords_of(session, tenant, keywords, ids=ids, names=names)
    by_id = {k.id: k for k in known}
    by_name: dict[str, list[Known]] = defaultdict(list)
    for k in known:
        by_name[k.keyword].append(k)
    found = {}
    for one in every:
        candidates = _candidates(one, by_id, by_name)
        if not candidates:
            raise _unknown(session, tenant, keywords, one)
        if len(candidates) > 1:
            shown = [k.shown() for k in candidates[:_CANDIDATES]]
            detail = f"{len(candidates)} keywords answer to {one}; name one by keyword_id, or with its category."
            raise Problem(409, "ambiguous-keyword", detail, candidates=shown)
        found[one] = candidates[0]
    return found


def keyword_by_id(session: Session, tenant: str, keywords: Table, keyword_id: int) -> Known:
    """One keyword; arguments as of `keywords_of`.

    Raises:
        Problem: 404 if the tenant has none with this key.
    """
    for known in keywords_of(session, tenant, keywords, ids=[keyword_id]):
        if known.id == keyword_id:
            return known
    raise not_found("keyword", keyword_id)


def _readings(asked: Asked) -> list[tuple[str, str | None]]:
    """The (name, path) pairs that a text can mean: a name may hold the separator, and a path may stand before it."""
    text = asked.keyword or ""
    if asked.category is not None:
        return [(text, asked.category)]
    parts = text.split(SEPARATOR)
    cuts = range(1, min(len(parts), 16))
    return [(text, None), *((SEPARATOR.join(parts[i:]), SEPARATOR.join(parts[:i])) for i in cuts)]


def _candidates(asked: Asked, by_id: Mapping[int, Known], by_name: Mapping[str, list[Known]]) -> list[Known]:
    if asked.keyword_id is not None:
        found = by_id.get(asked.keyword_id)
        # An id beside a name or a category must agree with them.
        agrees = found is not None and (
            asked.keyword in (None, found.keyword) and asked.category in (None, found.category)
        )
        return [found] if found is not None and agrees else []
    result: list[Known] = []
    for name, path in _readings(asked):
        result += [k for k in by_name.get(name, ()) if path is None or k.category == path]
    return result


def _unknown(session: Session, tenant: str, keywords: Table, asked: Asked) -> Problem:
    if asked.keyword is None:
        return Problem(422, "unknown-keyword", f"There is no {asked}.", near=[])
    vocab = vocabulary(tenant, keywords=keywords)
    query = select(vocab.c.id, vocab.c.keyword, vocab.c.path)
    # Of equally near ones the first goes first: no answer may hang on the order of rows in a table.
    rows = sorted(session.execute(query), key=lambda row: (row.keyword, row.path, row.id))
    texts = {row.id: row.keyword for row in rows}
    if asked.category is not None:
        texts = {row.id: f"{row.path}{SEPARATOR}{row.keyword}" for row in rows}
    wanted = asked.keyword if asked.category is None else f"{asked.category}{SEPARATOR}{asked.keyword}"
    hits = process.extract(wanted, texts, scorer=fuzz.ratio, processor=str.casefold, limit=NEAR, score_cutoff=_LIKENESS)
    by_id = {row.id: row for row in rows}
    near = [{"keyword_id": i, "keyword": by_id[i].keyword, "category": by_id[i].path} for _, _, i in hits]
    meant = f" Near: {', '.join(repr(n['keyword']) for n in near)}." if near else ""
    return Problem(422, "unknown-keyword", f"There is no keyword {asked}.{meant}", near=near)
