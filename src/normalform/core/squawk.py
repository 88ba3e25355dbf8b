"""What squawk, a linter of PostgreSQL migrations, says of our statements, and why each of these stands all the same.

`plan --sql` prints the reason and squawk's own mark above the statement, so that squawk passes over exactly what is
answered here. It must never answer a rule about timeouts, nor one about locks but where the catalog alone changes: any
other such statement is to be written otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Exemption:
    """A rule of squawk that a kind of statement breaks on purpose.

    Args:
        rule: squawk's name for it.
        statement: a pattern that the statement begins with.
        reason: why the statement stands.
    """

    rule: str
    statement: str
    reason: str


_NAME = r'(?:"(?:[^"]|"")+"(?:\."(?:[^"]|"")+")?)'
EXEMPTIONS = (
    Exemption(
        "prefer-bigint-over-int",
        rf"ALTER TABLE {_NAME} ADD COLUMN {_NAME} integer\b",
        "a key has the type of the column that it refers to",
    ),
    Exemption(
        "prefer-bigint-over-smallint",
        rf"ALTER TABLE {_NAME} ADD COLUMN {_NAME} smallint\b",
        "a key has the type of the column that it refers to",
    ),
    Exemption(
        "prefer-bigint-over-int",
        rf"CREATE TABLE {_NAME} \(.*{_NAME} integer\b",
        "the spec says so (key_type), or it is the type of the columns that the table is made of",
    ),
    Exemption(
        "prefer-bigint-over-smallint",
        rf"CREATE TABLE {_NAME} \(.*{_NAME} smallint\b",
        "the spec says so (key_type), or it is the type of the columns that the table is made of",
    ),
    Exemption(
        "prefer-text-field",
        rf"CREATE TABLE {_NAME} \(.*{_NAME} character varying\(",
        "a lookup that is made has the type of the columns that it is made of",
    ),
    Exemption(
        "changing-column-type",
        rf"ALTER TABLE {_NAME} ALTER COLUMN {_NAME} TYPE character varying\b",
        "to a longer varchar, or one without a limit: that changes the catalog alone, and no row is read",
    ),
    Exemption(
        "prefer-text-field",
        rf"ALTER TABLE {_NAME} ALTER COLUMN {_NAME} TYPE character varying\(",
        "the width is that of the column it has to hold the texts of",
    ),
    Exemption(
        "prefer-text-field",
        rf"ALTER TABLE {_NAME} ADD COLUMN {_NAME} character varying\(",
        "a scope has the type of the column that it is copied from",
    ),
    Exemption(
        "prefer-robust-stmts",
        r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY ",
        "IF NOT EXISTS would take the invalid index of a killed try for done; the runner looks, and drops it first",
    ),
    Exemption(
        "prefer-robust-stmts",
        rf"ALTER TABLE {_NAME} VALIDATE CONSTRAINT ",
        "it reads every row and so runs without a timeout; a second time it does nothing",
    ),
    Exemption(
        "ban-drop-constraint",
        rf"ALTER TABLE {_NAME} DROP CONSTRAINT ",
        "the constraint is an interim one of ours; what it guaranteed stands in its final form",
    ),
    Exemption(
        "renaming-object",
        rf"ALTER INDEX {_NAME} RENAME TO ",
        "an index of ours takes the name that its interim constraint had",
    ),
    Exemption(
        "ban-drop-function",
        rf"DROP FUNCTION IF EXISTS {_NAME}",
        "the function is ours, and its triggers are gone by then",
    ),
    Exemption(
        "ban-drop-column",
        rf"ALTER TABLE {_NAME} DROP COLUMN IF EXISTS ",
        "dropping the text is what contract is for: proven, archived, nothing hangs on it, and rollback gives it back",
    ),
)


def exemptions(statement: str) -> list[Exemption]:
    """Return the rules that a statement breaks on purpose."""
    return [e for e in EXEMPTIONS if re.match(e.statement, statement)]


def marked(statement: str) -> str:
    """Return the statement with the reasons and squawk's mark above it, where it breaks rules on purpose."""
    found = exemptions(statement)
    if not found:
        return statement
    reasons = [f"-- {e.rule}: {e.reason}" for e in found]
    return "\n".join([*reasons, f"-- squawk-ignore {', '.join(e.rule for e in found)}", statement])
