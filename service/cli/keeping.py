"""The commands that look after a library: a backup, and a way back from one."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import completion
from service.cli.commands import (
    MODES,
    AsJson,
    Backend,
    Data,
    _any_library,
    _engine,
    _existing,
    _library,
    _mode,
    _settings,
    app,
    on_disk,
)
from service.cli.completion import one_of
from service.cli.terminal import bar, clean, out, say, stop, told

if TYPE_CHECKING:
    from index import Library
    from service.engine import Engine

BOTH = ("serving", "other")


@app.command()
@told
def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that is not there yet.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Copy the library while others read and write it, and check the copy; nothing is written over."""
    from index import backup as make
    from index import generations

    settings = _settings(data=data)
    if settings.milvus:
        raise on_disk("A backup", settings)
    with bar() as progress:
        manifest = make(generations.folder(settings.data), destination, progress)
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
    if settings.milvus:
        raise on_disk("A backup", settings)
    with bar() as progress:
        manifest, aside = put_back(source, settings.data, force=force, progress=progress)
    if as_json:
        told_aside = None if aside is None else str(aside)
        out(json.dumps({"data": str(settings.data), "set_aside": told_aside, **asdict(manifest)}, ensure_ascii=False))
        return
    if aside is not None:
        out(clean(f"what was there is now {aside}"))
        if (aside / "keys.json").exists():
            out(clean(f"a backup holds no keys: copy keys.json from {aside} to let the same callers in as before"))
        if (aside / "questions.sqlite").exists():
            out(clean(f"a backup holds no standing questions: copy questions.sqlite from {aside} to go on asking them"))
    out(clean(f"{settings.data} holds {manifest.articles} articles, {manifest.passages} passages, checked"))


@app.command()
@told
def repair(data: Data = None, backend: Backend = None, as_json: AsJson = False) -> None:
    """Mend what can be mended: derived data, damaged or lacking vectors; name what cannot (exit code 1)."""
    from service.repairing import repair as mend

    settings = _settings(data=data, backend=backend)
    with bar() as progress:
        found = mend(lambda: _any_library(settings), lambda: _engine(settings, create=True, first="passage"), progress)
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


@app.command()
@told
def reembed(
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="The model to encode with, by name or path.")
    ] = None,
    cut_over: Annotated[
        bool, typer.Option("--cut-over", help="Let what was built serve, and keep what served until now.")
    ] = False,
    back: Annotated[bool, typer.Option("--back", help="Let serve again what served before.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Remove for good what does not serve.")] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="JUDGMENTS", help="Show what changes on judgments of the library's articles."),
    ] = None,
    mode: Annotated[
        str, typer.Option(help=f"With --report. {MODES}", autocompletion=one_of(*completion.MODES))
    ] = "hybrid",
    data: Data = None,
    backend: Backend = None,
    as_json: AsJson = False,
) -> None:
    """Encode the library anew with another model, while it serves; the same command again goes on where it was."""
    from index import generations
    from service import reembedding
    from service.cli.reports import print_comparison

    if sum((cut_over, back, discard, report is not None)) > 1 or (model and (cut_over or back or discard or report)):
        raise typer.BadParameter("takes one of --model, --cut-over, --back, --discard and --report at a time.")
    settings = _settings(data=data, backend=backend)
    if settings.milvus:
        raise on_disk("Encoding anew", settings)
    other = generations.read(settings.data).other
    if discard:
        reembedding.discard(settings.data)
        out(json.dumps({"discarded": other}) if as_json else "What did not serve is removed.")
        return
    if other is None and model is None:
        raise typer.BadParameter("Nothing is being encoded anew: name the model to do it with.", param_hint="--model")
    # The model of what is there is told by itself; what was set is that of the one that serves.
    settings = replace(settings, model=model)
    settings = replace(settings, warming=_existing(settings)[1].warming)

    def source() -> "Library":
        return _library(settings, read_only=not (cut_over or back))

    def following() -> "Engine":
        return _engine(settings, create=True, generation="other", following=True, first="passage")

    with bar() as progress:
        if report is not None:
            engines = [lambda which=which: _engine(settings, create=False, generation=which) for which in BOTH]
            found = reembedding.changes(report, engines, mode=_mode(mode), progress=progress, report=say)
        else:
            act = reembedding.back if back else reembedding.cut_over if cut_over else reembedding.reembed
            done = act(settings.data, source, following, progress)
    if report is not None:
        if as_json:
            out(json.dumps(found, ensure_ascii=False))
        else:
            print_comparison(found, "model")
        return
    if as_json:
        out(json.dumps({"articles": done, **asdict(generations.read(settings.data))}))
    elif cut_over or back:
        out("The other generation serves now; a running server goes over to it by itself. --back returns to the old")
        out("one, --discard removes it.")
    else:
        out(f"{done} articles were encoded anew, or removed. Ask with --generation other, compare with --report,")
        out("and switch with --cut-over, which first does what was added meanwhile.")
