import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as Model
from transformers import BertConfig, BertForSequenceClassification

from embed import ModelUnavailable, load_reranker
from tests.embed.conftest import write_small_model


def write_cross_encoder(folder: Path, *, labels: int = 1, seed: int = 0) -> Path:
    """Write a random cross-encoder over the words of the small model."""
    write_small_model(folder)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    torch.manual_seed(seed)
    words = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=1,
        initializer_range=0.5,
    )
    config.num_labels = labels
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small cross-encoder with random weights."""
    return write_cross_encoder(tmp_path_factory.mktemp("models") / "crossing")


TEXTS = ["the river in flood", "a bank", "rain of trade", "water"]


def test_scores_are_the_models_own_from_0_to_1(cross_encoder: Path, tmp_path: Path) -> None:
    """The logistic function of its logits, in the order of the texts."""
    reranker = load_reranker(str(cross_encoder), cache=tmp_path)

    scores = reranker.score("flood water", TEXTS)

    pairs = [("flood water", text) for text in TEXTS]
    logits = Model(str(cross_encoder)).predict(pairs, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert len(set(scores.round(4).tolist())) == 4
    assert reranker.score("flood", []).shape == (0,)
    assert reranker.name == str(cross_encoder)


def test_what_tells_no_score_is_refused(cross_encoder: Path, tmp_path: Path) -> None:
    """A model of several labels, a folder that holds none, a name without a model."""
    several = write_cross_encoder(tmp_path / "several", labels=3)
    with pytest.raises(ModelUnavailable, match="3 labels and no score"):
        load_reranker(str(several), cache=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnavailable, match=r"neither modules\.json nor config\.json"):
        load_reranker(str(tmp_path / "empty"), cache=tmp_path)
    with pytest.raises(ModelUnavailable, match="There is no folder"):
        load_reranker("./nowhere", cache=tmp_path)
