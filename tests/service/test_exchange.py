"""A library that is exported and imported elsewhere: the same answers, and other programs that read it."""

import json
import re
import shutil
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import service.engine
from embed import DEFAULT_MODEL, KeepTokens
from index import Addition, Article, Library, ModelMismatch, cut
from index import take as take_in
from service.cli import app
from service.engine import Answer, Engine
from service.errors import ExchangeFailed
from service.exchange import FORMATS, Format, Manifest, Taken, export, take
from service.exchange.importing import holdings
from service.reading import Draft
from tests.fakes import MEANINGS, ToyEncoder

WORDS = [word for line in MEANINGS for word in line.split()]
TONGUES = {"en": 0, "bn": 1, "hi": 2, "ru": 3}


class Hashed(ToyEncoder):
    """Vectors and token vectors by chance, the same for the same word, under the name of the default model: all that is
    known of it, and all evidence there is, then counts in the ranking.
    """

    name = DEFAULT_MODEL
    dim = token_dim = 384
    table = np.random.default_rng(5).standard_normal((512, 384)).astype(np.float32)

    def encode_queries(self, texts: Any, keep: KeepTokens | None = None) -> Any:
        """Encode questions: (n, 384)."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for place, text in enumerate(texts):
            tokens = self.table[[zlib.crc32(word.encode()) % 512 for word in text.split()]]
            vectors[place] = tokens.sum(axis=0)
            if keep:
                keep(place, tokens / np.linalg.norm(tokens, axis=1, keepdims=True))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_passages(self, texts: Any, advance: Any = None, keep: KeepTokens | None = None) -> Any:  # noqa: ARG002
        """Encode passages: (n, 384)."""
        return self.encode_queries(texts, keep)


def drafts(count: int, seed: int = 0) -> Iterator[Draft]:
    """Articles of a paragraph, and every tenth of two, in four languages, with and without other fields."""
    chance = np.random.default_rng(seed)
    for number in range(count):
        tongue = list(TONGUES)[number % 4]
        own = [line.split()[TONGUES[tongue]] for line in MEANINGS]
        paragraphs = 1 if number % 10 else 2
        yield Draft(
            "\n\n".join(" ".join([*chance.choice(own, 8), str(chance.integers(3000))]) for _ in range(paragraphs)),
            id=f"article {number}",
            title=f"«{own[0]}» {number}",
            language=tongue,
            source=("wire", None)[number % 2],
            published_at=f"20{number % 20:02}-05",
            metadata={"pages": number, "tags": [own[1]]} if number % 3 else {},
        )


def batched(some: Iterator[Draft], size: int) -> Iterator[list[Draft]]:
    """So many at a time."""
    while together := list(islice(some, size)):
        yield together


def addition(filled: Engine, draft: Draft) -> Addition:
    """A draft as the engine gives it to the library, without an index that follows each pool."""
    told = {each.name: getattr(draft, each.name) for each in fields(Article)}
    article = Article(**told)
    starts = [match.start() for match in re.finditer(r"(?<!\n)^|(?<=\n\n)", draft.text)]
    ends = [*(start - 2 for start in starts[1:]), len(draft.text)]
    passages = cut(article, list(zip(starts, ends, strict=True)))
    codes: dict[int, bytes] = {}
    space = filled.library.token_space
    assert space is not None

    def keep(place: int, tokens: Any) -> None:
        codes[place] = space.compress(tokens, article.language)

    vectors = filled.encoder.encode_passages([each.text for each in passages], None, keep)
    return Addition(article, passages, dict(enumerate(vectors)), codes)


def engine(folder: Path, encoder: ToyEncoder) -> Engine:
    """An engine over the library in a folder."""
    return Engine(encoder, Library.open(folder, model=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim))


def received(folder: Path, manifest: Manifest) -> Library:
    """The library in a folder, of the model that an export is of."""
    origin = manifest.origin
    return Library.open(folder, model=origin.model, fingerprint=origin.fingerprint, dim=origin.dim)


def told(answer: Answer) -> Answer:
    """All of an answer but the time that it took."""
    return replace(answer, took_ms=0.0, stages={})


def answers(folder: Path, encoder: ToyEncoder, count: int) -> list[Answer]:
    """What a library answers to questions by chance: half of them over all, the others filtered or grouped."""
    chance = np.random.default_rng(11)
    with engine(folder, encoder) as asked:
        return [
            told(
                asked.search(
                    " ".join(chance.choice(WORDS, 3)) + f" {number}",
                    languages=["bn", "ru"] if number % 4 == 1 else [],
                    group="article" if number % 4 == 3 else "none",
                )
            )
            for number in range(count)
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 40 articles, edited and cut down, of the toy encoder."""
    folder = tmp_path_factory.mktemp("made") / "small"
    with engine(folder, ToyEncoder()) as filled:
        list(filled.add(drafts(44)))
        list(filled.add(replace(each, text=f"{each.text}\n\nriver bank") for each in drafts(3)))
        for number in range(10, 14):
            filled.delete(f"article {number}")
    # Words of what is gone count in BM25 until the index is built anew.
    shutil.rmtree(folder / "lexical", ignore_errors=True)
    return folder


