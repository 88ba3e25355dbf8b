"""Checksums that do not depend on the order of rows: a sum of 128-bit hashes modulo 2^128.

Decides how a row becomes bytes and how hashes add up; ``sql.proof`` says the same in SQL, and a test holds both
together. A sum and never XOR: equal rows must not cancel each other out, since {a, b, b} is not {a} (CORRECTNESS 29).
The hash guards against accidents and bugs, not against an adversary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

MODULUS = 1 << 128
_HALF = 1 << 64
_NULL = "-"


def encode(fields: Iterable[str | None]) -> str:
    """Return one text for a row's fields, such that different rows never get the same text.

    Each field is its length in characters, a colon and itself; NULL is a dash. So ('a', 'bc') is not ('ab', 'c'), and
    NULL is not the empty text.
    """
    return "".join(_NULL if field is None else f"{len(field)}:{field}" for field in fields)


def digest(fields: Iterable[str | None]) -> int:
    """Return a row's hash as a number below 2^128.

    The two halves of the MD5 of the row's UTF-8 text are read as signed, as PostgreSQL's bigint reads them, and joined
    as high · 2^64 + low; that is one-to-one modulo 2^128.
    """
    data = hashlib.md5(encode(fields).encode(), usedforsecurity=False).digest()
    high = int.from_bytes(data[:8], "big", signed=True)
    low = int.from_bytes(data[8:], "big", signed=True)
    return (high * _HALF + low) % MODULUS


@dataclass(frozen=True)
class Checksum:
    """A number of rows and the sum of their hashes modulo 2^128."""

    rows: int = 0
    total: int = 0

    @classmethod
    def of_halves(cls, rows: int, high: int, low: int) -> Checksum:
        """Return the checksum from what a query sums: the signed halves of the rows' hashes, each by itself.

        Args:
            rows: how many rows were summed.
            high: sum of the high halves.
            low: sum of the low halves.
        """
        return cls(rows, (high * _HALF + low) % MODULUS)

    @classmethod
    def of(cls, rows: Iterable[Iterable[str | None]]) -> Checksum:
        """Return the checksum of rows that are at hand."""
        result = cls()
        for fields in rows:
            result += cls(1, digest(fields))
        return result

    def __add__(self, other: Checksum) -> Checksum:
        return Checksum(self.rows + other.rows, (self.total + other.total) % MODULUS)

    def __str__(self) -> str:
        """The sum as 32 hexadecimal digits: what certificates store and ``verify --sql`` prints."""
        return f"{self.total:032x}"


NOTHING = Checksum()
"""The checksum of no rows."""
