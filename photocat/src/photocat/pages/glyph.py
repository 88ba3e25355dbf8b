"""Pictures that have no file: the sample's are Unicode characters, and are drawn as what they are.

A file name of the sample spells the character's code points (`1f600.webp`). It decides what is drawn for such a name.
It must never draw what is no character, nor let a character become markup.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape
from zlib import crc32

#: Code points in hexadecimal; the longest emoji has ten.
CODES = re.compile(r"[0-9a-f]{1,6}(?:-[0-9a-f]{1,6}){0,11}")
_HUES = ("#fdf3e1", "#e9f2fb", "#eaf6ec", "#f8ecf4", "#f1eefb", "#eef4f4")
#: Joiners and selectors of a form: part of a character, and no name anybody would say.
_SILENT = frozenset({0x200D, 0xFE0E, 0xFE0F})
_FONTS = "Noto Color Emoji, Apple Color Emoji, Segoe UI Emoji, Noto Sans, DejaVu Sans, sans-serif"


def codes_of(filename: str | None) -> str | None:
    """The code points that a sample's file name spells, or None for any other name."""
    stem, _, suffix = (filename or "").rpartition(".")
    return stem if suffix == "webp" and text_of(stem) is not None else None


def text_of(codes: str) -> str | None:
    """The text that code points spell, or None if they are no characters that can be shown."""
    if not CODES.fullmatch(codes):
        return None
    points = [int(code, 16) for code in codes.split("-")]
    # What Python's tables do not have yet is a character of a newer Unicode, but for those that never will be one.
    if any(point > 0x10FFFF or point & 0xFFFE == 0xFFFE or 0xFDD0 <= point <= 0xFDEF for point in points):
        return None
    if any(unicodedata.category(chr(point)) in ("Cc", "Cs") for point in points):
        return None
    return "".join(map(chr, points))


def name_of(text: str) -> str | None:
    """What the characters are called, or None if one has no name, as those of private use."""
    names = [unicodedata.name(char, "") for char in text if ord(char) not in _SILENT]
    return ", ".join(names).lower() if names and all(names) else None


def drawn(codes: str) -> str | None:
    """An SVG of the text that code points spell; of those without a glyph, the code points themselves."""
    text = text_of(codes)
    if text is None:
        return None
    private = any(unicodedata.category(char) == "Co" for char in text)
    shown = " ".join(f"U+{ord(char):04X}" for char in text) if private else text
    size = 96 if private else 300
    ground = _HUES[crc32(codes.encode()) % len(_HUES)]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512" width="512" height="512">'
        f'<rect width="512" height="512" fill="{ground}"/>'
        f'<text x="256" y="268" font-size="{size}" font-family="{_FONTS}" fill="#2b2b33" text-anchor="middle" '
        f'dominant-baseline="central">{escape(shown)}</text></svg>'
    )
