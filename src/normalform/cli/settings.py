"""What every command may be given, and how it becomes the API's options."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ..api import Options
from ..core.names import nearest
from ..core.spec_file import parse
from ..db.work import Strategy
from ..errors import UsageError
from ..interrupt import interruptible
from .progress import sink_for

DEFAULT_SPEC = Path("normalform.toml")


class Terminal(Console):
    """A console that leaves it to the command line what a closed pipe means."""

    def on_broken_pipe(self) -> None:
        """Pass it on; Rich would end the process with the exit status of findings."""
        raise BrokenPipeError


@dataclass
class Settings:
    """The global options of the command line."""

    spec: Path | None = None
    url: str | None = None
    environment: str | None = None
    as_json: bool = False
    mask: bool = False
    out: Console = field(default_factory=Terminal)
    err: Console = field(default_factory=lambda: Terminal(stderr=True))

    def spec_path(self) -> Path | None:
        """Return the spec file: the one given, else ./normalform.toml when it exists, else None."""
        if self.spec is not None:
            if not self.spec.is_file():
                raise UsageError(f"there is no spec file {self.spec}", hint="--spec FILE")
            return self.spec
        return DEFAULT_SPEC if DEFAULT_SPEC.is_file() else None

    def spec_text(self) -> str | None:
        """Return the spec file's text, or None when there is no file: the ledger keeps the one last used."""
        path = self.spec_path()
        if path is None:
            return None
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {path}: {error}") from error

    def database_url(self) -> str:
        """Return the connection string: given, or by the environment's variable, or NORMALFORM_DATABASE_URL."""
        if self.environment is not None:
            return self._environment_url(self.environment)
        if self.url:
            return self.url
        raise UsageError(
            "no database given",
            hint="--database-url postgresql://user@host/database, or set NORMALFORM_DATABASE_URL, or --env NAME",
        )

    def _environment_url(self, name: str) -> str:
        text = self.spec_text()
        if text is None:
            raise UsageError(f"no spec file says what environment {name!r} is", hint="--spec FILE")
        known = {e.name: e for e in parse(text).environments}
        if name not in known:
            near = nearest(name, known)
            known_here = f"; did you mean {near!r}?" if near else f"; it has {', '.join(known) or 'none'}"
            raise UsageError(f"the spec has no environment {name!r}{known_here}")
        variable = known[name].url_env
        url = os.environ.get(variable)
        if not url:
            raise UsageError(f"environment {name!r} takes its URL from {variable}, which is not set")
        return url

    @contextmanager
    def options(
        self, *, strategy: Strategy = "live", workers: int | None = None, spec: bool = True, database: bool = True
    ) -> Iterator[Options]:
        """Return the API's options, with a sink that fits the output and Ctrl-C ending the batch in hand.

        Args:
            strategy: ``live`` or ``window``.
            workers: sessions that work at once.
            spec: whether the spec file is read.
            database: whether a database must be given.
        """
        stop = threading.Event()
        with interruptible(stop, as_json=self.as_json), sink_for(self.err, as_json=self.as_json) as sink:
            url, text = self.database_url() if database else "", self.spec_text() if spec else None
            yield Options(url, text, sink, strategy, workers, self.mask, stop)


#: Those of this process: filled in by the command line before any command runs.
SETTINGS = Settings()
