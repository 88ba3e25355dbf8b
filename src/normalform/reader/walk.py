"""Walks statements that write: INSERT, UPDATE, DELETE, MERGE and COPY, wherever they stand.

Decides which of a watched table's columns are assigned, and what an absent list of columns means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

from .nodes import alias_of, bare, fold, is_paren, line_of, output_name_of, star_tables
from .queries import Queries, Scopes
from .scopes import NOTHING, UNKNOWN, Hit, Place, Scope, Shape, together
from .world import Kind


class Walk(Queries):
    """One statement's walk."""

    def write(self, node: exp.Expr, place: Place, scopes: Scopes) -> Shape:
        """Walk a statement that writes."""
        if isinstance(node, exp.Insert):
            return self._insert(node, place, scopes)
        if isinstance(node, exp.Update):
            return self._update(node, place, scopes)
        if isinstance(node, exp.Delete):
            return self._delete(node, place, scopes)
        if isinstance(node, exp.Merge):
            return self._merge(node, place, scopes)
        if isinstance(node, exp.Copy):
            self._copy(node)
        return NOTHING

    def _insert(self, node: exp.Insert, place: Place, outer: Scopes) -> Shape:
        schema = node.this
        listed = schema.expressions if isinstance(schema, exp.Schema) else []
        target = schema.this if isinstance(schema, exp.Schema) else schema
        if not isinstance(target, exp.Table):
            return UNKNOWN
        shape, name = self._table(target)
        scope = Scope({alias_of(target) or name: shape})
        for item in listed:
            self._write(shape, item)
        source = node.args.get("expression")
        if source is not None:
            self._insert_source(source, shape, listed, outer)
        conflict = node.args.get("conflict")
        if conflict is not None:
            self._conflict(conflict, shape, [*outer, scope])
        return self._returning(node, place, [*outer, scope])

    def _insert_source(self, source: exp.Expr, target: Shape, listed: Sequence[exp.Expr], outer: Scopes) -> None:
        if not listed:
            for table, certain in target.rows:
                if table.texts or table.grows:
                    why = "INSERT without a list of columns"
                    self._add(table, Kind.POSITION, certain=certain, line=line_of(source), why=why)
        same = star_tables(bare(source))
        own = {t.name.name for t, _ in target.rows}
        # All of a table's columns into the same table: both sides change together.
        place = Place.INNER if not listed and same and same <= own else Place.FIXED
        self.statement(source, place, outer)

    def _conflict(self, conflict: exp.Expr, target: Shape, scopes: list[Scope]) -> None:
        inner = [*scopes, Scope({"excluded": target})]
        self._each(conflict.args.get("conflict_keys") or (), scopes)
        constraint = conflict.args.get("constraint")
        if constraint is not None:
            for table, certain in target.rows:
                if fold(constraint) in table.constraints:
                    why = f"ON CONFLICT ON CONSTRAINT {fold(constraint)}"
                    self._add(table, Kind.READS, certain=certain, line=line_of(constraint), why=why)
        self._assignments(conflict.expressions, target, inner)
        self._any(conflict.args.get("where"), inner)
        self._any(conflict.args.get("index_predicate"), scopes)

    def _update(self, node: exp.Update, place: Place, outer: Scopes) -> Shape:
        if not isinstance(node.this, exp.Table):
            return UNKNOWN
        shape, name = self._table(node.this)
        scope = Scope({alias_of(node.this) or name: shape})
        scopes = [*outer, scope]
        self._from(node, scope, outer)
        for join in node.this.args.get("joins") or ():
            self._join(join, scope, outer)
        self._assignments(node.expressions, shape, scopes)
        self._any(node.args.get("where"), scopes)
        return self._returning(node, place, scopes)

    def _delete(self, node: exp.Delete, place: Place, outer: Scopes) -> Shape:
        if not isinstance(node.this, exp.Table):
            return UNKNOWN
        shape, name = self._table(node.this)
        scope = Scope({alias_of(node.this) or name: shape})
        for source in node.args.get("using") or ():
            self._source(source, scope, outer)
        scopes = [*outer, scope]
        self._any(node.args.get("where"), scopes)
        return self._returning(node, place, scopes)

    def _merge(self, node: exp.Merge, place: Place, outer: Scopes) -> Shape:
        if not isinstance(node.this, exp.Table):
            return UNKNOWN
        shape, name = self._table(node.this)
        scope = Scope({alias_of(node.this) or name: shape})
        self._source(node.args["using"], scope, outer)
        scopes = [*outer, scope]
        self._any(node.args.get("on"), scopes)
        for when in node.args["whens"].expressions:
            self._any(when.args.get("condition"), scopes)
            then = when.args.get("then")
            if isinstance(then, exp.Update):
                self._assignments(then.expressions, shape, scopes)
            elif isinstance(then, exp.Insert):
                self._merge_insert(then, shape, scopes)
        return self._returning(node, place, scopes)

    def _merge_insert(self, then: exp.Insert, shape: Shape, scopes: Scopes) -> None:
        listed = then.this.expressions if isinstance(then.this, exp.Tuple) else []
        for item in listed:
            self._write(shape, item)
        if not listed:
            for table, certain in shape.rows:
                self._add(table, Kind.POSITION, certain=certain, why="MERGE … INSERT without a list of columns")
        self._any(then.args.get("expression"), scopes)

    def _assignments(self, items: Iterable[exp.Expr], target: Shape, scopes: Scopes) -> None:
        for item in items:
            if not isinstance(item, exp.EQ):
                self._any(item, scopes)
                continue
            left = item.this
            for column in left.expressions if isinstance(left, exp.Tuple) else [left.this if is_paren(left) else left]:
                self._write(target, column)
            self._any(item.expression, scopes)

    def _write(self, target: Shape, node: exp.Expr) -> None:
        name = fold(node.this if isinstance(node, exp.Column) else node)
        hit = target.has(name)
        if isinstance(hit, Hit):
            self._hit(hit, Kind.WRITES, line_of(node))

    def _returning(self, node: exp.Expr, place: Place, scopes: Scopes) -> Shape:
        clause = node.args.get("returning")
        if clause is None:
            return NOTHING
        fields: dict[str, Hit | None] = {}
        rows = []
        for item in clause.expressions:
            star = self._star(item, scopes)
            if star is None:
                fields[output_name_of(item)] = None
                self.expression(item, scopes)
            else:
                self._take_all(star, place, line_of(item))
                rows.append(star)
        return together([Shape(fields), *rows])

    def _copy(self, node: exp.Copy) -> None:
        target = node.this
        if isinstance(target, exp.Subquery):
            self.statement(target, Place.RESULT)
            return
        table = target.this if isinstance(target, exp.Schema) else target
        if not isinstance(table, exp.Table):
            return
        shape, _ = self._table(table)
        inward = bool(node.args.get("kind"))
        if isinstance(target, exp.Schema):
            for item in target.expressions:
                hit = shape.has(fold(item))
                if isinstance(hit, Hit):
                    self._hit(hit, Kind.WRITES if inward else Kind.READS, line_of(item))
            return
        for own, certain in shape.rows:
            kind = Kind.BREAKS if inward else Kind.STAR
            why = f"COPY {'FROM' if inward else 'TO'} without a list of columns"
            self._add(own, kind, certain=certain, line=line_of(table), why=why)
