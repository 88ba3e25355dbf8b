"""What constrain, contract and its undo ask the database before they build a unique or drop a column.

Decides what stands in the way and says it in lines for people. Reads only; each question reads a table once at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from ..core.catalog import Index, Table
from ..core.conservation import Conserved, legacy_of
from ..core.model import Lookup, Model
from ..core.names import display, shorten
from ..errors import ProofFailed
from ..sql import collisions as queries
from ..sql.quote import LEDGER, render, table
from ..sql.residue import legacy_rows, residue_exists
from ..sql.splitting import no_copy, split_references
from ..sql.successor_steps import interim
from .ledger import installed, step_states
from .work import Context

SQL = sql.SQL
#: Seconds that one count of colliding rows may take where it is only looked at: no snapshot of ours lasts longer
#: beside writers (CORRECTNESS 28). Gates count to the end.
COUNTING_SECONDS = 30
#: Objects that hang on a column and make DROP COLUMN refuse, but for our own triggers; and generated columns, which
#: some versions drop along in silence. A check of the table hangs on its columns in both ways, and goes with them.
_DEPENDENTS = """
SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid), pg_catalog.array_agg(DISTINCT a.attname::text)
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
   AND (d.deptype = 'n' OR d.deptype = 'a' AND d.objsubid > 0)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend own
                     JOIN pg_catalog.pg_attribute c ON c.attrelid = own.refobjid AND c.attnum = own.refobjsubid
                    WHERE d.objsubid = 0 AND own.deptype = 'a' AND c.attname = ANY (%(columns)s::text[])
                      AND (own.classid, own.objid, own.objsubid) = (d.classid, d.objid, 0)
                      AND own.refclassid = d.refclassid AND own.refobjid = d.refobjid)
   AND d.refobjid = pg_catalog.to_regclass(%(table)s) AND a.attname = ANY (%(columns)s::text[])
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                     JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                    WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid
                      AND n.nspname = %(ledger)s)
 GROUP BY 1 ORDER BY 1
