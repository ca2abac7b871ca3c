"""What every encoder does, whatever runs the model; and that those which run the same model agree."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embed import Encoder, KeepTokens, load_encoder
from tests.fakes import ToyEncoder

TEXTS = ["water in the river", "the bank is a bank", "flood", "", "पानी नदी вода rain " * 3, "trade of water"]
KINDS = ["toy", "torch", "openvino"]


@pytest.fixture(scope="module")
def encoders(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    """Make the toy, and the same small model in both backends."""
    cache = tmp_path_factory.mktemp("cache")
    return {
        "toy": ToyEncoder(),
        "torch": load_encoder(str(small_model), "torch", cache=cache),
        "openvino": load_encoder(str(small_model), "openvino", cache=cache),
    }


@pytest.fixture(params=KINDS)
def encoder(request: pytest.FixtureRequest, encoders: dict[str, Encoder]) -> Encoder:
    """Give each of them in turn."""
    return encoders[request.param]


def test_vectors_are_float32_of_unit_length(encoder: Encoder) -> None:
    """Each text gets one row of `dim` float32 numbers, of length one."""
    for vectors in (encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS)):
        assert vectors.shape == (len(TEXTS), encoder.dim)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    """An empty list is as good as any other."""
    assert encoder.encode_queries([]).shape == (0, encoder.dim)
    assert encoder.encode_passages([]).shape == (0, encoder.dim)
    assert encoder.count_tokens([]) == []


def test_a_text_has_the_same_vector_in_any_company(encoder: Encoder) -> None:
    """A text alone and among longer and shorter ones gets the same vector; rows keep their order."""
    together = encoder.encode_passages(TEXTS)
    alone = np.concatenate([encoder.encode_passages([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=5e-3)
    asked = np.concatenate([encoder.encode_queries([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), asked, atol=5e-3)
    backwards = encoder.encode_passages(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(together, backwards, atol=5e-3)


def copied(into: dict[int, NDArray[np.float32]]) -> KeepTokens:
    """What keeps copies of token vectors by place: those of passages are overwritten."""
    return lambda place, tokens: into.__setitem__(place, tokens.copy())


def test_tokens_come_with_the_vectors(encoder: Encoder) -> None:
    """Each text's own tokens have vectors, one for each span of it, in any company; the vectors are as without them."""
    texts = [text for text in TEXTS if text]
    for encode, limit in ((encoder.encode_queries, 24), (encoder.encode_passages, 10_000)):
        kept: dict[int, NDArray[np.float32]] = {}
        vectors = encode(texts, keep=copied(kept))
        np.testing.assert_allclose(vectors, encode(texts), atol=1e-6)
        assert sorted(kept) == (list(range(len(texts))) if encoder.token_dim else [])
        for place, tokens in kept.items():
            spans = encoder.token_spans(texts[place])
            assert tokens.shape == (min(len(spans), limit), encoder.token_dim)
            alone: dict[int, NDArray[np.float32]] = {}
            encode([texts[place]], keep=copied(alone))
            np.testing.assert_allclose(alone[0], tokens, atol=0.05)


def test_the_mean_of_all_tokens_is_the_vector(encoder: Encoder) -> None:
    """The text's own are those that `keep` is given, prompt and special tokens being around them."""
    texts = [text for text in TEXTS if text]
    for role, encode in (("query", encoder.encode_queries), ("passage", encoder.encode_passages)):
        kept: dict[int, NDArray[np.float32]] = {}
        vectors = encode(texts, keep=copied(kept))
        for place, pooled in enumerate(encoder.pooled(texts, role)):  # type: ignore[arg-type]
            assert pooled is not None
            np.testing.assert_allclose(pooled.vector, vectors[place], atol=5e-3)
            assert len(pooled.tokens) > len(pooled.own) == len(pooled.spans) > 0
            if encoder.token_dim:
                np.testing.assert_allclose(pooled.own, kept[place], atol=0.05)
                assert list(pooled.spans) == encoder.token_spans(texts[place])


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_over_the_window_a_question_has_its_first_tokens_and_a_passage_none(
    encoders: dict[str, Encoder], kind: str
) -> None:
    """A question's vector is the mean of what fits; a passage's is made of its parts', and those around it stay."""
    (question,) = encoders[kind].pooled(["water " * 60], "query")
    assert question is not None
    assert (len(question.tokens), len(question.spans)) == (24, 20)
    flood, none, rain = encoders[kind].pooled(["flood", "water " * 60, "rain of water"], "passage")
    assert none is None
    assert flood is not None
    assert rain is not None
    assert (len(flood.spans), len(rain.spans)) == (1, 3)


