"""A toy encoder for the fast tests: small, exact, and cross-lingual over a few words, so that meaning is testable."""

import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from embed import KeepTokens, Pooled
from embed.backends.batches import Role

# Each line is one meaning, said in English, Bengali, Hindi and Russian.
MEANINGS = [
    "water পানি पानी вода",
    "river নদী नदी река",
    "flood বন্যা बाढ़ наводнение",
    "rain বৃষ্টি बारिश дождь",
    "trade বাণিজ্য व्यापार торговля",
    "bank ব্যাংক बैंक банк",
    "money টাকা पैसा деньги",
    "army সেনাবাহিনী सेना армия",
    "aircraft বিমান विमान самолёт",
    "president রাষ্ট্রপতি राष्ट्रपति президент",
    "election নির্বাচন चुनाव выборы",
    "hospital হাসপাতাল अस्पताल больница",
    "doctor ডাক্তার डॉक्टर врач",
    "school স্কুল स्कूल школа",
    "teacher শিক্ষক शिक्षक учитель",
    "market বাজার बाज़ार рынок",
]
WORDS = {word: number for number, line in enumerate(MEANINGS) for word in line.split()}


class ToyEncoder:
    """An encoder that knows sixteen meanings in four languages; other words fall into sixteen buckets by hash."""

    name = "toy"
    dim = 32
    window = 64
    fingerprint = "toy-1"
    token_dim = 0

    def encode_queries(self, texts: Sequence[str], keep: KeepTokens | None = None) -> NDArray[np.float32]:  # noqa: ARG002
        """Encode questions: (n, 32)."""
        return np.stack([self._vector(text) for text in texts]) if texts else np.zeros((0, self.dim), np.float32)

    def encode_passages(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] | None = None,
        keep: KeepTokens | None = None,  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Encode passages: (n, 32)."""
        vectors = self.encode_queries(texts)
        if advance:
            advance(len(texts))
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count white-space separated words, and two special tokens."""
        return [len(text.split()) + 2 for text in texts]

    def token_spans(self, text: str) -> list[tuple[int, int]]:  # noqa: ARG002
        """Return nothing: it has no token vectors."""
        return []

    def token_ids(self, text: str) -> list[int]:  # noqa: ARG002
        """Return nothing, as `token_spans` does."""
        return []

    def pooled(self, texts: Sequence[str], role: Role) -> list[Pooled | None]:  # noqa: ARG002
        """Return the words of each text as its tokens, behind a special one."""
        return [self._pooled(text) for text in texts]

    def _pooled(self, text: str) -> Pooled:
        found = list(re.finditer(r"[^\s.,;:!?।\"'()-]+", text))
        tokens = np.zeros((len(found) + 1, self.dim), np.float32)
        tokens[0] = 0.01
        for token, match in zip(tokens[1:], found, strict=True):
            word = match[0].lower()
            if word in WORDS:
                token[WORDS[word]] = 1
            else:
                token[16 + hashlib.md5(word.encode(errors="replace")).digest()[0] % 16] = 0.1
        return Pooled(tokens, 1, [match.span() for match in found])

    def _vector(self, text: str) -> NDArray[np.float32]:
        return self._pooled(text).vector.astype(np.float32)
