"""How the legacy tables' rows follow from the data file, for one tenant at a time: the demo's fixed rules.

It decides ids, categories, keywords and what the tables beside machine_tags hold, by checksums of the file's own
lines alone, so that every load of the same rows gives the same database. It must never touch the database, use
chance or the clock, or put into machine_tags anything that is not a row of the file.

The rules, where `crc` is zlib.crc32 of the row's line in the file (`tenant<TAB>picture<TAB>keyword`, UTF-8):

- **image_metadata**: one row for each (tenant, picture); `filename` spells the picture's code points in
  hexadecimal, joined by `-`, so that a picture can be told from its row alone (`picture_of`).
- **keyword_categories**: per tenant the groups in use as roots, their subgroups below them.
- **keywords**: one row for each (tenant, category path, keyword), except keywords over 100 characters, which the
  column cannot hold.
- **machine_tags**: every row of the file; `id` is its number among the rows loaded, `category` the picture's
  path, `tag_type` `siglip`, `model_name` `siglip-base`; the second copy of a row that stands twice has
  `siglip-large`.
- **image_tags**: rows with crc % 7 = 0. **permatags**: crc % 9 = 1, **trained_image_tags**: crc % 9 = 2, both
  without second copies and permatags without keywords over 100 characters (their uniques and widths say so).
- **keyword_models**: a keyword row's name, over `tenant<TAB>keyword`: crc % 24 = 0 where the name stands in one
  category of its tenant, crc % 2000 = 0 where it stands in several (a model has no category to tell them apart).
- **people**: pictures of the group people-body, over `tenant<TAB>picture`: crc % 6 = 0; named after the picture,
  aliases the picture's first three keywords that no other person of the tenant has as name or alias.
- **detected_faces**: one for each picture of people-body and smileys-emotion, by c = crc of
  `tenant<TAB>picture<TAB>face`: c % 10 below 4 a person's name, below 6 an alias of such a person, else NULL.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from normalform.demo.source import KEYWORD_WIDTH, Picture, TenantTags

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "tenants": ("id", "name", "active", "settings", "created_at", "updated_at"),
    "keyword_categories": ("id", "tenant_id", "name", "parent_id", "sort_order", "created_at", "updated_at"),
    "keywords": ("id", "category_id", "keyword", "prompt", "sort_order", "created_at", "updated_at"),
    "people": ("id", "tenant_id", "name", "aliases", "face_embedding_ref", "created_at", "updated_at"),
    "image_metadata": (
        "id", "tenant_id", "path", "filename", "file_size", "content_hash", "perceptual_hash", "width", "height",
        "format", "capture_timestamp", "tags_applied", "faces_detected", "created_at",
    ),
    "image_tags": (
        "id", "image_id", "tenant_id", "keyword", "category", "confidence", "manual", "created_at",
    ),
    "machine_tags": (
        "id", "image_id", "tenant_id", "keyword", "category", "confidence", "tag_type", "model_name",
        "model_version", "created_at", "updated_at",
    ),
    "permatags": (
        "id", "tenant_id", "image_id", "keyword", "category", "signum", "created_at", "created_by",
    ),
    "trained_image_tags": (
        "id", "image_id", "tenant_id", "keyword", "category", "confidence", "model_name", "model_version",
        "created_at",
    ),
    "keyword_models": (
        "id", "tenant_id", "keyword", "model_name", "model_version", "positive_centroid", "negative_centroid",
        "created_at", "updated_at",
    ),
    "detected_faces": (
        "id", "image_id", "tenant_id", "person_name", "confidence", "bbox_top", "bbox_right", "bbox_bottom",
        "bbox_left", "face_encoding", "created_at",
    ),
}  # fmt: skip
"""The tables, parents first, and the columns that the demo fills."""

STAMP: Final = "2026-01-17 15:00:00"
TAG_TYPE: Final = "siglip"
MODEL: Final = "siglip-base"
SECOND_MODEL: Final = "siglip-large"
TRAINED_MODEL: Final = "trained-1"
FACE_GROUPS: Final = frozenset({"people-body", "smileys-emotion"})

_CONFIDENCES: Final = tuple(f"{0.5 + n / 2000:.4f}" for n in range(1000))
_SHOT: Final = tuple(f"2025-{1 + n % 12:02d}-{1 + n % 28:02d} {n % 24:02d}:{n % 60:02d}:00" for n in range(840))


@dataclass(slots=True)
class Lines:
    """Lines in COPY's text format, by table, and the last id given in each table."""

    of: dict[str, list[str]] = field(default_factory=lambda: {table: [] for table in COLUMNS})
    last: Counter[str] = field(default_factory=Counter)

    def take(self) -> dict[str, list[str]]:
        """The lines at hand, which are forgotten here; the ids go on."""
        taken, self.of = self.of, {table: [] for table in COLUMNS}
        return taken

    def add(self, table: str, *values: object) -> int:
        """Append a row with the next id in front; returns the id. None is NULL, texts are escaped here."""
        self.last[table] = number = self.last[table] + 1
        self.of[table].append(f"{number}\t" + "\t".join(map(copy_text, values)) + "\n")
        return number