def test_token_spans_are_the_words(encoders: dict[str, Encoder]) -> None:
    """Prompt and special tokens are left out, and white space is no part of a token."""
    for kind in ("torch", "openvino"):
        spans = encoders[kind].token_spans("water  in পানি")
        assert [("water  in পানি")[start:end] for start, end in spans] == ["water", "in", "পানি"]
    assert encoders["toy"].token_spans("water") == []


def test_token_ids_are_those_of_the_spans(encoders: dict[str, Encoder]) -> None:
    """The same token has the same number, in any company, and prompt and special tokens have none there."""
    for kind in ("torch", "openvino"):
        first, second, third = encoders[kind].token_ids("water পানি water")
        assert first == third != second
        assert encoders[kind].token_ids("water") == [first]
    assert encoders["toy"].token_ids("water") == []


def test_tokens_of_both_backends_agree(encoders: dict[str, Encoder]) -> None:
    """Also of a passage over the window, whose tokens are those of its parts."""
    texts = ["water in the river", "flood of rain", "water " * 60]
    kept: dict[str, dict[int, NDArray[np.float32]]] = {"torch": {}, "openvino": {}}
    for kind, tokens in kept.items():
        encoders[kind].encode_passages(texts, keep=copied(tokens))
    for place in range(len(texts)):
        np.testing.assert_allclose(kept["torch"][place], kept["openvino"][place], atol=0.05)
    assert len(kept["torch"][2]) == 60


def test_a_text_alone_has_one_vector(encoder: Encoder) -> None:
    """Encoding the same text twice gives the very same numbers."""
    assert np.array_equal(encoder.encode_queries(TEXTS[:1]), encoder.encode_queries(TEXTS[:1]))


def test_advance_is_told_of_every_passage(encoder: Encoder) -> None:
    """The numbers told to `advance` add up to the number of passages."""
    told: list[int] = []
    encoder.encode_passages(TEXTS * 5, told.append)
    assert sum(told) == len(TEXTS) * 5


def test_threads_get_their_own_vectors(encoder: Encoder) -> None:
    """Many threads encode at once, and each gets what it would have got alone."""
    expected = encoder.encode_passages(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: encoder.encode_passages(TEXTS), range(12)):
            np.testing.assert_allclose(found, expected, atol=5e-3)


def test_any_text_can_be_encoded(encoder: Encoder) -> None:
    """Lone surrogates, control characters and bare white space are texts too."""
    vectors = encoder.encode_queries(["\ud800", "\x00\x07", " \n\t ", "\U0010ffff"])
    assert np.isfinite(vectors).all()
    assert len(encoder.count_tokens(["\ud800"])) == 1


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_prompt_and_special_tokens_count(encoders: dict[str, Encoder], kind: str) -> None:
    """A passage's tokens are its own, `<s>`, `</s>`, and the two of its prompt."""
    assert encoders[kind].count_tokens(["water", "", "water " * 100]) == [5, 4, 104]


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_queries_and_passages_have_their_own_prompts(encoders: dict[str, Encoder], kind: str) -> None:
    """The same words as a query and as a passage are two vectors."""
    encoder = encoders[kind]
    assert float((encoder.encode_queries(["water"]) * encoder.encode_passages(["water"])).sum()) < 0.9999


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_nothing_in_a_long_passage_is_lost(encoders: dict[str, Encoder], kind: str) -> None:
    """Words beyond the window change a passage's vector, and a query is cut at the window."""
    encoder = encoders[kind]
    head, tail = "water rain " * 20, "flood trade " * 20
    with_tail, without = encoder.encode_passages([head + tail, head])
    assert float(with_tail @ without) < 0.999
    cut, uncut = encoder.encode_queries([head + tail, head])
    np.testing.assert_allclose(cut, uncut, atol=5e-3)


def test_backends_agree(encoders: dict[str, Encoder]) -> None:
    """OpenVINO and torch give one model the same name, fingerprint, counts and vectors, of long texts too."""
    ours, theirs = encoders["openvino"], encoders["torch"]
    assert (ours.name, ours.fingerprint, ours.dim, ours.window) == (
        theirs.name,
        theirs.fingerprint,
        theirs.dim,
        theirs.window,
    )
    texts = [*TEXTS, "flood rain " * 60]
    assert ours.count_tokens(texts) == theirs.count_tokens(texts)
    for left, right in (
        (ours.encode_queries(texts), theirs.encode_queries(texts)),
        (ours.encode_passages(texts), theirs.encode_passages(texts)),
    ):
        assert (left * right).sum(axis=1).min() > 0.999
