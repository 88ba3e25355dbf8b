"""Walks a statement's tree from the outside in, with the sources that each part of it sees.

Decides for each name in the tree whose column it is (``reader.scopes`` has the rule), and for each ``*`` what one more
column, or one less, does to the statement. It never looks at the text again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from sqlglot import exp

from . import scopes as find
from .scopes import NOTHING, UNKNOWN, Hit, Names, Scope, Shape, together
from .tokens import FOLD
from .world import Kind, Reading, Use, Watched, World


class Place(Enum):
    """Where the columns of a query go, which says what ``*`` means there."""

    RESULT = "the result of the statement"
    INNER = "a query around it, or a row variable: whatever columns there are"
    FIXED = "something with as many columns as there are today"
    ORDER = "variables, by position"
    NONE = "nowhere"


Scopes = Sequence[Scope]
_SKIPPED = frozenset(["with", "with_", "from", "from_", "joins", "laterals"])


class Walk:
    """One statement's walk.

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
            return shape.renamed(_alias_columns(node))
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, place, scopes)
        if isinstance(node, exp.Select):
            return self._select(node, place, scopes)
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

    def _with(self, node: exp.Expr, scopes: Scopes) -> None:
        clause = node.args.get("with_") or node.args.get("with")
        if clause is None:
            return
        for cte in clause.expressions:
            name = _fold(cte.args["alias"].this)
            if clause.args.get("recursive"):
                self.ctes[name] = UNKNOWN
            shape = self.statement(cte.this, Place.INNER, scopes)
            if clause.args.get("recursive") and shape == UNKNOWN:
                shape = self.statement(cte.this, Place.INNER, scopes)
            self.ctes[name] = shape.renamed(_alias_columns(cte))

    def _set_operation(self, node: exp.SetOperation, place: Place, scopes: Scopes) -> Shape:
        sides = [node.this, node.expression]
        stars = [_star_tables(_bare(s)) for s in sides]
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
                self._take_all(star, place, _line(item))
                rows.append(star)
                continue
            if isinstance(item, exp.Alias):
                given.add(_fold(item.args["alias"]))
            fields[_output_name(item)] = None
            self.expression(item, scopes)
        for key, value in node.args.items():
            if key == "order" and value is not None:
                # A bare name there is the result's column before it is a source's.
                self._each([o for o in value.expressions if not _named(o, given)], scopes)
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
            column = _fold(name.this if isinstance(name, exp.Column) else name)
            for shape in scope.sources.values():
                hit = shape.has(column)
                if isinstance(hit, Hit):
                    self._hit(hit, Kind.READS, _line(name))
        if join.args.get("method") == "NATURAL":
            left, right = together(before.values()), together(s for n, s in scope.sources.items() if n not in before)
            for one, two in ((left, right), (right, left)):
                for table, certain in one.rows:
                    for text in sorted(table.texts):
                        if two.has(text):
                            self._add(table, Kind.READS, text, certain=certain, line=_line(join), why="NATURAL JOIN")
        self._any(join.args.get("on"), [*outer, scope])

    def _source(self, node: exp.Expr, scope: Scope, outer: Scopes) -> None:
        lateral = [*outer, scope]
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            shape, schema, name = self._table(node)
            alias = _alias(node) or name
            scope.sources[alias] = shape.renamed(_alias_columns(node))
            if alias == name:
                scope.tables[alias] = schema
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query | exp.Values):
            shape = self.statement(node, Place.INNER, outer)
            scope.sources[_alias(node) or f"?{len(scope.sources)}"] = shape
        elif isinstance(node, exp.Subquery | exp.Paren):
            # A join in parentheses.
            self._source(node.this, scope, outer)
        elif isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            shape = self.statement(node.this, Place.INNER, lateral)
            scope.sources[_alias(node) or f"?{len(scope.sources)}"] = shape.renamed(_alias_columns(node))
        else:
            # A function: what columns it has is not known, unless names are given to them all.
            self._children(node, lateral)
            names = _alias_columns(node)
            shape = Shape(dict.fromkeys(names)) if names else UNKNOWN
            scope.sources[_alias(node) or f"?{len(scope.sources)}"] = shape
        for join in node.args.get("joins") or ():
            self._join(join, scope, outer)

    def _table(self, node: exp.Table) -> tuple[Shape, str, str]:
        schema, name = _fold(node.args.get("db")), _fold(node.this)
        if not schema and name in self.ctes:
            return self.ctes[name], "", name
        return find.relation(self.world, self.names, schema, name), schema, name

    # ------------------------------------------------------------------ writes

    def _insert(self, node: exp.Insert, place: Place, outer: Scopes) -> Shape:
        schema = node.this
        listed = schema.expressions if isinstance(schema, exp.Schema) else []
        target = schema.this if isinstance(schema, exp.Schema) else schema
        if not isinstance(target, exp.Table):
            return UNKNOWN
        shape, _, name = self._table(target)
        scope = Scope({_alias(target) or name: shape})
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
                    self._add(table, Kind.POSITION, certain=certain, line=_line(source), why=why)
        same = _star_tables(_bare(source))
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
                if _fold(constraint) in table.constraints:
                    why = f"ON CONFLICT ON CONSTRAINT {_fold(constraint)}"
                    self._add(table, Kind.READS, certain=certain, line=_line(constraint), why=why)
        self._assignments(conflict.expressions, target, inner)
        self._any(conflict.args.get("where"), inner)
        self._any(conflict.args.get("index_predicate"), scopes)

    def _update(self, node: exp.Update, place: Place, outer: Scopes) -> Shape:
        if not isinstance(node.this, exp.Table):
            return UNKNOWN
        shape, _, name = self._table(node.this)
        scope = Scope({_alias(node.this) or name: shape})
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
        shape, _, name = self._table(node.this)
        scope = Scope({_alias(node.this) or name: shape})
        for source in node.args.get("using") or ():
            self._source(source, scope, outer)
        scopes = [*outer, scope]
        self._any(node.args.get("where"), scopes)
        return self._returning(node, place, scopes)

    def _merge(self, node: exp.Merge, place: Place, outer: Scopes) -> Shape:
        if not isinstance(node.this, exp.Table):
            return UNKNOWN
        shape, _, name = self._table(node.this)
        scope = Scope({_alias(node.this) or name: shape})
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
            for column in left.expressions if isinstance(left, exp.Tuple) else [left.this if _is_paren(left) else left]:
                self._write(target, column)
            self._any(item.expression, scopes)

    def _write(self, target: Shape, node: exp.Expr) -> None:
        name = _fold(node.this if isinstance(node, exp.Column) else node)
        hit = target.has(name)
        if isinstance(hit, Hit):
            self._hit(hit, Kind.WRITES, _line(node))

    def _returning(self, node: exp.Expr, place: Place, scopes: Scopes) -> Shape:
        clause = node.args.get("returning")
        if clause is None:
            return NOTHING
        fields: dict[str, Hit | None] = {}
        rows = []
        for item in clause.expressions:
            star = self._star(item, scopes)
            if star is None:
                fields[_output_name(item)] = None
                self.expression(item, scopes)
            else:
                self._take_all(star, place, _line(item))
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
        shape, _, _ = self._table(table)
        inward = bool(node.args.get("kind"))
        if isinstance(target, exp.Schema):
            for item in target.expressions:
                hit = shape.has(_fold(item))
                if isinstance(hit, Hit):
                    self._hit(hit, Kind.WRITES if inward else Kind.READS, _line(item))
            return
        for own, certain in shape.rows:
            kind = Kind.BREAKS if inward else Kind.STAR
            why = f"COPY {'FROM' if inward else 'TO'} without a list of columns"
            self._add(own, kind, certain=certain, line=_line(table), why=why)

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
        source = _fold(node.args.get("table"))
        if isinstance(node.this, exp.Star):
            shape = find.row(scopes, self.names, source) if source else None
            self._whole(shape, node)
            return
        name = _fold(node.this)
        hit = find.qualified(scopes, self.names, source, name) if source else find.column(scopes, self.names, name)
        if hit is not None:
            self._hit(hit, Kind.READS, _line(node))
        elif not source:
            self._whole(find.row(scopes, self.names, name), node)

    def _dot(self, node: exp.Dot, scopes: Scopes) -> None:
        """``(row).field``, ``$1.field``, ``(row).*``."""
        base = node.this
        while isinstance(base, exp.Paren):
            base = base.this
        shape = self._row_of(base, scopes)
        if shape is None:
            self.expression(base, scopes)
        elif isinstance(node.expression, exp.Star):
            self._whole(shape, node)
        else:
            hit = shape.has(_fold(node.expression))
            if isinstance(hit, Hit):
                self._hit(hit, Kind.READS, _line(node.expression))

    def _row_of(self, base: exp.Expr, scopes: Scopes) -> Shape | None:
        if isinstance(base, exp.Column) and not base.args.get("table") and isinstance(base.this, exp.Identifier):
            name = _fold(base.this)
            return None if find.column(scopes, self.names, name) else find.row(scopes, self.names, name)
        if isinstance(base, exp.Cast) and isinstance(base.to.this, exp.Identifier):
            return find.relation(self.world, self.names, "", _fold(base.to.this))
        return None

    def _star(self, item: exp.Expr, scopes: Scopes) -> Shape | None:
        """Return the columns that an item of a result list stands for, if it is a ``*``."""
        if isinstance(item, exp.Star):
            return together(scopes[-1].sources.values())
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            return find.row(scopes, self.names, _fold(item.args.get("table"))) or UNKNOWN
        if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Star):
            base = item.this
            while isinstance(base, exp.Paren):
                base = base.this
            shape = self._row_of(base, scopes)
            if shape is None:
                self.expression(base, scopes)
            return shape or UNKNOWN
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
            self._add(table, Kind.ROW, certain=certain, line=_line(node))
            picked = _picked(node)
            if picked in table.texts:
                why = "a key of the row as JSON"
                self._add(table, Kind.READS, picked, certain=False, line=_line(node), why=why)

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
                    self._take_all(star, place, _line(part))
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


