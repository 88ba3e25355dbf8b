"""Names in a draft: of lookups, of references, of key columns to be added, and of tables to be made.

Decides names that are free, as a person would choose them. Never changes a name that exists.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .candidates import Owner, Repeater
from .catalog import Catalog
from .likeness import GENERIC, noun, plural, spelled, words
from .names import QName, display, shorten
from .own_lookup import Proposal


class Names:
    """Names that are free, and tables as a person would write them."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.lookups: set[str] = set()
        self.references: set[str] = set()
        self.added: dict[QName, set[str]] = {}
        self.made: set[QName] = set()

    def table(self, name: QName) -> QName:
        """Return a table's name without its schema where the search path leads to it all the same."""
        for schema in self.catalog.search_path:
            if str(QName(schema, name.name)) in self.catalog.names or QName(schema, name.name) in self.catalog.tables:
                return QName("", name.name) if schema == name.schema else name
        return name

    def new_table(self, name: QName) -> QName:
        """Return the name of a table to be made, without its schema where it would be made there all the same."""
        return QName("", name.name) if self.catalog.search_path[:1] == (name.schema,) else name

    def lookup(self, owner: Owner) -> str:
        """Return a lookup's name: what one row of its table is called."""
        name = owner.table.name
        return self._free(self.lookups, [noun(name.name), f"{name.schema}_{noun(name.name)}"])

    def new_lookup(self, proposal: Proposal) -> tuple[str, QName]:
        """Return name and table of a lookup that is to be made; neither exists."""
        first = proposal.repeaters[0]
        one = stem(first.text.name) or noun(first.table.name.name)
        schema = first.table.name.schema
        choices = itertools.chain([plural(one)], (f"{plural(one)}_{n}" for n in itertools.count(2)))
        free = (QName(schema, shorten(c)) for c in choices)
        table = next(t for t in free if str(t) not in self.catalog.names and t not in self.made)
        self.made.add(table)
        return self._free(self.lookups, [one, f"{schema}_{one}"]), table

    def reference(self, repeater: Repeater, *, alone: bool) -> str:
        """Return a reference's name: its table's, where it is the table's only one."""
        short = self.table(repeater.table.name)
        name = "_".join(spelled(short.name)) if display(short.name) != short.name else short.name
        column = "_".join(spelled(repeater.text.name)) or repeater.text.name
        choices = [name or short.name] if alone else []
        return self._free(
            self.references, [*choices, f"{name}_{column}", f"{repeater.table.name.schema}_{name}_{column}"]
        )

    def key(self, repeater: Repeater, lookup: QName, key: str) -> str:
        """Return a free name for the key column: ``person_id`` for ``person_name``.

        Args:
            repeater: the column whose key it is.
            lookup: the lookup's table.
            key: the lookup's key.
        """
        table = repeater.table
        taken = self.added.setdefault(table.name, {c.name for c in table.columns})
        owned = noun(lookup.name)
        head = stem(repeater.text.name) or owned
        tail = "id" if words(key)[-1:] == ["id"] or not words(key) or display(key) != key else key
        for choice in (f"{head}_{tail}", f"{head}_{owned}_{tail}", f"{head}_key"):
            if choice not in taken and len(choice.encode()) <= 63:
                taken.add(choice)
                return choice
        name = shorten(f"{head}_{tail}", taken)
        taken.add(name)
        return name

    def _free(self, taken: set[str], choices: Sequence[str]) -> str:
        numbered = (f"{choices[-1]}_{n}" for n in itertools.count(2))
        name = next(c for c in itertools.chain(choices, numbered) if c not in taken)
        taken.add(name)
        return name


def stem(column: str) -> str:
    """Return a column's name without the last word that only says that it is a text: ``person`` of ``person_name``."""
    parts = words(column)
    while parts and parts[-1] in GENERIC:
        parts.pop()
    return "_".join(parts)
