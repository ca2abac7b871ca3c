"""`dragoman add`: addresses, folders that are watched, and a folder with everything in it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import service.engine
from embed import Encoder
from index import Library
from service.cli import app
from service.cli.adding import Intake
from service.cli.terminal import Adding
from service.cli.watching import Watcher, alarms
from service.engine import Engine
from service.fetching import Fetcher
from service.reading.formats import FORMATS
from tests.fakes import ToyEncoder
from tests.service import samples
from tests.service.conftest import wait_until
from tests.service.sites import Site, site
from tests.service.test_cli import WITH_TOY, run, run_json

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a library, and the toy encoder in place of the real one."""
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("DRAGOMAN_DATA", str(tmp_path / "library"))
    return tmp_path / "library"


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site that the setting names as one of our own."""
    monkeypatch.setenv("DRAGOMAN_PRIVATE_HOSTS", "127.0.0.1, intranet.example")
    monkeypatch.setattr("service.fetching.robots.Politeness.turn", lambda *_: 0.0)
    with site() as found:
        yield found


def page(text: str) -> str:
    """Return a page of one paragraph."""
    return samples.page("Flood", text)


def test_a_sitemap_is_added_and_added_again(data: Path, local: Site) -> None:
    """Its pages, also those of a packed sitemap within an index, become articles; the second time nothing is sent."""
    address = local.address
    local.page(
        "/index.xml", f"<sitemapindex><sitemap><loc>{address}/map.xml.gz</loc></sitemap></sitemapindex>", "text/xml"
    )
    locations = "".join(f"<url><loc>{address}/{name}</loc></url>" for name in ("a", "b", "a#part", "file.pdf", "gone"))
    xml = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>'
    local.page("/map.xml.gz", samples.packed(xml.encode()), "application/gzip")
    local.page("/a", page("river water"), ETag='"a"')
    local.page("/b", page("bank money"), ETag='"b"')
    local.page("/file.pdf", samples.pdf(["trade money"]), "application/pdf")

    first = run_json("add", f"{address}/index.xml", "--source", "ours", code=1)
    assert first["added"] == 3
    assert first["refused"] == [{"where": f"{address}/gone", "reason": "the server answered with status 404"}]
    [article] = [each for each in first["articles"] if run_json("show", each["id"])["url"] == f"{address}/a"]
    assert run_json("show", article["id"])["source"] == "ours"

    again = run_json("add", f"{address}/index.xml", "--source", "ours", code=1)
    assert (again["added"], again["replaced"], again["unchanged"]) == (0, 0, 1)
    assert [each["where"] for each in again["skipped"]] == [f"{address}/a", f"{address}/b"]


@pytest.mark.parametrize(
    "feed",
    [
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><id>i</id><updated>2023-01-01T00:00:00Z</updated>'
        '<entry><id>1</id><title>e</title><updated>2023-01-01T00:00:00Z</updated><link href="{0}/a"/></entry></feed>',
        '<rss version="2.0"><channel><title>t</title><item><title>e</title><link>{0}/a</link></item></channel></rss>',
        '{{"version": "https://jsonfeed.org/version/1.1", "title": "t", "items": [{{"id": "1", "url": "{0}/a"}}]}}',
    ],
    ids=["atom", "rss", "json"],
)
def test_a_feed_is_added(data: Path, local: Site, feed: str) -> None:
    """The pages of its entries are, and a feed that has not changed is not read again."""
    local.page("/feed", feed.format(local.address), "application/xml", ETag='"1"')
    local.page("/a", page("river water"))
    first = run_json("add", f"{local.address}/feed")
    assert first["added"] == 1
    again = run_json("add", f"{local.address}/feed")
    assert again["skipped"] == [{"where": f"{local.address}/feed", "reason": "it has not changed since it was added"}]


def test_a_page_of_another_site_takes_no_place_but_its_own(data: Path, local: Site) -> None:
    """A canonical address is believed on the same site alone; else it is where it was found."""
    for path, canonical in (("/a", "https://elsewhere.example/a"), ("/b", f"{local.address}/canonical")):
        html = page(f"river water {path}").replace("<head>", f'<head><link rel="canonical" href="{canonical}">')
        local.page(path, html)
    added = run_json("add", f"{local.address}/a", f"{local.address}/b")
    urls = [run_json("show", each["id"])["url"] for each in added["articles"]]
    assert urls == [f"{local.address}/a", f"{local.address}/canonical"]


def test_without_the_setting_no_private_host_is_fetched(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line refuses too, and tells the setting."""
    with site() as private:
        monkeypatch.setattr("service.fetching.addresses.PORTS", frozenset({private.port}))
        result = run("add", private.address)
        assert result.exit_code == 1
        assert "is not a public address" in result.stderr
        assert "DRAGOMAN_PRIVATE_HOSTS" in result.stderr
        assert private.asked == []


