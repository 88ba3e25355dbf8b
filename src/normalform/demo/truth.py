"""Compares machine_tags with the data file, row by row: the demo's proof, which owes the engine nothing.

It decides whether a row says what the file says from three things alone: the file, the ids that the load gave
(a row's id is its number among the rows loaded), and the lookup tables as they stand. It must never read the
ledger, the mapping, the spec or the triggers' work, and changes nothing.

It works on the legacy schema, with text and key side by side, and after contract, when only the key is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg
from psycopg import sql

from normalform.demo.rules import picture_of
from normalform.demo.source import read_pictures, read_tags

KEY = "keyword_id"
_SAMPLES = 10

_Expected = tuple[str, str, str, str]
"""Tenant, picture, keyword and category path, as the file has them."""


@dataclass(slots=True)
class TruthReport:
    """What the comparison found.

    Attributes:
        has_text: machine_tags still holds keyword and category.
        has_key: machine_tags holds keyword_id.
        expected: rows of the data file that were loaded.
        rows: rows of machine_tags that were compared.
        null_key: rows without a key (0 where there is no key column).
        wrong_key: rows whose key leads to another tenant, keyword or category path than the file's, or nowhere.
        wrong_text: rows whose own keyword or category is not the file's.
        wrong_picture: rows whose image is not the file's picture in the file's tenant.
        missing: rows of the file that machine_tags does not have.
        extra: rows of machine_tags that no row of the file has given, by id; they are not compared.
        seconds: wall-clock seconds.
        samples: the first ids found wrong, with what is wrong.
    """

    has_text: bool
    has_key: bool
    expected: int = 0
    rows: int = 0
    null_key: int = 0
    wrong_key: int = 0
    wrong_text: int = 0
    wrong_picture: int = 0
    missing: int = 0
    extra: int = 0
    seconds: float = 0.0
    samples: list[str] = field(default_factory=list)

    @property
    def texts_true(self) -> bool:
        """Every row of the file is there, and all that the table still holds as text is the file's."""
        return not (self.missing or self.extra or self.wrong_text or self.wrong_picture)

    @property
    def keys_true(self) -> bool:
        """Every row of the file is there, and its key leads to the file's tenant, keyword and path."""
        return self.has_key and self.texts_true and not (self.null_key or self.wrong_key)


def check(url: str, *, rows: int | None = None) -> TruthReport:
    """Compare every row of machine_tags with the data file.

    Args:
        url: connection string; SELECT on machine_tags, keywords, keyword_categories and image_metadata is enough.
        rows: what `load` was given.

    Returns:
        The counts. A report that found something wrong is returned, not raised.

    Raises:
        ValueError: `rows` is below 1.
        psycopg.Error: the server refused, or a table is absent.
    """
    began = time.monotonic()
    with psycopg.connect(url) as connection:
        # One snapshot: the categories read first belong to the rows read after them.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        columns = _columns(connection)
        report = TruthReport(has_text={"keyword", "category"} <= columns, has_key=KEY in columns)
        categories = _category_paths(connection)
        found = _rows(connection, report)
        current = next(found, None)
        for number, expected in enumerate(_expected(rows), start=1):
            report.expected = number
            while current is not None and current[0] < number:
                report.extra += 1
                current = next(found, None)
            if current is None or current[0] > number:
                report.missing += 1
                _sample(report, number, f"row of the file is missing: {expected}")
                continue
            _compare(current, expected, categories, report)
            current = next(found, None)
        report.extra += (current is not None) + sum(1 for _ in found)
    report.seconds = time.monotonic() - began
    return report


def _expected(rows: int | None) -> Iterator[_Expected]:
    """The file's rows in the order of the load."""
    pictures = read_pictures()
    for block in read_tags(rows):
        for picture, keyword, _ in block.rows:
            yield block.tenant, picture, keyword, pictures[picture].path


def _columns(connection: psycopg.Connection[Any]) -> set[str]:
    query = """
        SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = 'machine_tags'::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped
    """
    return {row[0] for row in connection.execute(query)}


def _category_paths(connection: psycopg.Connection[Any]) -> dict[int, tuple[str, str]]:
    """Tenant and path of each category, worked out here and not by the server."""
    query = "SELECT id, tenant_id, name, parent_id FROM keyword_categories"
    by_id = {row[0]: row[1:] for row in connection.execute(query)}

    def path(category: int) -> str:
        _, name, parent = by_id[category]
        return name if parent is None else f"{path(parent)}/{name}"

    return {category: (by_id[category][0], path(category)) for category in by_id}


_Found = tuple[int, str, str, str | None, str | None, int | None, str | None, int | None]
"""Id, tenant, file name, own keyword, own category, key, the key's keyword, the key's category."""


def _rows(connection: psycopg.Connection[Any], report: TruthReport) -> Iterator[_Found]:
    """The rows of machine_tags by id, each with what its key leads to."""
    null = sql.SQL("NULL")
    key = sql.Identifier("mt", KEY) if report.has_key else null
    query = sql.SQL(
        "COPY (SELECT mt.id, mt.tenant_id, i.tenant_id || ':' || i.filename, {keyword}, {category},"
        " {key}, k.keyword, k.category_id"
        " FROM machine_tags mt LEFT JOIN image_metadata i ON i.id = mt.image_id"
        " LEFT JOIN keywords k ON k.id = {join}"
        " ORDER BY mt.id) TO STDOUT"
    ).format(
        keyword=sql.SQL("mt.keyword") if report.has_text else null,
        category=sql.SQL("mt.category") if report.has_text else null,
        key=key,
        join=key if report.has_key else sql.SQL("NULL::integer"),
    )
    # COPY rather than a cursor: the server plans for all rows, and sends them without a round trip for each lot.
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(["int8", "text", "text", "text", "text", "int8", "text", "int8"])
        yield from cast("Iterator[_Found]", copy.rows())


def _compare(row: _Found, expected: _Expected, categories: dict[int, tuple[str, str]], report: TruthReport) -> None:
    number, tenant, image, keyword, category, key, key_keyword, key_category = row
    file_tenant, picture, text, path = expected
    report.rows += 1
    owner, _, filename = (image or ":").partition(":")
    if (tenant, owner) != (file_tenant, file_tenant) or not filename or picture_of(filename) != picture:
        report.wrong_picture += 1
        _sample(report, number, f"stands on {tenant} {image}, the file has {expected}")
    if report.has_text and (keyword, category) != (text, path):
        report.wrong_text += 1
        _sample(report, number, f"says {keyword!r} in {category!r}, the file has {expected}")
    if not report.has_key:
        return
    if key is None:
        report.null_key += 1
        _sample(report, number, f"has no key, the file has {expected}")
        return
    meant = categories.get(key_category) if key_category is not None else None
    if key_keyword != text or meant != (file_tenant, path):
        report.wrong_key += 1
        _sample(report, number, f"has key {key}: {key_keyword!r} in {meant}, the file has {expected}")


def _sample(report: TruthReport, number: int, what: str) -> None:
    if len(report.samples) < _SAMPLES:
        report.samples.append(f"machine_tags {number}: {what}")
