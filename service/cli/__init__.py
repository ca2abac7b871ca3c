"""The command line: the library said aloud. `main` is the command `dragoman`.

Nothing heavy is imported until a command needs it: start-up is part of the product.
"""

import sys
from typing import IO

from service.cli import (
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
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    app(prog_name="dragoman")


def _never_fail(stream: IO[str]) -> None:
    """Let a terminal that cannot show a letter show its number instead of ending the command."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
