"""Questions about single nodes of a statement's tree: their names as the server reads them, their aliases, their lines.

Decides nothing about whose a name is. Pure functions of sqlglot's nodes.
"""

from __future__ import annotations

from sqlglot import exp

from .tokens import FOLD

EXTRACTS = (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar)


def fold(node: exp.Expr | str | None) -> str:
    """Return an identifier as the server reads it."""
    if node is None or isinstance(node, str):
        return (node or "").translate(FOLD)
    if isinstance(node, exp.Identifier):
        text = str(node.this)
        return text if node.args.get("quoted") else text.translate(FOLD)
    inner = node.args.get("this")
    return fold(inner) if isinstance(inner, exp.Expr | str) else ""


def alias_of(node: exp.Expr) -> str:
    """Return the alias that a source has; empty where it has none."""
    alias = node.args.get("alias")
    return fold(alias.this if isinstance(alias, exp.TableAlias) else alias)


def alias_columns(node: exp.Expr) -> list[str]:
    """Return the names that an alias gives to the columns."""
    alias = node.args.get("alias")
    columns = alias.args.get("columns") if isinstance(alias, exp.TableAlias) else None
    return [fold(c) for c in columns or ()]


def output_name_of(item: exp.Expr) -> str:
    """Return the name that an item of a result list has in the result."""
    if isinstance(item, exp.Alias):
        return fold(item.args["alias"])
    if isinstance(item, exp.Column | exp.Dot):
        return fold(item.this if isinstance(item, exp.Column) else item.expression)
    return item.output_name.translate(FOLD) or f"?{id(item)}"


def is_named(ordered: exp.Expr, given: set[str]) -> bool:
    """Whether an item of ORDER BY is a bare name among those given in the result list."""
    inner = ordered.this if isinstance(ordered, exp.Ordered) else ordered
    return isinstance(inner, exp.Column) and not inner.args.get("table") and fold(inner.this) in given


def is_paren(node: exp.Expr) -> bool:
    """Whether the node is an expression in parentheses."""
    return isinstance(node, exp.Paren)


def bare(node: exp.Expr) -> exp.Expr:
    """Take the parentheses off a query."""
    while isinstance(node, exp.Subquery | exp.Paren):
        node = node.this
    return node


def star_tables(node: exp.Expr) -> frozenset[str]:
    """Return the tables of a query that is nothing but ``SELECT * FROM table``."""
    clause = node.args.get("from_") or node.args.get("from")
    if not isinstance(node, exp.Select) or clause is None or not isinstance(clause.this, exp.Table):
        return frozenset()
    only = len(node.expressions) == 1 and node.expressions[0].is_star and not node.args.get("joins")
    return frozenset([fold(clause.this.this)]) if only else frozenset()


def picked_key(node: exp.Expr) -> str:
    """Return the key that is taken out of a row turned into JSON: ``to_jsonb(new) ->> 'keyword'``."""
    above = node.parent
    while isinstance(above, exp.Func | exp.Paren | exp.Cast) and not isinstance(above, EXTRACTS):
        above = above.parent
    if not isinstance(above, EXTRACTS):
        return ""
    path = above.args.get("expression")
    literal = path.find(exp.Literal, exp.JSONPathKey) if isinstance(path, exp.Expr) else None
    return str(literal.this) if literal is not None else ""


def line_of(node: exp.Expr) -> int:
    """Return the line within the statement; 0 where sqlglot does not say."""
    for found in node.find_all(exp.Identifier):
        line = found.meta.get("line")
        if line:
            return int(line)
    line = node.meta.get("line")
    return int(line) if line else 0
