import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from index import DamagedLibrary, lexical, segments
from index.changes import Rows
from index.lexical import Lexical
from index.lexicon import FEW, Field, Lexicon, Scores, TantivyLexicon, document
from index.milvus import MilvusLibrary, Place
from index.milvus.served import ServedLexicon
from index.segments import FOLDER, LOCK, MANIFEST, WORK
from index.sounds import terms
from index.store import Store
from index.words import words
from tests.index.kinds import additions
from tests.index.samples import DIM, article, open_library, put

TEXTS = (
    "The president met Putin in Delhi on Monday.",
    "রাষ্ট্রপতি পুতিন দিল্লিতে ৩৬ জনের সঙ্গে দেখা করেছেন।",
    "Президент Путин прибыл в Дели.",
    "36 percent of 4,500 farmers lost their harvest.",
    "किसानों में से ३६ प्रतिशत की फसल नष्ट हुई।",
    "普京总统抵达德里。",
    "Farmers farmers farmers: the harvest of Monday.",
    "ผู้นำประเทศไทยกล่าวสุนทรพจน์",
)


def fill(folder: Path) -> None:
    """Write the eight passages, and leave nothing published."""
    with open_library(folder) as library:
        for number, text in enumerate(TEXTS):
            put(library, article(f"a{number}", text))
    shutil.rmtree(folder / FOLDER)


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """A library of eight passages: row n is TEXTS[n - 1]."""
    fill(folder)
    opened = Store(folder)
    yield opened
    opened.close()


def searched(leg: Lexical) -> TantivyLexicon:
    """Bring an index up to date and return what is searched."""
    leg.catch_up()
    with leg.shared() as (lexicon, _):
        assert lexicon is not None
        return lexicon


@pytest.fixture
def ours(store: Store) -> TantivyLexicon:
    """The eight passages, indexed in memory."""
    return searched(Lexical(store, keep=False))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLexicon]:
    """The eight passages in the double of Milvus, which ranks by words itself."""
    place = Place(str(tmp_path_factory.mktemp("served") / "milvus.db"))
    with MilvusLibrary.open(place, model="numbers", fingerprint="numbers-1", dim=DIM) as library:
        for number, text in enumerate(TEXTS):
            (each,) = additions(article(f"a{number}", text))
            library.add_all([replace(each, rows={0: number + 1})])
        lexicon = library._lexical.at(library._index(library._ledger.committed()))
        assert isinstance(lexicon, ServedLexicon)
        yield lexicon


@pytest.fixture(params=["ours", "theirs"])
def lexicon(request: pytest.FixtureRequest) -> TantivyLexicon | ServedLexicon:
    """The eight passages, kept by either."""
    found: TantivyLexicon | ServedLexicon = request.getfixturevalue(request.param)
    return found


def ranked(lexicon: Lexicon, query: str, k: int = 10) -> list[int]:
    """Return the rows that sound like a query, best first."""
    rows: list[int] = lexicon.candidates("sounds", list(terms(query)), k)[0].tolist()
    return rows


# What is found


@pytest.mark.parametrize("name", ["Putin", "পুতিন", "पुतिन", "Путин", "بوتين", "Πούτιν", "푸틴"])
def test_a_name_in_any_script_finds_it_in_the_others(lexicon: Lexicon, name: str) -> None:
    """A name finds each passage that has it, in whatever script."""
    assert set(ranked(lexicon, name)) == {1, 2, 3}


@pytest.mark.parametrize("number", ["36", "३६", "৩৬", "٣٦"])
def test_a_number_finds_itself_in_any_digits(lexicon: Lexicon, number: str) -> None:
    """A number finds exactly the passages that have it."""
    assert set(ranked(lexicon, number)) == {2, 4, 5}


@pytest.mark.parametrize("text", ["Пу́тин и G20, 4,500 ½ ②", "普京プーチン說 ประเทศไทย น้ำ", "a " + "中" * 100, "", "!"])
def test_a_passage_is_indexed_by_its_words_and_their_sounds(text: str) -> None:
    """Each once for each time that it is in the text, in order."""
    said = document(7, text).to_dict()
    expected = [word.term for word in words(text)], list(terms(text))
    assert (said["words"], said["sounds"]) == tuple([" ".join(each)] for each in expected)
    assert said["row"] == [7]


