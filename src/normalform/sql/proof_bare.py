"""The proof of rows with text and no key: whether something allows it, or the key is missing.

Asks the lookup only about the texts of such rows, and only where the reference is not required: there a row may stay
without a key for want of a lookup row, and not otherwise.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Reference
from . import compare
from .proof_terms import (
    BYTES,
    KEYED,
    alive,
    count_lookup_rows,
    join_paths,
    path_of,
    qualified,
    same_text,
    says,
    text_of,
)
from .shapes import same_scope, scope_array, scope_names

SQL = sql.SQL


def bare(reference: Reference) -> list[sql.Composable]:
    """Rows with text and no key. Where the reference is required, only a decision leaves a row so."""
    n = len(reference.scope)
    parts: list[sql.Composable] = [
        SQL("nf_open AS MATERIALIZED (SELECT * FROM nf_t u WHERE u.k IS NULL AND u.x IS NOT NULL)").format()
    ]
    joins: sql.Composable = SQL("")
    resolves: sql.Composable = SQL("true")
    if not reference.spec.required:
        found, joins, resolves = _resolvable(reference)
        parts += found
    classed = SQL(
        "SELECT o.*, m.how, m.key AS mk, m.scope AS ms, m.value AS mx, m.qualifier AS mq, {resolves} AS resolves "
        "FROM nf_open o LEFT JOIN nf_map m ON m.value = o.x::text {c} AND m.scope = {scope} {c} "
        "AND m.qualifier IS NOT DISTINCT FROM o.q {c}{joins}"
    ).format(resolves=resolves, c=BYTES, scope=scope_array("o", n), joins=joins)
    gives = [
        SQL("CASE c.class WHEN 'nulled' THEN c.ms[{}] ELSE c.{}::text END AS {}").format(
            sql.Literal(i + 1), sql.Identifier(s), sql.Identifier(f"g{i + 1}")
        )
        for i, s in enumerate(scope_names(n))
    ]
    parts.append(
        SQL(
            "nf_bare AS NOT MATERIALIZED (SELECT c.*, {gives} CASE c.class WHEN 'nulled' THEN c.mx "
            "WHEN 'undecided' THEN c.x::text END AS gx, CASE c.class WHEN 'nulled' THEN c.mq ELSE c.q END AS gq FROM "
            "(SELECT r.*, CASE WHEN r.how = 'null' THEN 'nulled' "
            "WHEN r.resolves OR r.how = ANY ({keyed}) AND {alive} THEN 'null_key' ELSE 'undecided' END AS class "
            "FROM ({classed}) r OFFSET 0) c)"
        ).format(
            gives=SQL("").join([SQL("{}, ").format(g) for g in gives]),
            keyed=sql.Literal(list(KEYED)),
            alive=alive(reference, "r"),
            classed=classed,
        )
    )
    return parts


def _resolvable(reference: Reference) -> tuple[list[sql.Composable], sql.Composable, sql.Composable]:
    """Whether the lookup or an alias resolves the text of row ``o`` after all, so that a key is missing.

    Returns:
        Relations, joins, and the condition.
    """
    n = len(reference.scope)
    asked = SQL("(SELECT DISTINCT {} FROM nf_open o) a").format(text_of("o", n))
    group, same = text_of("b", n), says(reference, "a", "b")
    parts: list[sql.Composable] = [
        SQL(
            "nf_found AS MATERIALIZED (SELECT {g}, {rows} AS n FROM nf_base b JOIN {asked} ON {same} GROUP BY {g})"
        ).format(rows=count_lookup_rows(reference), g=group, asked=asked, same=same)
    ]
    joins = [SQL(" LEFT JOIN nf_found u ON {}").format(says(reference, "o", "u"))]
    found = [SQL("u.n = 1")]
    if qualified(reference):
        parts.append(
            SQL(
                "nf_told AS MATERIALIZED (SELECT {g}, {path} AS path FROM nf_base b "
                "JOIN nf_found a ON a.n > 1 AND {same}{paths} GROUP BY {g}, {path} HAVING count(*) = 1)"
            ).format(
                g=group, path=path_of(reference.lookup), same=same_text("a", "b", n), paths=join_paths(reference.lookup)
            )
        )
        joins.append(SQL(" LEFT JOIN nf_told y ON {} AND y.path = o.q {}").format(says(reference, "o", "y"), BYTES))
        found.append(SQL("y.path IS NOT NULL"))
    if reference.lookup.aliases is not None:
        spelled = compare.is_alias(reference, SQL("a.x"), SQL("o.x"))
        joins.append(SQL(" LEFT JOIN nf_alias a ON a.sole AND {} AND {}").format(same_scope("a", "o", n), spelled))
        found.append(SQL("a.x IS NOT NULL"))
    return parts, SQL("").join(joins), SQL("coalesce({}, false)").format(SQL(" OR ").join(found))
