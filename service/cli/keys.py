"""`dragoman keys`: make, list and revoke the API keys of a library."""

import json
from typing import Annotated, get_args

import typer

from service.cli.commands import AsJson, Data, _settings
from service.cli.completion import SCOPES, one_of
from service.cli.terminal import out, print_rows, say, told
from service.keys import Keys, Scope

app = typer.Typer(
    help="Make, list and revoke API keys; a running service follows at once.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
@told
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called, here and in the audit log.")],
    scope: Annotated[
        str,
        typer.Option(
            metavar="SCOPE",
            autocompletion=one_of(*SCOPES),
            help="read; write: read, add and delete; admin: all there is.",
        ),
    ] = "read",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; only its digest is kept, so it is shown this once."""
    chosen: Scope | None = next((each for each in get_args(Scope) if each == scope), None)
    if chosen is None:
        raise typer.BadParameter(f"It is one of {', '.join(get_args(Scope))}; not {scope!r}.", param_hint="--scope")
    secret = Keys(_settings(data=data).data).create(name, chosen)
    if as_json:
        out(json.dumps({"name": name, "scope": scope, "key": secret}))
    else:
        out(secret)
        say("Keep it: it is not shown again. It is sent as `Authorization: Bearer KEY`.")


@app.command("list")
@told
def listed(data: Data = None, as_json: AsJson = False) -> None:
    """List the keys: name, scope, when each was made."""
    keys = Keys(_settings(data=data).data).all()
    if as_json:
        about = [{"name": key.name, "scope": key.scope, "created_at": key.created_at} for key in keys]
        out(json.dumps({"keys": about}))
    elif keys:
        print_rows([(key.name, f"{key.scope:<5}  {key.created_at}") for key in keys])
    else:
        out("There is no key; `dragoman keys create NAME --scope read` makes one.")


@app.command()
@told
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which key.")], data: Data = None, as_json: AsJson = False
) -> None:
    """Revoke a key: the next request that comes with it is refused."""
    Keys(_settings(data=data).data).revoke(name)
    out(json.dumps({"revoked": name}) if as_json else f"revoked {name}")
