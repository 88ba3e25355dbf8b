"""The error tree: what every command says when it cannot go on, and the exit status that goes with it.

An error names what is wrong, on which object, with the numbers, and the command to run next (`hint`).
It must never carry a password, a connection string or, under ``--mask``, a value of the user's rows.
"""

from __future__ import annotations

from collections.abc import Sequence


class NormalformError(Exception):
    """Base of every error that becomes a clean message instead of a traceback.

    Args:
        message: what is wrong, on which object, with the numbers.
        hint: what to do or run next; printed on a line of its own.
    """

    exit_status = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  → {self.hint}"


class UsageError(NormalformError):
    """The command line, or a file that it names, is wrong (exit status 2)."""


class SpecError(NormalformError):
    """The spec is wrong, or does not fit the database (exit status 2).

    Args:
        problems: every problem found, one line each; all are reported together.
    """

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems), hint=hint)


class DecisionError(NormalformError):
    """A decision file has bad lines; nothing was changed (exit status 2).

    Args:
        problems: one text per bad line, each beginning with ``line N``.
    """

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  {p}" for p in self.problems)
        super().__init__(f"{count} bad line{'s' if count != 1 else ''}; nothing was changed\n{lines}", hint=hint)


class ProofFailed(NormalformError):
    """Findings, or a verification that did not hold (exit status 1)."""

    exit_status = 1


class BackupRefused(NormalformError):
    """A backup is damaged, cut short, none of ours, or does not restore to what it was taken of (exit status 1).

    Args:
        path: the backup.
        reasons: what is wrong with it, one line each.
    """

    exit_status = 1

    def __init__(self, path: str, reasons: Sequence[str], *, hint: str | None = None) -> None:
        self.path = path
        self.reasons = tuple(reasons)
        lines = "\n".join(f"  {r}" for r in self.reasons)
        super().__init__(f"backup {path} is refused\n{lines}", hint=hint)


class GateClosed(NormalformError):
    """A phase may not start, or may not finish (exit status 3).

    Args:
        gate: the gate's name, as in the documentation.
        reasons: why it is closed, one line each.
    """

    exit_status = 3

    def __init__(self, gate: str, reasons: Sequence[str], *, hint: str | None = None) -> None:
        self.gate = gate
        self.reasons = tuple(reasons)
        lines = "\n".join(f"  {r}" for r in self.reasons)
        super().__init__(f"gate {gate} is closed\n{lines}", hint=hint)


class Interrupted(NormalformError):
    """Stopped on purpose between two batches; run the same command again to resume (exit status 4)."""

    exit_status = 4


class DatabaseRefused(NormalformError):
    """The server refused a statement or went away (exit status 5)."""

    exit_status = 5


class BehindPooler(DatabaseRefused):
    """A proxy hands our transactions to different server sessions (exit status 5)."""


class LockHeld(NormalformError):
    """Another runner holds the database (exit status 5)."""

    exit_status = 5


class FencedOut(NormalformError):
    """Our run was superseded by another one: its fencing token is no longer current (exit status 5)."""

    exit_status = 5