def test_many_passages_become_one_segment_when_indexed_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are written at a time, a search looks through one segment; what it finds is the same."""
    with open_library(folder) as library:
        for number in range(64):
            put(library, article(f"a{number}", f"{number}. {TEXTS[number % len(TEXTS)]}"))
    store = Store(folder)
    at_once = searched(Lexical(store, keep=False)).candidates("sounds", list(terms("Putin")), 10)
    monkeypatch.setattr(lexical, "PIECE", 63)
    in_pieces = searched(Lexical(store, keep=False))
    store.close()
    assert in_pieces._searcher.num_segments == 1
    for found, expected in zip(in_pieces.candidates("sounds", list(terms("Putin")), 10), at_once, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("passages", "piece"), [(0, 1), (30_000, 30_000), (30_001, 3_751), (1_000_000, 15_625)])
def test_segments_are_cut_so_that_merging_leaves_one(passages: int, piece: int) -> None:
    """There are 1, 8, 64 and so on of like size, of which tantivy makes one each time there are eight."""
    assert lexical._piece(passages) == piece


def test_scores_are_bm25(lexicon: Lexicon) -> None:
    """A score is BM25 with k1 = 1.2 and b = 0.75, computed here by hand."""
    rows, scores = lexicon.candidates("words", ["farmers"], 10)
    lengths = [len(lexicon_words(text)) for text in TEXTS]
    assert lengths[0] == 8
    idf = math.log(1 + (8 - 2 + 0.5) / (2 + 0.5))
    mean = sum(lengths) / 8
    expected = {
        row: idf * 2.2 * often / (often + 1.2 * (0.25 + 0.75 * lengths[row - 1] / mean))
        for row, often in ((7, 3), (4, 1))
    }
    assert rows.tolist() == [7, 4]
    assert scores.tolist() == pytest.approx([expected[7], expected[4]], rel=1e-5)
    assert lexicon.ceiling("words", ["farmers"]) == pytest.approx(2.2 * idf)


def lexicon_words(text: str) -> list[str]:
    """Return the terms of the words of a text."""
    return [word.term for word in words(text)]


def test_unknown_terms_raise_the_ceiling_most(lexicon: Lexicon) -> None:
    """A term that nothing has adds ln(1 + (N + 0.5) / 0.5) to the ceiling; one said twice counts once."""
    known = lexicon.ceiling("words", ["farmers"])
    assert lexicon.ceiling("words", ["farmers", "zeppelin", "zeppelin"]) - known == pytest.approx(2.2 * math.log(18))
    assert lexicon.ceiling("words", []) == 0


def test_scores_of_given_rows_are_those_of_a_search(ours: TantivyLexicon) -> None:
    """The scores of any rows, in any order, are those that a search gives; 0 for the others and for unknown rows."""
    wanted = ["monday", "harvest", "the"]
    rows, scores = ours.candidates("words", wanted, 10)
    expected = dict(zip(rows.tolist(), scores.tolist(), strict=True))
    asked = np.array([7, 2, 1, 999, 4])
    assert ours.scores("words", wanted, asked).tolist() == [expected.get(row, 0.0) for row in asked.tolist()]
    assert ours.scores("words", ["nothing"], asked).tolist() == [0.0] * 5
    assert ours.scores("words", [], asked).tolist() == [0.0] * 5


def test_a_phrase_is_words_that_follow_each_other(lexicon: TantivyLexicon | ServedLexicon) -> None:
    """Words elsewhere in the passage, or in another order, are no phrase; case and punctuation do not count."""
    assert lexicon.phrase("met PUTIN").tolist() == [1]
    assert lexicon.phrase("putin met").tolist() == []
    assert lexicon.phrase("the harvest of").tolist() == [7]
    assert lexicon.phrase("Президент  Путин").tolist() == [3]
    assert lexicon.phrase("普京总统").tolist() == [6]
    assert lexicon.phrase("总统普京").tolist() == []
    assert lexicon.phrase("ประเทศไทย").tolist() == [8]
    assert lexicon.phrase("Monday").tolist() == [1, 7]
    assert lexicon.phrase("4500 farmers").tolist() == [4]
    assert lexicon.phrase("?!").tolist() == []
    assert lexicon.phrase("统").tolist() == [6]
    assert lexicon.phrase("統").tolist() == []


def test_containing_wants_all_words(ours: TantivyLexicon) -> None:
    """Rows that have every word, in any order; one Chinese character is found within any word."""
    assert ours.containing("harvest farmers").tolist() == [4, 7]
    assert ours.containing("harvest putin").tolist() == []
    assert ours.containing("統").tolist() == []
    assert ours.containing("统").tolist() == [6]
    assert ours.containing("पुतिन").tolist() == []
    assert ours.containing("").tolist() == []


# Limits and ties


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TantivyLexicon]:
    """A library of 6,000 passages of few words, so that many tie."""
    folder = tmp_path_factory.mktemp("many") / "library"
    with open_library(folder) as library:
        for part in range(20):
            numbers = range(part * 300, part * 300 + 300)
            paragraphs = [f"common w{number % 7} v{number % 11} u{number}" for number in numbers]
            put(library, article(f"a{part}", *paragraphs))
    opened = Store(folder)
    yield searched(Lexical(opened, keep=False))
    opened.close()


def every(lexicon: TantivyLexicon, field: Field, wanted: list[str]) -> tuple[Rows, Scores]:
    """Return all that match, best first, ties by row."""
    return lexicon.candidates(field, wanted, 100_000)


@pytest.mark.parametrize("step", [1, 2, 5, 500, 6001])
@pytest.mark.parametrize("k", [1, 10, 3000])
def test_the_best_of_those_allowed(many: TantivyLexicon, step: int, k: int) -> None:
    """The best k of what is allowed, few or many, are the first k of all matches that are allowed, ties by row."""
    allowed = np.arange(1, 6001, step, dtype=np.int64)
    rows, scores = every(many, "words", ["w", "3", "v", "common"])
    assert len(rows) == 6000
    assert (np.lexsort((rows, -scores)) == np.arange(6000)).all()
    kept = np.isin(rows, allowed)
    found, told = many.candidates("words", ["w", "3", "v", "common"], k, allowed)
    assert found.tolist() == rows[kept][:k].tolist()
    assert told.tolist() == scores[kept][:k].tolist()
    assert FEW < 3000 < 6000  # both ways of limiting were taken


def test_nothing_allowed_and_nothing_asked(many: TantivyLexicon) -> None:
    """No rows allowed, no terms or no room give nothing."""
    for asked in ((["common"], 5, np.empty(0, np.int64)), ([], 5, None), (["common"], 0, None), (["none"], 5, None)):
        rows, scores = many.candidates("words", *asked)
        assert (rows.tolist(), scores.tolist()) == ([], [])


# Kept on disk


def answers(leg: Lexical) -> list[object]:
    """Return what an index answers, to be compared."""
    lexicon = searched(leg)
    found = [lexicon.candidates(field, wanted, 20) for field, wanted in QUESTIONS]
    return [(rows.tolist(), scores.tolist()) for rows, scores in found] + [lexicon.phrase("met Putin").tolist()]


QUESTIONS: list[tuple[Field, list[str]]] = [
    ("sounds", ["ptn", "frm", "36"]),
    ("words", ["monday", "farmers", "ends"]),
]


def rebuilt(folder: Path) -> list[object]:
    """Return what an index answers that is built in memory from the database."""
    store = Store(folder)
    try:
        return answers(Lexical(store, keep=False))
    finally:
        store.close()


def opened(folder: Path) -> list[object]:
    """Return what the index on disk answers."""
    store = Store(folder)
    leg = Lexical(store, keep=True)
    try:
        return answers(leg)
    finally:
        leg.close(wrote=False)
        store.close()


def publish(store: Store) -> None:
    """Have the index on disk."""
    leg = Lexical(store, keep=True)
    leg.catch_up()
    leg.close(wrote=True)
    assert (store.folder / FOLDER / MANIFEST).exists()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note from which change on the database is read to index it: -1 where all is."""
    noted: list[int] = []
    write = lexical._write

    def noting(index: object, connection: object, since: int, *rest: object) -> tuple[int, int]:
        noted.append(since)
        return write(index, connection, since, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(lexical, "_write", noting)
    return noted


def test_what_is_published_is_read(store: Store, written: list[int]) -> None:
    """A second opening reads the files and indexes nothing; no folder of work is left."""
    publish(store)
    assert written == [-1]
    assert opened(store.folder) == rebuilt(store.folder)
    assert written == [-1, -1]  # the second one is the one in memory
    assert list(store.folder.glob(WORK + "*")) == []


def test_changes_are_replayed(store: Store, written: list[int]) -> None:
    """Articles added, replaced and removed since are indexed, and no others; a passage that stays is not doubled."""
    publish(store)
    with open_library(store.folder) as library:
        put(library, article("new", "Farmers met Putin."))
        put(library, article("a0", "A new beginning.", TEXTS[0], "Farmers again."))
        library.delete("a6")
    store = Store(store.folder)
    leg = Lexical(store, keep=True)
    lexicon = searched(leg)
    assert len(written) == 2
    assert written[1] > 0
    assert lexicon.phrase("met Putin").tolist() == [1, 9]
    assert lexicon.containing("farmers").tolist() == [4, 9, 11]
    assert len(lexicon) == 10
    assert list(leg.verify()) == []
    leg.close(wrote=True)
    assert len(written) == 2
    again = Lexical(store, keep=True)
    assert searched(again).containing("farmers").tolist() == [4, 9, 11]
    assert len(written) == 2
    again.close(wrote=False)
    store.close()


def test_what_is_searched_stays_while_others_write(store: Store) -> None:
    """An index that was given goes on answering as it did when the library changes, and after it is closed."""
    leg = Lexical(store, keep=True)
    before = searched(leg)
    with open_library(store.folder) as library:
        library.delete("a0")
    after = searched(leg)
    assert before.phrase("met Putin").tolist() == [1]
    assert after.phrase("met Putin").tolist() == []
    leg.close(wrote=True)
    assert before.phrase("met Putin").tolist() == [1]


def test_terms_made_otherwise_are_made_anew(
    store: Store, written: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An index whose keys were made by another version is built anew, and is no damage."""
    publish(store)
    monkeypatch.setattr(lexical, "identity", lambda: "another")
    assert opened(store.folder) == rebuilt(store.folder)
    assert written == [-1, -1, -1]
    assert caplog.records == []


def test_another_history_is_no_change_to_replay(store: Store, written: list[int]) -> None:
    """Where the log of changes does not know the index's change, all is built anew."""
    publish(store)
    with store.writing() as connection:
        connection.execute("UPDATE changes SET mark = x'0011223344556677'")
    assert opened(store.folder) == rebuilt(store.folder)
    assert written == [-1, -1, -1]


def published_files(folder: Path) -> list[Path]:
    """Return all published files."""
    return sorted(path for path in (folder / FOLDER).rglob("*") if path.is_file())


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_damage_to_any_file_is_set_aside(store: Store, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    """With any one file harmed the answers are those of a rebuild, and what was harmed is kept under another name."""
    publish(store)
    expected = rebuilt(store.folder)
    for place in range(len(published_files(store.folder))):
        path = published_files(store.folder)[place]
        data = path.read_bytes()
        path.unlink()  # the links of others are to stay as they are
        if harm == "flip":
            path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
        elif harm == "truncate":
            path.write_bytes(data[: len(data) // 2])
        asides = len(list(store.folder.glob("lexical.damaged-*")))
        caplog.clear()
        leg = Lexical(store, keep=True)
        if path.name == MANIFEST and harm == "remove":
            assert answers(leg) == expected
        else:
            assert [problem.where for problem in leg.verify()] == [FOLDER]
            assert answers(leg) == expected
            assert "is damaged" in caplog.text
            assert len(list(store.folder.glob("lexical.damaged-*"))) == asides + 1
        leg.close(wrote=True)
        assert (store.folder / FOLDER / MANIFEST).exists()


def test_half_published_is_as_if_it_had_not_been(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where publishing fails at any step, the one published before is still whole, and the next one cleans up."""
    publish(store)
    with open_library(store.folder) as library:
        put(library, article("new", "Farmers met Putin."))
    expected = rebuilt(store.folder)
    for step in ("_link", "_sync", "_told", "sync_folder"):

        def failing(*_: object) -> None:
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            leg = Lexical(store, keep=True)
            assert answers(leg) == expected
            patch.setattr(segments, step, failing)
            leg.close(wrote=True)
        assert opened(store.folder) == expected
    publish(store)
    assert len(list((store.folder / FOLDER).iterdir())) == 2


def test_a_lock_that_is_held_does_not_stop_a_search(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While another process holds the lock for long, the index is built in memory."""
    publish(store)
    monkeypatch.setattr(lexical, "PATIENCE", 0.01)
    with FileLock(store.folder / LOCK):
        assert opened(store.folder) == rebuilt(store.folder)
    assert "another process holds" in caplog.text


def test_a_library_to_be_read_only_is_not_touched(store: Store, written: list[int]) -> None:
    """A read-only library is answered from its published index, and nothing is written into its folder."""
    publish(store)
    before = sorted(path for path in (store.folder / FOLDER).rglob("*"))
    reading = Store(store.folder, read_only=True)
    leg = Lexical(reading, keep=True)
    found = answers(leg)
    assert written == [-1]
    leg.close(wrote=False)
    reading.close()
    assert sorted(path for path in (store.folder / FOLDER).rglob("*")) == before
    assert list(store.folder.glob(WORK + "*")) == []
    assert found == rebuilt(store.folder)


def test_a_damaged_article_is_not_indexed(store: Store) -> None:
    """An article that is not what was written raises DamagedLibrary; the index stays at the change it was at."""
    leg = Lexical(store, keep=True)
    before = searched(leg)
    with open_library(store.folder) as library:
        put(library, article("new", "Farmers met Putin."))
    with store.writing() as connection:
        connection.execute("UPDATE articles SET text = 'Farmers met Rutin.' WHERE id = 'new'")
    with pytest.raises(DamagedLibrary, match="new"):
        leg.catch_up()
    with leg.shared() as (lexicon, _):
        assert lexicon is before
    leg.close(wrote=False)


def test_many_removals_build_anew(store: Store, written: list[int]) -> None:
    """Where a fifth of the rows was removed, frequencies are counted anew: scores are those of a rebuild."""
    leg = Lexical(store, keep=True)
    leg.catch_up()
    with open_library(store.folder) as library:
        for id in ("a0", "a1", "a2"):
            library.delete(id)
        leg.catch_up()
        put(library, article("new", "Farmers met Putin."))
    assert answers(leg) == rebuilt(store.folder)
    assert written[-2] == -1
    leg.close(wrote=False)


def test_what_a_killed_process_left_is_cleared(store: Store) -> None:
    """A folder of work that nobody holds is removed; one in use is not."""
    left = store.folder / (WORK + "left")
    left.mkdir()
    (left / "x.term").write_text("x")
    leg = Lexical(store, keep=True)
    leg.catch_up()
    segments.clear(store.folder)
    assert not left.exists()
    assert len(list(store.folder.glob(WORK + "*"))) == 1
    assert ranked(searched(leg), "Putin")
    leg.close(wrote=False)


CATCHER = """
import sys
from pathlib import Path
from index import lexical
from index.lexical import Lexical
from index.store import Store
from tests.index.samples import article, open_library, put
lexical.OPEN_ROWS, lexical.OPEN_SHARE = 1, 0
folder = Path(sys.argv[1])
leg = Lexical(Store(folder), keep=True)
with open_library(folder) as library:
    print("ready", flush=True)
    for number in range(10_000):
        put(library, article(f"b{number}", f"Farmers met Putin {number} times."))
        leg.catch_up()
"""


def test_killed_while_catching_up(store: Store) -> None:
    """Killed with SIGKILL while it indexes and publishes, the next opening answers as a rebuild does, undamaged."""
    for pause in (0.05, 0.13, 0.21, 0.34):
        with subprocess.Popen([sys.executable, "-c", CATCHER, str(store.folder)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(pause)
            os.kill(process.pid, signal.SIGKILL)
        segments.clear(store.folder)
        assert list(store.folder.glob(WORK + "*")) == []
        leg = Lexical(store, keep=True)
        assert list(leg.verify()) == []
        assert answers(leg) == rebuilt(store.folder)
        leg.close(wrote=True)
    assert list(store.folder.glob("lexical.damaged-*")) == []


def test_the_manifest_says_what_is_published(store: Store) -> None:
    """The manifest names the last change, the last row and the files."""
    publish(store)
    _, body = (store.folder / FOLDER / MANIFEST).read_text().split("\n", 1)
    told = json.loads(body)
    assert (told["change"], told["last"], told["removed"]) == (8, 8, 0)
    assert sorted(told["files"]) == sorted(path.name for path in (store.folder / FOLDER / told["folder"]).iterdir())


def test_nothing_is_logged_where_all_is_well(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Opening, changing and closing says nothing."""
    caplog.set_level(logging.INFO)
    publish(store)
    publish(store)
    assert caplog.records == []
