"""The commands. Each reads its arguments, opens what it needs, and prints for people or for programs."""

import gc
import json
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import completion
from service.cli.completion import BACKENDS, GENERATIONS, one_of
from service.cli.terminal import (
    Adding,
    bar,
    clean,
    out,
    print_facets,
    print_hits,
    print_rows,
    print_verdict,
    say,
    stop,
    told,
)
from service.errors import InvalidSetting
from service.memory import limit_arenas
from service.settings import Settings

if TYPE_CHECKING:
    from embed import BackendName, Role
    from index import AnyLibrary, Library, MilvusPlace
    from service.cli.adding import Adds
    from service.engine import Engine

app = typer.Typer(
    help="Ask in any language; get the passages that answer, whatever language they were written in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Engines of a process that ends with its command: they stay till then, for giving them back takes time. Else None.
kept: "list[Engine] | None" = None

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the library (DRAGOMAN_DATA).", show_default=False),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="sentence-transformers model, by name or path (DRAGOMAN_MODEL)."),
]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="auto, openvino or torch (DRAGOMAN_BACKEND).",
        metavar="NAME",
        autocompletion=one_of(*BACKENDS),
    ),
]
Generation = Annotated[
    str,
    typer.Option(
        "--generation",
        metavar="G",
        help="serving, or other: what `reembed` builds, or what served before.",
        autocompletion=one_of(*GENERATIONS),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
MODES = "hybrid: all evidence; dense: meaning alone; lexical: words and sounds; raw: plain cosine."
GROUPS = "none; article: its best passage is one hit; story: all articles that tell it are one hit."
Languages = Annotated[
    list[str] | None, typer.Option("--language", metavar="L", help="Only passages in these languages: bn,hi.")
]


@app.command()
@told
def add(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files, folders, addresses (https://), or - for JSON lines."),
    ],
    language: Annotated[
        str | None, typer.Option(metavar="L", help="Language of the articles; detected where absent.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="S", help="Who published the articles.")] = None,
    pages: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of a feed or a sitemap, how many pages are asked for.")
    ] = 1000,
    watch: Annotated[bool, typer.Option("--watch", help="Go on: add what comes or changes, until Ctrl-C.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="With --watch: delete articles of files that go.")] = False,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Encode on the Ray cluster there; `local` begins one on this machine."),
    ] = None,
    ray_workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many models encode there; else one a card or machine.")
    ] = None,
    scratch: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder that all of the cluster see; in the library's, else.")
    ] = None,
    data: Data = None,
    model: Model = None,
    backend: Backend = None,
    as_json: AsJson = False,
) -> None:
    """Add articles from files, folders and addresses. What has not changed since costs nothing."""
    from service.cli.adding import Intake, expected, found_at, is_address, sentence

    settings = _settings(data=data, model=model, backend=backend)
    if language is not None:
        [language] = _languages([language], "--language")
    if watch and (as_json or any(path == "-" or is_address(path) for path in paths)):
        raise typer.BadParameter("It is for files and folders, and not with --json.", param_hint="--watch")
    if watch and ray is not None:
        raise typer.BadParameter("It is not for a cluster.", param_hint="--watch")
    if delete and not watch:
        raise typer.BadParameter("It is for --watch.", param_hint="--delete")
    if watch:
        _watch(paths, settings, language, source, delete)
        return
    failure = ""
    if language is None:
        threading.Thread(target=_classifying, daemon=True).start()
    with _engine(settings, create=True, first="passage") as engine, Adding(expected(paths), quiet=as_json) as adding:
        intake = Intake(engine, adding, language, source)
        if ray is not None:
            intake.adds = _on_cluster(engine, ray, scratch or settings.data / "encoding", ray_workers, settings.backend)
        try:
            for found in found_at(paths, settings, engine, pages):
                intake.add(found)
        except KeyboardInterrupt:
            failure = "interrupted"
        except Exception as error:
            if not intake.articles:
                raise
            failure = str(error)
    if as_json:
        out(json.dumps(intake.report(), ensure_ascii=False))
    elif sys.stdout.isatty():
        out(sentence(intake.every()) or "There was nothing to add.")
    elif summary := sentence(intake.every()):
        say(summary)
    if failure:
        stop(f"{failure}. {len(intake.articles)} articles are kept; the same command again goes on after them")
    if intake.refused:
        raise typer.Exit(1)
    if not intake.articles and not intake.skipped:
        stop("there was nothing to add")


def _classifying() -> None:
    """Have what tells languages read while the model is."""
    from embed import detect

    detect("a")


def _on_cluster(engine: "Engine", address: str, scratch: Path, workers: int | None, backend: "BackendName") -> "Adds":
    """Return what adds articles that are encoded on a Ray cluster."""
    from service import cluster

    return lambda drafts, advance: cluster.add(
        engine, drafts, address, scratch, workers=workers, backend=backend, advance=advance
    )


def _watch(paths: list[str], settings: Settings, language: str | None, source: str | None, deleting: bool) -> None:
    """Add what is in folders, and go on until Ctrl-C."""
    from service.cli.adding import Intake, sentence
    from service.cli.watching import Watcher, alarms, at_signals

    roots = [Path(path) for path in paths]
    for root in roots:
        if not root.exists():
            stop(f"{root}: no such file or directory")
    stopping = threading.Event()
    ringing = alarms(roots, stopping)
    with _engine(settings, create=True, first="passage") as engine, Adding(None, quiet=False, lines=True) as adding:
        begin = partial(Intake, engine, adding, language, source)
        watcher = Watcher(roots, begin, settings.max_article_bytes, deleting, stop=stopping)
        say(f"watching {', '.join(paths)}; Ctrl-C stops")
        with at_signals(stopping):
            watcher.follow(ringing)
        say(f"stopped; {sentence(watcher.done) or 'nothing was added'}")


@app.command()
@told
def search(
    query: Annotated[str | None, typer.Argument(help="The question, in any language.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many passages; articles for --queries.", show_default="10")
    ] = None,
    language: Languages = None,
    min_relevance: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Only passages that answer with at least this probability."),
    ] = None,
    mode: Annotated[str, typer.Option(help=MODES, autocompletion=one_of(*completion.MODES))] = "hybrid",
    explain: Annotated[bool, typer.Option("--explain", help="Tell why each matched: which word met which.")] = False,
    facets: Annotated[
        bool, typer.Option("--facets", help="Count what is searched, by language, source and year.")
    ] = False,
    group: Annotated[str, typer.Option(help=GROUPS, autocompletion=one_of(*completion.GROUPS))] = "none",
    queries: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask every question of a file: JSON lines as in BEIR, or id, tab, question."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="With --queries: trec, a run file of articles.",
            show_default="trec",
            autocompletion=one_of("trec"),
        ),
    ] = None,
    generation: Generation = "serving",
    data: Data = None,
    model: Model = None,
    backend: Backend = None,
    as_json: AsJson = False,
) -> None:
    """Find the passages that answer a question, best first."""
    from service.wire import MAX_LIMIT, spoken

    settings = _settings(data=data, model=model, backend=backend)
    if (query is None) == (queries is None):
        raise typer.BadParameter("takes one question, or a file of them with --queries.")
    if queries is not None:
        if format not in (None, "trec") or as_json or explain or facets or min_relevance is not None or group != "none":
            raise typer.BadParameter(
                "prints a trec run; only --limit, --language and --mode go with it.", param_hint="--queries"
            )
        from service.cli.runs import print_run

        with bar() as progress, _engine(settings, create=False, generation=generation) as engine:
            print_run(engine, queries, limit or 1000, _languages(language or [], "--language"), _mode(mode), progress)
        return
    if format is not None:
        raise typer.BadParameter("is for --queries.", param_hint="--format")
    assert query is not None
    limit = 10 if limit is None else limit
    if limit > MAX_LIMIT:
        raise typer.BadParameter(f"is at most {MAX_LIMIT} for one question, not {limit}.", param_hint="--limit")
    try:
        query = spoken(query)
    except ValueError as error:
        raise typer.BadParameter(f"The question {error}.") from None
    if len(query) > settings.max_query_chars:
        raise typer.BadParameter(f"A question has at most {settings.max_query_chars:,} characters, not {len(query):,}.")
    with _engine(settings, create=False, generation=generation, reranking=True) as engine:
        answer = engine.search(
            query,
            limit=limit,
            languages=_languages(language or [], "--language"),
            min_relevance=min_relevance,
            mode=_mode(mode),
            explain=explain,
            facets=facets,
            group=_group(group),
        )
    if as_json:
        from service.web.shapes import answer_json

        out(answer_json(answer).decode())
        return
    print_verdict(answer.relevance, answer.found, answer.hits)
    print_hits(answer.hits, answer.explanations, query)
    if answer.facets is not None:
        print_facets(answer.facets)


