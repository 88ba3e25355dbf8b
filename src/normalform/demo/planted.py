"""Writes the two planted tenants, bcg and demo: sound rows, and every defect that `defects.PLANTED` promises.

It decides the planted rows one by one, without chance or clock. It must never write to machine_tags, nor a row
that carries a data tenant's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final
from zlib import crc32

from normalform.demo.defects import GHOST
from normalform.demo.rules import STAMP, TRAINED_MODEL, Lines, file_name, vector

DEMO_IMAGES: Final = 120
BCG_IMAGES: Final = 24

_BCG: Final[Mapping[str, tuple[str, ...]]] = {
    "People": ("portrait", "wedding", "children"),
    "Places": ("garden", "kitchen", "harbor", "church"),
    "Pets": ("dog", "cat", "pony"),
    "Unsorted": ("scan", "draft"),
}
# `Travel` and `Travel 2` are both stored as `Travel`: the legacy unique lets equal root categories through.
_SECOND_TRAVEL: Final = "Travel 2"
_DEMO: Final[Mapping[str, tuple[str, ...]]] = {
    "Travel": ("beach", "harbour", "castle", "market", "bridge", "sunset", "tower", "train"),
    _SECOND_TRAVEL: ("beach", "harbour", "castle", "market", "airport"),
    "Nature": ("sunset", "bridge", "river", "storm", "meadow"),
    "Nature/Trees": ("tree", "oak", "birch", "orange"),
    "Food": ("café", "soup", "orange"),
    "Food/Drinks": ("tea", "lemonade"),
    "People": ("family", "lyra", "portrait"),
    "Unsorted": ("scan",),
}
_DOUBLED: Final = ("beach", "harbour", "castle", "market")
_AMBIGUOUS: Final = ("sunset", "bridge", "orange")
_SOUND: Final = (
    ("river", "Nature"), ("tree", "Nature/Trees"), ("sunset", "Nature"), ("sunset", "Travel"), ("tea", "Food/Drinks"),
    ("portrait", "People"), ("orange", "Food"), ("tower", None),
)  # fmt: skip
_ORPHANS: Final = ("zeppelin", "quasar", "gondola", "yurt", "xylophone", "igloo")
# Case, spaces, decomposed form, full width: each equals one keyword after NFKC, case folding and trimming.
_NEAR: Final = (
    ("TREE", "tree"), ("Tree ", "tree"), ("tree  ", "tree"),
    ("cafe\N{COMBINING ACUTE ACCENT}", "café"), ("CAFÉ", "café"), (" river", "river"), ("River", "river"),
    ("ｓｔｏｒｍ", "storm"), ("Lemonade", "lemonade"), ("MEADOW ", "meadow"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tenant:
    """A planted tenant: its name and the ids of its images."""

    name: str
    images: tuple[int, ...]


def write_planted(out: Lines) -> None:
    """Append the planted tenants' rows, in every table but machine_tags, to `out`."""
    for name in ("bcg", "demo"):
        out.of["tenants"].append(f"{name}\t{name}\tt\t{{}}\t{STAMP}\t{STAMP}\n")
    bcg = _Tenant("bcg", _images("bcg", BCG_IMAGES, out))
    demo = _Tenant("demo", _images("demo", DEMO_IMAGES, out))
    _lookups(bcg.name, _BCG, out)
    _lookups(demo.name, _DEMO, out)
    _bcg(bcg, out)
    _image_tags(demo, out)
    _permatags(demo, out)
    _trained(demo, out)
    _models(demo, out)
    _faces(demo, out)


def _images(tenant: str, count: int, out: Lines) -> tuple[int, ...]:
    def image(number: int) -> int:
        name, digest = file_name(chr(0xE000 + number)), f"{crc32(f'{tenant} {number}'.encode()):08x}"
        return out.add(
            "image_metadata", tenant, f"{tenant}/{name}", name, 20_000 + number, digest * 8, digest * 2,
            512, 512, "WEBP", STAMP, "t", "t", STAMP,
        )  # fmt: skip

    # The private-use area: no planted image can be taken for a picture of the data.
    return tuple(image(number) for number in range(count))


