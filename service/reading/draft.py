"""What reading yields: an article that was read, or the reason why one was not."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Draft:
    """An article as it was read, before the engine gives it an id and a language where it has none.

    `text` has a blank line between paragraphs where the format tells them apart. `where` it was read (a path,
    a line of it) is for messages.
    """

    text: str
    id: str | None = None
    title: str = ""
    language: str | None = None
    url: str | None = None
    source: str | None = None
    published_at: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that could not be read: where it is (a path, a line of it), and the reason."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that need not be read: where it is, and why nothing is missed."""

    where: str
    reason: str


def identity(draft: Draft) -> str:
    """Return the id of an article that came without one: from its address, or else from what it says."""
    told = draft.url or f"{draft.title}\n{draft.text}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]
