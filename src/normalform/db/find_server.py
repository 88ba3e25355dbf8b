"""Findings from the catalogs: rights, triggers, publications, cascades, names, types. Reads no row of a user's table.

Decides how much each matters under this spec; what each query finds is ``sql.server_findings``. Never asks with more
rights than a plain role has; what is hidden from it becomes "unchecked".
"""

from __future__ import annotations

from ..core.finding_codes import CODES
from ..core.findings import Finding, Severity
from ..core.model import Model, Reference
from ..sql import server_findings as queries
from .finder import Finder, several

SERVER = "server"


def find(finder: Finder) -> None:
    """Add every finding that the catalogs give."""
    model = finder.model
    _standby(finder)
    _privileges(finder)
    _security(finder)
    _publications(finder)
    _objects(finder)
    for reference in model.references:
        _reference(finder, reference)
    _cascades(finder)
    for spec in model.absent:
        query = queries.absent(spec)
        finder.add("NF212", spec.name, f"table {spec.table} does not exist; the reference is left out", query, 1,
                   sample=({"table": str(spec.table)},))  # fmt: skip


def pooled(message: str) -> Finding:
    """Return the finding of a proxy that pools transactions; its query answers differently each time."""
    kind = CODES["NF402"]
    return Finding(kind.code, kind.slug, kind.severity, message, SERVER, 1, kind.unit, kind.remedy,
                   "SELECT pg_catalog.pg_backend_pid() AS changes_between_transactions")  # fmt: skip


def _standby(finder: Finder) -> None:
    asked = finder.ask(SERVER, "NF403", queries.standby())
    if asked is not None:
        finder.add("NF403", SERVER, "the server is a standby", queries.standby(), asked.count)


def _privileges(finder: Finder) -> None:
    query = queries.missing_privileges(queries.tables_of(finder.model))
    asked = finder.ask(SERVER, "NF401", query)
    if asked is not None:
        role = finder.model.catalog.user
        title = f"role {role} could not migrate: it lacks {several(asked.count, 'privilege')}"
        finder.add("NF401", SERVER, title, query, asked.count, sample=asked.sample)


def _security(finder: Finder) -> None:
    names = queries.read_tables(finder.model)
    for forced, severity in ((True, Severity.ERROR), (False, Severity.WARNING)):
        query = queries.row_security(names, forced=forced)
        asked = finder.ask(SERVER, "NF109", query)
        if asked is not None:
            title = f"row-level security {'is forced' if forced else 'stands'} on {several(asked.count, 'table')}"
            finder.add("NF109", SERVER, title, query, asked.count, severity=severity, sample=asked.sample)


def _publications(finder: Finder) -> None:
    names = queries.tables_of(finder.model)
    for code, query, title in (
        ("NF304", queries.published(names), "{} in a publication: subscribers lack the key column"),
        ("NF305", queries.published_without_identity(names), "{} published for UPDATE without a replica identity"),
        ("NF307", queries.subscribed(names), "{} written by a subscription, which passes triggers by"),
    ):
        asked = finder.ask(SERVER, code, query)
        if asked is not None:
            finder.add(
                code, SERVER, title.format(several(asked.count, "table")), query, asked.count, sample=asked.sample
            )
    query = queries.catches_ledger()
    asked = finder.ask(SERVER, "NF306", query)
    if asked is not None:
        title = f"{several(asked.count, 'publication')} would publish the ledger too"
        finder.add("NF306", SERVER, title, query, asked.count, sample=asked.sample)


def _objects(finder: Finder) -> None:
    names = queries.tables_of(finder.model)
    asked = finder.ask(SERVER, "NF302", queries.trigger_order(names))
    if asked is not None:
        title = f"{several(asked.count, 'trigger')} of the application would run before our first or after our last one"
        finder.add("NF302", SERVER, title, queries.trigger_order(names), asked.count, sample=asked.sample)
    asked = finder.ask(SERVER, "NF308", queries.invalid_indexes(names))
    if asked is not None:
        title = f"{several(asked.count, 'index', 'indexes')} invalid"
        finder.add("NF308", SERVER, title, queries.invalid_indexes(names), asked.count, sample=asked.sample)
    if finder.stored:
        return  # what has our names then is in the ledger, and the phases that make it look themselves
    asked = finder.ask(SERVER, "NF309", queries.taken(names))
    if asked is not None:
        title = f"{several(asked.count, 'object')} with a name of ours, and no ledger"
        finder.add("NF309", SERVER, title, queries.taken(names), asked.count, sample=asked.sample)


def _reference(finder: Finder, reference: Reference) -> None:
    name, relation = reference.name, reference.table.name
    # The columns of a table that expand makes are made to fit.
    asked = None if reference.lookup.planned else finder.ask(name, "NF210", queries.widths(reference))
    if asked is not None and reference.text_present:
        title = f"{several(asked.count, 'column')} of {relation} and what it is compared with have different types"
        finder.add("NF210", name, title, queries.widths(reference), asked.count, sample=asked.sample)
    asked = finder.ask(name, "NF213", queries.no_primary_key(reference))
    if asked is not None:
        title = f"{relation} has no primary key"
        finder.add("NF213", name, title, queries.no_primary_key(reference), asked.count, sample=asked.sample)
    query = queries.app_triggers(reference)
    asked = finder.ask(name, "NF301", query)
    if asked is not None:
        skip = reference.spec.app_triggers == "skip"
        what = "would be skipped, as the spec says" if skip else "would fire for every row that is filled"
        finder.add("NF301", name, f"{several(asked.count, 'trigger')} on {relation} {what}", query, asked.count,
                   severity=Severity.INFO if skip else None, sample=asked.sample)  # fmt: skip


def _cascades(finder: Finder) -> None:
    model: Model = finder.model
    for lookup in (x for x in model.lookups if not x.planned):
        strict = [r.name for r in model.references_of(lookup) if r.spec.on_delete == "restrict"]
        query = queries.cascades(lookup)
        asked = finder.ask(lookup.name, "NF303", query) if strict else None
        if asked is not None:
            title = (
                f"deletes cascade onto {lookup.table.name} over {several(asked.count, 'foreign key')}; "
                f"{', '.join(strict)} would refuse them where the row is used"
            )
            finder.add("NF303", lookup.name, title, query, asked.count, sample=asked.sample)
