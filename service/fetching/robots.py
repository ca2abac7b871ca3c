"""Politeness: what a site's robots.txt allows, and a pause between two requests to one host."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from protego import Protego

# How long the rules of a site are believed, in seconds (RFC 9309, 2.4: no more than a day).
BELIEVED = 3600.0
# The longest pause between requests that is kept because robots.txt asks for it, in seconds.
LONGEST_DELAY = 60.0
MOST_SITES = 1000

# Gives a site's robots.txt: its text, "" where there is none, None where the site cannot be asked.
Ask = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """What one site allows."""

    parsed: Protego | None
    until: float

    def allows(self, url: str, agent: str) -> bool:
        """Return whether an address may be fetched; where the site could not be asked nothing may (RFC 9309)."""
        return self.parsed is not None and bool(self.parsed.can_fetch(url, agent))

    def delay(self, agent: str) -> float:
        """Return the pause that the site asks for, in seconds."""
        asked = self.parsed.crawl_delay(agent) if self.parsed else None
        return min(float(asked or 0), LONGEST_DELAY)


@dataclass(slots=True)
class Politeness:
    """Remembers rules and turns by site (`https://example.org`); may be used by several threads."""

    agent: str
    delay: float
    _rules: dict[str, Rules] = field(default_factory=dict)
    _turns: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rules(self, site: str, ask: Ask) -> Rules:
        """Return the rules of a site; `ask` fetches them where they are not known, or were long ago."""
        with self._lock:
            known = self._rules.get(site)
        if known is None or known.until < time.monotonic():
            text = ask(f"{site}/robots.txt")
            known = Rules(None if text is None else Protego.parse(text), time.monotonic() + BELIEVED)
            with self._lock:
                if len(self._rules) >= MOST_SITES:
                    self._rules.clear()
                self._rules[site] = known
        return known

    def turn(self, host: str, delay: float) -> float:
        """Take the next turn at a host; return the seconds to wait until it comes."""
        with self._lock:
            now = time.monotonic()
            if len(self._turns) >= MOST_SITES:
                self._turns = {other: at for other, at in self._turns.items() if at > now}
            at = max(now, self._turns.get(host, now))
            self._turns[host] = at + max(self.delay, delay)
        return at - now
