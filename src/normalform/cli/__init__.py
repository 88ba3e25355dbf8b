"""The command line: thin over ``normalform.api``; turns errors into clean messages and exit statuses."""

from .entry import main

__all__ = ["main"]