def _lookups(tenant: str, tree: Mapping[str, Iterable[str]], out: Lines) -> None:
    ids: dict[str, int] = {}
    for order, (path, keywords) in enumerate(tree.items()):
        parent, _, name = path.rpartition("/")
        stored = "Travel" if path == _SECOND_TRAVEL else name
        ids[path] = out.add("keyword_categories", tenant, stored, ids.get(parent), order, STAMP, STAMP)
        for place, keyword in enumerate(keywords):
            out.add("keywords", ids[path], keyword, f"a photo of {keyword}", place, STAMP, STAMP)


def _bcg(bcg: _Tenant, out: Lines) -> None:
    sound = [(keyword, path) for path, keywords in _BCG.items() for keyword in keywords]
    for image, (keyword, path) in zip(cycle(bcg.images), islice(cycle(sound), 48), strict=False):
        out.add("image_tags", image, bcg.name, keyword, path, 0.9, "t", STAMP)
    for image, (keyword, path) in zip(bcg.images, cycle(sound), strict=False):
        out.add("permatags", bcg.name, image, keyword, path, 1, STAMP, "reviewer-0")
    for image in bcg.images[:16]:
        out.add("permatags", bcg.name, image, "lyra", None, 1, STAMP, "reviewer-0")
    out.add("permatags", bcg.name, bcg.images[16], "family", "People", 1, STAMP, "reviewer-0")


