"""Statements that make, attach and drop indexes, constraints and statistics, from the catalog's own values.

Decides how an object of the catalog is written down again, so that dropping and making it anew changes nothing in
pg_dump but the order of columns. It must never change a name, and never write CASCADE (CORRECTNESS 24).
Every function returns rendered SQL, one statement a string, fit for ``plan --sql`` and for the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.catalog import Constraint, Index, IndexColumn, Statistics
from ..core.names import QName
from .quote import names, raw, render, table

SQL = sql.SQL


def create_index(on: QName, index: Index, *, name: str | None = None, concurrently: bool = False) -> str:
    """Return CREATE INDEX for an index as the catalog has it.

    Args:
        on: the table.
        index: the definition; the index of a constraint is written as the plain unique index that it rests on.
        name: another name for it.
        concurrently: without blocking writers (CORRECTNESS 19).
    """
    return render(
        SQL("CREATE {unique}INDEX {concurrently}{name} ON {table} USING {method} ({keys}){rest}").format(
            unique=SQL("UNIQUE " if index.unique else ""),
            concurrently=SQL("CONCURRENTLY " if concurrently else ""),
            name=sql.Identifier(name or index.name),
            table=table(on),
            method=sql.Identifier(index.method),
            keys=SQL(", ").join([_key(c) for c in index.columns]),
            rest=_index_rest(index),
        )
    )


def index_extras(on: QName, index: Index) -> tuple[str, ...]:
    """Return the statements for what CREATE INDEX cannot say: statistics targets, comment, CLUSTER ON, identity."""
    qualified = sql.Identifier(index.schema, index.name)
    result = [
        render(
            SQL("ALTER INDEX {} ALTER COLUMN {} SET STATISTICS {}").format(
                qualified, sql.Literal(position), sql.Literal(target)
            )
        )
        for position, target in index.statistics
    ]
    if index.comment is not None:
        result.append(render(SQL("COMMENT ON INDEX {} IS {}").format(qualified, sql.Literal(index.comment))))
    name = sql.Identifier(index.name)
    if index.clustered:
        result.append(render(SQL("ALTER TABLE {} CLUSTER ON {}").format(table(on), name)))
    if index.replica_identity:
        result.append(render(SQL("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}").format(table(on), name)))
    return tuple(result)


def drop_index(schema: str, name: str, *, concurrently: bool = False, if_exists: bool = True) -> str:
    """Return DROP INDEX."""
    return render(
        SQL("DROP INDEX {}{}{}").format(
            SQL("CONCURRENTLY " if concurrently else ""),
            SQL("IF EXISTS " if if_exists else ""),
            sql.Identifier(schema, name),
        )
    )


def rename_index(schema: str, name: str, to: str) -> str:
    """Return ALTER INDEX … RENAME; the constraint that an index serves is renamed along with it."""
    return render(SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(schema, name), sql.Identifier(to)))


def add_constraint(
    on: QName, constraint: Constraint, index: Index | None = None, *, name: str | None = None, not_valid: bool = False
) -> str:
    """Return ADD CONSTRAINT for a constraint as the catalog has it.

    Args:
        on: the table.
        constraint: the definition.
        index: for primary, unique and exclusion constraints, the index that it rests on: the constraint's own
            definition leaves out storage options, tablespace and operator classes. It is built under the lock;
            :func:`attach_unique` takes one that was built beforehand.
        name: another name for it.
        not_valid: leave rows that exist unchecked, for VALIDATE to come (checks and foreign keys).
    """
    rests = constraint.kind in ("p", "u", "x") and not constraint.period
    body = _indexed(constraint, index) if rests and index is not None else raw(constraint.definition)
    # A constraint that stands unvalidated in the catalog says so in its definition.
    late = not_valid and constraint.validated
    return render(
        SQL("ALTER TABLE {} ADD CONSTRAINT {} {}{}").format(
            table(on), sql.Identifier(name or constraint.name), body, SQL(" NOT VALID" if late else "")
        )
    )


def attach_unique(
    on: QName,
    name: str,
    index: str,
    *,
    primary: bool = False,
    deferrable: bool = False,
    deferred: bool = False,
) -> str:
    """Return ADD CONSTRAINT … USING INDEX: the index takes the constraint's name."""
    return render(
        SQL("ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}{}").format(
            table(on),
            sql.Identifier(name),
            SQL("PRIMARY KEY" if primary else "UNIQUE"),
            sql.Identifier(index),
            _deferral(deferrable, deferred),
        )
    )


def constraint_comment(on: QName, constraint: Constraint, *, name: str | None = None) -> tuple[str, ...]:
    """Return the statement that comments the constraint, or none."""
    if constraint.comment is None:
        return ()
    return (
        render(
            SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(
                sql.Identifier(name or constraint.name), table(on), sql.Literal(constraint.comment)
            )
        ),
    )


def validate_constraint(on: QName, name: str) -> str:
    """Return VALIDATE CONSTRAINT."""
    return render(SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table(on), sql.Identifier(name)))


def drop_constraint(on: QName, name: str, *, if_exists: bool = True) -> str:
    """Return DROP CONSTRAINT."""
    return render(
        SQL("ALTER TABLE {} DROP CONSTRAINT {}{}").format(
            table(on), SQL("IF EXISTS " if if_exists else ""), sql.Identifier(name)
        )
    )


