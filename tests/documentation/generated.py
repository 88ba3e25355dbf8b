# ruff: noqa: E501  (a row of a Markdown table is one line)
"""Pages of the reference that are made and not written: commands, locks, ledger, findings.

Each generator takes what the program itself uses (the Typer app, the plan's steps, the ledger's SQL, the registry of
findings), so that the page cannot say anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import typer

from normalform.cli.app import app
from normalform.core import finding_codes
from normalform.core.plan import Lock, Mode, Step
from normalform.db import ledger

_MADE = "<!-- Made by `make docs` from {source}; a test compares. -->"

# -------------------------------------------------------------------------------------------------------- commands

_GLOBAL = """Options of every command stand before its name: `normalform --json status`. Exit statuses:

| status | |
| --- | --- |
| 0 | done |
| 1 | findings (`audit`: of severity error, or as `--fail-on` says), or a proof that failed (`verify`, `backfill`, `constrain`, `contract`, and `backup`, which refuses a backup) |
| 2 | the command line, the spec or a decision file is wrong; nothing was changed |
| 3 | a gate is closed: the phase may not start, or not finish; it says why and what to do |
| 4 | paused or interrupted, by Ctrl-C or SIGTERM: the same command goes on |
| 5 | the database refused, went away, or is held by another runner: the same command goes on |
| 70 | a defect of Normalform itself: a traceback is shown. What had been committed stands, and the same command goes on |
| 141 | whoever read the output closed it (as `head` does); for a shell, the end of a pipe |

With `--json` the result is one JSON value on standard output and events are JSON lines on standard error; an error is
`{"error", "message", "hint", "exit_status"}` on standard output."""


def commands(_: Sequence[Step]) -> str:
    """Return the page of all commands."""
    root: object = typer.main.get_command(app)
    lines = ["# Commands", "", _MADE.format(source="the command line itself"), "", _GLOBAL, ""]
    lines += _command(root, "normalform", 2)
    return "\n".join(lines).rstrip() + "\n"


def _command(command: object, name: str, level: int) -> list[str]:
    params = [p for p in getattr(command, "params", []) if p.name not in ("help", "install_completion")]
    arguments = [p for p in params if p.param_type_name == "argument"]
    options = [p for p in params if p.param_type_name == "option"]
    subcommands: Mapping[str, object] = getattr(command, "commands", {})
    usage = [name, *(["[OPTIONS]"] if options else []), *(_argument(a) for a in arguments)]
    usage += ["COMMAND"] if subcommands else []
    help_text = " ".join(str(getattr(command, "help", "") or "").split())
    lines = [f"{'#' * level} {name}", "", f"`{' '.join(usage)}`", "", help_text, ""]
    rows = [(f"`{_argument(a)}`", a.help or "", "" if a.required else "optional") for a in arguments]
    rows += [(_names(o), o.help or "", _default(o)) for o in options]
    if rows:
        lines += ["| | | default |", "| --- | --- | --- |"]
        lines += [f"| {a} | {_cell(b)} | {c} |" for a, b, c in rows] + [""]
    for sub, child in subcommands.items():
        lines += _command(child, f"{name} {sub}", 3 if level == 2 else 4)
    return lines


def _argument(argument: object) -> str:
    name = str(getattr(argument, "name", "")).upper()
    name = f"{name}..." if getattr(argument, "nargs", 1) == -1 else name
    return name if getattr(argument, "required", True) else f"[{name}]"


def _names(option: object) -> str:
    names = [*getattr(option, "opts", []), *getattr(option, "secondary_opts", [])]
    variable = getattr(option, "envvar", None)
    return ", ".join(f"`{n}`" for n in names) + (f" (environment: `{variable}`)" if variable else "")


def _default(option: object) -> str:
    value = getattr(option, "default", None)
    if getattr(option, "required", False):
        return "needed"
    if value is None or value is False or value == [] or callable(value):
        return ""
    return f"`{'on' if value is True else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ----------------------------------------------------------------------------------------------------------- locks

_LOCKS = """Every statement that changes a table takes a lock; this page says which, for how long, and what queues behind
it. It is made from the plan of the demo's spec, one step of each kind; `normalform plan` shows the same of your own spec
before anything is done.

| how | runs |
| --- | --- |
| `transaction` | one short transaction, with `lock_timeout` and `statement_timeout` of 700 ms. When the lock cannot be had, it lets go at once and tries again after a pause: nothing queues behind it for longer |
| `rewrite` | one transaction that reads or rewrites a table of ours or under its lock: `lock_timeout` only. The plan shows it |
| `concurrent` | outside a transaction, without timeouts: no reader or writer waits behind it, and with a timeout it would never end beside a longer transaction |
| `batches` | many transactions of less than a second, each of which gives up before the deadlock detector could choose anybody else |

