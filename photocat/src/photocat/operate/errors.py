"""What stops a command of the runbook, as its operator reads it."""

from __future__ import annotations


class OperateError(Exception):
    """A command that cannot go on.

    Args:
        message: what happened, and on which object.
        hint: the command that helps.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        return super().__str__() + (f"\n  → {self.hint}" if self.hint else "")
