"""Whether two names speak of the same thing: ``person_name`` and ``people``, ``homeCity`` and ``cities.name``.

Decides by the words that a name is made of, in the singular, without words that say nothing (``name``, ``code``).
Evidence for a guess and never a proof: values decide.
"""

from __future__ import annotations

import difflib
import re

#: Words that do not tell what a column is about.
GENERIC = frozenset(
    [
        "name",
        "names",
        "text",
        "title",
        "label",
        "value",
        "val",
        "code",
        "key",
        "string",
        "str",
        "id",
        "nr",
        "no",
        "number",
        "desc",
        "descr",
        "description",
        "type",
        "kind",
        "full",
        "short",
        "display",
        "slug",
        "ref",
        "tbl",
        "table",
        "lookup",
        "list",
        "dim",
    ]
)
_IRREGULAR = {
    "people": "person", "persons": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "feet": "foot", "teeth": "tooth", "geese": "goose", "indices": "index", "matrices": "matrix",
    "vertices": "vertex", "criteria": "criterion", "phenomena": "phenomenon", "data": "datum", "media": "medium",
    "statuses": "status", "status": "status", "buses": "bus", "series": "series", "species": "species",
    "news": "news", "lenses": "lens", "lens": "lens", "gas": "gas", "address": "address", "analyses": "analysis",
    "analysis": "analysis", "movies": "movie", "cookies": "cookie", "aliases": "alias", "alias": "alias",
}  # fmt: skip
_SIMILAR = 0.85


def singular(word: str) -> str:
    """Return an English plural's singular, in lower case; any other word as it is."""
    low = word.lower()
    if low in _IRREGULAR:
        return _IRREGULAR[low]
    if len(low) > 4 and low.endswith("ies"):
        return low[:-3] + "y"
    if len(low) > 4 and low.endswith(("sses", "xes", "ches", "shes")):
        return low[:-2]
    if len(low) > 3 and low.endswith("s") and not low.endswith(("ss", "us", "is")):
        return low[:-1]
    return low


def plural(word: str) -> str:
    """Return an English noun's plural; of what is none, a name that says as much."""
    if not re.fullmatch(r"[a-z0-9_]*[a-z]", word):
        return f"{word}_values"
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("ss", "x", "ch", "sh")) else "" if word.endswith("s") else "s")


def words(name: str) -> list[str]:
    """Split an identifier into its words, in the singular: ``"FAA Codes"``, ``faa_codes``, ``faaCodes``."""
    return [singular(w) for w in spelled(name)]


def spelled(name: str) -> list[str]:
    """Split an identifier into its words as they are, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [w.lower() for w in re.findall(r"[^\W_]+", spaced)]


def meaning(name: str) -> list[str]:
    """Return the words of an identifier that tell what it is about."""
    return [w for w in words(name) if w not in GENERIC]


def alike(column: str, table: str, text: str) -> bool:
    """Tell whether a column's name speaks of what a lookup holds.

    Args:
        column: the column that may repeat the lookup's text.
        table: the lookup's table; its last meaningful word counts, as in ``keyword_categories``.
        text: the lookup's text column.
    """
    mine, theirs = meaning(column), set(meaning(table)[-1:]) | set(meaning(text))
    return any(_same(a, b) for a in mine for b in theirs)


def _same(a: str, b: str) -> bool:
    if a == b:
        return True
    return min(len(a), len(b)) >= 4 and difflib.SequenceMatcher(None, a, b).ratio() >= _SIMILAR


def noun(table: str) -> str:
    """Return what one row of a table is called: ``keywords`` gives ``keyword``, ``tbl_People`` ``person``."""
    kept = meaning(table) or words(table)
    return "_".join(kept) or table
