"""Requests that nobody honest sends: made from a seed, each with the statuses that may answer it.

None may get in and none may crash: what is another tenant's, who asks without a token, what is no picture, what is too
large, names that are paths, bodies of any shape. A request that happens to be right is answered as a right one.
"""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from fix_api import TOKENS
from photocat.auth import token_hash

REFUSED_FILE = {200, 201, 413, 415, 422}
#: What the service is told for these tests, so that too much is not much.
LIMITS = {"max_upload_bytes": 100_000, "max_body_bytes": 20_000, "max_pixels": 250_000}

#: Rows of tenant `u`, by what they are the key of.
FOREIGN = {"image": range(41, 51), "keyword": (5, 6), "category": (5,), "person": (3,), "face": (5,)}
#: (method, path, body or None): every way to name something by its key, with everything else as it should be.
BY_KEY: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/admin/keywords/categories/{category}", None),
    ("PATCH", "/admin/keywords/categories/{category}", {"name": "mine"}),
    ("DELETE", "/admin/keywords/categories/{category}", None),
    ("POST", "/admin/keywords/categories", {"name": "below", "parent_id": "{category}"}),
    ("PATCH", "/admin/keywords/categories/2", {"parent_id": "{category}"}),
    ("GET", "/admin/keywords/{keyword}", None),
    ("PATCH", "/admin/keywords/{keyword}", {"keyword": "mine"}),
    ("DELETE", "/admin/keywords/{keyword}", None),
    ("POST", "/admin/keywords/{keyword}/merge", {"into": 1}),
    ("POST", "/admin/keywords/4/merge", {"into": "{keyword}"}),
    ("POST", "/admin/keywords", {"keyword": "mine", "category_id": "{category}"}),
    ("PATCH", "/admin/keywords/4", {"category_id": "{category}"}),
    ("GET", "/admin/people/{person}", None),
    ("PATCH", "/admin/people/{person}", {"name": "mine"}),
    ("DELETE", "/admin/people/{person}", None),
    ("GET", "/people/{person}/images", None),
    ("GET", "/images?keyword_id={keyword}", None),
    ("GET", "/images?category_id={category}", None),
    ("GET", "/images?person_id={person}", None),
    ("GET", "/images/facets?keyword_id={keyword}", None),
    ("GET", "/images/{image}", None),
    ("DELETE", "/images/{image}", None),
    ("GET", "/images/{image}/file", None),
    ("GET", "/images/{image}/thumbnail", None),
    ("GET", "/images/{image}/tags", None),
    ("POST", "/images/{image}/tags", {"keyword_id": 4}),
    ("POST", "/images/9/tags", {"keyword_id": "{keyword}"}),
    ("DELETE", "/images/{image}/tags?keyword_id=4", None),
    ("DELETE", "/images/9/tags?keyword_id={keyword}", None),
    ("PUT", "/images/{image}/permatags", {"keyword_id": 4, "verdict": "approved"}),
    ("PUT", "/images/9/permatags", {"keyword_id": "{keyword}", "verdict": "rejected"}),
    ("DELETE", "/images/{image}/permatags?keyword_id=4", None),
    ("POST", "/tags/bulk", {"image_ids": [9, "{image}"], "add": [{"keyword_id": 4}]}),
    ("POST", "/tags/bulk", {"image_ids": [9], "add": [{"keyword_id": "{keyword}"}]}),
    ("POST", "/intake/machine-tags", {"tags": [
        {"image_id": "{image}", "keyword_id": 4, "confidence": 1, "tag_type": "x", "model_name": "x"}]}),
    ("POST", "/intake/machine-tags", {"tags": [
        {"image_id": 9, "keyword_id": "{keyword}", "confidence": 1, "tag_type": "x", "model_name": "x"}]}),
    ("POST", "/intake/trained-tags", {"tags": [{"image_id": "{image}", "keyword_id": 4, "model_name": "x"}]}),
    ("POST", "/intake/keyword-models", {"models": [
        {"keyword_id": "{keyword}", "model_name": "x", "positive_centroid": [1]}]}),
    ("POST", "/intake/faces", {"faces": [{"image_id": "{image}", "top": 1, "right": 2, "bottom": 3, "left": 0}]}),
    ("POST", "/intake/faces", {"faces": [
        {"image_id": 9, "top": 1, "right": 2, "bottom": 3, "left": 0, "person_id": "{person}"}]}),
    ("PUT", "/faces/{face}/person", {"person_id": 1}),
    ("PUT", "/faces/1/person", {"person_id": "{person}"}),
]  # fmt: skip
WITH_BODY = [(method, path) for method, path, body in BY_KEY if body is not None]
NAMES = (
    "../../../../etc/passwd", "..\\..\\windows\\system32\\x.png", "/etc/cron.d/x", "C:\\x.png", "\\\\host\\share\\x",
    "x.png\x00.html", "~root/.ssh/authorized_keys", "%2e%2e%2f%2e%2e%2fx.png", "....//....//x.png", "x.png/../../y",
    ".", "..", "", " ", "con.png", "a" * 4000, "\u202egnp.exe", "<script>alert(1)</script>.png", "x.php", "file:///etc/x",
    "$(touch pwned).png", "; rm -rf .png", "\r\nX-Injected: 1", "名前.png", "🙂" * 300, "-rf", ".htaccess",
)  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """A request: how it is sent, and which statuses may answer it."""

    kind: str
    method: str
    path: str
    allowed: frozenset[int] | None
    token: str | None = "admin"
    more: Mapping[str, Any] = field(default_factory=dict)


