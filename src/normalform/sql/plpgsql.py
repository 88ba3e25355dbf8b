"""Functions and triggers as texts: how every one of ours is made, guarded and dropped.

Decides what CORRECTNESS 8 and 10 ask of each: schema ``normalform``, a pinned search_path, EXECUTE for nobody, and on a
subscription's target triggers that fire for the replication worker too. Never decides what a function does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import sql

from ..core.names import QName
from .quote import LEDGER, ledger, raw, render, table

SQL = sql.SQL
#: Our own batches pass every trigger of ours (CORRECTNESS 7).
NOT_A_BATCH = SQL("pg_catalog.current_setting('normalform.batch', true) IS DISTINCT FROM 'on'")
#: Setting of every session of ours.
OURS = "normalform.ours"
NOT_OURS = SQL("pg_catalog.current_setting({}, true) IS DISTINCT FROM 'on'").format(sql.Literal(OURS))


@dataclass(frozen=True)
class Function:
    """A plpgsql function of the schema ``normalform``; its name is unique there.

    Args:
        name: the name.
        body: DECLARE … BEGIN … END.
        arguments: the argument list.
        returns: the type; None where OUT arguments say it.
        definer: whether it runs as its owner; every trigger function does, helpers run inside one.
    """

    name: str
    body: sql.Composable
    arguments: sql.Composable = field(default_factory=lambda: SQL(""))
    returns: sql.Composable | None = field(default_factory=lambda: SQL("trigger"))
    definer: bool = True

    @property
    def source(self) -> str:
        """The body as ``pg_proc.prosrc`` will hold it."""
        return f"\n{render(self.body).strip()}\n"

    def create(self) -> tuple[str, str]:
        """Return the statements that make or replace it and take it away from everybody else."""
        tag = "$normalform$"
        while tag in self.source:
            tag = tag[:-1] + "x$"
        head = SQL("CREATE OR REPLACE FUNCTION {}({}){} LANGUAGE plpgsql{} SET search_path = pg_catalog, pg_temp AS ")
        text = render(
            head.format(
                ledger(self.name),
                self.arguments,
                SQL("") if self.returns is None else SQL(" RETURNS {}").format(self.returns),
                SQL(" SECURITY DEFINER" if self.definer else ""),
            )
        )
        revoke = render(SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(ledger(self.name)))
        return f"{text}{tag}{self.source}{tag}", revoke

    def drop(self) -> str:
        """Return DROP FUNCTION."""
        return render(SQL("DROP FUNCTION IF EXISTS {}").format(ledger(self.name)))

    def stands(self) -> str:
        """Return a query of one boolean: whether it stands with exactly this body."""
        return render(
            SQL(
                "SELECT EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace({}) AND proname = {} "
                "AND md5(prosrc) = md5({}))"
            ).format(sql.Literal(LEDGER), sql.Literal(self.name), sql.Literal(self.source))
        )


@dataclass(frozen=True)
class Trigger:
    """A trigger of ours.

    Args:
        name: the name; it decides the order of firing.
        on: the table.
        function: name of the function in the schema ``normalform``.
        events: ``BEFORE INSERT OR UPDATE`` and the like.
        row: for each row, else for each statement.
        old, new: names of transition tables, for AFTER statement triggers.
        deferred: a constraint trigger, checked at commit.
        stray: it fires for sessions that are not ours; else for whatever is not one of our batches.
    """

    name: str
    on: QName
    function: str
    events: str
    row: bool = True
    old: bool = False
    new: bool = False
    deferred: bool = False
    stray: bool = False

    def create(self) -> tuple[str, str]:
        """Return CREATE TRIGGER, and what makes it fire on a subscription's target as well (CORRECTNESS 10)."""
        tables = [part for used, part in ((self.old, "OLD TABLE AS nf_old"), (self.new, "NEW TABLE AS nf_new")) if used]
        make = SQL("CREATE {kind} {name} {events} ON {table}{timing}{tables} FOR EACH {each} WHEN ({when}) ").format(
            kind=SQL("CONSTRAINT TRIGGER" if self.deferred else "TRIGGER"),
            name=sql.Identifier(self.name),
            events=raw(self.events),
            table=table(self.on),
            timing=SQL(" DEFERRABLE INITIALLY DEFERRED" if self.deferred else ""),
            tables=raw(" REFERENCING " + " ".join(tables) if tables else ""),
            each=SQL("ROW" if self.row else "STATEMENT"),
            when=NOT_OURS if self.stray else NOT_A_BATCH,
        ) + SQL("EXECUTE FUNCTION {}()").format(ledger(self.function))
        always = SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(table(self.on), sql.Identifier(self.name))
        target = SQL(
            "BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_subscription_rel "
            "WHERE srrelid = pg_catalog.to_regclass({})) THEN {}; END IF; END"
        ).format(sql.Literal(render(table(self.on))), always)
        return render(make), render(SQL("DO {}").format(sql.Literal(render(target))))

    def drop(self) -> str:
        """Return DROP TRIGGER."""
        return render(SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(self.name), table(self.on)))


def functions_stand(functions: Sequence[Function]) -> str:
    """Return a query of one boolean: whether functions of all these names stand."""
    names = [f.name for f in functions]
    return render(
        SQL("SELECT count(*) = {} FROM pg_proc WHERE pronamespace = to_regnamespace({}) AND proname = ANY({})").format(
            sql.Literal(len(names)), sql.Literal(LEDGER), sql.Literal(names)
        )
    )


def triggers_stand(triggers: Sequence[Trigger]) -> str:
    """Return a query of one boolean: whether triggers of all these names stand on their one table."""
    names = [t.name for t in triggers]
    return render(
        SQL("SELECT count(*) = {} FROM pg_trigger WHERE tgrelid = to_regclass({}) AND tgname = ANY({})").format(
            sql.Literal(len(names)), sql.Literal(render(table(triggers[0].on))), sql.Literal(names)
        )
    )