def copy_text(value: object) -> str:
    """A value as COPY's text format wants it."""
    if value is None:
        return r"\N"
    text = str(value)
    if "\\" in text or "\t" in text or "\n" in text:
        text = text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")
    return text


def file_name(picture: str) -> str:
    """The file name of a picture's image: its code points in hexadecimal."""
    return "-".join(f"{ord(character):x}" for character in picture) + ".webp"


def picture_of(filename: str) -> str:
    """The picture that a file name made by `file_name` spells."""
    return "".join(chr(int(code, 16)) for code in filename.removesuffix(".webp").split("-"))


def write_tenant(block: TenantTags, pictures: Mapping[str, Picture], out: Lines) -> None:
    """Append all of one tenant's rows, in every table, to `out`.

    Args:
        block: the tenant's rows of the file.
        pictures: every picture by its character.
        out: takes the lines and gives the ids.
    """
    tenant = block.tenant
    out.of["tenants"].append(f"{tenant}\t{tenant}\tt\t{{}}\t{STAMP}\t{STAMP}\n")
    categories: dict[str, int] = {}
    keywords: set[tuple[str, str]] = set()
    images: dict[str, int] = {}
    words: dict[str, list[str]] = {}
    path, image, category, previous = "", 0, 0, b""
    # The two large tables' lines are put together here and not by `add`: it halves the time of a load.
    machine, number = out.of["machine_tags"], out.last["machine_tags"]
    lookups, lookup = out.of["keywords"], out.last["keywords"]
    for picture, keyword, line in block.rows:
        if picture not in images:
            shown = pictures[picture]
            path, image = shown.path, _write_image(tenant, shown, out)
            images[picture], words[picture] = image, []
            category = _category(tenant, shown, categories, out)
        crc, second = crc32(line), line == previous
        previous = line
        text = copy_text(keyword)
        confidence = _CONFIDENCES[crc % 1000]
        number += 1
        machine.append(
            f"{number}\t{image}\t{tenant}\t{text}\t{path}\t{confidence}\t{TAG_TYPE}\t"
            f"{SECOND_MODEL if second else MODEL}\t1\t{STAMP}\t{STAMP}\n"
        )
        if crc % 7 == 0:
            out.add("image_tags", image, tenant, keyword, path, confidence, "ft"[crc % 2], STAMP)
        if second:
            continue
        words[picture].append(keyword)
        held = len(keyword) <= KEYWORD_WIDTH
        if held and (path, keyword) not in keywords:
            keywords.add((path, keyword))
            lookup += 1
            lookups.append(f"{lookup}\t{category}\t{text}\t\\N\t0\t{STAMP}\t{STAMP}\n")
        if crc % 9 == 1 and held:
            signum = -1 if crc % 5 == 0 else 1
            out.add("permatags", tenant, image, keyword, path, signum, STAMP, f"reviewer-{crc % 4}")
        elif crc % 9 == 2:
            out.add("trained_image_tags", image, tenant, keyword, path, confidence, TRAINED_MODEL, "1", STAMP)
    out.last["machine_tags"], out.last["keywords"] = number, lookup
    _write_models(tenant, Counter(keyword for _, keyword in keywords), out)
    people = _write_people(tenant, {picture: pictures[picture] for picture in images}, words, out)
    for picture, image in images.items():
        if pictures[picture].group in FACE_GROUPS:
            _write_face(tenant, picture, image, people, out)