def _fold(node: exp.Expr | str | None) -> str:
    """Return an identifier as the server reads it."""
    if node is None or isinstance(node, str):
        return (node or "").translate(FOLD)
    if isinstance(node, exp.Identifier):
        text = str(node.this)
        return text if node.args.get("quoted") else text.translate(FOLD)
    inner = node.args.get("this")
    return _fold(inner) if isinstance(inner, exp.Expr | str) else ""


def _alias(node: exp.Expr) -> str:
    alias = node.args.get("alias")
    return _fold(alias.this if isinstance(alias, exp.TableAlias) else alias)


def _alias_columns(node: exp.Expr) -> list[str]:
    alias = node.args.get("alias")
    columns = alias.args.get("columns") if isinstance(alias, exp.TableAlias) else None
    return [_fold(c) for c in columns or ()]


def _output_name(item: exp.Expr) -> str:
    if isinstance(item, exp.Alias):
        return _fold(item.args["alias"])
    if isinstance(item, exp.Column | exp.Dot):
        return _fold(item.this if isinstance(item, exp.Column) else item.expression)
    return item.output_name.translate(FOLD) or f"?{id(item)}"


def _named(ordered: exp.Expr, given: set[str]) -> bool:
    inner = ordered.this if isinstance(ordered, exp.Ordered) else ordered
    return isinstance(inner, exp.Column) and not inner.args.get("table") and _fold(inner.this) in given


