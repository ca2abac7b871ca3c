"""The command line: the library said aloud. `main` is the command `dragoman`.

Nothing heavy is imported until a command needs it: start-up is part of the product.
"""

import atexit
import os
import sys
from typing import IO

from service.cli import (
    commands,
    exchange,  # noqa: F401 - their commands join the others
    keeping,  # noqa: F401
    keys,
    mcp,  # noqa: F401
    questions,
)
from service.cli.commands import app

__all__ = ["app", "main"]

app.add_typer(keys.app, name="keys")
app.add_typer(questions.app, name="questions")


def main() -> None:
    """Run the command line; exits with 0 for done, 1 for what could not be met, 2 for wrong usage."""
    commands.kept = []
    ended: list[int] = []
    atexit.register(_leave, ended)
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    try:
        app(prog_name="dragoman")
    except SystemExit as end:
        if isinstance(end.code, int):
            ended.append(end.code)
        raise


def _leave(ended: list[int]) -> None:
    """End the process after all else that is to be done at its end, for to give a model back piece by piece takes a
    third of a second. Where what was printed cannot be written, Python ends it, and tells so.
    """
    if not ended:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(ended[0])


def _never_fail(stream: IO[str]) -> None:
    """Let a terminal that cannot show a letter show its number instead of ending the command."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
