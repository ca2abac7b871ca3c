"""Whether a Milvus ranks by words, which is tried: a version tells less, for Milvus is also in the process, and hosted
under other names, and one that says it ranks may do it otherwise.
"""

import logging
import secrets

import numpy as np

from index import words
from index.errors import LibraryError
from index.lexicon import K1, B, weight
from index.milvus.catalogue import Memory, MilvusIndex
from index.milvus.ledger import Committed
from index.milvus.served import Lengths, ServedLexicon, said
from index.milvus.server import ASKED, NO_VECTOR, Record, Server

log = logging.getLogger("dragoman.index")

# Passages that a server is tried with, and what of them it is asked.
TRIED = ("aa bb cc", "aa aa dd", "Путин 普京 ee ff gg", "")
FOR = ("aa", "aa bb", "bb aa", "普京", "nothing")


def ranks_words(server: Server) -> bool:
    """Tell whether a server ranks by words as we count on it: four passages are written to a collection made for it,
    searched, and compared with BM25 by hand. Raises LibraryUnavailable where it does not answer at all.
    """
    trial = server.beside(f"try_{secrets.token_hex(6)}")
    try:
        trial.create("passages", len(NO_VECTOR), words=True)
        trial.insert("passages", [_record(row, text) for row, text in enumerate(TRIED, 1)])
        trial.hear(trial.now())
        wrong = _wrong(trial)
    except (LibraryError, KeyError, TypeError, ValueError) as error:  # of answers that are not as they should be
        server.version()  # raises where it is away, and not one that cannot
        wrong = str(error)
    finally:
        trial.drop("passages")
        trial.close()
    if wrong:
        log.info("Milvus at %s does not rank by words: %s", server.address, wrong)
    return not wrong


def _record(row: int, text: str) -> Record:
    asked = {name: kind() for name, kind in ASKED.items()}
    texts = ("passage", "checksum", "tokens", "tokens_checksum")
    numbers = ("edition", "version", "lot", "position", "start", "stop")
    empty: Record = dict.fromkeys(texts, "") | dict.fromkeys(numbers, 0)
    return {**empty, **asked, **said(text), "row": row, "vector": NO_VECTOR}


def _wrong(trial: Server) -> str:
    """Return what is not found as it must be of what was written to try a server; "" where all is."""
    held = [[word.term for word in words.words(text)] for text in TRIED]
    mean = sum(map(len, held)) / len(held)
    lexicon = ServedLexicon(trial, MilvusIndex(trial, "passages", Committed(0), Memory(), len(NO_VECTOR)), Lengths())
    for asked in FOR:
        terms = [word.term for word in words.words(asked)]
        weights = {term: weight(len(held), sum(term in own for own in held)) for term in terms}
        due = np.zeros(len(held) + 1)
        for row, own in enumerate(held, 1):
            for term, each in weights.items():
                often = own.count(term)
                due[row] += each * often * (K1 + 1) / (often + K1 * (1 - B + B * len(own) / mean))
        following = [row for row, own in enumerate(held, 1) if f" {' '.join(terms)} " in f" {' '.join(own)} "]
        rows, scores = lexicon.candidates("words", terms, len(held))
        some, _ = lexicon.candidates("words", terms, len(held), np.array([1, 3]))
        if not np.array_equal(np.sort(rows), np.flatnonzero(due)):
            return f"{asked!r} is found in {rows.tolist()}"
        if not np.allclose(due[rows], scores, rtol=1e-3):
            return f"{asked!r} scores {scores.tolist()}, and not {due[rows].tolist()}"
        if not np.isclose(lexicon.ceiling("words", terms), (K1 + 1) * sum(weights.values()), rtol=1e-3):
            return f"the weights of {asked!r} are not told by its scores"
        if sorted(some.tolist()) != [row for row in (1, 3) if due[row]]:
            return f"{asked!r} is found under a filter in {some.tolist()}"
        if lexicon.phrase(asked).tolist() != following:
            return f"{asked!r} is not found as a phrase"
    return ""
