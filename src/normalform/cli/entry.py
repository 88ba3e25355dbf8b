"""The command line as a process: arguments in, exit status out, every error in its form."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Any, NoReturn

import psycopg
import typer

from ..db.refused import refused
from ..errors import Interrupted, NormalformError, UsageError
from . import show
from .app import app
from .settings import SETTINGS

#: Base of Typer's own usage errors: Click's, or that of the copy of Click which later versions of Typer carry.
_CommandLineError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
#: Exit status of a defect of ours, which no status of the documentation may be taken for (EX_SOFTWARE).
DEFECT = 70


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 findings, 2 usage or spec, 3 gate, 4 interrupted, 5 database.

    Args:
        arguments: instead of ``sys.argv[1:]``.
    """
    given = sys.argv[1:] if arguments is None else arguments
    SETTINGS.as_json = "--json" in given  # for mistakes of the command line itself
    sys.exit(_guarded(given))


def _guarded(arguments: list[str]) -> int:
    # Not by calling the app: Typer would turn Ctrl-C and a closed pipe into exit statuses of its own.
    command = typer.main.get_command(app)
    try:
        with command.make_context("normalform", list(arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        return ended.exit_code
    except NormalformError as error:
        return show.error(SETTINGS, error)
    except psycopg.Error as error:
        return show.error(SETTINGS, refused(error, mask=SETTINGS.mask))
    except (KeyboardInterrupt, typer.Abort):
        return show.error(SETTINGS, Interrupted("stopped", hint="run the same command again to resume"))
    except BrokenPipeError:
        # Whoever read our output has enough, as `head` has; nor must Python fail while it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        return show.error(SETTINGS, UsageError(f"{error.filename or 'file'}: {error.strerror or error}"))
    except Exception as error:  # noqa: BLE001  (a defect is shown whole, with a status of its own)
        if isinstance(error, _CommandLineError):
            text = str(error.format_message())
            # Without a text the help has been printed: no command was given.
            return show.error(SETTINGS, UsageError(text, hint="normalform --help")) if text else UsageError.exit_status
        traceback.print_exc()
        return DEFECT
    return 0
