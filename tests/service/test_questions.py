"""Standing questions: each new article that answers one is told once, whatever happens to whoever tells it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree
from starlette.testclient import TestClient
from typer.testing import CliRunner

import service.engine
from index import InvalidFilter, Library, Neutral, NotCalibrated
from index.fusion import Fusion, Odds, Relevance
from index.neutral import Priors
from service.cli import app
from service.engine import Engine
from service.errors import FetchRefused, QuestionUnknown
from service.questions import Book, Matcher, Webhooks, ask, atom, signature
from service.questions.webhooks import PAUSES
from service.reading import Draft
from service.settings import Settings
from service.web import watching
from service.web.app import create_app
from tests.fakes import ToyEncoder
from tests.service.conftest import wait_until

LOOPBACK = frozenset({"127.0.0.1"})


def known() -> Neutral:
    """What would be known of the toy: its raw space, and a relevance that is a logistic curve of the similarity."""
    nothing = np.zeros((4, 32), np.float32)
    odds = Odds(similarity=10, meaning=0, beyond=0, sounds=0, words=0, same=0, intercept=-5)
    priors = Priors(
        model="toy",
        languages=("bn", "en", "hi", "ru"),
        passages=nothing,
        queries=nothing,
        own=1.0,
        common=0.6,
        centre=np.zeros(32, np.float32),
        spread=np.eye(32, dtype=np.float32) * np.float32(1 / 32),
        slope=1.0,
        intercept=0.0,
        fusion=Fusion(),
        answering=Relevance(odds, odds),
    )
    return Neutral(priors)


@pytest.fixture
def calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the toy's relevance be known."""
    monkeypatch.setattr(Neutral, "for_model", lambda _: known())


@pytest.fixture
def engine(calibrated: None, tmp_path: Path) -> Iterator[Engine]:
    """The toy encoder, calibrated, over an empty library."""
    with Engine(ToyEncoder(), Library.open(tmp_path, model="toy", fingerprint="toy-1", dim=32)) as engine:
        yield engine


def folder_of(engine: Engine) -> Path:
    """Return the folder that the library of an engine is in."""
    assert engine.library.folder is not None
    return engine.library.folder


@pytest.fixture
def book(engine: Engine) -> Book:
    """The book beside it."""
    return Book(folder_of(engine))


def add(engine: Engine, **texts: str) -> None:
    """Add articles, by id."""
    list(engine.add(Draft(text, id=id) for id, text in texts.items()))


def told(book: Book, question: str) -> list[str]:
    """The articles that matched, in the order of finding."""
    return [match.told["article_id"] for match in book.matches(question)]


# Matching


def test_a_new_article_that_answers_is_told_once(engine: Engine, book: Book) -> None:
    """Not what was there before, not what does not answer, and never twice: replaced, deleted, or added again."""
    add(engine, old="river")
    asked = ask(book, engine.library, "নদী")
    matcher = Matcher(engine, book)
    assert matcher.run() == 0
    add(engine, new="река", other="bank money")
    add(engine, second="flood\n\nriver", again="river")

    assert matcher.run() == 3
    assert told(book, asked.id) == ["new", "second", "again"]
    add(engine, new="река вода", again="river")
    engine.delete("second")
    add(engine, second="river")
    assert matcher.run() == 0
    assert Matcher(engine, book).run() == 0
    add(engine, other="नदी")
    assert matcher.run() == 1
    assert told(book, asked.id)[-1] == "other"


def test_a_match_is_the_hit_of_a_search(engine: Engine, book: Book) -> None:
    """Relevance and similarity are those that a search gives, and the passage the best one of the article."""
    asked = ask(book, engine.library, "river flood", min_relevance=0.3)
    add(
        engine,
        both="bank\n\nriver flood\n\nriver",
        one="river bank",
        none="school",
        **{f"x{n}": "army" for n in range(9)},
    )
    Matcher(engine, book).run()

    hits = engine.search("river flood", min_relevance=0.3, group="article").hits
    wanted = [(hit.article.id, hit.passage.id, hit.relevance, hit.similarity) for hit in hits]
    found = [
        tuple(match.told[name] for name in ("article_id", "passage_id", "relevance", "similarity"))
        for match in book.matches(asked.id)
    ]

    assert len(wanted) == 2
    assert sorted(found) == sorted(wanted)


