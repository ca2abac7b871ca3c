"""A library brought elsewhere, from a folder to Milvus or back: nothing is encoded, and then all is compared."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from index import AnyLibrary, MilvusPlace, Origin, differing, giving
from index import take as take_in
from service.errors import ExchangeFailed
from service.exchange.manifest import Advance

# Differences that are named where there are any.
NAMED = 5


@dataclass(frozen=True, slots=True)
class Moved:
    """How many articles were added, put in place of others, and there already; and how many were compared after."""

    added: int
    replaced: int
    unchanged: int
    compared: int


def move(
    source: Path | MilvusPlace, open_library: Callable[[Origin], AnyLibrary], progress: Advance | None = None
) -> Moved:
    """Bring what one library holds into another of the same model; the source stays as it is.

    What is there already is left as it is, so the same again goes on after an interruption. Into a library that has
    never held anything else it comes with its rows and means, and answers the same. Then every passage is compared.
    Raises ExchangeFailed where something differs, ModelMismatch, and what the libraries raise.
    """
    counts = {"added": 0, "replaced": 0, "unchanged": 0}
    with giving(source) as (origin, holdings), open_library(origin) as library:
        # The mark tells one library from another, so that only what began from it keeps the rows of its passages.
        mark = f"{source} {origin.model} {origin.fingerprint}"
        # Closed at once when it is interrupted, so that the library can be written to again.
        with closing(take_in(library, origin, mark, holdings)) as taken:
            for number, (_, action) in enumerate(taken, 1):
                counts[action] += 1
                if progress:
                    progress("moving", min(1.0, number / max(origin.articles, 1)))
    compared, wrong = 0, list[str]()
    with giving(source) as (origin, holdings), open_library(origin) as library:
        for id, difference in differing(library, holdings):
            compared += 1
            if difference is not None:
                wrong.append(f"{id!r} {difference}")
            if progress:
                progress("comparing", min(1.0, compared / max(origin.articles, 1)))
    if wrong:
        told = "; ".join(wrong[:NAMED])
        raise ExchangeFailed(
            f"{len(wrong)} articles are not the same as in the source ({told}): if it was written to meanwhile, move"
            " again."
        )
    return Moved(**counts, compared=compared)