def _write_image(tenant: str, shown: Picture, out: Lines) -> int:
    name = file_name(shown.picture)
    digest = hashlib.sha256(f"{tenant}\t{shown.picture}".encode()).hexdigest()
    size = int(digest[:5], 16)
    return out.add(
        "image_metadata", tenant, f"{tenant}/{shown.path}/{name}", name, 20_000 + size, digest, digest[:16],
        512, 512, "WEBP", _SHOT[size % 840], "t", "t" if shown.group in FACE_GROUPS else "f", STAMP,
    )  # fmt: skip


def _category(tenant: str, shown: Picture, categories: dict[str, int], out: Lines) -> int:
    """The id of the picture's category; it and the group above it are made when first seen."""
    if shown.group not in categories:
        order = len(categories)
        categories[shown.group] = out.add("keyword_categories", tenant, shown.group, None, order, STAMP, STAMP)
    if shown.path not in categories:
        order, parent = len(categories), categories[shown.group]
        categories[shown.path] = out.add("keyword_categories", tenant, shown.subgroup, parent, order, STAMP, STAMP)
    return categories[shown.path]


def _write_models(tenant: str, standing: Mapping[str, int], out: Lines) -> None:
    """`standing`: in how many of the tenant's categories each keyword stands."""
    # Sorted, because the counter was filled from a set, and a set of texts has another order in every process.
    for keyword in sorted(standing):
        crc = crc32(f"{tenant}\t{keyword}".encode())
        if crc % (24 if standing[keyword] == 1 else 2000) == 0:
            out.add("keyword_models", tenant, keyword, "centroid", "1", vector(crc), vector(crc >> 4), STAMP, STAMP)


def vector(crc: int) -> str:
    """Four small numbers as an array of double precision."""
    return "{" + ",".join(f"{(crc >> shift) % 256 / 256:.4f}" for shift in (0, 8, 16, 24)) + "}"


def _write_people(
    tenant: str, shown: Mapping[str, Picture], words: Mapping[str, list[str]], out: Lines
) -> list[tuple[str, list[str]]]:
    """Returns name and aliases of each person written."""
    chosen: dict[str, str] = {}
    for picture, details in shown.items():
        if details.group == "people-body" and crc32(f"{tenant}\t{picture}".encode()) % 6 == 0:
            chosen.setdefault(details.name, picture)
    taken = set(chosen)
    people: list[tuple[str, list[str]]] = []
    for name, picture in chosen.items():
        aliases = [word for word in words[picture] if word not in taken][:3]
        taken.update(aliases)
        listed = json.dumps(aliases, ensure_ascii=False) if aliases else None
        out.add("people", tenant, name, listed, f"faces/{tenant}/{file_name(picture)}", STAMP, STAMP)
        people.append((name, aliases))
    return people


def _write_face(tenant: str, picture: str, image: int, people: list[tuple[str, list[str]]], out: Lines) -> None:
    crc = crc32(f"{tenant}\t{picture}\tface".encode())
    name: str | None = None
    if people and crc % 10 < 6:
        name, aliases = people[crc // 10 % len(people)]
        if crc % 10 >= 4 and aliases:
            name = aliases[crc // 7 % len(aliases)]
    top, left = crc % 200, crc // 200 % 200
    out.add(
        "detected_faces", image, tenant, name, _CONFIDENCES[crc % 1000], top, left + 220, top + 240, left,
        vector(crc), STAMP,
    )  # fmt: skip