def requests(seed: int, count: int) -> Iterator[Hostile]:
    """Yields so many requests of every kind in turn."""
    chance = random.Random(seed)
    kinds: list[Callable[[random.Random], Hostile]] = [foreign, forged, shapeless, broken, named, oversized]
    weights = [5, 4, 5, 3, 2, 1]
    for _ in range(count):
        yield chance.choices(kinds, weights)[0](chance)


def foreign(chance: random.Random) -> Hostile:
    """What is another tenant's, by its key: there is no such thing."""
    method, path, body = chance.choice(BY_KEY)
    keys = {what: chance.choice(list(of)) for what, of in FOREIGN.items()}
    more = {} if body is None else {"json": _filled(body, keys)}
    # 422 is what a keyword or person in a body answers, with the near names of the asker's own.
    return Hostile("foreign", method, path.format(**keys), frozenset({404, 422}), more=more)


def _filled(value: Any, keys: Mapping[str, int]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(v, keys) for name, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, keys) for v in value]
    return keys[value.strip("{}")] if isinstance(value, str) and value.startswith("{") else value


def forged(chance: random.Random) -> Hostile:
    """No token of ours, though it may look like one."""
    known = chance.choice(list(TOKENS))
    token = chance.choice(
        [
            known.upper(), known[:-1], known + chance.choice("x0=_-."), token_hash(known), known[::-1],
            f"{known},{known}", "' OR '1'='1", f"{known}' --", base64.b64encode(known.encode()).decode(), "null", "",
            "".join(chance.choices("abcdef0123456789", k=chance.choice([1, 8, 43, 64, 5000]))), "é" * 8, f"{known}%00",
        ]
    )  # fmt: skip
    method, path, body = chance.choice(BY_KEY)
    keys = dict.fromkeys(FOREIGN, 1)
    scheme = chance.choice(["Bearer", "bearer", "Basic", "Token", "Bearer Bearer", ""])
    header = f"{scheme} {token}".strip().encode("latin-1")
    more: dict[str, Any] = {"headers": {"Authorization": header}}
    if body is not None:
        more["json"] = _filled(body, keys)
    return Hostile("forged", method, path.format(**keys), frozenset({401}), token=None, more=more)


