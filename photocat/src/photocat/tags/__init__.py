"""Tags, before and after the migration: `text` and `key` behind one interface, and what is written on it."""

from __future__ import annotations

from photocat.settings import TagColumns as Mode
from photocat.tags.interface import SOURCES, Source, TagColumns
from photocat.tags.key import KeyColumns
from photocat.tags.text import TextColumns

__all__ = ["SOURCES", "Source", "TagColumns", "columns_for"]


def columns_for(mode: Mode) -> TagColumns:
    """The code that `PHOTOCAT_TAG_COLUMNS` selects."""
    return KeyColumns() if mode == "key" else TextColumns()