`ACCESS SHARE` is what a `SELECT` takes, `ROW EXCLUSIVE` what an `UPDATE` takes. `SHARE UPDATE EXCLUSIVE` lets both pass.
`SHARE ROW EXCLUSIVE` lets readers pass and writers wait, `ACCESS EXCLUSIVE` lets nobody pass: both only in short
transactions.

`audit`, `backup`, `verify`, `explain`, `plan` and `status` take `ACCESS SHARE` and change nothing. Locks of decisions are
[on their own page](decisions.md#locks). One advisory lock, on no table, keeps a second runner out. No application
session is ever ended or cancelled by us."""


def locks(steps: Sequence[Step]) -> str:
    """Return the page of locks, from a plan of all phases."""
    lines = ["# Locks", "", _MADE.format(source="the plan of the demo"), "", _LOCKS]
    phase = ""
    seen: set[str] = set()
    for step in steps:
        kind = _kind(step)
        if kind in seen:
            continue
        seen.add(kind)
        if step.phase != phase:
            phase = step.phase
            lines += ["", f"## {phase}", "", "| step | such as | lock | how | undo's lock | undo |",
                      "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
        undo = "" if not (step.undo or step.undo_work) else step.undo_mode.value
        lines.append(
            f"| `{step.id}` | {_cell(step.object)}: {_cell(step.reason)} | {_lock(step.lock)} | {step.mode.value} | "
            f"{_lock(step.undo_lock) if undo else ''} | {undo} |"
        )
    return "\n".join([*lines, ""])


def _lock(lock: Lock) -> str:
    return "none on a table of yours" if lock is Lock.NONE else lock.value


def _kind(step: Step) -> str:
    kinds = (step.phase, _verb(step), step.lock.value, step.mode.value, step.undo_lock.value, step.undo_mode.value)
    return "|".join(kinds)


def _verb(step: Step) -> str:
    first = " ".join(re.sub(r'"(?:[^"]|"")*"(?:\."(?:[^"]|"")*")*', "", step.do[0]).split()[:6]) if step.do else ""
    return first if step.mode is not Mode.BATCHES else step.work.partition(":")[0]


# ---------------------------------------------------------------------------------------------------------- ledger

_LEDGER = """Everything that Normalform knows about a database is in the database itself, in schema `normalform`, which the
first command that writes makes. It belongs to the operator's role, and no other role gets any right on it. All of it
may be read with plain SQL; nothing in it should be changed by hand. `normalform uninstall` removes it, and so does
`DROP SCHEMA normalform CASCADE` (see [what Normalform does to your database](../what-it-does.md)). The functions of the
triggers live in the same schema."""


def ledger_tables(_: Sequence[Step]) -> str:
    """Return the page of the ledger, from the comments of its own SQL."""
    source = ledger.ddl()
    lines = ["# The ledger", "", _MADE.format(source="the comments in sql/ledger.sql"), "", _LEDGER]
    for table in re.findall(r"^CREATE TABLE normalform\.(\w+) \(", source, re.MULTILINE):
        [about] = re.findall(rf"^COMMENT ON TABLE normalform\.{table} IS '(.*)';$", source, re.MULTILINE)
        lines += ["", f"## normalform.{table}", "", _unquoted(about), "", "| column | type | |", "| --- | --- | --- |"]
        [body] = re.findall(rf"^CREATE TABLE normalform\.{table} \((.*?)^\)", source, re.MULTILINE | re.DOTALL)
        comments = re.findall(rf"^COMMENT ON COLUMN normalform\.{table}\.(\w+) IS '(.*)';$", source, re.MULTILINE)
        for column, comment in comments:
            [kind] = re.findall(rf"^    {column} ([a-z0-9]+(?: precision)?(?:\[\])?)", body, re.MULTILINE)
            lines.append(f"| `{column}` | {kind} | {_cell(_unquoted(comment))} |")
    return "\n".join([*lines, ""])


def _unquoted(text: str) -> str:
    return text.replace("''", "'")


# ----------------------------------------------------------------------------------------------------------------

#: Page below docs/reference → how it is made from the plan of the demo's spec.
GENERATED: Mapping[str, Callable[[Sequence[Step]], str]] = {
    "commands.md": commands,
    "findings.md": lambda _: finding_codes.page(),
    "ledger.md": ledger_tables,
    "locks.md": locks,
}