def test_real_relevance_is_that_of_a_search(tmp_path: Path, model: Any) -> None:
    """With the real model: the seeds match as a search finds them, and what they do not answer matches nothing."""
    with Engine(
        model, Library.open(tmp_path, model=model.name, fingerprint=model.fingerprint, dim=model.dim)
    ) as engine:
        book = Book(tmp_path)
        query = "By how much did trade between Russia and Belarus grow?"
        asked, bread = ask(book, engine.library, query), ask(book, engine.library, "How do I bake sourdough bread?")
        seeds = sorted((Path(__file__).parents[2] / "seeds").glob("*.txt"))
        list(engine.add(Draft(seed.read_text(encoding="utf-8"), id=seed.name) for seed in seeds))
        Matcher(engine, book).run()

        found = {match.told["passage_id"]: match.told["relevance"] for match in book.matches(asked.id)}
        hits = {hit.passage.id: hit.relevance for hit in engine.search(query).hits}

    assert found
    assert all(relevance == pytest.approx(hits[passage], abs=1e-3) for passage, relevance in found.items())
    assert told(book, bread.id) == []


def test_questions_are_filtered_as_searches_are(engine: Engine, book: Book) -> None:
    """By language, by a filter, by phrases and exclusions."""
    bengali = ask(book, engine.library, "river", languages=["ben"])
    wire = ask(book, engine.library, "river", filter={"source": "wire"})
    phrase = ask(book, engine.library, '"river bank" -money', min_relevance=0.2)
    list(
        engine.add(
            [
                Draft("নদী", id="bn", language="bn"),
                Draft("river", id="wire", source="wire"),
                Draft("river bank", id="phrase"),
                Draft("river bank money", id="money"),
                Draft("bank river", id="turned"),
            ]
        )
    )
    Matcher(engine, book).run()

    assert told(book, bengali.id) == ["bn"]
    assert told(book, wire.id) == ["wire"]
    assert told(book, phrase.id) == ["phrase"]


def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, engine: Engine, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter of no sense, and a model whose relevance is not known."""
    with pytest.raises(InvalidFilter):
        ask(book, engine.library, "river", filter={"colour": "red"})
    monkeypatch.undo()
    with (
        Library.open(tmp_path / "other", model="toy", fingerprint="toy-1", dim=32) as library,
        pytest.raises(NotCalibrated),
    ):
        ask(book, library, "river")
    assert not book.all()


def test_a_question_is_encoded_once(engine: Engine, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes costs no encoding of the questions, and comparing it is bounded by what came, not by the library."""
    for number in range(5):
        ask(book, engine.library, f"river {number}")
    matcher = Matcher(engine, book)
    encoded: list[str] = []
    judged: list[int] = []
    encode, judge = engine.encoder.encode_queries, engine.library.hybrid.judge

    def encoding(texts: Any, keep: Any = None) -> Any:
        encoded.extend(texts)
        return encode(texts, keep)

    def judging(asked: Any, rows: Any, *others: Any) -> Any:
        judged.append(len(rows))
        return judge(asked, rows, *others)

    add(engine, first="river")
    matcher.run()
    monkeypatch.setattr(engine.encoder, "encode_queries", encoding)
    monkeypatch.setattr(engine.encoder, "encode_passages", lambda texts, *_: encode(texts))
    monkeypatch.setattr(engine.library.hybrid, "judge", judging)
    for number in range(3):
        add(engine, **{f"{number}": "army"})
        matcher.run()
    assert encoded == []
    assert judged == [1] * 15


