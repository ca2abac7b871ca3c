"""The commands by which a library comes out, for other programs, and in again: `export` and `import`."""

import json
from collections import Counter
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.commands import AsJson, Backend, Data, Generation, Model, _engine, _existing, _settings, app
from service.cli.completion import TABLES, one_of
from service.cli.terminal import bar, clean, out, told

if TYPE_CHECKING:
    from index import Library


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
    folder, _ = _existing(_settings(data=data), generation)
    with bar() as progress:
        manifest = write(folder, destination, chosen, progress)
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
            with _engine(settings, create=True) as engine:
                if first is not None:
                    counts.update(each.action for each in engine.add(chain([first], drafts)))
            done = {action: counts[action] for action in ("added", "replaced", "unchanged")}
        else:
            done = asdict(take(source, manifest, lambda: _receiving(settings.data, manifest), progress))
    if as_json:
        out(json.dumps({"data": str(settings.data), **done}, ensure_ascii=False))
        return
    out(", ".join(f"{count} {action}" for action, count in done.items() if count) or "There was nothing to import.")


def _receiving(data: Path, manifest: Any) -> "Library":
    """Open the library that takes an export in, made where there is none; raises ModelMismatch where it cannot."""
    from index import Library, generations

    origin = manifest.origin
    folder = generations.folder(data)
    info = Library.describe(folder)
    if info is None:
        origin.known()
    else:
        origin.fits(info)
    return Library.open(
        folder,
        model=origin.model,
        fingerprint=origin.fingerprint,
        dim=origin.dim,
        late_interaction=bool(origin.tokens),
        warming=origin.warming if info is None else None,
    )
