"""Fitting a spec to a catalog: the model, or everything that does not fit.

Decides whether a spec fits a database, and says in one go all that does not: the key, the object, the nearest existing
name. Never reads the database itself, and never guesses a column that is not named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import SpecError
from .catalog import Catalog, Column, Table
from .model import Lookup, Model, PathTable, Reference, ScopeCopy
from .names import QName, display, nearest
from .planned import planned_table
from .spec import LookupSpec, QualifierSpec, ReferenceSpec, ScopeSpec, Spec
from .toml_reader import key_path

KEY_TYPES = ("int2", "int4", "int8", "uuid", "text", "varchar", "bpchar")
#: Types that PostgreSQL compares with one another without a cast; any other only with itself.
FAMILIES = {
    **dict.fromkeys(("int2", "int4", "int8"), "a whole number"),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext"), "a text"),
}


def bind(spec: Spec, catalog: Catalog, baseline: Mapping[QName, Table] | None = None) -> Model:
    """Fit a spec to a catalog.

    Args:
        spec: the spec.
        catalog: the tables that :func:`tables_of` names, as they are now.
        baseline: tables by qualified name as they stood before the first change; None before that.

    Raises:
        SpecError: with everything that does not fit: the key, the object and the nearest existing name.
    """
    binder = _Binder(spec, catalog, baseline or {})
    model = binder.bind()
    if binder.problems:
        raise SpecError(binder.problems)
    assert model is not None
    return model


class _Binder:
    def __init__(self, spec: Spec, catalog: Catalog, baseline: Mapping[QName, Table]) -> None:
        self.spec, self.catalog, self.baseline = spec, catalog, baseline
        self.problems: list[str] = []

    def problem(self, path: str, text: str) -> None:
        self.problems.append(f"{path}: {text}")

    def bind(self) -> Model | None:
        lookups = {s.name: self.lookup(s) for s in self.spec.lookups}
        references: list[Reference] = []
        absent: list[ReferenceSpec] = []
        for spec in self.spec.references:
            if spec.optional and self.catalog.find(spec.table) is None:
                absent.append(spec)
                continue
            reference = self.reference(spec, lookups.get(spec.lookup))
            if reference is not None:
                self.check_shared(reference, references)
                references.append(reference)
        if self.problems:
            return None
        return Model(self.spec, self.catalog, tuple(v for v in lookups.values() if v), tuple(references), tuple(absent))

    def table(self, path: str, name: QName) -> Table | None:
        table = self.catalog.find(name)
        if table is None:
            near = nearest(str(name), self.catalog.names)
            self.problem(path, f"no table {name}" + (f"; did you mean {near}?" if near else ""))
        elif table.kind != "r":
            kinds = {"p": "a partitioned table", "v": "a view", "m": "a materialized view", "f": "a foreign table"}
            self.problem(path, f"{name} is {kinds.get(table.kind, 'no table')}; only ordinary tables are supported")
            return None
        return table

    def column(self, path: str, table: Table, name: str, *, required: bool = True) -> Column | None:
        column = table.column(name)
        if column is None and table.name in self.baseline:
            column = self.baseline[table.name].column(name)
        if column is None and required:
            near = nearest(name, (c.name for c in table.columns))
            hint = f"; did you mean {display(near)}?" if near else ""
            self.problem(path, f"{table.name} has no column {display(name)}{hint}")
        return column

    def comparable(self, path: str, table: Table, column: Column | None, other: Table, match: Column | None) -> None:
        """Two columns that must agree are of types that can be compared."""
        if column is None or match is None:
            return
        if FAMILIES.get(column.base, column.base) != FAMILIES.get(match.base, match.base):
            self.problem(
                path,
                f"{table.name}.{display(column.name)} is {column.type}, "
                f"{other.name}.{display(match.name)} is {match.type}: they cannot be equal",
            )

    def text_column(self, path: str, table: Table, name: str) -> Column | None:
        column = self.column(path, table, name)
        if column is not None and not column.is_text:
            self.problem(path, f"{table.name}.{display(name)} is {column.type}, not a text type")
        return column

    def lookup(self, spec: LookupSpec) -> Lookup | None:
        path = key_path("lookup", spec.name)
        made_as = self.planned(path, spec) if spec.create else None
        planned = spec.create and self.catalog.find(spec.table) is None
        table = made_as if planned else self.table(f"{path}.table", spec.table)
        if table is None:
            return None
        if spec.create and not planned and (not self.baseline or table.name in self.baseline):
            self.problem(
                f"{path}.create", f"{table.name} exists already and is not ours; to use it as it is, leave out create"
            )
        key = self.column(f"{path}.key", table, spec.key)
        text = self.text_column(f"{path}.text", table, spec.text)
        aliases = self.column(f"{path}.aliases", table, spec.aliases) if spec.aliases else None
        if aliases is not None and aliases.base not in ("json", "jsonb", "_text", "_varchar"):
            self.problem(f"{path}.aliases", f"{spec.aliases} is {aliases.type}; aliases are json, jsonb or text[]")
        if key is not None:
            self.check_key(path, table, key)
        scope, types, ready, copy = self.scope(f"{path}.scope", table, spec.scope)
        qualifier_column, walk = self.qualifier(f"{path}.qualifier", table, spec.qualifier)
        added = set(scope) if copy is not None else set()
        for column in spec.unique:
            if column not in added:
                self.column(f"{path}.unique", table, column)
        if key is None or text is None:
            return None
        self.check_new_row(f"{path}.new_row", spec, table, {key.name, text.name, *scope}, walk)
        return Lookup(
            spec, table, key, text, aliases, scope, types, ready, copy, qualifier_column, walk, planned, made_as
        )

    def planned(self, path: str, spec: LookupSpec) -> Table | None:
        """Describe a table that expand will make, from the columns of the references that there are."""
        schema = spec.table.schema or next(iter(self.catalog.search_path), "public")
        found: list[list[Column | None]] = []
        for reference in self.spec.references:
            table = self.catalog.find(reference.table) if reference.lookup == spec.name else None
            if table is not None:
                names = [reference.text, reference.qualifier, *reference.scope]
                found.append([self.column("", table, n, required=False) if n else None for n in names])
        made = planned_table(QName(schema, spec.table.name), spec, found)
        if isinstance(made, Table):
            return made
        for text in made:
            self.problem(path, text)
        return None

    def check_key(self, path: str, table: Table, key: Column) -> None:
        if key.base not in KEY_TYPES:
            self.problem(f"{path}.key", f"{key.name} is {key.type}; keys are integers, uuid or text")
        single = [i for i in table.indexes if i.unique and i.valid and i.predicate is None and len(i.columns) == 1]
        if not any(i.columns[0].column == key.name for i in single):
            self.problem(f"{path}.key", f"{table.name}.{display(key.name)} is not unique by itself")
        if not key.not_null:
            self.problem(f"{path}.key", f"{table.name}.{display(key.name)} may be NULL")

    def check_new_row(
        self, path: str, spec: LookupSpec, table: Table, filled: set[str], walk: PathTable | None
    ) -> None:
        for name, value in spec.new_row.items():
            column = self.column(path, table, name)
            if value.source == "qualifier":
                if walk is None or walk.join != name:
                    self.problem(f"{path}.{name}", 'from = "qualifier" fills the column that the qualifier joins')
                elif value.otherwise is None and column is not None and column.not_null:
                    self.problem(
                        f"{path}.{name}", "needs otherwise = …: a tag may have no category, the column is NOT NULL"
                    )
        for column in table.columns:
            free = column.not_null and column.default is None and not column.identity and not column.generated
            wanted = column.name not in filled and column.name not in spec.new_row
            creates = any(r.on_unknown == "create" and r.lookup == spec.name for r in self.spec.references)
            if free and wanted and (spec.new_row or creates):
                self.problem(
                    path, f"{table.name}.{display(column.name)} is NOT NULL without a default and is not filled"
                )

    def scope(
        self, path: str, table: Table, spec: ScopeSpec | None
    ) -> tuple[tuple[str, ...], tuple[str, ...], bool, ScopeCopy | None]:
        if spec is None:
            return (), (), True, None
        if spec.add is None:
            columns = [self.column(path, table, name) for name in spec.columns]
            return spec.columns, tuple(c.plain_type for c in columns if c), True, None
        assert spec.copy_table is not None
        assert spec.copy_column is not None
        assert spec.join is not None
        if self.baseline.get(table.name, table).column(spec.add) is not None:
            self.problem(
                f"{path}.add",
                f"{table.name}.{display(spec.add)} exists already and is not ours; "
                f"to use it as it is: scope = {spec.add!r}",
            )
        source = self.table(f"{path}.copy", spec.copy_table)
        join = self.column(f"{path}.join", table, spec.join)
        if source is None:
            return (spec.add,), (), False, None
        column = self.column(f"{path}.copy", source, spec.copy_column)
        key = self.single_key(f"{path}.copy", source)
        if column is None or key is None:
            return (spec.add,), (), False, None
        self.comparable(f"{path}.join", table, join, source, source.column(key))
        # Until constrain has made it NOT NULL, the added column may not be filled yet: the copy is what counts.
        added = table.column(spec.add)
        return (
            (spec.add,),
            (column.plain_type,),
            added is not None and added.not_null,
            ScopeCopy(source, key, column, spec.join),
        )

    def qualifier(self, path: str, table: Table, spec: QualifierSpec | None) -> tuple[str | None, PathTable | None]:
        if spec is None:
            return None, None
        if spec.column is not None:
            self.text_column(path, table, spec.column)
            return spec.column, None
        assert spec.path_table is not None
        assert spec.path_column is not None
        assert spec.join is not None
        source = self.table(f"{path}.path", spec.path_table)
        join = self.column(f"{path}.join", table, spec.join)
        if source is None:
            return None, None
        self.text_column(f"{path}.path", source, spec.path_column)
        parent = self.column(f"{path}.parent", source, spec.parent) if spec.parent is not None else None
        key = self.single_key(f"{path}.path", source)
        if key is None:
            return None, None
        self.comparable(f"{path}.join", table, join, source, source.column(key))
        self.comparable(f"{path}.parent", source, parent, source, source.column(key))
        return None, PathTable(source, key, spec.path_column, spec.join, spec.parent, spec.separator)

    def single_key(self, path: str, table: Table) -> str | None:
        if len(table.primary_key) == 1:
            return table.primary_key[0]
        self.problem(path, f"{table.name} needs a primary key of one column to be joined")
        return None

    def reference(self, spec: ReferenceSpec, lookup: Lookup | None) -> Reference | None:
        path = key_path("reference", spec.name)
        table = self.table(f"{path}.table", spec.table)
        if table is None:
            return None
        text = self.text_column(f"{path}.text", table, spec.text)
        qualifier = self.text_column(f"{path}.qualifier", table, spec.qualifier) if spec.qualifier else None
        scope = [self.column(f"{path}.scope", table, name) for name in spec.scope]
        if lookup is not None:
            for column, (other, match) in zip(scope, self.scope_columns(lookup), strict=False):
                self.comparable(f"{path}.scope", table, column, other, match)
        self.check_key_is_free(path, table, spec)
        if text is None or lookup is None:  # a lookup that does not fit has been reported itself
            return None
        return Reference(
            spec=spec,
            table=table,
            lookup=lookup,
            text=text,
            qualifier=qualifier,
            scope=tuple(c for c in scope if c is not None),
            key_present=table.column(spec.add) is not None,
            text_present=table.column(spec.text) is not None,
        )

    def scope_columns(self, lookup: Lookup) -> tuple[tuple[Table, Column | None], ...]:
        """The columns that a lookup's scope is, or is copied from, with their table."""
        if lookup.scope_copy is not None:
            return ((lookup.scope_copy.table, lookup.scope_copy.column),)
        return tuple((lookup.table, lookup.table.column(name)) for name in lookup.scope)

    def check_key_is_free(self, path: str, table: Table, spec: ReferenceSpec) -> None:
        before = self.baseline.get(table.name, table)
        existing = before.column(spec.add)
        if existing is not None:
            self.problem(f"{path}.add", f"{table.name}.{display(spec.add)} exists already and is not ours")

    def check_shared(self, reference: Reference, earlier: Sequence[Reference]) -> None:
        """Two references of one table must not add the same key, nor hand over the same text."""
        path = key_path("reference", reference.name)
        for other in earlier:
            if other.table.name == reference.table.name and other.key == reference.key:
                self.problem(f"{path}.add", f"{display(reference.key)} is added by reference {other.name!r} too")
            if other.table.name == reference.table.name and other.text.name == reference.text.name:
                text = f"{reference.table.name}.{display(reference.text.name)}"
                self.problem(f"{path}.text", f"{text} is the text of reference {other.name!r} already")