@pytest.fixture
def small(made: Path, tmp_path: Path) -> Path:
    """That library, for a test of its own."""
    return shutil.copytree(made, tmp_path / "small")


def test_ten_thousand_articles_answer_the_same_elsewhere(tmp_path: Path) -> None:
    """200 questions get the same hits, scores, relevance, sentences and cursors from the library that was imported."""
    encoder = Hashed()
    with engine(tmp_path / "here", encoder) as filled:
        for some in batched(drafts(10_050), 1000):
            filled.library.add_all([addition(filled, draft) for draft in some])
        # Rows with gaps, and not in the order of the articles.
        longer = [replace(each, text=each.text + " river") for each in drafts(100, seed=1)]
        filled.library.add_all([addition(filled, draft) for draft in longer])
        for number in range(10_000, 10_050):
            filled.delete(f"article {number}")

    manifest = export(tmp_path / "here", tmp_path / "out")
    assert take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest)) == Taken(added=10_000)

    wanted = answers(tmp_path / "here", encoder, 200)
    assert answers(tmp_path / "there", encoder, 200) == wanted
    assert len({answer.hits[0].passage.id for answer in wanted if answer.hits}) > 100
    assert all(hit.relevance is not None for answer in wanted for hit in answer.hits)
    assert any(answer.sentences[0] for answer in wanted)


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_exported_is_what_is_imported(small: Path, tmp_path: Path, format: Format) -> None:
    """Articles, passages, rows, vectors and means are the same, and nothing is wrong with the library."""
    manifest = export(small, tmp_path / "out", format)
    take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest))
    again = export(tmp_path / "there", tmp_path / "again", format)

    for name in manifest.files:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert answers(tmp_path / "there", ToyEncoder(), 20) == answers(small, ToyEncoder(), 20)
    assert again.origin.sums.keys() == manifest.origin.sums.keys()
    with received(tmp_path / "there", manifest) as library:
        assert library.verify() == []


def test_pandas_reads_both_tables(small: Path, tmp_path: Path) -> None:
    """JSON lines and Parquet give the same frames: text, spans, and vectors of float32."""
    export(small, tmp_path / "lines")
    export(small, tmp_path / "parquet", "parquet")

    lines = pd.read_json(tmp_path / "lines" / "passages.jsonl", lines=True)
    parquet = pd.read_parquet(tmp_path / "parquet" / "passages.parquet")
    articles = pd.read_json(tmp_path / "lines" / "articles.jsonl", lines=True).set_index("id")

    assert len(articles) == 40
    assert sorted(lines.columns) == sorted(parquet.columns)
    assert lines["text"].tolist() == parquet["text"].tolist()
    vectors = np.stack(lines["vector"].to_list()).astype(np.float32)
    assert np.array_equal(vectors, np.stack(parquet["vector"].to_list()))
    first = lines.iloc[0]
    assert articles.loc[first["article_id"], "text"][first["start"] : first["end"]] == first["text"]
    assert np.array_equal(vectors[0], ToyEncoder().encode_passages([first["text"]])[0])


