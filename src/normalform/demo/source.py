"""Reads the data files beside this module: pictures, and the tags tenant by tenant.

Decides what a "smaller demo" is: which rows of the file `--rows N` keeps. It must never alter, repair or reorder
what the files say; loader and truth both read through it, and share nothing else.
"""

from __future__ import annotations

import io
import lzma
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import groupby

TOTAL_ROWS = 1_080_986
"""Rows of tags.tsv.xz."""

KEYWORD_WIDTH = 100
"""Characters that the legacy `keywords.keyword` holds; 6 keywords of the file are longer."""

_READ_BYTES = 1 << 18

FIRST_TENANTS = ("de-CH", "rhg", "so", "az", "yo", "ur", "en")
"""A smaller demo begins with these: early on they bring names in several categories (de-CH), keywords too long for
the lookup (rhg, so, ur) and the rows that stand twice (so, az, yo). The other tenants follow in the file's order."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One line of pictures.tsv."""

    picture: str
    name: str
    group: str
    subgroup: str

    @property
    def path(self) -> str:
        """The category path that every tag of this picture carries."""
        return f"{self.group}/{self.subgroup}"


@dataclass(frozen=True, slots=True)
class TenantTags:
    """The kept rows of one tenant, in the file's order.

    `rows` holds (picture, keyword, line), where `line` is the row's bytes in the file without the line end:
    what the derived tables' rules take their checksum of.
    """

    tenant: str
    rows: list[tuple[str, str, bytes]]


def data_folder() -> Traversable:
    """The folder that holds the data files and their licences."""
    return files("normalform.demo").joinpath("data")


def read_pictures() -> dict[str, Picture]:
    """All pictures by their character, in the file's order."""
    lines = data_folder().joinpath("pictures.tsv").read_text(encoding="utf-8").split("\n")
    fields = (line.split("\t") for line in lines[1:] if line)
    return {f[0]: Picture(f[0], f[1], f[2], f[3]) for f in fields}


def read_tags(rows: int | None = None) -> Iterator[TenantTags]:
    """The tags, one tenant at a time, in the file's order of tenants.

    Args:
        rows: how many rows to keep (None or more than there are: all). Whole tenants are kept, in the order of
            `FIRST_TENANTS` and then of the file, and of one last tenant the rest: first its pictures that carry a
            real defect (a row that stands twice, a keyword too long), then the others in the file's order.

    Raises:
        ValueError: `rows` is below 1.
    """
    quotas = None if rows is None or rows >= TOTAL_ROWS else _quotas(rows)
    for tenant, lines in groupby(_lines(), key=_tenant_of):
        if quotas is not None and tenant not in quotas:
            continue
        kept = list(lines)
        if quotas is not None and quotas[tenant] < len(kept):
            kept = _cut(kept, quotas[tenant])
        yield TenantTags(tenant.decode(), [_row(line) for line in kept])
        if quotas is not None and tenant == max(quotas):
            return  # the file is sorted: nothing that is wanted comes after the last of them


def _lines() -> Iterator[bytes]:
    """Every row of tags.tsv.xz without its line end; the header is left out."""
    # A buffer of its own, since LZMAFile's lines pass through Python one by one, at twice the time.
    with (
        data_folder().joinpath("tags.tsv.xz").open("rb") as packed,
        lzma.open(packed) as unpacked,
        io.BufferedReader(unpacked, _READ_BYTES) as stream,
    ):
        next(stream)
        for line in stream:
            yield line.rstrip(b"\n")


def _tenant_of(line: bytes) -> bytes:
    return line[: line.index(b"\t")]


def _row(line: bytes) -> tuple[str, str, bytes]:
    _, picture, keyword = line.decode().split("\t")
    return picture, keyword, line


def _quotas(rows: int) -> Mapping[bytes, int]:
    """How many rows each kept tenant gives."""
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    sizes = _sizes()
    first = [tenant.encode() for tenant in FIRST_TENANTS]
    order = first + [tenant for tenant in sizes if tenant not in first]
    quotas: dict[bytes, int] = {}
    left = rows
    for tenant in order:
        if left == 0:
            break
        quotas[tenant] = min(left, sizes[tenant])
        left -= quotas[tenant]
    return quotas


@cache
def _sizes() -> Mapping[bytes, int]:
    """How many rows each tenant has; the file never changes, so it is counted once."""
    return {tenant: sum(1 for _ in lines) for tenant, lines in groupby(_lines(), key=_tenant_of)}


def _cut(lines: list[bytes], keep: int) -> list[bytes]:
    """`keep` of one tenant's lines, those of pictures with a real defect before the others, in the file's order."""
    marked = {
        line.split(b"\t")[1]
        for position, line in enumerate(lines)
        if len(_row(line)[1]) > KEYWORD_WIDTH or (position and line == lines[position - 1])
    }
    ranked = sorted(range(len(lines)), key=lambda position: lines[position].split(b"\t")[1] not in marked)
    return [lines[position] for position in sorted(ranked[:keep])]