def test_the_sum_says_what_became_of_everything(data: Path, tmp_path: Path) -> None:
    """Added, replaced, unchanged, refused: one line at the end, on standard error where standard output is a pipe."""
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("river water")
    run("add", tmp_path / "a.txt", tmp_path / "b.txt")
    (tmp_path / "b.txt").write_text("bank money")
    (tmp_path / "c.txt").write_text("trade money")
    (tmp_path / "d.txt").write_text("")
    result = run("add", *(tmp_path / f"{name}.txt" for name in "abcd"))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "1 added, 1 replaced, 1 unchanged, 1 refused"


@pytest.mark.parametrize("given", [("--delete",), ("--watch", "--json"), ("--watch", "-"), ("--watch", "http://a/")])
def test_options_that_do_not_go_together_are_wrong_usage(data: Path, tmp_path: Path, given: tuple[str, ...]) -> None:
    """Exit code 2."""
    assert run("add", tmp_path, *given).exit_code == 2


@pytest.fixture
def watcher(tmp_path: Path, toy_engine: Engine) -> Watcher:
    """A watcher of a folder that deletes."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    return Watcher(
        [tmp_path / "in"], lambda: Intake(toy_engine, Adding(None, quiet=True)), limit=100_000, deleting=True
    )


def test_a_look_follows_what_is_there(watcher: Watcher, tmp_path: Path, library: Library) -> None:
    """What came is added, what changed replaced, what went deleted; hidden files do not count."""
    folder = tmp_path / "in"
    (folder / "a.txt").write_text("river water")
    (folder / "deep" / "b.jsonl").write_text('{"id": "b1", "text": "bank"}\n{"id": "b2", "text": "money"}\n')
    (folder / ".c.txt").write_text("hidden")
    watcher.look()
    assert watcher.done == Counter({"added": 3})
    assert {"b1", "b2"} < set(library.contents())

    watcher.look()
    assert watcher.done == Counter({"added": 3})

    (folder / "a.txt").write_text("river water, and bank")
    (folder / "deep" / "b.jsonl").write_text('{"id": "b2", "text": "money"}\n')
    watcher.look()
    assert watcher.done == Counter({"added": 3, "replaced": 1, "unchanged": 1, "deleted": 1})

    (folder / "a.txt").rename(folder / "moved.txt")
    (folder / "deep" / "b.jsonl").unlink()
    watcher.look()
    assert [name.rpartition("-")[0] for name in library.contents()] == ["moved"]


def test_what_another_file_has_is_not_deleted(watcher: Watcher, tmp_path: Path, library: Library) -> None:
    """An article that two files hold goes with the last of them."""
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "in" / name).write_text('{"id": "x", "text": "river"}\n')
    watcher.look()
    (tmp_path / "in" / "a.jsonl").unlink()
    watcher.look()
    assert set(library.contents()) == {"x"}
    (tmp_path / "in" / "b.jsonl").unlink()
    watcher.look()
    assert set(library.contents()) == set()


def test_without_deleting_what_goes_stays(
    watcher: Watcher, tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it is said."""
    watcher.deleting = False
    (tmp_path / "in" / "a.txt").write_text("river")
    watcher.look()
    (tmp_path / "in" / "a.txt").unlink()
    watcher.look()
    assert len(library.contents()) == 1
    assert "its 1 articles stay; --delete would remove them" in capsys.readouterr().err


def test_alarms_go_when_something_happens(tmp_path: Path) -> None:
    """A new file rings within seconds."""
    rung = threading.Event()

    def write() -> None:
        while not rung.wait(0.2):
            (tmp_path / "a.txt").write_text("x")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for changes in alarms([tmp_path], threading.Event()):
            if changes:
                break
    finally:
        rung.set()
        thread.join()