def test_an_interrupted_import_goes_on(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken in before stays, the rest comes with its rows, and a third time changes nothing."""
    monkeypatch.setattr("index.transfer.TOGETHER", 8)
    manifest = export(small, tmp_path / "out")

    def stop(_stage: str, done: float) -> None:
        if done == 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest), stop)
    assert take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest)) == Taken(16, 0, 24)
    assert take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest)) == Taken(0, 0, 40)
    assert answers(tmp_path / "there", ToyEncoder(), 20) == answers(small, ToyEncoder(), 20)


def test_who_searches_meanwhile_sees_all_that_came(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that another process holds open lacks nothing, though rows do not come in their order."""
    monkeypatch.setattr("index.transfer.TOGETHER", 4)
    manifest = export(small, tmp_path / "out")
    with engine(tmp_path / "there", ToyEncoder()) as open_all_along:
        open_all_along.search("river", mode="lexical")

        def look(_stage: str, done: float) -> None:
            if done in (0.2, 0.5):
                open_all_along.search("river", mode="lexical")

        take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest), look)

        assert open_all_along.library.verify() == []
        found = {hit.article.id for hit in open_all_along.search('"river bank"', mode="lexical").hits}
        assert found >= {"article 0", "article 1", "article 2"}


def test_into_a_library_that_holds_something_articles_are_added(small: Path, tmp_path: Path) -> None:
    """Its own articles stay; one of the same id is replaced; rows are new where they are taken."""
    manifest = export(small, tmp_path / "out")
    with engine(tmp_path / "there", ToyEncoder()) as filled:
        list(filled.add([Draft("rain", id="own"), Draft("rain", id="article 0")]))

    assert take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest)) == Taken(39, 1, 0)

    with received(tmp_path / "there", manifest) as library:
        assert library.get("own").text == "rain"
        assert library.get("article 0").text.endswith("river bank")
        assert library.verify() == []


def damaged(path: Path, number: int, old: str, new: str) -> None:
    """Change one line of a file, as text."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("articles.jsonl", '{"id"', "{id", "articles.jsonl, line 7: Expecting property name"),
        ("articles.jsonl", '"text": "', '"text": "x', "passages.jsonl, line 11: passage"),
        ("articles.jsonl", '"text"', '"txet"', "articles.jsonl, line 7: text missing"),
        ("articles.jsonl", '"article 6"', '"article 66"', "passages.jsonl, line 11: the passage is of 'article 6'"),
        ("passages.jsonl", '"vector": [', '"vector": [7, ', "passages.jsonl, line 7: the vector is not"),
        ("passages.jsonl", '"start": 5', '"start": 6', "passages.jsonl, line 7: passage"),
    ],
)
def test_a_damaged_line_is_named(small: Path, tmp_path: Path, file: str, old: str, new: str, told: str) -> None:
    """The message says which line is wrong, and nothing is imported."""
    manifest = export(small, tmp_path / "out")
    damaged(tmp_path / "out" / file, 7, old, new)

    with pytest.raises(ExchangeFailed) as raised:
        take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest))

    assert told in str(raised.value)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_was_cut_off_is_told(small: Path, tmp_path: Path, format: Format) -> None:
    """Half a file is no export."""
    manifest = export(small, tmp_path / "out", format)
    path = tmp_path / "out" / f"passages.{format}"
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(ExchangeFailed, match=f"passages.{format}, (line|after row)"):
        take(tmp_path / "out", manifest, lambda: received(tmp_path / "there", manifest))


def test_an_export_that_failed_leaves_nothing(small: Path, tmp_path: Path) -> None:
    """What is written is written aside; what is there is not written over."""

    def stop(_stage: str, done: float) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(small, tmp_path / "out", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    with pytest.raises(ExchangeFailed, match="exists"):
        export(small, small)


# The commands


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy encoder in place of the real ones."""
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: ToyEncoder())