def test_a_library_of_another_history_is_looked_through_for_what_is_new(
    engine: Engine, book: Book, tmp_path: Path, calibrated: None
) -> None:
    """Restored, imported, or encoded anew: what was looked at before is not told again, and nothing is missed."""
    add(engine, before="river")
    asked = ask(book, engine.library, "river")
    matcher = Matcher(engine, book)
    add(engine, seen="river", unseen="army")
    matcher.run()
    with Engine(ToyEncoder(), Library.open(tmp_path / "other", model="toy", fingerprint="toy-1", dim=32)) as other:
        add(other, before="river", seen="river", unseen="army", missed="नदी")
        following = Matcher(other, book)
        assert following.run() == 1
        assert told(book, asked.id) == ["seen", "missed"]
        add(other, later="river")
        assert following.run() == 1


def test_a_question_removed_takes_its_matches_along(engine: Engine, book: Book) -> None:
    """And one that is not there is told."""
    asked = ask(book, engine.library, "river", webhook="http://example.com/")
    add(engine, a="river")
    Matcher(engine, book).run()
    book.remove(asked.id)
    assert (book.all(), book.unprinted(), book.due(1e12)) == ([], [], [])
    with pytest.raises(QuestionUnknown):
        book.get(asked.id)


def test_only_its_owner_may_read_the_book(engine: Engine, book: Book) -> None:
    """It holds the secrets of webhooks."""
    ask(book, engine.library, "river")
    assert book.path.stat().st_mode & 0o777 == 0o600


# What is killed goes on

KILLED = """
import sys, time
from pathlib import Path
from index import Library, Neutral
from service.engine import Engine
from service.questions import Book, Matcher, Webhooks
from service.reading import Draft
from tests.fakes import ToyEncoder
from tests.service.test_questions import known

folder, stage = Path(sys.argv[1]), sys.argv[2]
Neutral.for_model = classmethod(lambda cls, name: known())
engine = Engine(ToyEncoder(), Library.open(folder, model="toy", fingerprint="toy-1", dim=32))
book = Book(folder)
list(engine.add([Draft("river", id="a"), Draft("river water", id="b")]))

def stop(*_, **__):
    print(stage, flush=True)
    time.sleep(60)

if stage == "added":
    stop()
if stage == "judged":
    Book.record = stop
Matcher(engine, book).run()
if stage == "recorded":
    stop()
Book.delivered = stop
Webhooks(book, private_hosts=frozenset({"127.0.0.1"})).run()
"""


