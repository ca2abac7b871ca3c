"""`dragoman questions`: ask standing questions, and be told what new articles answer them."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.commands import AsJson, Backend, Data, Languages, _engine, _languages, _library, _settings
from service.cli.terminal import clean, likely, out, say, stop, told

if TYPE_CHECKING:
    from service.questions import Book, Match, Question

app = typer.Typer(
    help="Standing questions: new articles that answer them are told once, here, in a feed, or to a webhook.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Which question, as `list` tells it.")]


@app.command()
@told
def add(
    query: Annotated[str, typer.Argument(help="The question, in any language.")],
    min_relevance: Annotated[
        float, typer.Option(min=0, max=1, help="Tell passages that answer with at least this probability.")
    ] = 0.5,
    language: Languages = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Post each match there, signed; the secret is printed once.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Ask a standing question over the articles that come from now on; print its id."""
    from service.errors import FetchRefused
    from service.questions import Book, Webhooks, ask
    from service.wire import spoken

    settings = _settings(data=data)
    try:
        query = spoken(query)
    except ValueError as error:
        raise typer.BadParameter(f"The question {error}.") from None
    languages = _languages(language or [], "--language")
    book = Book(settings.data)
    if webhook is not None:
        try:
            hosts = frozenset(settings.private_hosts)
            webhook = Webhooks(book, private_hosts=hosts).check(webhook, private=True)
        except FetchRefused as error:
            stop(f"the webhook cannot be posted to: {error}")
    with _library(settings, read_only=True) as library:
        asked = ask(
            book,
            library,
            query,
            min_relevance=min_relevance,
            languages=languages,
            webhook=webhook,
            private=webhook is not None,
        )
    if as_json:
        out(json.dumps({**_about(asked, {}), "secret": asked.secret}, ensure_ascii=False))
        return
    out(asked.id)
    if asked.secret:
        say(f"The webhook's signatures are made with {asked.secret}: keep it, it is not shown again.")


@app.command("list")
@told
def listed(data: Data = None, as_json: AsJson = False) -> None:
    """List the questions: how much matched each, and how its webhook fares."""
    from service.questions import Book

    book = Book(_settings(data=data).data)
    figures = book.figures()
    questions = book.all()
    if as_json:
        about = [_about(each, figures.get(each.id, {})) for each in questions]
        out(json.dumps({"questions": about}, ensure_ascii=False))
        return
    if not questions:
        out("There is no standing question; `dragoman questions add QUESTION` asks one.")
    for each in questions:
        found = figures[each.id]
        facts = [f"from {each.min_relevance:.2f}", f"{found['matches']} matches"]
        if each.webhook:
            facts.append(
                f"{each.webhook} {found['delivered']} taken, {found['pending']} to come, {found['failed']} lost"
            )
        if found["error"]:
            facts.append(str(found["error"]))
        out(clean(f"{each.id}  {each.query}  {', '.join(facts)}"))


@app.command()
@told
def remove(question: Id, data: Data = None, as_json: AsJson = False) -> None:
    """Remove a question and all that was found for it."""
    from service.questions import Book

    Book(_settings(data=data).data).remove(question)
    out(json.dumps({"removed": question}) if as_json else f"removed {question}")


@app.command()
@told
def run(
    every: Annotated[
        float | None,
        typer.Option("--every", min=0.1, metavar="SECONDS", help="Go on, and look again so often, until Ctrl-C."),
    ] = None,
    data: Data = None,
    backend: Backend = None,
    as_json: AsJson = False,
) -> None:
    """Look through what is new, post what webhooks are due, and print each match that was not printed yet.

    Where a service runs over the library it does the first two by itself. With --json a line a match.
    """
    from service.questions import Book, Matcher, Webhooks

    settings = _settings(data=data, backend=backend)
    book = Book(settings.data)
    webhooks = Webhooks(book, private_hosts=frozenset(settings.private_hosts))
    if not book.all() and every is None:
        stop("there is no standing question; `dragoman questions add QUESTION` asks one")
    with _engine(settings, create=False) as engine:
        matcher = Matcher(engine, book)
        while True:
            matcher.run(60.0)
            webhooks.run()
            _print(book, as_json)
            if every is None:
                return
            time.sleep(every)


@app.command()
@told
def feed(question: Id, data: Data = None) -> None:
    """Print what matched a question last as an Atom feed."""
    from service.questions import Book, atom

    book = Book(_settings(data=data).data)
    out(atom(book.get(question), book.latest(question)).decode())


def _print(book: "Book", as_json: bool) -> None:
    """Print what was not printed yet, and write down that it was: one that is killed in between prints it again."""
    with book.alone("printing", 10.0) as mine:
        while matches := book.unprinted() if mine else []:
            questions = {each.id: each for each in book.all()}
            for match in matches:
                if question := questions.get(match.question):
                    out(_line(question, match) if as_json else _shown(question, match))
            book.printed(matches)


def _line(question: "Question", match: "Match") -> str:
    about = {"id": match.id, "found_at": match.found_at, "question": question.id, "query": question.query}
    return json.dumps({**about, **match.told}, ensure_ascii=False)


def _shown(question: "Question", match: "Match") -> str:
    said: Any = match.told
    score = f"{said['relevance']:.2f} {likely(said['relevance'])}"
    head = f"{score}  {said['language']}  {said['title'] or said['article_id']}"
    facts = "".join(f"  {fact}" for fact in (said["source"], said["published_at"], said["url"]) if fact)
    return f"{clean(question.query)}\n {clean(head + facts)}\n    {clean(said['text'])}\n"


def _about(question: "Question", figures: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": question.id,
        "query": question.query,
        "created_at": question.created_at,
        "min_relevance": question.min_relevance,
        "languages": list(question.languages),
        "webhook": question.webhook,
        **{name: figures.get(name, 0) for name in ("matches", "pending", "delivered", "failed")},
        "error": figures.get("error"),
    }
