"""When a request is sent again, and after how long."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Too many requests; a gateway found nobody; not ready or too busy; a gateway waited in vain.
PASSING = frozenset({429, 502, 503, 504})
# Of these, the ones after which the request may have been done.
BETWEEN = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is sent again where nobody answered, or where the answer was that it passes (`PASSING`).

    Every request of this API may be sent twice, for what was added, replaced or deleted by the first is so after the
    second, but that which asks a standing question: it is sent again only where the first was not heard.

    The pauses in seconds are what the server asks for (`Retry-After`), up to `longest`; where it asks for nothing,
    `first`, twice that, and so on, each shortened by chance by up to a half so that a crowd comes apart.
    """

    most: int = 3
    first: float = 0.25
    longest: float = 30.0

    def pause(self, attempt: int, status: int | None = None, headers: Mapping[str, str] | None = None) -> float | None:
        """Return the seconds to wait after attempt number `attempt` (from 0); None where it was the last.

        `status` and `headers` are those of the answer; without them, nobody answered.
        """
        if attempt >= self.most or (status is not None and status not in PASSING):
            return None
        asked = _asked((headers or {}).get("retry-after", ""))
        if asked is not None:
            return asked if asked <= self.longest else None
        return min(self.longest, self.first * 2.0**attempt) * random.uniform(0.5, 1)


def _asked(told: str) -> float | None:
    """Return the seconds that a `Retry-After` asks for (RFC 9110, section 10.2.3); None where it is none."""
    if told.isdecimal():
        return float(told)
    try:
        then = parsedate_to_datetime(told)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