def kill_at(stage: str, folder: Path) -> None:
    """Add two articles in a process, and kill it at a stage of reporting them."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), stage],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().strip() == stage
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)


@pytest.mark.parametrize("stage", ["added", "judged", "recorded"])
def test_a_kill_between_adding_and_reporting_loses_and_doubles_nothing(engine: Engine, book: Book, stage: str) -> None:
    """Whenever the process that added is killed, each article is in the feed exactly once after the next look."""
    asked = ask(book, engine.library, "river", min_relevance=0.3)
    kill_at(stage, folder_of(engine))

    Matcher(engine, book).run()
    Matcher(engine, book).run()

    assert told(book, asked.id) == ["a", "b"]
    assert atom(asked, book.latest(asked.id)).count(b"<entry") == 2


# Webhooks


@dataclass
class Hook:
    """A receiver of posts: the statuses it answers with, in order, the last again and again; and what it got."""

    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    address: str = ""

    @property
    def ids(self) -> list[str]:
        """The ids of the messages."""
        return [headers["webhook-id"] for headers, _ in self.got]


@contextmanager
def hooked(hook: Hook) -> Iterator[Hook]:
    """Run a receiver in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.got.append((headers, self.rfile.read(int(headers["content-length"]))))
            status = hook.statuses.pop(0) if len(hook.statuses) > 1 else hook.statuses[0]
            self.send_response(status)
            self.send_header("Location", hook.address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *told: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.address = f"http://127.0.0.1:{server.server_port}/told"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A receiver that takes all."""
    with hooked(Hook()) as hook:
        yield hook


class Clock:
    """A clock that is set."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def posted(book: Book, clock: Callable[[], float] = Clock()) -> Webhooks:  # noqa: B008
    """What posts, to the loopback too."""
    return Webhooks(book, private_hosts=LOOPBACK, clock=clock)


def asked_with(engine: Engine, book: Book, hook: Hook) -> Any:
    """A question with a webhook, and an article that answers it, found."""
    asked = ask(book, engine.library, "river", webhook=hook.address, private=True)
    add(engine, a="river")
    Matcher(engine, book).run()
    # As the clock of the test has it.
    with book._connection() as connection:
        connection.execute("UPDATE deliveries SET due = 0")
    return asked


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the specification of Standard Webhooks."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_is_told_signed_and_once(engine: Engine, book: Book, hook: Hook) -> None:
    """The body is JSON, the id is the match's, the signature is right, and what was taken does not come again."""
    asked = asked_with(engine, book, hook)
    assert posted(book).run() == (1, 0)
    assert posted(book).run() == (0, 0)

    [(headers, content)] = hook.got
    message = json.loads(content)
    assert message["data"]["question"] == {"id": asked.id, "query": "river"}
    assert message["data"]["match"]["article_id"] == "a"
    assert headers["webhook-id"] == book.matches(asked.id)[0].id
    moment = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature(asked.secret, headers["webhook-id"], moment, content)
    assert headers["content-type"] == "application/json"


def test_what_is_not_taken_comes_again_later_and_later(engine: Engine, book: Book) -> None:
    """After each pause, until it is taken or there are no more; always with the same id."""
    clock = Clock()
    with hooked(Hook([500, 302, 503, 200])) as hook:
        asked = asked_with(engine, book, hook)
        webhooks = posted(book, clock)
        for pause in PAUSES[:3]:
            assert webhooks.run() == (0, 1)
            clock.now += pause - 1
            assert webhooks.run() == (0, 0)
            clock.now += 1 + 0.1 * pause
        assert webhooks.run() == (1, 0)
        assert len(set(hook.ids)) == 1
        assert len(hook.ids) == 4
    assert book.figures()[asked.id] == {"matches": 1, "pending": 0, "delivered": 1, "failed": 0, "error": None}


def test_in_the_end_it_is_given_up(engine: Engine, book: Book) -> None:
    """After the last pause the delivery has failed, and says why."""
    clock = Clock()
    with hooked(Hook([410])) as hook:
        asked = asked_with(engine, book, hook)
        for pause in (*PAUSES, 0):
            posted(book, clock).run()
            clock.now += 1.1 * pause + 1
        assert posted(book, clock).run() == (0, 0)
        assert len(hook.got) == 1 + len(PAUSES)
    figures = book.figures()[asked.id]
    assert (figures["failed"], figures["error"]) == (1, "the answer was 410")


def test_a_kill_after_posting_posts_again_with_the_same_id(engine: Engine, book: Book, hook: Hook) -> None:
    """At least once: the receiver tells by the id that it has it."""
    asked = ask(book, engine.library, "river", min_relevance=0.3, webhook=hook.address, private=True)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(engine.library.folder), "posted"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().strip() == "posted"
        process.kill()
        process.wait(timeout=30)

    Webhooks(book, private_hosts=LOOPBACK).run()

    first, second = (match.id for match in book.matches(asked.id))
    assert hook.ids == [first, first, second]


def test_no_webhook_reaches_what_is_not_public(engine: Engine, book: Book, hook: Hook) -> None:
    """By number, by name, and by a name that resolves otherwise later; one asked over HTTP never, whatever is set."""
    webhooks = Webhooks(book, private_hosts=LOOPBACK, resolve=lambda *_: ["127.0.0.1"])
    for address in (
        hook.address,
        "http://localhost/",
        "http://inside.example/",
        "http://169.254.169.254/",
        "ftp://a.b/",
    ):
        with pytest.raises(FetchRefused):
            webhooks.check(address, private=False)
    assert webhooks.check(hook.address, private=True) == hook.address
    public = Webhooks(book, resolve=lambda *_: ["93.184.216.34"])
    address = public.check("http://inside.example/told", private=False)

    asked = ask(book, engine.library, "river", webhook=address)
    add(engine, a="river")
    Matcher(engine, book).run()
    assert webhooks.run() == (0, 1)
    assert "is not a public address" in book.figures()[asked.id]["error"]
    assert hook.got == []


# Over HTTP


@pytest.fixture
def web(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application over the calibrated toy, which looks often."""
    monkeypatch.setattr(watching, "LOOK", 0.05)
    settings = Settings(data=folder_of(engine))
    with TestClient(create_app(settings, lambda: engine), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


def test_a_life_over_http(web: TestClient) -> None:
    """Asked, told in matches and in the feed, listed, and removed."""
    given = {"query": "river", "min_relevance": 0.6, "languages": ["bn", "ru"]}
    asked = web.post("/v1/questions", json=given)
    assert asked.status_code == 201
    place = f"/v1/questions/{asked.json()['id']}"
    web.post(
        "/v1/articles", json=[{"id": "ru", "text": "река", "language": "ru", "title": "О реке", "url": "http://a.b/"}]
    )
    wait_until(lambda: web.get(f"{place}/matches").json()["matches"] != [])

    [match] = web.get(f"{place}/matches").json()["matches"]
    assert (match["article_id"], match["text"], match["start"], match["end"]) == ("ru", "река", 0, 4)
    assert match["relevance"] > 0.9
    assert web.get(f"{place}/matches", params={"after": match["number"]}).json() == {"matches": []}
    feed = web.get(f"{place}/feed")
    assert feed.headers["content-type"].startswith("application/atom+xml")
    root = etree.fromstring(feed.content)
    names = {"a": "http://www.w3.org/2005/Atom"}
    assert root.xpath("//a:entry/a:title/text()", namespaces=names) == ["О реке"]
    assert root.xpath("//a:entry/a:link/@href", namespaces=names) == ["http://a.b/"]
    assert root.xpath("//a:entry/a:id/text()", namespaces=names) == [f"urn:dragoman:{match['id']}"]
    listed = web.get("/v1/questions").json()["questions"]
    assert listed == [web.get(place).json()]
    assert (listed[0]["matches"], listed[0]["secret"]) == (1, None)
    assert web.delete(place).status_code == 204
    assert web.get(place).status_code == 404
    assert web.get(f"{place}/feed").status_code == 404


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"query": " "}, "/query"),
        ({"query": "river", "languages": ["xx1"]}, "/languages/0"),
        ({"query": "river", "filter": {"colour": "red"}}, "/filter"),
        ({"query": "river", "webhook": "http://127.0.0.1:9/"}, "/webhook"),
        ({"query": "river", "webhook": "http://[::1]/"}, "/webhook"),
        ({"query": "river", "min_relevance": 2}, "/min_relevance"),
    ],
)
def test_what_is_wrong_with_a_question_is_told(web: TestClient, given: dict[str, Any], pointer: str) -> None:
    """422, with a pointer to it."""
    answer = web.post("/v1/questions", json=given)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_several_processes_report_once(engine: Engine, book: Book, hook: Hook, tmp_path: Path) -> None:
    """Many who look at the same time find and post each match once."""
    asked = ask(book, engine.library, "river", min_relevance=0.3, webhook=hook.address, private=True)
    engines = [
        Engine(ToyEncoder(), Library.open(tmp_path, model="toy", fingerprint="toy-1", dim=32, read_only=True))
        for _ in range(4)
    ]
    stopping = threading.Event()

    def look(mine: Engine) -> None:
        matcher, webhooks = Matcher(mine, Book(tmp_path)), Webhooks(Book(tmp_path), private_hosts=LOOPBACK)
        while not stopping.is_set():
            matcher.run()
            webhooks.run()

    threads = [threading.Thread(target=look, args=(each,)) for each in engines]
    for thread in threads:
        thread.start()
    for number in range(12):
        add(engine, **{f"{number}": "river water"})
    wait_until(lambda: len(hook.ids) >= 12)
    stopping.set()
    for thread in threads:
        thread.join()
    for each in engines:
        each.close()

    assert sorted(told(book, asked.id), key=int) == [str(number) for number in range(12)]
    assert len(hook.ids) == len(set(hook.ids)) == 12


# On the command line


@pytest.fixture
def toy(calibrated: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The calibrated toy behind the command, and a library with one article."""
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("DRAGOMAN_DATA", str(tmp_path / "library"))
    monkeypatch.setenv("DRAGOMAN_PRIVATE_HOSTS", "127.0.0.1")
    run("add", "-", stdin='{"id": "old", "text": "river"}')
    return tmp_path / "library"


def run(*arguments: object, stdin: str | None = None) -> str:
    """Run a command that succeeds, and return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_line_is_told_each_match_once(toy: Path) -> None:
    """`questions run` prints what was not printed before; a line of JSON each, or for people."""
    asked = run("questions", "add", "river", "--language", "bn,en").strip()
    assert run("questions", "run") == ""
    run("add", "-", stdin='{"id": "new", "text": "নদী", "source": "wire"}\n{"id": "ru", "text": "река"}')
    assert run("questions", "run") == "river\n 0.99 very likely  bn  new  wire\n    নদী\n\n"
    assert run("questions", "run") == ""
    run("add", "-", stdin='{"id": "newer", "text": "river"}')
    [line] = run("questions", "run", "--json").splitlines()
    assert (json.loads(line)["article_id"], json.loads(line)["question"]) == ("newer", asked)
    assert run("questions", "feed", asked).count("<entry") == 2


def test_the_command_line_posts_to_webhooks(toy: Path, hook: Hook) -> None:
    """`questions run` looks, posts, and prints; a host of one's own is named by the setting."""
    asked = json.loads(run("questions", "add", "river", "--webhook", hook.address, "--json"))
    assert asked["secret"].startswith("whsec_")
    run("add", "-", stdin='{"id": "new", "text": "river"}')
    run("questions", "run")
    assert len(hook.got) == 1
    [listed] = json.loads(run("questions", "list", "--json"))["questions"]
    assert (listed["id"], listed["matches"], listed["delivered"]) == (asked["id"], 1, 1)
    assert "secret" not in listed
    assert f"{hook.address} 1 taken, 0 to come, 0 lost" in run("questions", "list")


def test_questions_are_listed_and_removed(toy: Path) -> None:
    """What is not there is told, with exit code 1."""
    assert "There is no standing question" in run("questions", "list")
    asked = run("questions", "add", "river").strip()
    assert run("questions", "remove", asked) == f"removed {asked}\n"
    for wrong in (("remove", asked), ("feed", asked), ("run",), ("add", "river", "--webhook", "http://10.0.0.1/")):
        result = CliRunner().invoke(app, ["questions", *wrong])
        assert result.exit_code == 1
        assert result.stderr.startswith("dragoman: ")


def test_what_another_process_adds_is_told_by_the_service(
    toy: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that runs over the library looks by itself, whoever added, and posts."""
    monkeypatch.setattr(watching, "LOOK", 0.05)
    run("questions", "add", "river", "--webhook", hook.address)
    with Engine(ToyEncoder(), Library.open(toy, model="toy", fingerprint="toy-1", dim=32, read_only=True)) as mine:
        settings = Settings(data=toy, private_hosts=("127.0.0.1",))
        with TestClient(create_app(settings, lambda: mine)) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200)
            run("add", "-", stdin='{"id": "new", "text": "नदी"}')
            wait_until(lambda: len(hook.got) == 1)
    assert json.loads(hook.got[0][1])["data"]["match"]["article_id"] == "new"
