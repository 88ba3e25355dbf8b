"""A lookup that does not exist yet: what its table will be, from the references that repeat its text.

Decides types and names of a table that expand makes (``lookup.X.create = true``). The result is a table of the
catalog's own kind, so that everything that plans on a lookup plans on this one too. It must never look at values, and
always give the same answer: a resumed run compares names.
"""

from __future__ import annotations

from collections.abc import Sequence

from .catalog import Column, Constraint, Index, IndexColumn, Table
from .names import QName, shorten
from .spec import LookupSpec

_KEYS = {"bigint": "int8", "integer": "int4", "uuid": "uuid"}


def planned_table(name: QName, spec: LookupSpec, references: Sequence[Sequence[Column | None]]) -> Table | list[str]:
    """Describe the table that a lookup will be.

    Args:
        name: its name, with its schema.
        spec: the lookup.
        references: of each reference its text, its qualifier (None where it has none), then its scope.

    Returns:
        The table; or what cannot be decided, as problems without the key's path.
    """
    texts = [r[0] for r in references if r[0] is not None]
    if not texts:
        return ["no reference has its text, so there is nothing to make it of"]
    scope = () if spec.scope is None else spec.scope.columns
    qualifier = spec.qualifier.column if spec.qualifier is not None else None
    problems: list[str] = []
    named = [spec.key, spec.text, *scope, *([qualifier] if qualifier else [])]
    problems += [f"names the column {n!r} twice" for n in dict.fromkeys(named) if named.count(n) > 1]
    columns = [_key(spec)]
    for position, column in enumerate(scope):
        theirs = [r[position + 2] for r in references if len(r) > position + 2]
        columns.append(_holding(column, len(columns) + 1, [c for c in theirs if c is not None], not_null=True))
        kinds = {c.base for c in theirs if c is not None and not c.is_text}
        if len(kinds) > 1 and not kinds <= {"int2", "int4", "int8"}:
            problems.append(f"the references' scopes for {column!r} are {', '.join(sorted(kinds))}")
    columns.append(_holding(spec.text, len(columns) + 1, texts, not_null=True))
    if qualifier is not None:
        qualifiers = [r[1] for r in references if r[1] is not None]
        columns.append(_holding(qualifier, len(columns) + 1, qualifiers or texts, not_null=False))
    if problems:
        return problems
    unique = (*scope, spec.text, *([qualifier] if qualifier else []))
    return _table(name, tuple(columns), spec.key, unique, nulls_not_distinct=qualifier is not None)


def _key(spec: LookupSpec) -> Column:
    uuid = spec.key_type == "uuid"
    return Column(
        name=spec.key,
        type=spec.key_type,
        attnum=1,
        base=_KEYS[spec.key_type],
        base_type=spec.key_type,
        not_null=True,
        default="gen_random_uuid()" if uuid else None,
        identity="" if uuid else "d",
    )


def _holding(name: str, attnum: int, columns: Sequence[Column], *, not_null: bool) -> Column:
    """A column that holds whatever any of the others does."""
    bases = {c.base for c in columns}
    collations = {c.collated for c in columns}
    collation = collations.pop() if len(collations) == 1 else None
    width: int | None = None
    if not all(c.is_text for c in columns):
        first = max(columns, key=lambda c: ("int2", "int4", "int8").index(c.base) if c.base.startswith("int") else 0)
        return Column(name, first.plain_type, attnum, first.base, base_type=first.plain_type, not_null=not_null)
    if bases == {"citext"}:
        kind, base = columns[0].plain_type, "citext"
    elif bases in ({"varchar"}, {"bpchar"}) and all(c.width is not None for c in columns):
        width = max(c.width for c in columns if c.width is not None)
        base = bases.pop()
        kind = f"{'character varying' if base == 'varchar' else 'character'}({width})"
    else:
        kind, base = "text", "text"
    lenient = collation is not None and any(not c.deterministic for c in columns)
    return Column(
        name, kind, attnum, base, width, not_null, base_type=kind, collation=collation, collated=collation,
        deterministic=not lenient,
    )  # fmt: skip


def _table(
    name: QName, columns: tuple[Column, ...], key: str, unique: tuple[str, ...], *, nulls_not_distinct: bool
) -> Table:
    # As the server names them, so that a person finds what he expects; the table is new, and so is every name on it.
    primary = shorten(f"{name.name}_pkey", {name.name})
    guard = shorten(f"uq_{name.name}_{'_'.join(unique)}", {name.name, primary})
    indexes = (
        _index(name, primary, (key,), primary=True),
        _index(name, guard, unique, nulls_not_distinct=nulls_not_distinct),
    )
    constraints = (
        Constraint(primary, "p", (key,), "", index=primary),
        Constraint(guard, "u", unique, "", index=guard),
    )
    return Table(0, name, "r", "", columns, indexes, constraints)


def _index(
    on: QName, name: str, columns: tuple[str, ...], *, primary: bool = False, nulls_not_distinct: bool = False
) -> Index:
    return Index(
        name=name,
        schema=on.schema,
        method="btree",
        columns=tuple(IndexColumn(c) for c in columns),
        include=(),
        unique=True,
        primary=primary,
        valid=True,
        immediate=True,
        nulls_not_distinct=nulls_not_distinct,
        predicate=None,
        constraint=name,
        definition="",
        uses=columns,
    )
