import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from embed import Encoder, KeepTokens, detect
from service.batching import MOST, Batching
from service.errors import Overdue
from tests.fakes import ToyEncoder
from tests.service.conftest import wait_until


class Gate(ToyEncoder):
    """A toy encoder that notes its batches, and is held up where the test closes it."""

    token_dim = 32

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()

    def encode_queries(self, texts: Sequence[str], keep: KeepTokens | None = None) -> NDArray[np.float32]:
        """Encode as the toy does, the vector being the only token; "broken" cannot be encoded."""
        self.batches.append(list(texts))
        assert self.open.wait(20)
        if "broken" in texts:
            raise RuntimeError("broken")
        vectors = super().encode_queries(texts)
        if keep:
            for place, vector in enumerate(vectors):
                keep(place, vector[None])
        return vectors


def asked_meanwhile(encoder: Gate, batching: Batching, texts: Sequence[str]) -> list[Future[object]]:
    """Ask `texts` from a thread each while "first" is being encoded; return their answers, that of "first" first."""
    pool = ThreadPoolExecutor(len(texts) + 1)
    encoder.open.clear()
    futures: list[Future[object]] = [pool.submit(batching.encode, "first")]
    wait_until(lambda: encoder.batches == [["first"]])
    for text in texts:
        futures.append(pool.submit(batching.encode, text))
    wait_until(lambda: len(batching._waiting) == len(set(texts)))
    pool.shutdown(wait=False)
    encoder.open.set()
    return futures


def test_who_comes_while_questions_are_encoded_is_encoded_with_the_others_who_do() -> None:
    """The first goes at once and alone; the others are one batch, and each gets its own vector, tokens and language."""
    encoder = Gate()
    batching = Batching(encoder, tokens=True)
    texts = ["water", "নদী", "вода", "water"]

    found = asked_meanwhile(encoder, batching, texts)

    for text, future in zip(["first", *texts], found, strict=True):
        [expected] = ToyEncoder().encode_queries([text])
        assert future.result(20).language == detect(text)  # type: ignore[attr-defined]
        encoded = future.result(20)
        np.testing.assert_array_equal(encoded.vector, expected)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(encoded.tokens, expected[None])  # type: ignore[attr-defined]
    assert [sorted(batch) for batch in encoder.batches] == [["first"], ["water", "вода", "নদী"]]
    batching.close()


def test_a_crowd_is_encoded_in_batches_that_are_not_too_large() -> None:
    """Three more than fit into one batch make a second."""
    encoder = Gate()
    batching = Batching(encoder, tokens=False)

    found = asked_meanwhile(encoder, batching, [f"word{number}" for number in range(MOST + 3)])

    assert all(future.result(20).tokens is None for future in found)  # type: ignore[attr-defined]
    assert [len(batch) for batch in encoder.batches] == [1, MOST, 3]
    batching.close()


def test_what_was_asked_lately_is_not_encoded_again() -> None:
    """As long as there is room: 32 numbers of 4 bytes each, here for two questions; the oldest asked goes first."""
    encoder = Gate()
    batching = Batching(encoder, tokens=False, room=2 * 32 * 4)

    for text in ("water", "river", "water", "bank", "water", "river"):
        batching.encode(text)

    assert encoder.batches == [["water"], ["river"], ["bank"], ["river"]]
    batching.close()


def test_without_room_nothing_is_remembered() -> None:
    """Every question is encoded."""
    encoder = Gate()
    batching = Batching(encoder, tokens=True, room=0)

    batching.encode("water")
    batching.encode("water")

    assert encoder.batches == [["water"], ["water"]]
    batching.close()


def test_what_cannot_be_encoded_is_told_and_does_not_stop_the_others() -> None:
    """The error reaches the one who asked, and the next question is encoded."""
    encoder = Gate()
    batching = Batching(encoder, tokens=False)

    with pytest.raises(RuntimeError, match="broken"):
        batching.encode("broken")

    np.testing.assert_array_equal(batching.encode("water").vector, ToyEncoder().encode_queries(["water"])[0])
    batching.close()


def test_what_nobody_waits_for_any_longer_is_not_encoded() -> None:
    """Of two that wait behind another, the one whose asker gave up is left out; one that two want waits for both."""
    encoder = Gate()
    batching = Batching(encoder, tokens=False)
    encoder.open.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batching.encode, "first")
        wait_until(lambda: encoder.batches == [["first"]])
        hasty = [pool.submit(batching.encode, text, 0.05) for text in ("given up", "wanted")]
        patient = pool.submit(batching.encode, "wanted", 20.0)
        for future in hasty:
            with pytest.raises(Overdue):
                future.result(20)
        encoder.open.set()
        for future in (first, patient):
            assert future.result(20).vector.shape == (32,)
    assert encoder.batches == [["first"], ["wanted"]]
    assert batching.encode("given up").vector.shape == (32,)
    batching.close()


def test_questions_that_come_while_there_is_no_room_are_encoded_together() -> None:
    """What is encoded would only wait for a core: until there is one, others join, and how many do is told."""
    encoder, room = Gate(), threading.Event()
    told: list[int] = []

    def wait(asked: Callable[[], int]) -> None:
        assert room.wait(20)
        told.append(asked())

    batching = Batching(encoder, wait, tokens=False)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(batching.encode, text) for text in ("water", "river", "bank")]
        wait_until(lambda: len(batching._waiting) == 3)
        assert encoder.batches == []
        room.set()
        assert all(each.result(20).vector.shape == (32,) for each in asked)
    assert [sorted(batch) for batch in encoder.batches] == [["bank", "river", "water"]]
    assert told == [3]
    batching.close()


@pytest.mark.model
def test_a_question_is_the_same_alone_and_among_others(model: Encoder) -> None:
    """Vectors of the real model agree whether questions were asked one by one or at the same moment."""
    questions = ["Who won?", "Wie hoch ist der Berg?", "किम ने क्या देखा?", "What is the name of the highest mountain?"]
    alone, together = (Batching(model, tokens=True) for _ in range(2))
    ask: Callable[[str], object] = together.encode
    with ThreadPoolExecutor(len(questions)) as pool:
        for question, found in zip(questions, pool.map(ask, questions), strict=True):
            expected = alone.encode(question)
            assert expected.tokens is not None
            assert found.vector @ expected.vector > 0.9999  # type: ignore[attr-defined]
            assert found.tokens.shape == expected.tokens.shape  # type: ignore[attr-defined]
    alone.close()
    together.close()
