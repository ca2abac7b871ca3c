import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from embed import ModelUnavailable
from embed.backends.torch import ENDLESS, TorchEncoder, prompts_of, window_of


@pytest.fixture(scope="module")
def encoder(small_model: Path) -> TorchEncoder:
    """Load the small model in torch."""
    return TorchEncoder.load(small_model, name="small", fingerprint="f", device="cpu")


def test_vectors_are_those_of_sentence_transformers(small_model: Path, encoder: TorchEncoder) -> None:
    """Prompts and pooling come from the model's own configuration."""
    texts = ["water in the river", "flood"]
    plain = SentenceTransformer(str(small_model), device="cpu")
    expected = plain.encode([f"query: {text}" for text in texts], normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode_queries(texts), expected, atol=1e-5)
    expected = plain.encode([f"passage: {text}" for text in texts], normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode_passages(texts), expected, atol=1e-5)
    assert (encoder.dim, encoder.window) == (32, 24)


class Configured:
    """What the backend reads of a model's configuration."""

    def __init__(self, prompts: dict[str, str], default: str | None = None, window: float | None = None) -> None:
        self.prompts, self.default_prompt_name, self.max_seq_length = prompts, default, window


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Configured({}), {"query": "", "passage": ""}),
        (Configured({"query": "q: ", "passage": "p: "}), {"query": "q: ", "passage": "p: "}),
        (
            Configured({"query": "q: ", "document": "d: ", "passage": "p: "}),
            {"query": "q: ", "passage": "d: "},
        ),
        (Configured({"search": "s: "}, "search"), {"query": "s: ", "passage": "s: "}),
    ],
)
def test_prompts_are_chosen_as_sentence_transformers_does(model: Configured, expected: dict[str, str]) -> None:
    """`query` for queries; `document`, `passage` or `corpus` for passages; else the default prompt."""
    assert prompts_of(model) == expected


def test_a_model_without_a_window_gets_one() -> None:
    """A model that reads texts of any length is given texts of a length that makes sense."""
    assert window_of(Configured({}, window=None)) == ENDLESS
    assert window_of(Configured({}, window=float("inf"))) == ENDLESS
    assert window_of(Configured({}, window=128)) == 128


def test_a_folder_that_cannot_be_loaded_is_one_clear_error(small_model: Path, tmp_path: Path) -> None:
    """Whatever the libraries below raise, the caller sees one error in one line."""
    broken = tmp_path / "broken"
    shutil.copytree(small_model, broken)
    (broken / "config.json").write_text(json.dumps({"model_type": "no-such-architecture"}))
    with pytest.raises(ModelUnavailable) as caught:
        TorchEncoder.load(broken, name="broken", fingerprint="f", device="cpu")
    assert "\n" not in str(caught.value)
    assert "broken cannot be loaded by sentence-transformers" in str(caught.value)
