"""Entries of the mapping that decisions store, and what they take the place of.

Decides nothing. What an earlier decision had stored goes to the archive, so that undoing the later one gives it back.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.decisions import Scope
from ..core.mapping import How
from .recorded import Recorded
from .rows import Rows

SQL = sql.SQL


def store(
    rows: Rows,
    name: str,
    decision: int,
    reference: str,
    entries: Sequence[tuple[Scope, str, str | None, int]],
    key: str | None,
    how: How = How.MERGED,
) -> None:
    """Store entries of the mapping under a decision; what an earlier decision stored there goes to the archive."""
    if not entries:
        return
    values = SQL(", ").join(
        [
            SQL("({}::bigint, {}, {}::text[], {}, {}::text, {}, {}::text, {}::bigint)").format(
                *map(sql.Literal, (decision, reference, list(scope), text, qualifier, how.value, key, count))
            )
            for scope, text, qualifier, count in entries
        ]
    )
    _store(rows, name, SQL("VALUES {}").format(values))


def mapped(rows: Rows, name: str, recorded: Sequence[Recorded]) -> None:
    """Store what `choose`, `fold`, `null` and `split` decide, all in one go."""
    query = SQL(
        "SELECT d.id, d.reference, d.scope, d.value, d.qualifier, CASE d.decision WHEN 'choose' THEN 'chosen' "
        "WHEN 'fold' THEN 'folded' ELSE d.decision END, d.target::jsonb ->> 'key', d.rows FROM normalform.decision d "
        "WHERE d.id = ANY({})"
    ).format(sql.Literal([r.id for r in recorded]))
    _store(rows, name, query)


def _store(rows: Rows, name: str, source: sql.Composable) -> None:
    wanted = SQL("w (decision, reference, scope, value, qualifier, how, key, rows) AS ({})").format(source)
    same = SQL(
        "m.reference = w.reference AND m.scope = w.scope AND m.value = w.value "
        "AND m.qualifier IS NOT DISTINCT FROM w.qualifier"
    )
    rows.execute(
        f"{name}:supersede",
        SQL(
            "WITH {wanted} INSERT INTO normalform.archive (decision, relation, action, identity, before, at) "
            "SELECT w.decision, 'normalform.mapping', 'delete', jsonb_build_object('id', m.id), to_jsonb(m), "
            "statement_timestamp() FROM w JOIN normalform.mapping m ON {same} WHERE m.decision IS NOT NULL"
        ).format(wanted=wanted, same=same),
    )
    rows.execute(
        f"{name}:store",
        SQL(
            "WITH {wanted} INSERT INTO normalform.mapping "
            "(decision, reference, scope, value, qualifier, how, key, rows) SELECT * FROM w "
            "ON CONFLICT (reference, value, scope, qualifier) DO UPDATE SET how = excluded.how, "
            "key = excluded.key, rows = excluded.rows, decision = excluded.decision, at = now()"
        ).format(wanted=wanted),
    )


def repoint(rows: Rows, name: str, decision: int, references: Sequence[str], loser: str, winner: str) -> None:
    """Let earlier decisions that named the loser name the winner."""
    _store(
        rows,
        name,
        SQL(
            "SELECT {decision}::bigint, m.reference, m.scope, m.value, m.qualifier, m.how, {winner}, m.rows "
            "FROM normalform.mapping m WHERE m.reference = ANY({references}) AND m.key = {loser} "
            "AND m.decision IS NOT NULL"
        ).format(
            decision=sql.Literal(decision),
            winner=sql.Literal(winner),
            references=sql.Literal(list(references)),
            loser=sql.Literal(loser),
        ),
    )