def shapeless(chance: random.Random) -> Hostile:
    """A body, or a query, of any shape."""
    keys = {what: chance.choice([1, 9, 0, -1, 2**31, 2**63, 10**30]) for what in FOREIGN}
    if chance.random() < 0.3:
        names = [
            "keyword_id",
            "keyword",
            "category",
            "person",
            "after",
            "limit",
            "verdict",
            "captured_from",
            "order",
            "x",
        ]
        query = {chance.choice(names): _text(chance) for _ in range(chance.randint(1, 4))}
        return Hostile("shapeless", "GET", chance.choice(["/images", "/images/facets", "/keywords"]), None,
                       more={"params": query})  # fmt: skip
    method, path = chance.choice(WITH_BODY)
    body = chance.choice(
        [
            json.dumps(_value(chance, 4)), "[" * 3000, '{"a":' * 2000, "\x00", "nul", '{"a": 1', '{"a": NaN}',
            '"\\ud800"',
            json.dumps({name: _value(chance, 2) for name in ("image_ids", "add", "tags", "keyword", "name", "into")}),
        ]
    )  # fmt: skip
    kind = chance.choice(["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
    more = {"content": body.encode("utf-8", "surrogatepass"), "headers": {"Content-Type": kind}}
    return Hostile("shapeless", method, path.format(**keys), None, more=more)


def _text(chance: random.Random) -> str:
    return chance.choice(
        ["", " ", "\x00", "'; DROP TABLE keywords; --", "%", "_", "\\", "a" * 1001, "-1", "1e9", "NaN", "\u202e", "{}",
         "null", "🙂", str(2**64), "0x10", "１", "2020-13-45", "9999-12-31T23:59:59+14:00", "0001-01-01",
         "nature/" * 50,
         "".join(chr(chance.randrange(1, 0xD7FF)) for _ in range(chance.randint(1, 20)))]
    )  # fmt: skip


def _value(chance: random.Random, depth: int) -> Any:
    if depth and chance.random() < 0.5:
        if chance.random() < 0.5:
            return [_value(chance, depth - 1) for _ in range(chance.randint(0, 4))]
        names = [
            "keyword_id",
            "keyword",
            "image_id",
            "image_ids",
            "tags",
            "name",
            "person",
            "verdict",
            "confidence",
            "into",
        ]
        return {chance.choice(names): _value(chance, depth - 1) for _ in range(chance.randint(0, 4))}
    return chance.choice([None, True, 0, -1, 2**31, 10**40, 1.5, 1e308, "", _text(chance), "tree", 4, [], {}])


def broken(chance: random.Random) -> Hostile:
    """A file that is no picture, or no longer one."""
    content = bytearray(_picture(chance, chance.choice(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "PPM"])))
    for _ in range(chance.randint(0, 3)):
        how = chance.randrange(5)
        at = chance.randrange(len(content)) if content else 0
        if how == 0 and content:
            content[at] = chance.randrange(256)
        elif how == 1:
            del content[at:]
        elif how == 2:
            content[at:at] = chance.randbytes(chance.randint(1, 50))
        elif how == 3:
            content[:0] = chance.choice(
                [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"<svg/>", b"%PDF-", b"PK\3\4"]
            )
        else:
            del content[at : at + chance.randint(1, 20)]
    return _upload("broken", bytes(content), "a.png", REFUSED_FILE)


def named(chance: random.Random) -> Hostile:
    """A picture whose name is no name."""
    name = chance.choice(NAMES) if chance.random() < 0.7 else _text(chance)
    return _upload("named", _picture(chance, "PNG"), name, REFUSED_FILE)


def oversized(chance: random.Random) -> Hostile:
    """Too many bytes, or few that are to become many."""
    how = chance.randrange(4)
    if how == 0:
        extra = chance.randint(LIMITS["max_upload_bytes"] + 1, 2 * LIMITS["max_upload_bytes"])
        return _upload("oversized", _picture(chance, "PNG").ljust(extra, b"\0"), "a.png", {413})
    if how == 1:
        method, path = chance.choice(WITH_BODY)
        body = json.dumps({"keyword": "a" * chance.randint(LIMITS["max_body_bytes"], 3 * LIMITS["max_body_bytes"])})
        return Hostile("oversized", method, path.format(**dict.fromkeys(FOREIGN, 9)), frozenset({413}),
                       more={"content": body.encode(), "headers": {"Content-Type": "application/json"}})  # fmt: skip
    if how == 2:  # a few hundred bytes that would be gigabytes of pixels
        size = chance.choice([(60_000, 60_000), (2**31 - 1, 1), (501, 500), (1, 2**31 - 1)])
        return _upload("oversized", _png(*size, zlib.compress(b"\0" * 10_000)), "a.png", {413, 422})
    text = b"Comment\0\0" + zlib.compress(b"a" * 50_000_000, 9)
    return _upload("oversized", _png(40, 30, zlib.compress(b"\0" * 3630), (b"zTXt", text)), "a.png", REFUSED_FILE)


def _upload(kind: str, content: bytes, name: str, allowed: set[int]) -> Hostile:
    files = {"file": (name, content, "image/png")}
    # A name that is empty, or that the envelope cannot carry, is no upload at all: 422 or 400 say so.
    return Hostile(kind, "POST", "/images", frozenset(allowed | {400, 422}), token="reader", more={"files": files})


def _picture(chance: random.Random, kind: str) -> bytes:
    out = io.BytesIO()
    color = tuple(chance.randrange(256) for _ in range(3))
    Image.new("RGB", (chance.randint(1, 32), chance.randint(1, 32)), color).save(out, kind)
    return out.getvalue()


def _png(width: int, height: int, data: bytes, *more: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
