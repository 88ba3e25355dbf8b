"""Files of pictures and thumbnails on disk, under names that nobody outside chooses.

It decides where a file lies: by tenant and by the hash of its content. It must never use a file name that came with
a request, nor follow a key out of its folder; a file is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

#: `<tenant>/<2 of the hash>/<hash>[-thumb].<type>`: what `Storage.key` makes, and all that `Storage.open` takes.
_KEY = re.compile(r"[0-9a-f]{16}/[0-9a-f]{2}/[0-9a-f]{64}(-thumb)?\.[a-z]{3,4}")
#: Longest file name that `image_metadata.filename` holds.
NAME_LENGTH = 512


class Storage:
    """A folder of files, each written once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @staticmethod
    def key(tenant: str, digest: str, suffix: str, *, thumbnail: bool = False) -> str:
        """The name under which a file of this content lies.

        Args:
            tenant: whose it is; tenants share no file, even where the content is the same.
            digest: SHA-256 of the original's content, in hex.
            suffix: `jpg`, `png` …, by content.
            thumbnail: the small one of it.
        """
        folder = hashlib.sha256(tenant.encode()).hexdigest()[:16]
        return f"{folder}/{digest[:2]}/{digest}{'-thumb' if thumbnail else ''}.{suffix}"

    def write(self, key: str, content: bytes) -> None:
        """Puts a file in its place at once; the same content may be there already."""
        place = self._place(key)
        if place is None:
            raise ValueError(f"{key!r} is not a key of this storage")
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=".new-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def path(self, key: str | None) -> Path | None:
        """The file of a key, or None if there is none, or the key is not one of ours (rows of before uploads)."""
        place = self._place(key) if key else None
        return place if place is not None and place.is_file() else None

    def remove(self, key: str | None) -> None:
        """Takes a file away, if it is there."""
        place = self._place(key) if key else None
        if place is not None:
            place.unlink(missing_ok=True)

    def _place(self, key: str) -> Path | None:
        return self._root / key if _KEY.fullmatch(key) else None


def shown_name(given: str | None, otherwise: str) -> str:
    """A file name to show and to store, never to open: its last part, without control characters, shortened."""
    last = re.split(r"[/\\]", given or "")[-1]
    clean = "".join(c for c in last if c.isprintable() and not "\ud800" <= c <= "\udfff").strip(" .")
    if len(clean) > NAME_LENGTH:
        stem, dot, suffix = clean.rpartition(".")
        kept = f".{suffix}" if dot and len(suffix) <= 8 else ""
        clean = (stem or clean)[: NAME_LENGTH - len(kept)] + kept
    return clean or otherwise