def _spread(
    images: tuple[int, ...], texts: Iterable[tuple[str, str | None]], count: int
) -> Iterator[tuple[int, str, str | None]]:
    """`count` rows (image, keyword, category): a name goes round the images before it comes to one again."""
    pairs = list(texts)
    for number in range(count):
        keyword, category = pairs[number % len(pairs)]
        yield images[(number // len(pairs) + 7 * (number % len(pairs))) % len(images)], keyword, category


def _plain(names: Iterable[str], category: str | None) -> list[tuple[str, str | None]]:
    return [(name, category) for name in names]


_DISAGREES: Final = (("river", "Food"), ("tree", "Travel"), ("tea", "Nature/Trees"), ("storm", "People"))
_UNKNOWN: Final = (("river", "Water"), ("oak", "Nature/Forest"), ("soup", "food"), ("tower", "Travel/Towers"))
_NEITHER: Final = (("sunset", "Sky"), ("orange", "Travel"))
_NEAR_TAGS: Final = tuple((wrong, None) for wrong, _ in _NEAR)


def _image_tags(demo: _Tenant, out: Lines) -> None:
    def put(tenant: str | None, texts: Iterable[tuple[str, str | None]], count: int) -> None:
        for image, keyword, category in _spread(demo.images, texts, count):
            out.add("image_tags", image, tenant, keyword, category, 0.8, "f", STAMP)

    put(demo.name, _SOUND, 160)
    put(demo.name, _plain(_ORPHANS, "Unsorted"), 24)
    put(demo.name, _plain(_DOUBLED, "Travel"), 20)
    put(demo.name, _plain(_AMBIGUOUS, None), 90)
    put(demo.name, _NEITHER, 6)
    put(demo.name, _DISAGREES, 30)
    put(demo.name, _UNKNOWN, 20)
    put(GHOST, _plain(("river", "wraith"), "Nature"), 12)
    put(None, _plain(("river", "tree"), "Nature"), 5)
    put(demo.name, _NEAR_TAGS, 30)


def _permatags(demo: _Tenant, out: Lines) -> None:
    def put(tenant: str, images: tuple[int, ...], texts: Iterable[tuple[str, str | None]], count: int) -> None:
        for image, keyword, category in _spread(images, texts, count):
            out.add("permatags", tenant, image, keyword, category, 1, STAMP, "reviewer-1")

    # Slices of the images keep the legacy unique (tenant, image, keyword), and near-duplicates off other pictures.
    first, second, third, pairs = demo.images[:30], demo.images[30:60], demo.images[60:100], demo.images[100:]
    put(demo.name, first, _SOUND[1:3], 50)
    put(demo.name, second, _plain(_DOUBLED, "Travel"), 8)
    put(demo.name, second, _plain(_AMBIGUOUS, None), 45)
    put(demo.name, second, _DISAGREES, 15)
    put(demo.name, second[15:], _UNKNOWN, 10)
    put(GHOST, second, _plain(("river", "wraith"), "Nature"), 6)
    put(demo.name, third, _NEAR_TAGS, 12)
    for image, (wrong, right) in zip(pairs, _NEAR, strict=False):
        out.add("permatags", demo.name, image, right, None, 1, STAMP, "reviewer-1")
        out.add("permatags", demo.name, image, wrong, None, -1, STAMP, "reviewer-2")


def _trained(demo: _Tenant, out: Lines) -> None:
    def add(tenant: str | None, image: int, keyword: str, category: str | None) -> None:
        out.add("trained_image_tags", image, tenant, keyword, category, 0.7, TRAINED_MODEL, "1", STAMP)

    def put(tenant: str | None, images: tuple[int, ...], texts: Iterable[tuple[str, str | None]], count: int) -> None:
        for image, keyword, category in _spread(images, texts, count):
            add(tenant, image, keyword, category)

    first, second, third, pairs = demo.images[:30], demo.images[30:60], demo.images[60:100], demo.images[100:]
    put(demo.name, first, _SOUND[:2], 40)
    put(demo.name, second, _plain(_ORPHANS, None), 12)
    put(demo.name, second, _plain(_DOUBLED, "Travel"), 6)
    put(demo.name, second, _plain(_AMBIGUOUS, None), 45)
    put(demo.name, first, _NEITHER, 4)
    put(demo.name, second, _DISAGREES, 15)
    put(demo.name, second[15:], _UNKNOWN, 10)
    put(GHOST, second, _plain(("river", "wraith"), "Nature"), 6)
    put(None, second, _plain(("river", "tree"), "Nature"), 3)
    put(demo.name, third, _NEAR_TAGS, 9)
    for image, (wrong, right) in zip(pairs, _NEAR[:8], strict=False):
        add(demo.name, image, right, None)
        add(demo.name, image, wrong, None)


def _models(demo: _Tenant, out: Lines) -> None:
    def put(tenant: str, keyword: str, model: str = "centroid") -> None:
        crc = crc32(f"{tenant}\t{keyword}".encode())
        out.add("keyword_models", tenant, keyword, model, "1", vector(crc), vector(crc >> 4), STAMP, STAMP)

    for keyword in ("tree", "river", "tea", "portrait", "oak", *_AMBIGUOUS, *_ORPHANS[:4]):
        put(demo.name, keyword)
    for keyword in ("river", "wraith"):
        put(GHOST, keyword)
    for keyword in ("CAFÉ", "Lemonade", "MEADOW "):
        put(demo.name, keyword)
    for keyword in ("TREE", " river"):  # `tree` and `river` have a model of that name above
        put(demo.name, keyword)


def _faces(demo: _Tenant, out: Lines) -> None:
    people = {"Ada Berg": ("Ada", "Sam"), "Samuel Holm": ("Sam", "Samuel"), "Ines Duarte": ("Ines",), "Tove Lind": ()}
    for name, aliases in people.items():
        listed = json.dumps(aliases) if aliases else None
        out.add("people", demo.name, name, listed, None, STAMP, STAMP)

    def put(tenant: str | None, names: Iterable[str | None], count: int) -> None:
        for number, name in enumerate(islice(cycle(names), count)):
            image = demo.images[number % len(demo.images)]
            out.add(
                "detected_faces", image, tenant, name, 0.9, 10, 250, 250, 10, vector(crc32(str(number).encode())), STAMP
            )

    put(demo.name, ("Ada Berg", "Ada", "Samuel Holm", "Samuel", "Ines Duarte", "Tove Lind", None), 70)
    put(demo.name, ("Nobody", "Passer-by", "The Postman", "Aunt Lou"), 24)
    put(demo.name, ("Sam",), 6)
    put(GHOST, ("Ada Berg", "Wraith"), 4)
    put(None, ("Ada Berg",), 3)
