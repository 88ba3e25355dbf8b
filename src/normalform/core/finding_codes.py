"""The registry of findings: every code with its slug, what it means and what settles it.

One definition for the report, the command line and the reference page: ``python -m normalform.core.finding_codes``
prints that page, and a test compares. Codes and slugs are stable: scripts and runbooks name them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .finding_reasons import WHY
from .findings import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


@dataclass(frozen=True)
class Code:
    """A kind of finding.

    Args:
        code: NF1xx lookup, NF2xx reference, NF3xx dependents, NF4xx server.
        slug: its name.
        severity: the worst that it can be; the reference page says what it depends on.
        unit: what is counted.
        means: what is wrong.
        remedy: what settles it.
        depends: when it is less severe; empty when it never is.
    """

    code: str
    slug: str
    severity: Severity
    unit: str
    means: str
    remedy: str
    depends: str = ""


_OPTIONAL = "warning where the reference is not required"
_AREAS = {"1": "Lookups", "2": "References", "3": "What depends on the tables", "4": "Server and role"}

CODES: dict[str, Code] = {
    c.code: c
    for c in (
        Code("NF101", "duplicate", ERROR, "rows",
             "Several lookup rows of one scope have the same text under equal qualifiers, so that nothing in a "
             "reference's row can tell them apart. Equal *paths* count, not equal parents: two root categories may "
             "have one name where the unique constraint takes NULL parents for distinct. (Runbook 1.1)",
             "decide `merge` (references move to the row that stays) or `rename` for all rows but one"),
        Code("NF102", "several-qualifiers", WARNING, "names",
             "One text stands under several qualifiers of a scope. Rows are told apart by their own qualifier; the "
             "numbers say how many are, and how many a join on the text alone, as in the runbook, would get wrong at "
             "least and at most. (Runbook 1.2)",
             "nothing, where every row has a qualifier that picks one; else see NF202",
             "info where every row is told apart"),
        Code("NF103", "near-duplicate-lookup", WARNING, "rows",
             "Lookup rows of one scope whose texts differ by Unicode form, case or surrounding space alone.",
             "decide `merge` if they mean the same; nothing if they do not"),
        Code("NF104", "unique-collision", ERROR, "rows",
             "Lookup rows that are equal in the columns that the spec's `unique` names, so that it cannot be built.",
             "decide `merge` or `rename`"),
        Code("NF105", "lookup-scope-missing", WARNING, "rows",
             "Lookup rows without a scope: it is NULL, or there is no row to copy it from. No reference reaches them.",
             "fill the scope, or delete the rows"),
        Code("NF106", "lookup-text-missing", WARNING, "rows",
             "Lookup rows whose text is NULL. No reference reaches them.",
             "fill the text, or delete the rows"),
        Code("NF107", "path-missing", WARNING, "rows",
             "Lookup rows whose qualifier has no path from a root: the chain of parents is broken, or a circle.",
             "mend the parents"),
        Code("NF108", "equal-paths", WARNING, "rows",
             "Several qualifier rows (categories) of one scope have the same path, so that a reference's qualifier "
             "means either.",
             "merge them in the application; texts that hang on both are NF101"),
        Code("NF109", "row-security", ERROR, "tables",
             "Row-level security stands on the table. When it is forced, the owner's own triggers and batches would "
             "see some of the rows and store wrong keys in silence.",
             "ALTER TABLE … NO FORCE ROW LEVEL SECURITY while the migration lasts",
             "warning where it is not forced: the owner sees every row"),
        Code("NF110", "lookup-value-too-long", WARNING, "rows",
             "Lookup rows whose text or path is longer than the reference's column for it: a writer that gives such a "
             "key could not be given the text.",
             "expand widens the narrower column first, which changes the catalog only"),
        Code("NF201", "orphan", ERROR, "rows",
             "Rows whose text no lookup row of their scope has. (Runbook 1.3, with keyword_models; 1.4)",
             "decide `create`, `choose`, `fold`, `drop` or `null`", _OPTIONAL),
        Code("NF202", "ambiguous", ERROR, "rows",
             "Rows whose text several lookup rows of their scope have, and whose qualifier does not pick one.",
             "decide `choose`, `split`, or `rename` or `merge` the lookup's rows", _OPTIONAL),
        Code("NF203", "scope-null", ERROR, "rows",
             "Rows with a text and no scope (a tenant that is NULL), so that no lookup row can be theirs.",
             "decide `drop` or `null`, or fill the scope", _OPTIONAL),
        Code("NF204", "scope-unknown", ERROR, "rows",
             "Rows whose scope (tenant) no lookup row has, nor the table that the scope is copied from.",
             "decide `drop` or `null`, or `create` the tenant's rows", _OPTIONAL),
        Code("NF205", "qualifier-disagrees", WARNING, "rows",
             "Rows whose qualifier is that of other lookup rows than the only one with their text. The text decides; "
             "after contract the row shows the lookup's qualifier.",
             "nothing, or correct the rows, or decide `create` for the text under that qualifier"),
        Code("NF206", "qualifier-unknown", WARNING, "rows",
             "Rows whose qualifier does not exist in their scope. The text decides.",
             "nothing, or correct the rows"),
        Code("NF207", "near-duplicate", WARNING, "rows",
             "Orphans (counted in NF201 too) that equal a lookup text after Unicode NFKC, case folding and trimming.",
             "decide `fold`; it is suggested, never done by itself"),
        Code("NF208", "collision", ERROR, "rows",
             "Rows that a unique index keeps apart by their text today, and whose texts mean one lookup row: the "
             "index's successor on the key cannot hold both. Texts that would fold onto one row are included.",
             "decide which row stays (`keep`); the archive keeps the others",
             "warning where only suggested folds collide"),
        Code("NF209", "text-too-long", ERROR, "rows",
             "Unresolved rows whose text is longer than the lookup's column can hold, so that it cannot be created.",
             "decide `create` (the lookup is widened first), `choose`, or `drop`", _OPTIONAL),
        Code("NF210", "width-differs", INFO, "columns",
             "Columns that will be compared or copied have different declared types.",
             "expand widens the narrower column first, which changes the catalog only"),
        Code("NF211", "text-null", ERROR, "rows",
             "Rows of a required reference whose text is NULL: their key would be NULL, and NOT NULL could not stand.",
             "fill or delete the rows, or set required = false"),
        Code("NF212", "table-absent", INFO, "tables",
             "An optional reference's table does not exist. It is left out.",
             "nothing, or remove it from the spec"),
        Code("NF213", "no-primary-key", WARNING, "tables",
             "The table has no primary key: contract cannot keep what the keys do not reproduce beside it, and must "
             "keep it in the row or refuse.",
             "add a primary key"),
        Code("NF301", "app-trigger", WARNING, "triggers",
             "Triggers of the application that an UPDATE of every row would fire: updated_at, audit rows, NOTIFY.",
             'set app_triggers = "skip" or "fire" for the reference',
             'info where the reference says app_triggers = "skip"'),
        Code("NF302", "trigger-order", ERROR, "triggers",
             "Triggers of the application whose names sort outside ours (`!normalform_…` to `~normalform_…`), so that "
             "they would run before the text is filled, or after the key is derived from it.",
             "rename the trigger: ALTER TRIGGER … RENAME TO …"),
        Code("NF303", "cascade", WARNING, "foreign keys",
             "Deletes that cascade onto lookup rows today, and that the new foreign keys (on_delete = restrict) would "
             "refuse where references still use the row.",
             'set on_delete = "no_action", "cascade" or "set_null" for the references, or let the application '
             "delete references first"),
        Code("NF304", "published", ERROR, "tables",
             "Tables in a publication: subscribers lack the key column and their apply would stop at the first row.",
             "add the column on the subscribers first, or take the table out of the publication"),
        Code("NF305", "published-without-identity", ERROR, "tables",
             "Tables that are published for UPDATE without a replica identity: the server refuses every UPDATE of "
             "them, a batch's too.",
             "ALTER TABLE … REPLICA IDENTITY …"),
        Code("NF306", "ledger-published", ERROR, "publications",
             "Publications of all tables would also publish the ledger, which no subscriber has.",
             "name the tables in the publication"),
        Code("NF307", "subscription-target", WARNING, "tables",
             "Tables that a subscription writes to: its apply worker passes ordinary triggers by.",
             "sync's triggers are made ENABLE ALWAYS; pause the subscription for a window"),
        Code("NF308", "invalid-index", WARNING, "indexes",
             "Invalid indexes: they cost every write and answer no query; an invalid unique one still refuses rows.",
             "DROP INDEX CONCURRENTLY, and build it anew"),
        Code("NF309", "name-taken", ERROR, "objects",
             "Objects exist that have the names of ours, and are not in a ledger of ours.",
             "rename or drop them"),
        Code("NF401", "privileges", WARNING, "privileges",
             "The role that looked lacks what the role that migrates needs: the tables' ownership, CREATE on the "
             "database and on the tables' schemas.",
             "run the changing commands as a role that owns the tables; it need not be a superuser"),
        Code("NF402", "transaction-pooling", ERROR, "connections",
             "The connection goes through a proxy that gives a session's transactions to different server sessions.",
             "give a URL that reaches the server itself, or a session-pooling port"),
        Code("NF403", "standby", INFO, "servers",
             "The server is a standby: enough for an audit, and for nothing that writes.",
             "give the primary's URL to the changing commands"),
    )
}  # fmt: skip


def page() -> str:
    """Return the reference page of all findings, as Markdown."""
    lines = [
        "# Findings",
        "",
        "<!-- Made by `python -m normalform.core.finding_codes`; a test compares. -->",
        "",
        "What `normalform audit` reports. Every finding has a count, sample rows, the SQL that finds each offender",
        "(`--sql`), and all of them with `--all --csv`. An *error* keeps expand from starting.",
    ]
    area = ""
    for code in CODES.values():
        if code.code[2] != area:
            area = code.code[2]
            lines += ["", f"## NF{area}xx: {_AREAS[area]}"]
        severity = f"{code.severity.value}; {code.depends}" if code.depends else code.severity.value
        lines += [
            "", f"### {code.code} {code.slug}", "", code.means, "", f"*Why it matters:* {WHY[code.code]}", "",
            f"*Severity:* {severity}. *Counts:* {code.unit}. *Remedy:* {code.remedy}.",
        ]  # fmt: skip
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(page(), end="")  # the page goes to a file by redirection
