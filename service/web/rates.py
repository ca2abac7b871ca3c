"""How often a caller may ask: a token bucket for each, in this process."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

# Callers that are remembered; the one that asked longest ago is forgotten first.
CALLERS = 10_000


@dataclass(slots=True)
class Rate:
    """A token bucket for each caller: `a_minute` requests at once, and as many each minute; 0 for any number."""

    a_minute: int
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, caller: str, now: float | None = None) -> float:
        """Count a request and return 0.0, or the seconds until the next may come. To be used by one event loop."""
        if not self.a_minute:
            return 0.0
        now = time.monotonic() if now is None else now
        tokens, last = self._buckets.pop(caller, (float(self.a_minute), now))
        tokens = min(self.a_minute, tokens + (now - last) * self.a_minute / 60)
        allowed = tokens >= 1
        self._buckets[caller] = (tokens - allowed, now)
        if len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) * 60 / self.a_minute
