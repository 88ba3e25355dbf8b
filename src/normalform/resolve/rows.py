"""One decision, one transaction: the locks that it takes, and rows that go with everything that refers to them.

Locks, in this order and no other: (1) SHARE ROW EXCLUSIVE on every table that may change, in one statement, ordered by
name, under both timeouts below the default deadlock_timeout, while nothing else is held; (2) single rows by NOWAIT. So
an application is never made to wait by us while we wait for it, and the deadlock detector has nothing to choose.
Readers are never held up; writers to these tables wait until the decision has committed.

It must never let a foreign key's CASCADE or SET NULL change a row that the archive has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from ..core.catalog import Table
from ..core.names import QName
from ..core.plan import Step
from ..core.retry import METADATA_TIMEOUT_MS
from ..db.execute import retrying
from ..db.inspect import inspect
from ..db.work import Context, run_sql, transaction
from ..sql import decisions as shapes
from ..sql.quote import column, conjunction, render, table

SQL = sql.SQL
#: Milliseconds that anything but the first lock may be waited for; nothing should, NOWAIT comes first.
ROW_TIMEOUT_MS = 200

_FOREIGN_KEYS = """
SELECT k.conname, cn.nspname, c.relname, pn.nspname, p.relname, k.confdeltype::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(n, o)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.o),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(n, o)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.o),
       ARRAY(SELECT a.attname::text FROM unnest(k.confdelsetcols) u(n)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND c.relkind = 'r'
ORDER BY cn.nspname, c.relname, k.conname
"""


class Blocked(Exception):
    """A decision cannot be carried out; the text says why. Its transaction then changes nothing."""


@dataclass(frozen=True)
class Foreign:
    """A foreign key of the database. ``action`` is pg_constraint.confdeltype, ``sets`` the columns that it sets."""

    name: str
    child: QName
    parent: QName
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    action: str
    sets: tuple[str, ...]


@dataclass
class Rows:
    """The tables that decisions may touch, with every foreign key of the database.

    Args:
        ctx: the run.
        keys: the foreign keys.
        tables: tables by name, everything that refers to them included.
        skip_triggers: tables on which the application's triggers do not fire for our changes.
    """

    ctx: Context
    keys: tuple[Foreign, ...]
    tables: dict[QName, Table]
    skip_triggers: frozenset[QName] = field(default_factory=frozenset)

    @classmethod
    def read(cls, ctx: Context, names: Iterable[QName]) -> Rows:
        """Read the named tables, all that refer to them, and what those refer to. Call outside a transaction."""
        keys = read_foreign_keys(ctx.conn)
        wanted = set(names)
        while True:
            more = {k.child for k in keys if k.parent in wanted} - wanted
            if not more:
                break
            wanted |= more
        parents = {k.parent for k in keys if k.child in wanted}
        tables = dict(inspect(ctx.conn, sorted(wanted | parents)).tables)
        skip = {r.table.name for r in ctx.model.references if r.spec.app_triggers == "skip"}
        return cls(ctx, keys, tables, frozenset(skip))

    def relation(self, name: QName) -> str:
        """Return the table's name as the archive has it."""
        return render(table(name))

    def referring(self, name: QName) -> list[Foreign]:
        """Return the foreign keys that point at a table."""
        return [k for k in self.keys if k.parent == name]

    def closure(self, names: Iterable[QName]) -> list[QName]:
        """Return the tables and all that refer to them, directly or not: what a delete may reach."""
        found = set(names)
        while True:
            more = {k.child for k in self.keys if k.parent in found} - found
            if not more:
                return sorted(found)
            found |= more

    # ------------------------------------------------------------------ transactions

    def atomically(self, name: str, names: Iterable[QName], body: Callable[[], None]) -> None:
        """Run a body in one transaction that holds the tables against writers; try again while they are held.

        Args:
            name: name of the points and of the wait's events.
            names: the tables that may change.
            body: what to do; everything that it has done is gone when it is tried again.
        """
        ordered = sorted(set(names))
        shown = self.relation(ordered[0]) if ordered else "normalform.decision"
        step = Step(id=name, phase="resolve", object=name, do=(), table=shown)

        def once() -> None:
            with transaction(self.ctx, self.ctx.conn, name):
                self.lock(name, ordered)
                with self.triggers_off([n for n in ordered if n in self.skip_triggers]):
                    body()

        retrying(self.ctx, step, once)

    def lock(self, name: str, names: Sequence[QName]) -> None:
        """Take the table locks, first of all and all at once."""
        limit = SQL("SELECT set_config('lock_timeout', {}, true), set_config('statement_timeout', {}, true)")
        first = sql.Literal(f"{METADATA_TIMEOUT_MS}ms")
        self.ctx.conn.execute(limit.format(first, first))
        if names:
            listed = SQL(", ").join([table(n) for n in names])
            statement = SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(listed)
            run_sql(self.ctx, self.ctx.conn, f"{name}:lock", statement)
        self.ctx.conn.execute(limit.format(sql.Literal(f"{ROW_TIMEOUT_MS}ms"), sql.Literal("0")))

    @contextmanager
    def triggers_off(self, names: Iterable[QName]) -> Iterator[None]:
        """Keep the application's own triggers on these tables from firing; the lock that it needs is held already."""
        words = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}
        changed: list[tuple[QName, str, str]] = []
        for name in names:
            changed += [
                (name, t.name, words[t.enabled])
                for t in self.tables[name].triggers
                if t.enabled in words and not t.function.startswith("normalform.")
            ]
        for name, trigger_name, _ in changed:
            self._trigger(name, trigger_name, "DISABLE")
        yield
        # Not in a finally: after an error the transaction is gone, and with it what was switched off.
        for name, trigger_name, word in changed:
            self._trigger(name, trigger_name, word)

    def _trigger(self, name: QName, trigger: str, word: str) -> None:
        words = {"DISABLE": SQL("DISABLE"), "ENABLE": SQL("ENABLE")}
        words |= {"ENABLE ALWAYS": SQL("ENABLE ALWAYS"), "ENABLE REPLICA": SQL("ENABLE REPLICA")}
        self.ctx.conn.execute(
            SQL("ALTER TABLE {} {} TRIGGER {}").format(table(name), words[word], sql.Identifier(trigger))
        )

    # ------------------------------------------------------------------ rows

    def execute(self, name: str, statement: sql.Composable) -> psycopg.Cursor[tuple[object, ...]]:
        """Run one statement with a point before and after it."""
        return run_sql(self.ctx, self.ctx.conn, name, statement)

    def update(self, name: str, *changes: tuple[QName, sql.Composable, sql.Composable]) -> None:
        """Change rows (table, victims, SET list) in one statement, and keep what changed."""
        made = [
            shapes.Change(self.tables[target], self.relation(target), victims, sets)
            for target, victims, sets in changes
        ]
        for change in made:
            self.ctx.conn.execute(shapes.lock_rows(change.target, change.victims))
        self.execute(name, shapes.update(made))

    def delete(self, name: str, target: QName, decisions: Sequence[int], victims: sql.Composable) -> int:
        """Delete rows with everything that would go or change with them, all of it archived first. Returns how many.

        Raises:
            Blocked: rows of a table whose foreign key forbids the delete refer to them.
        """
        found, relation = self.tables[target], self.relation(target)
        self.ctx.conn.execute(shapes.lock_rows(found, victims))
        row = self.execute(f"{name}:keep", shapes.keep_deleted(found, relation, victims)).fetchone()
        assert row is not None
        kept, at = int(str(row[0])), row[1]
        if not kept:
            return 0
        for key in self.referring(target):
            self._follow(name, key, decisions)
        self.execute(f"{name}:delete", shapes.delete_kept(found, relation, decisions, at))
        return kept

    def _follow(self, name: str, key: Foreign, decisions: Sequence[int]) -> None:
        victims = self._referring_rows(key, decisions)
        count = self.ctx.conn.execute(SQL("SELECT count(*) FROM ({}) v").format(victims)).fetchone()
        if not count or not count[0]:
            return
        if key.action == "c":
            self.delete(name, key.child, decisions, victims)
        elif key.action in ("n", "d"):
            word = SQL("NULL" if key.action == "n" else "DEFAULT")
            sets = SQL(", ").join([SQL("{} = {}").format(sql.Identifier(c), word) for c in key.sets or key.columns])
            self.update(name, (key.child, victims, sets))
        else:
            raise Blocked(
                f"{count[0]} rows of {key.child} refer to the rows to be deleted from {key.parent} "
                f"(foreign key {key.name})"
            )

    def _referring_rows(self, key: Foreign, decisions: Sequence[int]) -> sql.Composable:
        """Rows of the child that refer to archived rows of the parent and are not archived as deleted themselves."""
        child, parent = self.tables[key.child], self.tables[key.parent]
        pairs = []
        for own, target in zip(key.columns, key.targets, strict=True):
            of = parent.column(target)
            assert of is not None
            pairs.append(SQL("{} = {}").format(column("t", own), shapes.value_of(SQL("a.before"), of)))
        ids = sql.Literal(list(decisions))
        return SQL(
            "SELECT t.ctid AS c, min(a.decision) AS decision FROM {child} t JOIN normalform.archive a "
            "ON a.decision = ANY({ids}) AND a.relation = {parent} AND a.action = 'delete' AND a.restored IS NULL "
            "AND {pairs} WHERE NOT EXISTS (SELECT FROM normalform.archive x WHERE x.decision = ANY({ids}) "
            "AND x.relation = {relation} AND x.action = 'delete' AND x.restored IS NULL "
            "AND x.identity = {identity}) GROUP BY t.ctid"
        ).format(
            child=table(key.child),
            ids=ids,
            parent=sql.Literal(self.relation(key.parent)),
            pairs=conjunction(pairs),
            relation=sql.Literal(self.relation(key.child)),
            identity=shapes.image("t", shapes.identity_columns(child)),
        )

    def lock_parents(self, target: QName, images: sql.Composable) -> None:
        """Lock what the foreign keys of rows to be inserted will look for, so that the insert itself waits for
        nobody.
        """
        child = self.tables[target]
        for key in self.keys:
            columns = [child.column(c) for c in key.columns]
            if key.child != target or key.parent not in self.tables or key.parent == target:
                continue
            present = [c for c in columns if c is not None]
            self.ctx.conn.execute(shapes.lock_parents(self.tables[key.parent], key.targets, present, images))


def read_foreign_keys(conn: psycopg.Connection) -> tuple[Foreign, ...]:
    """Read every foreign key of the database; partitions count by themselves."""
    rows = conn.execute(_FOREIGN_KEYS).fetchall()
    return tuple(
        Foreign(r[0], QName(r[1], r[2]), QName(r[3], r[4]), tuple(r[6]), tuple(r[7]), r[5], tuple(r[8])) for r in rows
    )