def test_watching_goes_on_until_it_is_interrupted(tmp_path: Path) -> None:
    """A real process: what comes while it runs is added, and Ctrl-C ends it with the sum and exit code 0."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("river water")
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_TOY, "add", str(folder), "--watch", "--data", str(tmp_path / "library")],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        wait_until(lambda: b"added a-" in log.read_bytes())
        (folder / "b.txt").write_text("bank money")
        wait_until(lambda: b"added b-" in log.read_bytes())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert log.read_text().splitlines()[-1] == "stopped; 2 added"


# What each file says, and a question that it answers; languages and topics differ.
SAID = {
    "plain.txt": (
        "The volcano on the island erupted at dawn, and ash covered the village.",
        "Which volcano erupted?",
    ),
    "mark.md": ("Учёные вырастили в лаборатории искусственную сетчатку глаза.", "Who grew an artificial retina?"),
    "page.html": (
        "ঢাকায় ভারী বৃষ্টিপাতে বন্যা দেখা দিয়েছে, স্কুলগুলো আশ্রয়কেন্দ্র হিসেবে খোলা।",
        "flood after heavy rain in Dhaka",
    ),
    "lines.jsonl": (
        "La cosecha de café cayó a la mitad por una plaga de hongos.",
        "Why did the coffee harvest fall?",
    ),
    "paper.pdf": (
        "दोनों नेताओं ने परमाणु हथियारों की संख्या घटाने की संधि पर हस्ताक्षर किए।",
        "treaty to reduce nuclear weapons",
    ),
    "letter.docx": (
        "Le chef d'orchestre a annulé le concert à cause d'une grève des musiciens.",
        "Why was the concert cancelled?",
    ),
    "talk.pptx": (
        "Die Brücke wurde wegen Rissen im Stahl für Lastwagen gesperrt.",
        "bridge closed to trucks because of cracks",
    ),
    "text.odt": ("ক্রিকেট দল শেষ ওভারে বিশ্বকাপ ফাইনাল জিতেছে।", "Who won the cricket world cup final?"),
    "book.epub": (
        "Il vecchio orologiaio riparò la torre del campanile in una notte.",
        "the watchmaker repaired the bell tower",
    ),
    "mail.eml": (
        "The library will be closed on Friday because the boiler is being replaced.",
        "When is the library closed?",
    ),
    "box.mbox": ("O museu comprou um retrato perdido de um pintor holandês.", "museum bought a lost portrait"),
    "table.csv": ("北京的地铁票价明年将上涨百分之十。", "Beijing subway fares will rise"),
    "rows.parquet": ("रेगिस्तान में शोधकर्ताओं को डायनासोर के अंडे मिले।", "dinosaur eggs found in the desert"),
    "crawl.warc": ("Bakteria żyjąca w jaskini rozkłada plastikowe butelki.", "a bacterium that breaks down plastic"),
    "wiki.zim": (
        "Honeybees tell each other where flowers are by dancing in the hive.",
        "How do bees tell where flowers are?",
    ),
    "film.srt": ("Tàu ngầm đã mất liên lạc với đất liền ba ngày trước.", "The submarine lost contact"),
    "zipped.zip": ("القاضي أفرج عن الصحفي بعد عامين في السجن.", "The judge released the journalist"),
    "tarred.tar.gz": ("東京の動物園で双子のパンダが生まれた。", "Twin pandas were born at a zoo"),
    "packed.txt.gz": (
        "Yunanistan'da çiftçiler düşük zeytin fiyatlarını protesto etti.",
        "farmers protested olive prices",
    ),
    "old.txt": (
        "Шахтёры нашли под землёй озеро с пресной водой и древними рыбами.",
        "miners found an underground lake",
    ),
}


def everything(folder: Path) -> None:
    """Write a file of every format into a folder, three that are broken, and one that is enormous."""
    folder.mkdir()
    said = {name: text for name, (text, _) in SAID.items()}
    address = "https://example.org/news"
    files: dict[str, bytes] = {
        "plain.txt": said["plain.txt"].encode(),
        "mark.md": f"# Наука\n\n{said['mark.md']}".encode(),
        "page.html": samples.page("সংবাদ", said["page.html"]).encode(),
        "lines.jsonl": json.dumps({"id": "lines", "text": said["lines.jsonl"]}).encode(),
        "paper.pdf": samples.pdf([said["paper.pdf"]]),
        "letter.docx": samples.word("Musique", said["letter.docx"], "-"),
        "talk.pptx": samples.slides("Verkehr", said["talk.pptx"], "-"),
        "text.odt": samples.opendocument("খেলা", said["text.odt"]),
        "book.epub": samples.book("L'orologiaio", said["book.epub"]),
        "mail.eml": samples.letter("Notice", said["mail.eml"]).as_bytes(),
        "box.mbox": samples.letters(folder.parent / "box", [samples.letter("Museu", said["box.mbox"], 7)]),
        "table.csv": samples.table([{"id": "table", "text": said["table.csv"]}]),
        "rows.parquet": samples.parquet([{"id": "rows", "text": said["rows.parquet"]}]),
        "crawl.warc": samples.warc(
            {address: ("200 OK", "text/html", samples.page("Nauka", said["crawl.warc"]).encode())}, packed=False
        ),
        "wiki.zim": samples.zim(folder.parent / "x.zim", {"Bee": ("Bee", samples.page("Bee", said["wiki.zim"]))}),
        "film.srt": samples.subtitles([said["film.srt"]]),
        "zipped.zip": samples.zipped({"in/side.txt": said["zipped.zip"]}),
        "tarred.tar.gz": samples.tarred({"in/side.txt": said["tarred.tar.gz"]}),
        "packed.txt.gz": samples.packed(said["packed.txt.gz"].encode()),
        "old.txt": said["old.txt"].encode("koi8-r"),
        "broken.pdf": b"%PDF-1.7\nbroken",
        "broken.docx": samples.word("a", "b", "c")[:-300],
        "broken.parquet": b"PAR1broken",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with (folder / "enormous.txt").open("wb") as file:
        file.truncate(5 * 1024**3)


def test_a_sample_of_every_format_is_in_the_folder() -> None:
    """A new format fails here until the folder below has a file of it."""
    suffixes = {Path(name).suffix for name in SAID}
    without = [form.name for form in FORMATS if not suffixes & set(form.suffixes)]
    # Their members are told by the formats around them.
    assert without == ["tar archive", "bzip2", "xz"]


@pytest.mark.model
def test_of_a_folder_with_everything_all_that_is_good_is_found(
    model: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every good file is found first by an English question, each bad one is named with its reason; exit code 1."""
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: model)
    monkeypatch.setenv("DRAGOMAN_DATA", str(tmp_path / "library"))
    everything(tmp_path / "in")

    result = CliRunner().invoke(app, ["add", str(tmp_path / "in"), "--json"])

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["added"] == len(SAID)
    reasons = {Path(each["where"]).name: each["reason"] for each in report["refused"]}
    assert set(reasons) == {"broken.pdf", "broken.docx", "broken.parquet", "enormous.txt"}
    assert reasons["broken.pdf"].startswith("the PDF is damaged")
    assert reasons["broken.docx"].startswith("the file is damaged")
    assert reasons["broken.parquet"].startswith("this Parquet is damaged")
    assert reasons["enormous.txt"].startswith("5,368,709,120 bytes are over the limit")
    with Engine.open(tmp_path / "library", read_only=True) as engine:
        missed = {}
        for name, (text, question) in SAID.items():
            first = engine.search(question, limit=1).hits[0].passage.text
            if " ".join(text.split()) not in " ".join(first.split()):
                missed[name] = first
    assert missed == {}


def test_every_format_is_documented() -> None:
    """docs/reading.md has a row for each, with its suffixes and its extra."""
    rows = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8").splitlines()
    for form in FORMATS:
        [row] = [row for row in rows if row.startswith(f"| {form.name} |")]
        assert all(f"`{suffix}`" in row for suffix in form.suffixes), row
        assert form.extra is None or f"`{form.extra}`" in row


def test_the_fetcher_waits_its_turn() -> None:
    """A second passes between two requests to a host unless told otherwise."""
    with site() as found:
        fetcher = Fetcher(private_hosts=frozenset({"127.0.0.1"}), delay=0.3)
        found.page("/", "x")
        import time

        started = time.monotonic()
        for _ in range(3):
            fetcher.get(found.address)
        assert 0.6 <= time.monotonic() - started < 3