@app.command()
@told
def similar(
    passage: Annotated[str, typer.Argument(metavar="PASSAGE_ID", help="The id of a passage, as a search gives it.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many passages.")] = 10,
    language: Languages = None,
    same_language: Annotated[bool, typer.Option("--same-language", help="Passages in its own language too.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Find the passages of other articles that say the same in other languages, the nearest first."""
    from index import parse_filter

    where = parse_filter(None, _languages(language or [], "--language"))
    with _any_library(_settings(data=data), read_only=True) as library:
        hits = library.similar(passage, limit=limit, where=where, same_language=same_language)
    if as_json:
        from service.web.shapes import similar_out

        out(similar_out(hits).model_dump_json())
        return
    if not hits:
        out("There is no passage of another article to compare with it.")
    print_hits(hits)


@app.command()
@told
def show(
    article: Annotated[str, typer.Argument(metavar="ARTICLE", help="The id of an article.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Print an article in full."""
    with _any_library(_settings(data=data), read_only=True) as library:
        found = library.get(article)
        passages = library.passages(article)
    if as_json:
        from service.web.shapes import article_out

        out(article_out(found, passages).model_dump_json())
        return
    facts = [found.language, found.source, found.published_at, found.url, f"{len(passages)} passages"]
    out(clean(found.title or found.id))
    out(clean("  ".join(fact for fact in facts if fact)) + "\n")
    out("\n".join(clean(line) for line in found.text.split("\n")))


@app.command()
@told
def delete(
    articles: Annotated[list[str], typer.Argument(metavar="ARTICLE...", help="Ids of articles.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Remove articles for good."""
    deleted: list[str] = []
    unknown: list[str] = []
    with _any_library(_settings(data=data)) as library:
        for article in articles:
            (deleted if library.delete(article) else unknown).append(article)
            if not as_json and article in deleted:
                out(f"deleted {clean(article)}")
    if as_json:
        out(json.dumps({"deleted": deleted, "unknown": unknown}, ensure_ascii=False))
    if unknown:
        stop(f"there is no article {', '.join(unknown)}")


@app.command()
@told
def status(generation: Generation = "serving", data: Data = None, as_json: AsJson = False) -> None:
    """Print how much the library holds and with what it was built."""
    from service.web.shapes import status_out

    settings = _settings(data=data)
    with _any_library(settings, read_only=True, generation=generation) as library:
        found = status_out(library.status()).model_dump()
    found.pop("read_only")  # which says how this command opened it, and no more
    if as_json:
        out(json.dumps(found, ensure_ascii=False))
        return
    languages = sorted(found.pop("languages").items(), key=lambda item: (-item[1], item[0]))
    warmth = [f"{code} {each['share']:.0%}" for code, each in sorted(found.pop("warmth").items())]
    rows = [
        ("data", settings.milvus or str(settings.data)),
        *((name.replace("_", " "), str(value)) for name, value in found.items()),
    ]
    print_rows(
        [
            *rows,
            ("warmth", ", ".join(warmth) or "none"),
            ("languages", ", ".join(f"{code} {count}" for code, count in languages) or "none"),
        ]
    )


@app.command()
@told
def verify(generation: Generation = "serving", data: Data = None, as_json: AsJson = False) -> None:
    """Check everything that is stored; exit code 1 if anything is wrong."""
    with _any_library(_settings(data=data), read_only=True, generation=generation) as library:
        problems = library.verify()
    if as_json:
        listed = [{"where": each.where, "what": each.what, "repairable": each.repairable} for each in problems]
        out(json.dumps({"problems": listed}, ensure_ascii=False))
    else:
        for each in problems:
            mended = " (mended when the library is next opened to be written)" if each.repairable else ""
            out(clean(f"{each.where}: {each.what}{mended}"))
    if problems:
        stop(f"{len(problems)} problems were found")
    if not as_json:
        out("No problems were found.")


@app.command()
@told
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (DRAGOMAN_HOST).", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on (DRAGOMAN_PORT); 0 chooses one.", show_default="8000"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes that answer (DRAGOMAN_WORKERS).", show_default="1"),
    ] = None,
    generation: Generation = "serving",
    data: Data = None,
    model: Model = None,
    backend: Backend = None,
) -> None:
    """Serve the HTTP API and the search page."""
    from service.cli.server import run

    settings = _settings(data=data, model=model, backend=backend, host=host, port=port, workers=workers)
    # The other generation follows the one that serves, and is written to by nobody else.
    only = _generation(generation) == "other"
    run(settings, partial(_serving, settings, create=not only, read_only=only, generation=generation, reranking=True))


@app.command()
@told
def evaluate(
    folder: Annotated[Path, typer.Argument(help="corpus.jsonl, queries.jsonl, qrels/test.tsv (BEIR layout).")],
    mode: Annotated[str, typer.Option(help=MODES, autocompletion=one_of(*completion.MODES))] = "hybrid",
    pairs: Annotated[
        str | None, typer.Option(metavar="P", help="Only these pairs, question:passages: en:bn,bn:en.")
    ] = None,
    queries_per_language: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="A sample of so many questions in each language.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="What the sample is drawn with.")] = 0,
    warm: Annotated[
        bool, typer.Option("--warm", help="With language means from these very articles and questions.")
    ] = False,
    answerable: Annotated[
        bool,
        typer.Option(
            "--answerable",
            help="Leave every second article out, and measure how well relevance tells whether anything answers.",
        ),
    ] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            autocompletion=one_of(*completion.MODES),
            help="Two modes side by side, and how likely their difference is chance.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="FOLDER", help="Write rankings and grades there too, in the forms of trec_eval."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw nDCG@10 by pair, and relevance against truth: a .png or .svg file."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Not touched: the articles go to a library of their own."),
    ] = None,
    model: Model = None,
    backend: Backend = None,
    as_json: AsJson = False,
) -> None:
    """Measure ranking on judgments: nDCG@10, recall and more, by pair of languages."""
    from service.cli.reports import print_answerable, print_comparison, print_measures
    from service.engine import Engine
    from service.evaluation import answerable as measure_answerable
    from service.evaluation import compare as measure_both
    from service.evaluation import evaluate as measure
    from service.evaluation import parse_pairs, plots

    settings = _settings(data=data, model=model, backend=backend)
    try:
        chosen = parse_pairs(pairs) if pairs is not None else []
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--pairs") from None
    if answerable and chosen:
        raise typer.BadParameter("is measured over all languages; leave --pairs out.", param_hint="--answerable")
    modes = [_mode(each, "--compare") for each in compare or ()]
    if run and (answerable or modes):
        raise typer.BadParameter("is of one mode; leave --answerable and --compare out.", param_hint="--run")
    if modes and (answerable or plot or modes[0] == modes[1]):
        raise typer.BadParameter("takes two different modes, without --answerable and --plot.", param_hint="--compare")
    if plot:
        try:
            plots.check(plot)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--plot") from None
    with bar() as progress:

        def opened(place: Path) -> Engine:
            return Engine.open(
                place,
                model=settings.model,
                backend=settings.backend,
                cache=settings.cache,
                late_interaction=settings.late_interaction,
                warming=warm or settings.warming,
                report=say,
                progress=progress,
            )

        sample: dict[str, Any] = {"queries_per_language": queries_per_language, "seed": seed, "warm": warm}
        sample["progress"] = progress
        if answerable:
            show, report = print_answerable, measure_answerable(folder, opened, mode=_mode(mode), **sample)
        elif modes:
            both = (modes[0], modes[1])
            show, report = print_comparison, measure_both(folder, opened, both, pairs=chosen, report=say, **sample)
        else:
            asked: dict[str, Any] = {"mode": _mode(mode), "pairs": chosen, "calibration": plot is not None}
            asked["write_to"] = run
            show, report = print_measures, measure(folder, opened, report=say, **asked, **sample)
    if as_json:
        out(json.dumps(report, ensure_ascii=False))
    else:
        show(report)
    if plot:
        plots.draw(report, plot)


def _settings(**given: Any) -> Settings:
    """Return the settings, what the command line says before what the environment says."""
    try:
        return Settings.from_environment(**given)
    except InvalidSetting as error:
        raise typer.BadParameter(str(error)) from None


def _mode(mode: str, option: str = "--mode") -> Any:
    """Return a mode; wrong usage where there is none of that name."""
    from typing import get_args

    from service.wire import Mode

    if mode not in get_args(Mode):
        raise typer.BadParameter(f"There are the modes {', '.join(get_args(Mode))}; not {mode!r}.", param_hint=option)
    return mode


def _group(group: str) -> Any:
    """Return what one hit is; wrong usage for anything else."""
    from typing import get_args

    from service.wire import Group

    if group not in get_args(Group):
        raise typer.BadParameter(f"It is one of {', '.join(get_args(Group))}; not {group!r}.", param_hint="--group")
    return group


def _generation(generation: str) -> Any:
    """Return which generation; wrong usage for anything else."""
    if generation not in ("serving", "other"):
        raise typer.BadParameter(f"It is serving or other, not {generation!r}.", param_hint="--generation")
    return generation


def _languages(given: list[str], option: str) -> list[str]:
    """Return language codes, also from `bn,hi`; wrong usage for what is no language."""
    from embed import UnknownLanguage, normalise

    try:
        return [normalise(code.strip()) for each in given for code in each.split(",") if code.strip()]
    except UnknownLanguage as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _engine(
    settings: Settings,
    *,
    create: bool,
    read_only: bool | None = None,
    generation: str = "serving",
    following: bool = False,
    reranking: bool = False,
    first: "Role" = "query",
) -> "Engine":
    """Open the engine; what only reads does not make a library where there is none. `first` says what it encodes."""
    from index import Sizing
    from service.engine import Engine

    if not create and settings.milvus is None:
        _existing(settings, generation)
    if settings.milvus and generation != "serving":
        raise on_disk("--generation", settings)
    with bar() as progress:
        engine = Engine.open(
            settings.data,
            model=settings.model,
            backend=settings.backend,
            cache=settings.cache,
            read_only=not create if read_only is None else read_only,
            milvus=_place(settings),
            late_interaction=settings.late_interaction,
            warming=settings.warming,
            query_cache_bytes=settings.query_cache_bytes,
            generation=_generation(generation),
            following=following,
            reranker=settings.reranker if reranking else None,
            rerank_seconds=settings.rerank_seconds,
            sizing=Sizing(settings.dense_threshold, settings.dense_recall),
            first=first,
            report=say,
            progress=progress,
        )
    if kept is not None:
        kept.append(engine)
        gc.freeze()  # nothing of it will be garbage
    return engine


def _serving(settings: Settings, **more: Any) -> "Engine":
    """Open the engine for a service; a model that was set before the library went over to another is left aside."""
    from embed import cores
    from index import generations

    limit_arenas(cores())
    if settings.model and not settings.milvus and generations.read(settings.data).last:
        model = _existing(settings, more["generation"])[1].model
        if model != settings.model:
            say(f"dragoman: the library went over to the model {model}; {settings.model}, which is set, is left aside")
        settings = replace(settings, model=None)
    return _engine(settings, **more)


def _place(settings: Settings) -> "MilvusPlace | None":
    """Return where the library is in Milvus, if it is there."""
    from index import MilvusPlace

    if settings.milvus is None:
        return None
    return MilvusPlace(settings.milvus, settings.milvus_token or "", settings.milvus_collection, settings.milvus_words)


def on_disk(what: str, settings: Settings) -> InvalidSetting:
    """Return the error that something is for a library on disk alone."""
    return InvalidSetting(
        f"{what} is for a library on disk, and this one is in Milvus at {settings.milvus} (DRAGOMAN_MILVUS): `dragoman"
        " move` brings it to a folder, `dragoman export` writes it as tables, and Milvus has backups of its own"
    )


def _any_library(settings: Settings, *, read_only: bool = False, generation: str = "serving") -> "AnyLibrary":
    """Open the library alone, wherever it is, for what needs no model."""
    from index import MilvusLibrary

    place = _place(settings)
    if place is None:
        return _library(settings, read_only=read_only, generation=generation)
    if generation != "serving":
        raise on_disk("--generation", settings)
    library = MilvusLibrary.existing(place)
    library.read_only = read_only
    return library


def _library(settings: Settings, *, read_only: bool = False, generation: str = "serving") -> "Library":
    """Open the library on disk alone, for what needs no model."""
    from index import Library

    if settings.milvus:
        raise on_disk("This", settings)
    folder, info = _existing(settings, generation)
    return Library.open(
        folder,
        model=info.model,
        fingerprint=info.fingerprint,
        dim=info.dim,
        create=False,
        read_only=read_only,
        late_interaction=settings.late_interaction,
    )


def _existing(settings: Settings, generation: str = "serving") -> Any:
    """Return the library's folder, and what it was built with; raises LibraryAbsent where there is none."""
    from index import Library, LibraryAbsent, generations

    folder = generations.folder(settings.data, _generation(generation))
    info = Library.describe(folder)
    if info is None:
        raise LibraryAbsent(f"there is no library in {settings.data}; `dragoman add` makes one, --data names another")
    return folder, info
