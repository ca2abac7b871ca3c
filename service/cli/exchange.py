"""The commands by which a library comes out, and in again elsewhere: `export`, `import` and `move`."""

import json
from collections import Counter
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.commands import (
    AsJson,
    Backend,
    Data,
    Generation,
    Model,
    _engine,
    _existing,
    _place,
    _settings,
    app,
    on_disk,
)
from service.cli.completion import TABLES, one_of
from service.cli.terminal import bar, clean, out, told

if TYPE_CHECKING:
    from index import AnyLibrary, MilvusPlace, Origin


@app.command("export")
@told
def export(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that is not there yet.")],
    format: Annotated[
        str,
        typer.Option(
            metavar="F",
            help="jsonl: JSON lines; parquet (extra: pip install dragoman[parquet]).",
            autocompletion=one_of(*TABLES),
        ),
    ] = "jsonl",
    generation: Generation = "serving",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole library as two tables, articles and passages with their vectors, for other programs."""
    from service.exchange import FORMATS
    from service.exchange import export as write

    chosen = next((each for each in FORMATS if each == format), None)
    if chosen is None:
        raise typer.BadParameter(f"It is one of {', '.join(FORMATS)}; not {format!r}.", param_hint="--format")
    settings = _settings(data=data)
    if settings.milvus and generation != "serving":
        raise on_disk("--generation", settings)
    place = _place(settings) or _existing(settings, generation)[0]
    with bar() as progress:
        manifest = write(place, destination, chosen, progress)
    held = {"articles": manifest.origin.articles, "passages": manifest.origin.passages}
    if as_json:
        about = {"export": str(destination), "format": format, **held, "model": manifest.origin.model}
        out(json.dumps({**about, "files": dict(manifest.files)}, ensure_ascii=False))
        return
    out(clean(f"{destination} holds {held['articles']} articles, {held['passages']} passages"))


@app.command("import")
@told
def import_(
    source: Annotated[Path, typer.Argument(metavar="EXPORT", help="What `dragoman export` made.")],
    encode: Annotated[
        bool, typer.Option("--encode", help="Take the texts alone, and encode them with this library's model.")
    ] = False,
    data: Data = None,
    model: Model = None,
    backend: Backend = None,
    as_json: AsJson = False,
) -> None:
    """Take an export in; nothing is encoded where the model is the same. The same again goes on where it was."""
    from service.exchange import Manifest, articles, take

    settings = _settings(data=data, model=model, backend=backend)
    if model and not encode:
        raise typer.BadParameter(
            "An export keeps its model, unless it is encoded anew: --encode.", param_hint="--model"
        )
    manifest = Manifest.read(source)
    with bar() as progress:
        if encode:
            counts: Counter[str] = Counter()
            drafts = articles(source, manifest, progress)
            first = next(drafts, None)  # what is damaged is told before a library is made
            with _engine(settings, create=True, first="passage") as engine:
                if first is not None:
                    counts.update(each.action for each in engine.add(chain([first], drafts)))
            done = {action: counts[action] for action in ("added", "replaced", "unchanged")}
        else:
            done = asdict(
                take(source, manifest, lambda: _receiving(_place(settings) or settings.data, manifest.origin), progress)
            )
    if as_json:
        out(json.dumps({"data": str(settings.data), **done}, ensure_ascii=False))
        return
    out(", ".join(f"{count} {action}" for action, count in done.items() if count) or "There was nothing to import.")


@app.command()
@told
def move(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A library's folder, or a Milvus: http://host:19530.")],
    destination: Annotated[str, typer.Argument(metavar="TO", help="As FROM; it is made if it is not there.")],
    as_json: AsJson = False,
) -> None:
    """Bring a library to Milvus, or back, encoding nothing, and compare every passage; the source stays as it is.

    DRAGOMAN_MILVUS_TOKEN and DRAGOMAN_MILVUS_COLLECTION say the rest of where it is in Milvus, and
    DRAGOMAN_MILVUS_WORDS who is to rank by words there. The same command again goes on where it was.
    """
    from index import LibraryAbsent, generations
    from service.exchange import move as bring

    def found(named: str) -> "Path | MilvusPlace":
        place = _place(_settings(milvus=named)) if "://" in named else None
        return place or Path(named)

    here, there = found(source), found(destination)
    if isinstance(here, Path):
        if not here.is_dir():
            raise LibraryAbsent(f"there is no library in {here}")
        here = generations.folder(here)
    with bar() as progress:
        done = asdict(bring(here, lambda origin: _receiving(there, origin), progress))
    if as_json:
        out(json.dumps({"from": source, "to": destination, **done}, ensure_ascii=False))
        return
    compared = done.pop("compared")
    out(", ".join(f"{count} {action}" for action, count in done.items() if count) or "There was nothing to move.")
    out(f"{compared} articles are the same in both, passage by passage")


def _receiving(place: "Path | MilvusPlace", origin: "Origin") -> "AnyLibrary":
    """Open the library that takes another in, made where there is none; raises ModelMismatch where it cannot."""
    from index import Library, MilvusLibrary, generations

    place = generations.folder(place) if isinstance(place, Path) else place
    info = Library.describe(place) if isinstance(place, Path) else MilvusLibrary.describe(place)
    if info is None:
        origin.known()
    else:
        origin.fits(info)
    opening: dict[str, Any] = {
        "model": origin.model,
        "fingerprint": origin.fingerprint,
        "dim": origin.dim,
        "late_interaction": bool(origin.tokens),
    }
    if isinstance(place, Path):
        return Library.open(place, **opening, warming=origin.warming if info is None else None)
    return MilvusLibrary.open(place, **opening)
