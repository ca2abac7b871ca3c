"""What is done about damage: what can be had from what is sound is made again, and the rest is named."""

from collections.abc import Callable
from dataclasses import dataclass

from index import AnyLibrary, Problem
from service.engine import Engine
from service.pools import as_draft

Advance = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The ids of articles whose passages were encoded again, and what is wrong still."""

    mended: list[str]
    problems: list[Problem]


def repair(
    open_library: Callable[[], AnyLibrary], open_engine: Callable[[], Engine], progress: Advance | None = None
) -> Repaired:
    """Mend a library: SQLite's indexes, all that is derived, and the vectors of articles that are sound themselves.

    Passages without token vectors, where the library keeps them, are given theirs. The model is loaded only where there
    is something to encode. Raises what the library and the engine raise; DamagedLibrary where nothing can be read.
    """
    with open_library() as library:
        ids = library.mend()
    mended: list[str] = []
    if ids:
        with open_engine() as engine:
            # One at a time, so that the texts of a large library are not all held.
            for outcome in engine.add(as_draft(engine.library.get(id)) for id in ids):
                mended.append(outcome.article_id)
                if progress:
                    progress("encoding again", len(mended) / len(ids))
    with open_library() as library:
        return Repaired(mended, library.verify())