"""


def waived(ctx: Context) -> frozenset[str]:
    """Return the names of the legacy objects that the operator gives up (``options["waive"]``)."""
    return frozenset(ctx.options.get("waive", ()))


def lost_lines(tables: Iterable[Conserved], passed: frozenset[str]) -> list[str]:
    """Return a line for each legacy object without successor that nobody has given up."""
    lines = []
    for conserved in tables:
        for lost in conserved.succession.unconvertible:
            if lost.source not in passed:
                what = f"{lost.kind} {display(lost.source)}"
                lines.append(f"{conserved.name}: {what} has no successor: {lost.reason}. {lost.remedy}")
        lines += [
            f"{conserved.name}: {display(name)} was made after expand began, so nothing was planned in its place. "
            "Drop it, or make one on the key and waive it"
            for name in conserved.new
            if name not in passed
        ]
    return lines


def collisions(conn: psycopg.Connection, model: Model, tables: Iterable[Conserved], *, mask: bool = False) -> list[str]:
    """Ask for the rows that the uniques to be built would refuse (CORRECTNESS 20).

    Args:
        conn: a session outside a transaction.
        model: the model, its tables as they are now.
        tables: from ``core.conservation.conserve``.
        mask: leave sample values out.

    Returns:
        A line for each unique that would fail: table, key columns, how many groups of how many rows, samples.
    """
    wanted: list[tuple[Table, Index]] = []
    for lookup in model.lookups:
        ready = all(lookup.table.column(c) is not None for c in (*lookup.scope, *lookup.spec.unique))
        wanted += [(lookup.table, i) for i in lookup_uniques(lookup) if ready]
    for conserved in tables:
        uniques = [s.index for s in conserved.succession.successors if s.index is not None and s.index.unique]
        wanted += [(conserved.current, i) for i in uniques]
    lines = []
    for target, index in wanted:
        standing = target.index(index.name)
        if standing is None or not standing.valid or not standing.unique:
            lines += _colliding(conn, table(target.name), target, index, mask=mask)
    return lines


def legacy_collisions(conn: psycopg.Connection, tables: Iterable[Conserved], *, mask: bool = False) -> list[str]:
    """Ask for the rows that the legacy uniques would refuse if every row had its text back (CORRECTNESS 32).

    New code may have given a picture ``bridge`` twice, in two categories, which a unique on the text does not allow. It
    may go on doing so: where contract is half undone because such a row came in meanwhile, all of them are named again.

    Args:
        conn: a session outside a transaction.
        tables: from ``core.conservation.conserve``.
        mask: leave sample values out.

    Returns:
        A line for each legacy unique that could not come back.
    """
    lines = []
    split, steps = splits(conn), step_states(conn, "contract")
    for conserved in tables:
        # As it was before the first change: what is half back knows only of what stands again.
        legacy = legacy_of(conserved.baseline, conserved.dropped)
        # The copies of split rows go before the texts come back.
        left_out = [no_copy(conserved, r) for r in conserved.going() if r.name in split]
        back = all(conserved.current.column(c) is not None for c in conserved.dropped)
        filled = back and not any(f"contract/{r.name}/archive" in steps for r in conserved.going())
        rows = table(conserved.name) if filled else legacy_rows(conserved, left_out)
        uniques = [i for i in legacy.indexes if i.unique]
        uniques += [i for c, i in legacy.constraints if i is not None and c.kind in ("p", "u")]
        for index in uniques:
            standing = conserved.current.index(index.name)
            if standing is None or not standing.valid:
                lines += _colliding(conn, rows, conserved.current, index, mask=mask)
    return lines


def colliding_now(
    conn: psycopg.Connection, last: str, model: Model, tables: Iterable[Conserved], *, mask: bool = False
) -> list[str]:
    """Ask, for people who look, what the next step would refuse: contract when constrained, else contract's undo.

    Args:
        conn: a session outside a transaction, which keeps a statement_timeout of COUNTING_SECONDS.
        last: the last phase done: ``constrain`` or ``contract``.
        model, tables, mask: as for :func:`collisions`.

    Returns:
        As the gates' lines, or one line that says that they could not be counted in time.
    """
    conn.execute("SELECT set_config('statement_timeout', %s, false)", (f"{COUNTING_SECONDS}s",))
    try:
        if last == "constrain":
            return collisions(conn, model, tables, mask=mask)
        return legacy_collisions(conn, tables, mask=mask)
    except psycopg.errors.QueryCanceled:
        return [f"possibly: colliding rows could not be counted within {COUNTING_SECONDS} s; its gate counts them all"]


def dependents(conn: psycopg.Connection, conserved: Conserved) -> list[str]:
    """Return what would make DROP COLUMN refuse: views, policies, publications, functions, triggers of others."""
    rows = conn.execute(
        _DEPENDENTS,
        {"table": render(table(conserved.name)), "columns": list(conserved.dropped), "ledger": LEDGER},
    ).fetchall()
    return [f"{conserved.name}: {r[0]} depends on {', '.join(map(display, r[1]))}" for r in rows]


def splits(conn: psycopg.Connection) -> frozenset[str]:
    """Return the references of which a value is split; none where there is no ledger yet."""
    return frozenset(row[0] for row in conn.execute(split_references())) if installed(conn) else frozenset()


def unkept(conn: psycopg.Connection, conserved: Conserved) -> list[str]:
    """Return which references of a table without primary key have texts that nothing could keep."""
    if conserved.identity:
        return []
    lines = []
    for reference in conserved.going():
        row = conn.execute(residue_exists(conserved, reference)).fetchone()
        if row and row[0]:
            lines.append(
                f"{conserved.name} has no primary key, so a text that {display(reference.key)} does not give could not "
                "be given back to its row"
            )
    return lines


def finding(
    ctx: Context, error: psycopg.Error, *, hint: str = "normalform audit, then the same command again"
) -> ProofFailed:
    """Turn what the server found in the rows into a finding; it names the object, and values unless masked."""
    what = error.diag.constraint_name or error.diag.table_name or "a constraint"
    detail = error.diag.message_detail
    shown = f": {detail}" if detail and not ctx.options.get("mask") else ""
    return ProofFailed(
        f"{what} cannot stand: {error.diag.message_primary}{shown} (SQLSTATE {error.sqlstate})",
        hint=hint,
    )


def lookup_uniques(lookup: Lookup) -> list[Index]:
    """Return the unique indexes that a lookup needs: the composite key's target, and the spec's own."""
    wanted = [(*lookup.scope, lookup.key.name)] if lookup.scope else []
    if lookup.spec.unique:
        wanted.append(lookup.spec.unique)
    return [_unique(lookup.table, columns) for columns in wanted]


def _unique(on: Table, columns: tuple[str, ...]) -> Index:
    name = shorten(f"uq_{on.name.name}_{'_'.join(columns)}", {on.name.name})
    return Index.planned(on.name.schema, columns, name=name, unique=True)


def _colliding(
    conn: psycopg.Connection, source: sql.Composable, target: Table, index: Index, *, mask: bool
) -> list[str]:
    row = conn.execute(queries.summary(source, index)).fetchone()
    assert row is not None
    if not row[0]:
        return []
    keys = ", ".join(display(c.column) if c.column else f"({c.expression})" for c in index.columns)
    samples = "" if mask else ", such as " + "; ".join(row[2])
    found = f"{target.name}: {row[0]:,} combinations of ({keys}) stand in {row[1]:,} rows{samples}"
    return [f"{found}; unique {display(index.name)} allows one each"]


def interim_plain(
    states: Mapping[str, str], phase: str, conserved: Conserved, *, deferrable: bool = False
) -> frozenset[str]:
    """Return the successors that constrain left as plain indexes, by the steps that it recorded.

    Args:
        states: constrain's recorded steps.
        phase: constrain.
        conserved: the table.
        deferrable: for successors that it has not built yet: whether it would make constraints of them.
    """
    prefix = f"{phase}/successor/{conserved.name}/"
    names = [s.name for s in conserved.succession.successors]
    built = frozenset(n for n in names if f"{prefix}{n}" in states)
    left = frozenset(n for n in built if f"{prefix}{n}-attach" not in states)
    return left | (plain_ones(conserved, deferrable=deferrable) - built)


def plain_ones(conserved: Conserved, *, deferrable: bool) -> frozenset[str]:
    """Return the unique successors that constrain leaves as plain indexes, if it makes them as ``deferrable`` says."""
    successors = conserved.succession.successors
    return frozenset(s.name for s in successors if s.index is not None and interim(s, deferrable=deferrable) == "plain")