def run(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("format", FORMATS)
def test_the_commands_export_and_import(small: Path, tmp_path: Path, toy: None, format: Format) -> None:
    """A line for people, one document for programs, and the articles are there."""
    exported = run("export", tmp_path / "out", "--format", format, "--data", small)
    assert exported.stdout == f"{tmp_path / 'out'} holds 40 articles, 47 passages\n"
    imported = run("import", tmp_path / "out", "--data", tmp_path / "there", "--json")
    assert json.loads(imported.stdout) == {
        "data": str(tmp_path / "there"),
        "added": 40,
        "replaced": 0,
        "unchanged": 0,
    }
    shown = json.loads(run("show", "article 1", "--data", tmp_path / "there", "--json").stdout)
    assert shown["metadata"] == {"pages": 1, "tags": ["নদী"]}


def test_another_model_is_refused_unless_it_encodes(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of one model do not go into a library of another; texts do, with --encode."""
    other = ToyEncoder()
    other.fingerprint = "toy-2"
    with engine(tmp_path / "there", other) as filled:
        list(filled.add([Draft("rain", id="own")]))
    run("export", tmp_path / "out", "--data", small)

    refused = run("import", tmp_path / "out", "--data", tmp_path / "there")
    assert refused.exit_code == 1
    assert "--encode" in refused.stderr
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: other)
    encoded = run("import", tmp_path / "out", "--data", tmp_path / "there", "--encode")
    assert encoded.stdout == "40 added\n"
    assert run("verify", "--data", tmp_path / "there").exit_code == 0


def test_articles_alone_are_added_as_they_are(small: Path, tmp_path: Path, toy: None) -> None:
    """`dragoman add` takes the table of articles of an export."""
    run("export", tmp_path / "out", "--data", small)
    added = run("add", tmp_path / "out" / "articles.jsonl", "--data", tmp_path / "there", "--json")
    assert json.loads(added.stdout)["added"] == 40


def test_what_is_no_export_is_told(tmp_path: Path) -> None:
    """A folder without a manifest, and a format that there is not."""
    assert "is no export" in run("import", tmp_path, "--data", tmp_path / "there").stderr
    assert run("export", tmp_path / "out", "--format", "csv", "--data", tmp_path).exit_code == 2


def test_token_vectors_of_another_kind_are_refused(tmp_path: Path) -> None:
    """What this version cannot compare does not become a library that ranks otherwise."""
    with engine(tmp_path / "here", Hashed()) as filled:
        list(filled.add(drafts(4)))
    manifest = export(tmp_path / "here", tmp_path / "out")
    manifest.origin.known()
    with pytest.raises(ModelMismatch, match="--encode"):
        replace(manifest.origin, tokens="another").known()


def test_memory_does_not_grow_with_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many articles take no more memory to export, and to import."""
    monkeypatch.setattr("index.transfer.TOGETHER", 16)
    peaks = []
    for count in (100, 400):
        with engine(tmp_path / f"{count}", Hashed()) as filled:
            filled.library.add_all([addition(filled, draft) for draft in drafts(count)])
        out, there = tmp_path / f"out-{count}", tmp_path / f"there-{count}"
        tracemalloc.start()
        manifest = export(tmp_path / f"{count}", out)
        exported = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        with received(there, manifest) as library:
            for _ in take_in(library, manifest.origin, manifest.mark, holdings(out, manifest)):
                pass
            imported = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        peaks.append((exported, imported))

    (exported, imported), (more_exported, more_imported) = peaks
    assert more_exported < 1.2 * exported
    assert more_imported < 1.2 * imported
