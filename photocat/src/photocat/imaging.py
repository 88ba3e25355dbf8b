"""What a picture is, read from its content: type, dimensions, EXIF, hashes, thumbnail.

It decides which types are taken and what of EXIF is kept. It must never believe a file's name or the type that came
with it, and never decode a picture before its pixels have been counted against the limit.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from photocat.problems import Problem

#: Pillow's names of the types that are taken, and the suffix and media type of each.
TYPES: Mapping[str, tuple[str, str]] = {
    "JPEG": ("jpg", "image/jpeg"),
    "PNG": ("png", "image/png"),
    "WEBP": ("webp", "image/webp"),
    "GIF": ("gif", "image/gif"),
}
THUMBNAIL = (512, 512)
#: What Pillow raises for content that is damaged, malicious or not what it seems.
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError, IndexError, TypeError, AttributeError,
    ZeroDivisionError, OverflowError, MemoryError, NotImplementedError, RuntimeError,
)  # fmt: skip
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
#: How many are decoded at once: each takes 4 bytes a pixel.
_DECODING = threading.BoundedSemaphore(2)
_TEXT = 1000
_ENTRIES = 200


@dataclass(frozen=True)
class Picture:
    """What was read.

    Attributes:
        format: Pillow's name of the type.
        width: in pixels, as shown (after EXIF's orientation).
        height: likewise.
        content_hash: SHA-256 of the file, in hex.
        perceptual_hash: difference hash of 64 bits, in hex: near pictures differ in few bits.
        exif: names and values that JSON can hold.
        camera: the columns of `image_metadata` that EXIF fills; absent ones are left out.
        thumbnail: a JPEG of at most `THUMBNAIL`.
    """

    format: str
    width: int
    height: int
    content_hash: str
    perceptual_hash: str
    exif: Mapping[str, Any]
    camera: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: bytes = b""


def read_picture(content: bytes, max_pixels: int) -> Picture:
    """Reads a picture from its bytes.

    Args:
        content: the whole file.
        max_pixels: width times height at most.

    Raises:
        Problem: 415 for another type, 422 for more pixels than the limit, 422 for one that cannot be decoded.
    """
    # The check after opening is the exact one; this one stands before tricks inside of formats.
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings(), _DECODING:
            warnings.simplefilter("ignore")
            return _read(content, max_pixels)
    except UnidentifiedImageError:
        taken = ", ".join(TYPES)
        raise Problem(415, "unsupported-type", f"The content is none of {taken}, whatever its name says.") from None
    except _BOMB:
        raise _too_many(max_pixels) from None
    except _DAMAGED as error:
        raise Problem(422, "bad-picture", f"The picture cannot be decoded: {type(error).__name__}.") from None


def _too_many(max_pixels: int) -> Problem:
    return Problem(422, "too-many-pixels", f"A picture may have {max_pixels} pixels at most.", max_pixels=max_pixels)


def _read(content: bytes, max_pixels: int) -> Picture:
    with Image.open(io.BytesIO(content), formats=tuple(TYPES)) as image:
        if image.width * image.height > max_pixels:
            raise _too_many(max_pixels)
        kind = image.format or ""
        exif = image.getexif()
        turned = exif.get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        width, height = (image.height, image.width) if turned else image.size
        names, camera = _exif(exif)
        image.draft("RGB", (THUMBNAIL[0] * 2, THUMBNAIL[1] * 2))  # JPEG alone: decodes at a fraction
        image.load()
        small = ImageOps.exif_transpose(image)
        small.thumbnail(THUMBNAIL)
        flat = _flattened(small)
    out = io.BytesIO()
    flat.save(out, "JPEG", quality=82)
    return Picture(
        format=kind,
        width=width,
        height=height,
        content_hash=hashlib.sha256(content).hexdigest(),
        perceptual_hash=_difference_hash(flat),
        exif=names,
        camera=camera,
        thumbnail=out.getvalue(),
    )


def _flattened(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    seen = image.convert("RGBA")
    white = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(white, seen).convert("RGB")


def _difference_hash(image: Image.Image) -> str:
    grey = image.convert("L").resize((9, 8)).tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            bits = bits << 1 | (grey[row * 9 + column] > grey[row * 9 + column + 1])
    return f"{bits:016x}"


def _exif(exif: Image.Exif) -> tuple[dict[str, Any], dict[str, Any]]:
    base = {_name(ExifTags.TAGS, k): v for k, v in exif.items()}
    inner = {_name(ExifTags.TAGS, k): v for k, v in exif.get_ifd(ExifTags.IFD.Exif).items()}
    place = {_name(ExifTags.GPSTAGS, k): v for k, v in exif.get_ifd(ExifTags.IFD.GPSInfo).items()}
    every = {**base, **inner}
    names = {name: _plain(value) for name, value in list({**every, **place}.items())[:_ENTRIES]}
    shutter = _number(every.get("ExposureTime"))
    camera: dict[str, Any] = {
        "camera_make": _words(every.get("Make"), 100),
        "camera_model": _words(every.get("Model"), 100),
        "lens_model": _words(every.get("LensModel"), 100),
        "iso": _whole(every.get("ISOSpeedRatings")),
        "aperture": _number(every.get("FNumber")),
        "shutter_speed": None if not shutter else f"1/{round(1 / shutter)}" if shutter < 1 else f"{shutter:g}",
        "focal_length": _number(every.get("FocalLength")),
        "capture_timestamp": _moment(every.get("DateTimeOriginal") or every.get("DateTime")),
        "gps_latitude": _degrees(place.get("GPSLatitude"), place.get("GPSLatitudeRef"), "S", 90),
        "gps_longitude": _degrees(place.get("GPSLongitude"), place.get("GPSLongitudeRef"), "W", 180),
    }
    if camera["shutter_speed"] is not None:
        camera["shutter_speed"] = camera["shutter_speed"][:50]
    return {k: v for k, v in names.items() if v is not None}, {k: v for k, v in camera.items() if v is not None}


def _name(names: Mapping[int, str], tag: int) -> str:
    return names.get(tag, f"0x{tag:04x}")


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and not "\ud800" <= c <= "\udfff").strip()


def _words(value: Any, length: int) -> str | None:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return (_clean(text)[:length] or None) if isinstance(text, str) else None


def _number(value: Any) -> float | None:
    first = value[0] if isinstance(value, tuple) and value else value
    try:
        number = float(first)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None  # no number, or a fraction of nought: the camera did not know
    return number if number - number == 0 else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 0 < number < 2**31 else None


def _moment(value: Any) -> datetime | None:
    text = _words(value, 19)
    try:
        return datetime.strptime(text, "%Y:%m:%d %H:%M:%S") if text else None  # noqa: DTZ007 (cameras know no zone)
    except ValueError:
        return None


def _degrees(value: Any, half: Any, negative: str, most: int) -> float | None:
    parts = [_number(part) for part in value] if isinstance(value, tuple) and len(value) == 3 else []
    if len(parts) != 3 or None in parts:
        return None
    degrees = float(sum(part / 60**power for power, part in enumerate(p for p in parts if p is not None)))
    if not 0 <= degrees <= most:
        return None
    return -degrees if _words(half, 1) == negative else degrees


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    if isinstance(value, str):
        return _clean(value)[:_TEXT]
    if isinstance(value, bytes):
        return None  # maker notes and padding: nothing to show
    if isinstance(value, tuple):
        return [_plain(part) for part in value[:16]]
    return _number(value)
