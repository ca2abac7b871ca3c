"""The commands that look after a library: a backup, and a way back from one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.cli.commands import AsJson, Backend, Data, _engine, _library, _settings, app
from service.cli.terminal import bar, clean, out, stop, told


@app.command()
@told
def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that is not there yet.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Copy the library while others read and write it, and check the copy; nothing is written over."""
    from index import backup as make

    with bar() as progress:
        manifest = make(_settings(data=data).data, destination, progress)
    if as_json:
        out(json.dumps({"backup": str(destination), **asdict(manifest)}, ensure_ascii=False))
        return
    kept = f"{manifest.articles} articles, {manifest.passages} passages, {manifest.bytes} bytes"
    out(clean(f"{destination} holds {kept}, checked"))


@app.command()
@told
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `dragoman backup` made.")],
    force: Annotated[
        bool, typer.Option("--force", help="Set aside, under another name, what is in the folder already.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make the library of a backup anew in the folder that --data names; check it before and after."""
    from index import restore as put_back

    settings = _settings(data=data)
    with bar() as progress:
        manifest, aside = put_back(source, settings.data, force=force, progress=progress)
    if as_json:
        told_aside = None if aside is None else str(aside)
        out(json.dumps({"data": str(settings.data), "set_aside": told_aside, **asdict(manifest)}, ensure_ascii=False))
        return
    if aside is not None:
        out(clean(f"what was there is now {aside}"))
    out(clean(f"{settings.data} holds {manifest.articles} articles, {manifest.passages} passages, checked"))


@app.command()
@told
def repair(data: Data = None, backend: Backend = None, as_json: AsJson = False) -> None:
    """Mend what can be mended: derived data, damaged or lacking vectors; name what cannot (exit code 1)."""
    from service.repairing import repair as mend

    settings = _settings(data=data, backend=backend)
    with bar() as progress:
        found = mend(lambda: _library(settings), lambda: _engine(settings, create=True), progress)
    if as_json:
        left = [{"where": each.where, "what": each.what} for each in found.problems]
        out(json.dumps({"mended": found.mended, "problems": left}, ensure_ascii=False))
    else:
        out(f"{len(found.mended)} articles were encoded again; all that is derived was built anew")
        for each in found.problems:
            out(clean(f"{each.where}: {each.what}"))
    if found.problems:
        stop(
            f"{len(found.problems)} problems are left: add the articles again that they name,"
            " or put a backup back (dragoman restore)"
        )
