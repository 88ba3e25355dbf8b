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
        before: the phase before which it must be settled; empty for an error before expand, or where nothing must be.
    """

    code: str
    slug: str
    severity: Severity
    unit: str
    means: str
    remedy: str
    depends: str = ""
    before: str = ""


_KEPT = "contract never cascades; "
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
        Code("NF111", "lookup-to-create", INFO, "rows",
             "The lookup's table does not exist, as the spec says: expand makes it, with a row for each distinct text "
             "in its scope, and under its qualifier where there is one.",
             "nothing; look at the rows with `--all`"),
        Code("NF112", "near-duplicate-to-create", WARNING, "texts",
             "Texts that would get a row each of a lookup that expand makes, and differ by Unicode form, case or "
             "surrounding space alone.",
             "correct the texts first; or, once expand has made the rows, decide `choose`, and delete the row that is "
             "left over"),
        Code("NF113", "qualifier-to-create-missing", ERROR, "texts",
             "Texts without a qualifier, of a lookup that expand makes, which other rows have under several: once "
             "the rows are made, nothing picks one.",
             "give the rows their qualifier; or, once expand has made the rows, decide `choose` before backfill",
             _OPTIONAL),
        Code("NF114", "too-long-to-create", ERROR, "texts",
             "Texts of a lookup that expand makes which are longer than 2,600 bytes. An entry of an index holds some "
             "2,700, compressed, and the lookup's unique has to hold every text.",
             "shorten the texts, or set them to NULL"),
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
        Code("NF310", "successor", INFO, "objects",
             "Indexes, uniques, checks and foreign keys that read a text which contract drops, and that have a "
             "successor on the key: constrain builds it, contract takes the old one away.",
             "nothing; `normalform plan constrain` shows each"),
        Code("NF311", "no-successor", ERROR, "objects",
             "Indexes, uniques, checks and foreign keys, inbound ones too, that read a text which contract drops, and "
             "that nothing on the key can take the place of.",
             "make what should take its place by hand, then drop it, or waive it", before="contract"),
        Code("NF312", "view", ERROR, "views",
             "Views that read a text which contract drops.",
             _KEPT + "after backfill, CREATE OR REPLACE VIEW … with the same columns, the text taken from the lookup "
             "over the key", before="contract"),
        Code("NF313", "materialized-view", ERROR, "materialized views",
             "Materialized views that read a text which contract drops. They cannot be replaced in place.",
             _KEPT + "make one beside it that takes the text from the lookup over the key, swap the names, drop the "
             "old one", before="contract"),
        Code("NF314", "rule", ERROR, "rules",
             "Rules that read a text which contract drops, on any table.",
             _KEPT + "CREATE OR REPLACE RULE … without the text", before="contract"),
        Code("NF315", "policy", ERROR, "policies",
             "Row-level security policies, on any table, that read a text which contract drops.",
             _KEPT + "ALTER POLICY … to the key, or to the lookup's text over the key", before="contract"),
        Code("NF316", "trigger-on-text", ERROR, "triggers",
             "Triggers of others that name a text which contract drops in UPDATE OF or WHEN.",
             _KEPT + "CREATE OR REPLACE TRIGGER … on the key column", before="contract"),
        Code("NF317", "generated-column", ERROR, "columns",
             "Generated columns that are computed from a text which contract drops.",
             _KEPT + "ALTER TABLE … ALTER COLUMN … DROP EXPRESSION, or drop the column; let readers take the text "
             "from the lookup", before="contract"),
        Code("NF318", "published-columns", ERROR, "publications",
             "Publications whose column list or row filter names a text which contract drops.",
             _KEPT + "ALTER PUBLICATION … SET TABLE … with the key column in the text's place, on the subscribers "
             "first", before="contract"),
        Code("NF319", "statistics", INFO, "statistics objects",
             "Extended statistics on a text which contract drops: they go with the column, and contract's undo makes "
             "them again.",
             "CREATE STATISTICS … on the key columns after backfill, where plans need them"),
        Code("NF320", "text-default", WARNING, "columns",
             "A text which contract drops has a default. Rows that give neither text nor key get it today, and the "
             "key of none after contract.",
             "let the application give the key, or ALTER TABLE … ALTER COLUMN … SET DEFAULT for the key column, "
             "where one row means the same in every scope", before="contract"),
        Code("NF321", "function", ERROR, "functions",
             "Functions and procedures that read or write a text which contract drops: SQL bodies of both kinds, "
             "PL/pgSQL with `%TYPE` and the rows of triggers (`NEW.keyword`), statements in constant EXECUTE strings, "
             "and INSERT without a list of columns. Those that the catalog does not know would break when called.",
             _KEPT + "CREATE OR REPLACE FUNCTION … with the key, or waive it by its name", before="contract"),
        Code("NF322", "function-perhaps", WARNING, "functions",
             "Functions that may touch a text which contract drops: SQL put together at run time that names it, "
             "statements that could not be parsed, a name that an unknown source may own, a key of a row as JSON, "
             "bodies in another language.",
             "read them; change those that do", before="contract"),
        Code("NF323", "function-breaks", WARNING, "functions",
             "Functions that fail when the key column comes, or the lookup's scope column: `SELECT *` into something "
             "that has as many columns as there are today.",
             "name the columns", before="expand"),
        Code("NF324", "whole-row", INFO, "objects",
             "Functions and views that hand on whole rows (`to_jsonb(NEW)`, `row_to_json(t)`): what they give has the "
             "key from expand on, and no text after contract. They go on working.",
             "nothing, where whoever reads what they give expects that"),
        Code("NF325", "statement", WARNING, "statements",
             "Statements in pg_stat_statements that read or write a text which contract drops. Statistics keep what "
             "ran at any time since their reset.",
             "let the application read and write the key; then SELECT pg_stat_statements_reset() and look again",
             before="contract"),
        Code("NF326", "statement-breaks", WARNING, "statements",
             "Statements in pg_stat_statements that break, or change their result, when a column comes or goes: "
             "prepared `SELECT *` (0A000 until the session reconnects), `INSERT … SELECT *`, INSERT and COPY without "
             "a list of columns.",
             "name the columns; prepared ones need a rolling restart after expand and after contract",
             before="expand"),
        Code("NF327", "statement-unread", INFO, "statements",
             "Statements in pg_stat_statements that name a table or a text of the migration and could not be parsed.",
             "read them"),
        Code("NF328", "widening-blocked", ERROR, "objects",
             "Views, rules, policies, triggers, generated columns, publications and SQL-standard functions on a column "
             "that expand widens: the server refuses to change the type of a column that they use.",
             "drop them while expand runs, or widen the column yourself, first"),
        Code("NF329", "dynamic-sql", INFO, "functions",
             "Functions that run SQL which they put together at run time from parts that name nothing of the "
             "migration. What they touch depends on what they are given.",
             "think of what calls them"),
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
        Code("NF404", "long-transaction", WARNING, "transactions",
             "Transactions, prepared ones too, that have been open for more than a minute. CREATE INDEX CONCURRENTLY "
             "and VALIDATE wait for them, VACUUM cannot clean up behind a backfill, and a lock that one of them holds "
             "keeps every DDL waiting.",
             "let them end, or end them; `normalform status` names them while a phase waits"),
        Code("NF405", "replication-slot", WARNING, "slots",
             "Replication slots that nobody reads, that the server has given up, or that are more than 1 GB behind: "
             "a backfill's WAL is kept for them until the disk is full.",
             "drop the ones that are not needed, and let the others catch up",
             "info where they keep up"),
        Code("NF406", "standbys", WARNING, "standbys",
             "Standbys that stream from this server, and how far they are behind. A synchronous one that lags delays "
             "every commit.",
             "give them time to catch up; run with fewer workers",
             "info where they keep up"),
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
        "(`--sql`), and all of them with `--all --csv`. An *error* keeps expand from starting; an *error before",
        "contract* keeps contract, and nothing earlier, from starting.",
    ]
    area = ""
    for code in CODES.values():
        if code.code[2] != area:
            area = code.code[2]
            lines += ["", f"## NF{area}xx: {_AREAS[area]}"]
        severity = code.severity.value + (f" before {code.before}" if code.before else "")
        severity += f"; {code.depends}" if code.depends else ""
        lines += [
            "", f"### {code.code} {code.slug}", "", code.means, "", f"*Why it matters:* {WHY[code.code]}", "",
            f"*Severity:* {severity}. *Counts:* {code.unit}. *Remedy:* {code.remedy}.",
        ]  # fmt: skip
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(page(), end="")  # the page goes to a file by redirection
