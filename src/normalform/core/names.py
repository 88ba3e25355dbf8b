"""Names of tables as written in SQL: parsing, and the closest existing name for an error's text.

Decides how a name in a spec is read (folding to lower case unless quoted). Never quotes for execution:
that is the work of ``psycopg.sql``.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass

# One part of a name: a quoted identifier ("" stands for a quote inside it) or a bare one.
_PART = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<bare>[^\s".]+))\s*(?P<dot>\.|\Z)')
_MAX_BYTES = 63  # NAMEDATALEN - 1
# The server folds ASCII alone (in UTF-8 and every other multi-byte encoding): É stays É.
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, order=True)
class QName:
    """A schema-qualified name. ``schema`` is empty while the search path has yet to be asked."""

    schema: str
    name: str

    def __str__(self) -> str:
        """The name as a person writes it: quoted only where SQL would need it, without schema ``public``."""
        parts = [self.name] if self.schema in ("", "public") else [self.schema, self.name]
        return ".".join(display(part) for part in parts)


def display(identifier: str) -> str:
    """Return the identifier for people: quoted when it is not a plain lower-case word."""
    if re.fullmatch(r"[a-z_][a-z0-9_$]*", identifier):
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


def unusable(identifier: str) -> str | None:
    """Say why the server could not have an object of exactly this name; None when it could.

    A longer name would be cut in silence, and what was made would not be found again.
    """
    if not identifier:
        return "is empty"
    if "\0" in identifier:
        return "holds a NUL character"
    size = len(identifier.encode())
    return f"is {size} bytes long; PostgreSQL keeps {_MAX_BYTES}" if size > _MAX_BYTES else None


def split_name(text: str) -> tuple[str, ...]:
    """Split a dotted SQL name into its parts, folding bare parts to lower case.

    Args:
        text: a name such as ``photos.tags`` or ``"Air Traffic"."Flights"``.

    Raises:
        ValueError: the text is not a dotted SQL name, or a part is none that the server could keep.
    """
    parts: list[str] = []
    position = 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is not a name as SQL writes it")
        quoted = match.group("quoted")
        part = quoted.replace('""', '"') if quoted is not None else match.group("bare").translate(_FOLD)
        fault = unusable(part)
        if fault:
            raise ValueError(f"{text!r} {fault}")
        parts.append(part)
        position = match.end()
        if match.group("dot") != ".":
            return tuple(parts)


def parse_table(text: str) -> QName:
    """Read a table's name: ``tags``, ``photos.tags``, ``"Air Traffic"."Flights"``.

    Raises:
        ValueError: not a name of one or two parts.
    """
    parts = split_name(text)
    if len(parts) > 2:
        raise ValueError(f"{text!r} has {len(parts)} parts; a table has one or two")
    return QName(parts[0], parts[1]) if len(parts) == 2 else QName("", parts[0])


def nearest(name: str, existing: Iterable[str]) -> str | None:
    """Return the existing name that is most like the given one, or None when none is near."""
    known = list(existing)
    if name in known:
        return name
    folded = {k.lower(): k for k in reversed(known)}
    if name.lower() in folded:
        return folded[name.lower()]
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return found[0] if found else None


def shorten(name: str, taken: Iterable[str] = ()) -> str:
    """Cut an identifier to what PostgreSQL keeps (63 bytes) and make it differ from the taken ones.

    A cut or a clash gets a suffix that depends on the full name alone, so that a resumed run finds the same name.
    """
    used = set(taken)
    if len(name.encode()) <= _MAX_BYTES and name not in used:
        return name
    head = name.encode()[: _MAX_BYTES - 9].decode(errors="ignore")
    digests = (hashlib.sha256(f"{name}#{attempt}".encode()).hexdigest()[:8] for attempt in itertools.count())
    return next(candidate for digest in digests if (candidate := f"{head}_{digest}") not in used)
