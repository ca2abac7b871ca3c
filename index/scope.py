"""Which rows a search looks at: told one by one, or by whoever knows them."""

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Scope(Protocol):
    """Rows that are not told one by one: a server knows them by a condition."""

    def __len__(self) -> int: ...

    def among(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell of each row (n,) whether it is one of them."""
        ...


# Rows, ascending, or what tells them.
Allowed: TypeAlias = Rows | Scope


def among(rows: Rows, allowed: Allowed) -> NDArray[np.bool_]:
    """Tell of each row (n,) whether it is among those that are allowed."""
    if not isinstance(allowed, np.ndarray):
        return allowed.among(rows)
    if not len(allowed):
        return np.zeros(len(rows), np.bool_)
    places = np.minimum(np.searchsorted(allowed, rows), len(allowed) - 1)
    return np.asarray(allowed[places] == rows)