def add_check(on: QName, name: str, condition: sql.Composable, *, not_valid: bool = True) -> str:
    """Return ADD CONSTRAINT … CHECK."""
    return render(
        SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({}){}").format(
            table(on), sql.Identifier(name), condition, SQL(" NOT VALID" if not_valid else "")
        )
    )


def add_foreign_key(
    on: QName,
    name: str,
    columns: Sequence[str],
    references: QName,
    target: Sequence[str],
    *,
    on_delete: str = "RESTRICT",
    set_null: Sequence[str] = (),
    deferred: bool = False,
    not_valid: bool = True,
) -> str:
    """Return ADD CONSTRAINT … FOREIGN KEY.

    Args:
        on, name, columns: the referencing table, the constraint and its columns in order.
        references, target: the referenced table and its columns in order.
        on_delete: the action as SQL writes it.
        set_null: with SET NULL, the columns to set; empty means all.
        deferred: DEFERRABLE INITIALLY DEFERRED.
        not_valid: leave rows that exist unchecked, for VALIDATE to come.
    """
    action = raw(on_delete)
    if set_null:
        action = SQL("{} ({})").format(action, names(set_null))
    return render(
        SQL("ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {}{}{}").format(
            table(on),
            sql.Identifier(name),
            names(columns),
            table(references),
            names(target),
            action,
            _deferral(deferred, deferred),
            SQL(" NOT VALID" if not_valid else ""),
        )
    )


def create_statistics(statistics: Statistics) -> tuple[str, ...]:
    """Return the statements that make an extended statistics object as it was."""
    name = sql.Identifier(statistics.name.schema, statistics.name.name)
    result = [statistics.definition]
    if statistics.target is not None:
        result.append(render(SQL("ALTER STATISTICS {} SET STATISTICS {}").format(name, sql.Literal(statistics.target))))
    if statistics.comment is not None:
        result.append(render(SQL("COMMENT ON STATISTICS {} IS {}").format(name, sql.Literal(statistics.comment))))
    return tuple(result)


def analyze(on: QName) -> str:
    """Return ANALYZE, for before anyone plans with what was filled (CORRECTNESS 17)."""
    return render(SQL("ANALYZE {}").format(table(on)))


def _key(column: IndexColumn) -> sql.Composable:
    parts: list[sql.Composable] = []
    if column.column is not None:
        parts.append(sql.Identifier(column.column))
    else:
        assert column.expression is not None
        parts.append(SQL("({})").format(raw(column.expression)))
    if column.collation is not None:
        parts.append(SQL("COLLATE {}").format(raw(column.collation)))
    if column.opclass is not None:
        parts.append(raw(column.opclass))
    if column.descending:
        parts.append(SQL("DESC"))
    if column.nulls_first != column.descending:
        parts.append(SQL("NULLS FIRST" if column.nulls_first else "NULLS LAST"))
    return SQL(" ").join(parts)


def _storage(index: Index) -> sql.Composable:
    """`` WITH (fillfactor = '70')``, or nothing."""
    if not index.options:
        return SQL("")
    pairs = [option.partition("=") for option in index.options]
    return SQL(" WITH ({})").format(
        SQL(", ").join([SQL("{} = {}").format(sql.Identifier(k), sql.Literal(v)) for k, _, v in pairs])
    )


def _nulls(index: Index) -> sql.Composable:
    return SQL(" NULLS NOT DISTINCT" if index.nulls_not_distinct else "")


def _include(index: Index) -> sql.Composable:
    return SQL(" INCLUDE ({})").format(names(index.include)) if index.include else SQL("")


def _index_rest(index: Index) -> sql.Composable:
    where = SQL(" WHERE ({})").format(raw(index.predicate)) if index.predicate is not None else SQL("")
    space = SQL(" TABLESPACE {}").format(sql.Identifier(index.tablespace)) if index.tablespace else SQL("")
    return SQL("{}{}{}{}{}").format(_include(index), _nulls(index), _storage(index), space, where)


def _indexed(constraint: Constraint, index: Index) -> sql.Composable:
    if constraint.kind == "x":
        keys = SQL(", ").join(
            [
                SQL("{} WITH {}").format(_key(c), raw(operator))
                for c, operator in zip(index.columns, constraint.operators, strict=True)
            ]
        )
        head = SQL("EXCLUDE USING {} ({})").format(sql.Identifier(index.method), keys)
    else:
        kind = SQL("PRIMARY KEY" if constraint.kind == "p" else "UNIQUE")
        columns = names([c.column for c in index.columns if c.column is not None])
        head = SQL("{}{} ({})").format(kind, _nulls(index), columns)
    space = SQL(" USING INDEX TABLESPACE {}").format(sql.Identifier(index.tablespace)) if index.tablespace else SQL("")
    where = SQL(" WHERE ({})").format(raw(index.predicate)) if index.predicate is not None else SQL("")
    return SQL("{}{}{}{}{}{}").format(
        head, _include(index), _storage(index), space, where, _deferral(constraint.deferrable, constraint.deferred)
    )


def _deferral(deferrable: bool, deferred: bool) -> sql.Composable:
    if not deferrable:
        return SQL("")
    return SQL(" DEFERRABLE INITIALLY DEFERRED" if deferred else " DEFERRABLE INITIALLY IMMEDIATE")
