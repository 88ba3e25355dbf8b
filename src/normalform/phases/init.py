"""Init: looks around in a database, guesses its lookups and references, and drafts a spec. **Changes nothing.**

Decides the order of looking: catalog, statistics, values of all columns in each possible lookup, then samples of the
pairs that agree. What they are taken to mean is ``core.guess``'s. SELECT rights are enough and a standby will do: the
session is read-only, and no statement of it is a transaction of more than some seconds (CORRECTNESS 28).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..core.bind import bind
from ..core.candidates import ColumnName, Owner, Repeater, joins, owner, owners, repeaters, spoken, text_columns
from ..core.catalog import Column, Table
from ..core.column_stats import ColumnStats
from ..core.draft import Draft, draft
from ..core.events import Event, Sink, silent
from ..core.fit import Fit, fit
from ..core.guess import Chosen, LeftOut, Overlap, Overlaps, choose, named, pairs, unlike
from ..core.init_report import InitReport, spec_text
from ..core.names import QName, display, nearest, split_name
from ..core.own_lookup import Proposal, own_lookups
from ..core.samples import OwnerSample, Rate, RowSample
from ..core.spec import Spec
from ..db.connect import Connector, refuse_transaction_pooler
from ..db.discover import BUDGET, STATEMENT, TEXTS, Discovery
from ..errors import SpecError, UsageError

#: Values of all columns that are looked for in one lookup.
MOST_PROBES = 50_000
#: Columns that deserve a lookup of their own that are named, those that save most first.
PROPOSALS = 10


def init(
    connector: Connector,
    *,
    references: Sequence[str] = (),
    lookups: Sequence[str] = (),
    sink: Sink = silent,
    mask: bool = False,
    statement: float = STATEMENT,
    budget: float = BUDGET,
) -> InitReport:
    """Guess a spec.

    Args:
        connector: makes the session, a standby's too, by a role with SELECT on the tables.
        references: columns that refer to a lookup, as ``schema.table.column`` or ``table.column``; none: any column.
        lookups: columns that own their text; none: any unique one.
        sink: gets progress events.
        mask: leave values of rows out of the report.
        statement: seconds that one statement may take.
        budget: seconds after which nothing more is sampled.

    Raises:
        UsageError: a named column does not exist, or cannot be what it is named for.
        DatabaseRefused: no connection, or a transaction-pooling proxy.
    """
    began = time.monotonic()
    refuse_transaction_pooler(connector)
    with connector.open("init") as conn:
        conn.execute("SELECT set_config('default_transaction_read_only', 'on', false)")
        sink(Event("phase", "init", "catalog and statistics"))
        looking = _Looking(Discovery(conn, statement=statement, budget=budget), sink)
        drafted, left = looking.look(references, lookups, mask=mask)
        tables = list(looking.catalog)
        return InitReport(
            database=looking.catalog.database,
            role=looking.catalog.user,
            tables=len(tables),
            columns=len(text_columns(tables)),
            draft=drafted,
            left_out=tuple(LeftOut(name, why) for name, why in sorted(left.items())),
            unread=tuple(looking.reader.unread),
            text=spec_text(drafted, tables, looking.catalog.database),
            seconds=time.monotonic() - began,
        )


class _Looking:
    def __init__(self, reader: Discovery, sink: Sink) -> None:
        self.reader, self.sink = reader, sink
        self.catalog = reader.catalog()
        self.stats, self.rows = reader.statistics(list(self.catalog))
        self.samples: dict[ColumnName, RowSample] = {}
        self.owner_samples: dict[ColumnName, tuple[OwnerSample, set[str]]] = {}

    def look(
        self, references: Sequence[str], lookups: Sequence[str], *, mask: bool
    ) -> tuple[Draft, dict[ColumnName, str]]:
        """Return what was guessed, and why every other column is left out."""
        tables = list(self.catalog)
        asked = [self.column("reference", text) for text in references]
        owned = [self.column("lookup", text) for text in lookups]
        some_owners = [self.asked_owner(*x) for x in owned] if owned else owners(tables, self.stats, self.rows)
        some, left = repeaters(tables, self.stats, self.rows)
        if asked:
            some, left = [self.asked_repeater(*x) for x in asked], {}
        if asked and owned:
            chosen, vain = named(self.fits(some_owners, {o.name: some for o in some_owners}))
            settled = used = dict[ColumnName, str]()
        else:
            overlaps = self.overlaps(some_owners, some)
            wanted, settled = pairs(some_owners, some, overlaps)
            chosen, vain, used = choose(self.fits(some_owners, wanted))
            # Read again without the columns that proved to be something else, which may have had a say in the shape.
            chosen = [self.again(entry) for entry in chosen]
            vain = {**unlike(some, overlaps), **vain}
        found = {r.repeater.name for c in chosen for r in c.references}
        proposals, unmatched = own_lookups([r for r in some if r.name not in {*found, *settled, *used}])
        if asked or owned:
            # Who names a side asks for what there is.
            unmatched = {r.name: unmatched.get(r.name, "nothing has its values") for r in some}
            proposals = []
        chosen, proposals, refused = self.bindable(chosen, proposals[:PROPOSALS])
        drafted = draft(chosen, self.catalog, proposals, mask=mask)
        taken = {(d.table, d.spec.text) for d in drafted.references}
        left = {**left, **unmatched, **vain, **settled, **used, **refused}
        return drafted, {name: why for name, why in left.items() if name not in taken}

    # --------------------------------------------------------------------------------------- what was asked for

    def column(self, option: str, text: str) -> tuple[Table, Column]:
        try:
            parts = split_name(text)
        except ValueError as error:
            raise UsageError(f"--{option}: {error}") from error
        if len(parts) not in (2, 3):
            raise UsageError(f"--{option} {text}: it is schema.table.column or table.column")
        name = QName("" if len(parts) == 2 else parts[0], parts[-2])
        table = self.catalog.find(name)
        if table is None:
            near = nearest(str(name), (str(t.name) for t in self.catalog))
            hint = f"; did you mean {near}?" if near else ""
            raise UsageError(f"--{option} {text}: there is no table {name} that this role may read{hint}")
        column = table.column(parts[-1])
        if column is None:
            near = nearest(parts[-1], (c.name for c in table.columns))
            hint = f"; did you mean {display(near)}?" if near else ""
            raise UsageError(f"--{option} {text}: {table.name} has no column {display(parts[-1])}{hint}")
        if not column.is_text:
            raise UsageError(f"--{option} {text}: it is {column.type}, not a text type")
        return table, column

    def asked_owner(self, table: Table, column: Column) -> Owner:
        found = owner(table, column, self.stats.get((table.name, column.name)), self.rows.get(table.name, 0.0))
        name = spoken((table.name, column.name))
        if isinstance(found, str):
            raise UsageError(f"--lookup {name}: key not found: {found}")
        if found.natural:
            raise UsageError(
                f"--lookup {name}: it is the table's key itself; what repeats it needs a foreign key and nothing else"
            )
        return found

    def asked_repeater(self, table: Table, column: Column) -> Repeater:
        stats = self.stats.get((table.name, column.name), ColumnStats(0.0, 0.0, 0.0))
        return Repeater(table, column, stats, self.rows.get(table.name, 0.0))

    # -------------------------------------------------------------------------------------------------- looking

    def overlaps(self, some_owners: Sequence[Owner], some: Sequence[Repeater]) -> Overlaps:
        """Look for a few values of every column in every possible lookup: one statement for each lookup."""
        probes = {r.name: (r, r.stats.probes()) for r in some}
        # The largest tables first, should there be too many columns to ask for all.
        values = list(dict.fromkeys(v for r, p in sorted(probes.values(), key=lambda x: -x[0].rows) for v in p))
        values = values[:MOST_PROBES]
        asked, result = set(values), dict[tuple[ColumnName, ColumnName], Overlap]()
        for done, one in enumerate(sorted(some_owners, key=lambda o: o.rows)):
            self.sink(Event("progress", "init/values", done=done, total=len(some_owners), unit="lookups"))
            found = self.reader.probe(one, values)
            if found is None:
                continue
            lower = {v.lower() for v in found}
            for name, (repeater, probed) in probes.items():
                if name[0] == one.table.name or not asked.issuperset(probed):
                    continue
                folds = one.text.base == repeater.text.base == "citext"
                hits = [v for v in probed if v in found or (folds and v.lower() in lower)]
                if hits:
                    result[one.name, name] = Overlap(sum(probed[v] for v in hits), Rate(len(hits), len(probed)))
        self.sink(Event("progress", "init/values", done=len(some_owners), total=len(some_owners), unit="lookups"))
        return result

    def fits(self, some_owners: Sequence[Owner], wanted: Mapping[ColumnName, Sequence[Repeater]]) -> list[Fit]:
        """Sample each pair and fit it."""
        result = []
        listed = [o for o in some_owners if o.name in wanted]
        for done, one in enumerate(listed):
            self.sink(Event("progress", "init/samples", done=done, total=len(listed), unit="lookups"))
            found = self.fit(one, wanted[one.name])
            if found is not None:
                result.append(found)
        self.sink(Event("progress", "init/samples", done=len(listed), total=len(listed), unit="lookups"))
        return result

    def fit(self, one: Owner, some: Sequence[Repeater]) -> Fit | None:
        for repeater in some:
            if repeater.name not in self.samples:
                sample = self.reader.sample(repeater.table, repeater.text.name, self.stats)
                if sample is not None:
                    self.samples[repeater.name] = sample
        sampled = [(r, self.samples[r.name]) for r in some if r.name in self.samples]
        if sampled and one.name not in self.owner_samples:
            found = self.reader.owner_sample(one, joins(one.table, self.catalog.tables), texts_of(sampled))
            if found is not None:
                self.owner_samples[one.name] = found[0], set(found[1])
        if not sampled or one.name not in self.owner_samples:
            return None
        rows, asked = self.owner_samples[one.name]
        return fit(one, rows, [(r, within(s, r.text.name, asked)) for r, s in sampled])

    def again(self, entry: Chosen) -> Chosen:
        found = self.fit(entry.fit.owner, [r.repeater for r in entry.references])
        assert found is not None  # everything has been read
        return Chosen(found, found.references)

    def bindable(
        self, chosen: Sequence[Chosen], proposals: Sequence[Proposal]
    ) -> tuple[list[Chosen], list[Proposal], dict[ColumnName, str]]:
        """Leave out what a spec cannot say: each reference is fitted to the catalog as `audit` will do it."""
        refused: dict[ColumnName, str] = {}
        drafted = draft(chosen, self.catalog, proposals)
        for entry in drafted.references:
            lookup = next(d.spec for d in drafted.lookups if d.spec.name == entry.spec.lookup)
            try:
                bind(Spec((lookup,), (entry.spec,)), self.catalog)
            except SpecError as error:
                refused[entry.table, entry.spec.text] = f"a spec cannot have it: {error.problems[0]}"
        kept = [replace(c, references=tuple(r for r in c.references if r.repeater.name not in refused)) for c in chosen]
        made = [replace(p, repeaters=tuple(r for r in p.repeaters if r.name not in refused)) for p in proposals]
        return [c for c in kept if c.references], [p for p in made if p.repeaters], refused


def texts_of(sampled: Sequence[tuple[Repeater, RowSample]]) -> list[str]:
    """Return texts of all samples in turn, so that any beginning of the list is fair to each."""
    lists = [list(dict.fromkeys(v for v in s.values(r.text.name) if v is not None)) for r, s in sampled]
    room = max(1, TEXTS // max(1, len(lists)))
    spread = [x if len(x) <= room else [x[i * len(x) // room] for i in range(room)] for x in lists]
    longest = max(map(len, spread), default=0)
    return list(dict.fromkeys(x[i] for i in range(longest) for x in spread if i < len(x)))


def within(sample: RowSample, text: str, asked: set[str]) -> RowSample:
    """Return the sampled rows whose text was looked for, and those without text."""
    at = sample.columns.index(text)
    return replace(sample, rows=[row for row in sample.rows if row[at] is None or row[at] in asked])
