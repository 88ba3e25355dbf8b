"""Walks queries and expressions from the outside in, with the sources that each part of them sees.

Decides for each name in the tree whose column it is (``reader.scopes`` has the rule), and for each ``*`` what one more
column, or one less, does to the statement. It never looks at the text again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from sqlglot import exp

from . import scopes as find
from .nodes import alias_columns, alias_of, bare, fold, is_named, line_of, output_name_of, picked_key, star_tables
from .scopes import NOTHING, UNKNOWN, Hit, Names, Place, Scope, Shape, together
from .world import Kind, Reading, Use, Watched, World

Scopes = Sequence[Scope]
_SKIPPED = frozenset(["with", "with_", "from", "from_", "joins", "laterals"])


class Queries(ABC):
    """The walk of one statement's queries; what writes is the subclass's.

    Args:
        world: the database.
        names: what the statement may name besides tables.
        reading: gets the uses.
        line: the line on which the statement begins.
    """

    def __init__(self, world: World, names: Names, reading: Reading, line: int) -> None:
        self.world, self.names, self.reading, self.first = world, names, reading, line
        self.ctes: dict[str, Shape] = {}

    # ------------------------------------------------------------------ statements

    def statement(self, node: exp.Expr, place: Place, scopes: Scopes = ()) -> Shape:
        """Walk a statement or a query, wherever it stands; return the columns of its result."""
        outer = self.ctes
        self.ctes = dict(outer)
        try:
            self._with(node, scopes)
            return self._statement(node, place, scopes)
        finally:
            self.ctes = outer

    def _statement(self, node: exp.Expr, place: Place, scopes: Scopes) -> Shape:
        if isinstance(node, exp.Subquery | exp.Paren):
            shape = self.statement(node.this, place, scopes)
            return shape.renamed(alias_columns(node))
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, place, scopes)
        if isinstance(node, exp.Select):
            return self._select(node, place, scopes)
        if isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge | exp.Copy):
            return self.write(node, place, scopes)
        if isinstance(node, exp.Values):
            self._each(node.expressions, scopes, place)
            return UNKNOWN
        if isinstance(node, exp.Create):
            query = node.args.get("expression")
            if isinstance(query, exp.Query):
                self.statement(query, Place.INNER, scopes)
            return NOTHING
        self.expression(node, scopes)
        return UNKNOWN

    @abstractmethod
    def write(self, node: exp.Expr, place: Place, scopes: Scopes) -> Shape:
        """Walk a statement that writes."""

    def _with(self, node: exp.Expr, scopes: Scopes) -> None:
        clause = node.args.get("with_") or node.args.get("with")
        if clause is None:
            return
        for cte in clause.expressions:
            name = fold(cte.args["alias"].this)
            if clause.args.get("recursive"):
                self.ctes[name] = UNKNOWN
            shape = self.statement(cte.this, Place.INNER, scopes)
            if clause.args.get("recursive") and shape == UNKNOWN:
                shape = self.statement(cte.this, Place.INNER, scopes)
            self.ctes[name] = shape.renamed(alias_columns(cte))

    def _set_operation(self, node: exp.SetOperation, place: Place, scopes: Scopes) -> Shape:
        sides = [node.this, node.expression]
        stars = [star_tables(bare(s)) for s in sides]
        # Both sides grow by the same column only where both take the same table's.
        inner = place if stars[0] == stars[1] else Place.FIXED if place is not Place.NONE else place
        shapes = [self.statement(s, inner, scopes) for s in sides]
        return Shape(shapes[0].fields, together(shapes).rows, any(s.open for s in shapes))

    def _select(self, node: exp.Select, place: Place, outer: Scopes) -> Shape:
        scope = Scope()
        scopes = [*outer, scope]
        self._from(node, scope, outer)
        fields: dict[str, Hit | None] = {}
        rows: list[Shape] = []
        given: set[str] = set()
        for item in node.expressions:
            star = self._star(item, scopes)
            if star is not None:
                self._take_all(star, place, line_of(item))
                rows.append(star)
                continue
            if isinstance(item, exp.Alias):
                given.add(fold(item.args["alias"]))
            fields[output_name_of(item)] = None
            self.expression(item, scopes)
        for key, value in node.args.items():
            if key == "order" and value is not None:
                # A bare name there is the result's column before it is a source's.
                self._each([o for o in value.expressions if not is_named(o, given)], scopes)
            elif key not in _SKIPPED and key != "expressions":
                self._any(value, scopes)
        return together([Shape(fields), *rows])

    def _from(self, node: exp.Expr, scope: Scope, outer: Scopes) -> None:
        """Add the sources of a FROM clause with its joins, in order; LATERAL ones see those before them."""
        clause = node.args.get("from_") or node.args.get("from")
        if clause is not None:
            self._source(clause.this, scope, outer)
        for lateral in node.args.get("laterals") or ():
            self._source(lateral, scope, outer)
        for join in node.args.get("joins") or ():
            self._join(join, scope, outer)

    def _join(self, join: exp.Join, scope: Scope, outer: Scopes) -> None:
        before = dict(scope.sources)
        self._source(join.this, scope, outer)
        for name in join.args.get("using") or ():
            column = fold(name.this if isinstance(name, exp.Column) else name)
            for shape in scope.sources.values():
                hit = shape.has(column)
                if isinstance(hit, Hit):
                    self._hit(hit, Kind.READS, line_of(name))
        if join.args.get("method") == "NATURAL":
            left, right = together(before.values()), together(s for n, s in scope.sources.items() if n not in before)
            for one, two in ((left, right), (right, left)):
                for table, certain in one.rows:
                    for text in sorted(table.texts):
                        if two.has(text):
                            self._add(table, Kind.READS, text, certain=certain, line=line_of(join), why="NATURAL JOIN")
        self._any(join.args.get("on"), [*outer, scope])

    def _source(self, node: exp.Expr, scope: Scope, outer: Scopes) -> None:
        lateral = [*outer, scope]
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            shape, name = self._table(node)
            alias = alias_of(node) or name
            scope.sources[alias] = shape.renamed(alias_columns(node))
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query | exp.Values):
            shape = self.statement(node, Place.INNER, outer)
            scope.sources[alias_of(node) or f"?{len(scope.sources)}"] = shape
        elif isinstance(node, exp.Subquery | exp.Paren):
            # A join in parentheses.
            self._source(node.this, scope, outer)
        elif isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            shape = self.statement(node.this, Place.INNER, lateral)
            scope.sources[alias_of(node) or f"?{len(scope.sources)}"] = shape.renamed(alias_columns(node))
        else:
            # A function: what columns it has is not known, unless it returns rows, or names are given to them all.
            self._children(node, lateral)
            names = alias_columns(node)
            shape = self._rows_of_call(node) or (Shape(dict.fromkeys(names)) if names else UNKNOWN)
            scope.sources[alias_of(node) or f"?{len(scope.sources)}"] = shape.renamed(names)
        for join in node.args.get("joins") or ():
            self._join(join, scope, outer)

    def _table(self, node: exp.Table) -> tuple[Shape, str]:
        schema, name = fold(node.args.get("db")), fold(node.this)
        if not schema and name in self.ctes:
            return self.ctes[name], name
        return find.relation(self.world, self.names, schema, name), name

    # ------------------------------------------------------------------ expressions

    def expression(self, node: exp.Expr, scopes: Scopes, place: Place = Place.INNER) -> None:
        """Walk an expression, and the queries in it."""
        if isinstance(node, exp.Query):
            exists = isinstance(node.parent, exp.Exists) or place is Place.NONE
            self.statement(node, Place.NONE if exists else Place.FIXED, scopes)
        elif isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge):
            self.statement(node, place, scopes)
        elif isinstance(node, exp.Exists):
            self.expression(node.this, scopes, Place.NONE)
        elif isinstance(node, exp.Column):
            self._column(node, scopes)
        elif isinstance(node, exp.Dot):
            self._dot(node, scopes)
        else:
            self._children(node, scopes)

    def _column(self, node: exp.Column, scopes: Scopes) -> None:
        source = fold(node.args.get("table"))
        if isinstance(node.this, exp.Star):
            shape = find.row(scopes, self.names, source) if source else None
            self._whole(shape, node)
            return
        name = fold(node.this)
        hit = find.qualified(scopes, self.names, source, name) if source else find.column(scopes, self.names, name)
        if hit is not None:
            self._hit(hit, Kind.READS, line_of(node))
        elif not source:
            self._whole(find.row(scopes, self.names, name), node)

    def _dot(self, node: exp.Dot, scopes: Scopes) -> None:
        """``(row).field``, ``$1.field``, ``(row).*``."""
        shape = self._row_of(node.this, scopes)
        if isinstance(node.expression, exp.Star):
            self._whole(shape, node)
        else:
            hit = shape.has(fold(node.expression)) if shape is not None else None
            if isinstance(hit, Hit):
                self._hit(hit, Kind.READS, line_of(node.expression))

    def _row_of(self, base: exp.Expr, scopes: Scopes) -> Shape | None:
        """Return the columns of an expression that is a row; walk whatever else it reads."""
        while isinstance(base, exp.Paren | exp.Bracket):
            base = base.this
        if isinstance(base, exp.Column) and not base.args.get("table") and isinstance(base.this, exp.Identifier):
            name = fold(base.this)
            if find.column(scopes, self.names, name) is None:
                return find.row(scopes, self.names, name)
        self.expression(base, scopes)
        return self._rows_of_call(base)

    def _rows_of_call(self, node: exp.Expr) -> Shape | None:
        """Return the columns of what a function gives, or a cast makes, where those are a watched table's."""
        schema = ""
        if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
            schema, node = fold(node.this), node.expression
        elif isinstance(node, exp.Table | exp.Lateral) and isinstance(node.this, exp.Expr):
            if isinstance(node, exp.Table):
                schema = fold(node.args.get("db"))
            node = node.this
        if isinstance(node, exp.Cast):
            kind = node.to.args.get("kind")
            parts = [fold(p) for p in ([kind.this, kind.expression] if isinstance(kind, exp.Dot) else [kind]) if p]
            if not parts:
                return None
            shape = find.relation(self.world, self.names, parts[0] if len(parts) > 1 else "", parts[-1])
            return shape if shape.rows else None
        if not isinstance(node, exp.Anonymous):
            return None
        name = fold(node.this)
        table = self.world.made(schema, name)
        if table is not None:
            return Shape(rows=((table, True),))
        # jsonb_populate_record(NULL::tags, …): a row of its first argument's type.
        first = node.expressions[0] if name.rpartition("_")[2] in ("record", "recordset") and node.expressions else None
        return self._rows_of_call(first) if isinstance(first, exp.Cast) else None

    def _star(self, item: exp.Expr, scopes: Scopes) -> Shape | None:
        """Return the columns that an item of a result list stands for, if it is a ``*``."""
        if isinstance(item, exp.Star):
            return together(scopes[-1].sources.values())
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            return find.row(scopes, self.names, fold(item.args.get("table"))) or UNKNOWN
        if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Star):
            return self._row_of(item.this, scopes) or UNKNOWN
        return None

    def _take_all(self, shape: Shape, place: Place, line: int) -> None:
        kind = {Place.RESULT: Kind.STAR, Place.FIXED: Kind.BREAKS, Place.ORDER: Kind.POSITION}.get(place)
        if kind is not None:
            for table, certain in shape.rows:
                self._add(table, kind, certain=certain, line=line, why="*")

    def _whole(self, shape: Shape | None, node: exp.Expr) -> None:
        if shape is None or isinstance(node.parent, exp.Is | exp.Count):
            return
        for table, certain in shape.rows:
            self._add(table, Kind.ROW, certain=certain, line=line_of(node))
            picked = picked_key(node)
            if picked in table.texts:
                why = "a key of the row as JSON"
                self._add(table, Kind.READS, picked, certain=False, line=line_of(node), why=why)

    def _children(self, node: exp.Expr, scopes: Scopes) -> None:
        for value in node.args.values():
            self._any(value, scopes)

    def _any(self, value: object, scopes: Scopes) -> None:
        if isinstance(value, exp.Expr):
            self.expression(value, scopes)
        elif isinstance(value, list | tuple):
            for item in value:
                self._any(item, scopes)

    def _each(self, items: Iterable[exp.Expr], scopes: Scopes, place: Place = Place.INNER) -> None:
        """Walk expressions; a ``row.*`` among VALUES that go to a table is as many columns as the row has."""
        for item in items:
            for part in item.expressions if isinstance(item, exp.Tuple) else [item]:
                star = self._star(part, scopes) if scopes or self.names.variables else None
                if star is not None and place is Place.FIXED:
                    self._take_all(star, place, line_of(part))
                else:
                    self.expression(part, scopes)

    # ------------------------------------------------------------------ what is found

    def _hit(self, hit: Hit, kind: Kind, line: int) -> None:
        if hit.column in hit.table.texts:
            self._add(hit.table, kind, hit.column, certain=hit.certain, line=line)

    def _add(
        self, table: Watched, kind: Kind, column: str = "", *, certain: bool, line: int = 0, why: str = ""
    ) -> None:
        at = self.first + line - 1 if line else self.first
        self.reading.uses.append(Use(table.name, kind, column, certain, at, why))
