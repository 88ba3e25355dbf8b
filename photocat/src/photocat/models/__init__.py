"""PhotoCat's tables at both ends of the migration.

`shared` has the tables that are the same at both, `text` and `key` the others: import the end that the code speaks.
`metadata_for` gives all tables of one end, as Alembic compares them with a database.
"""

from __future__ import annotations

from sqlalchemy import MetaData

from photocat.models import key, text
from photocat.settings import TagColumns

__all__ = ["key", "metadata_for", "text"]


def metadata_for(tag_columns: TagColumns) -> MetaData:
    """All tables of one end: `text` as revision 202601171500 makes them, `key` as contract leaves them."""
    return key.metadata if tag_columns == "key" else text.metadata