def _is_paren(node: exp.Expr) -> bool:
    return isinstance(node, exp.Paren)


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Subquery | exp.Paren):
        node = node.this
    return node


def _star_tables(node: exp.Expr) -> frozenset[str]:
    """Return the tables of a query that is nothing but ``SELECT * FROM table``."""
    clause = node.args.get("from_") or node.args.get("from")
    if not isinstance(node, exp.Select) or clause is None or not isinstance(clause.this, exp.Table):
        return frozenset()
    only = len(node.expressions) == 1 and node.expressions[0].is_star and not node.args.get("joins")
    return frozenset([_fold(clause.this.this)]) if only else frozenset()


def _picked(node: exp.Expr) -> str:
    """Return the key that is taken out of a row turned into JSON: ``to_jsonb(new) ->> 'keyword'``."""
    above = node.parent
    while isinstance(above, exp.Func | exp.Paren | exp.Cast) and not isinstance(above, _EXTRACTS):
        above = above.parent
    if not isinstance(above, _EXTRACTS):
        return ""
    path = above.args.get("expression")
    literal = path.find(exp.Literal, exp.JSONPathKey) if isinstance(path, exp.Expr) else None
    return str(literal.this) if literal is not None else ""


_EXTRACTS = (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar)


def _line(node: exp.Expr) -> int:
    """Return the line within the statement; 0 where sqlglot does not say."""
    for found in node.find_all(exp.Identifier):
        line = found.meta.get("line")
        if line:
            return int(line)
    line = node.meta.get("line")
    return int(line) if line else 0
