"""The errors of `embed`, as a family.

EmbedError
├── ModelUnavailable      a model cannot be had
├── BackendUnavailable    what would run the model is not installed, or disagrees with torch
└── UnknownLanguage       a caller's language code is not one (also a ValueError)
"""

from __future__ import annotations


class EmbedError(Exception):
    """Anything `embed` could not do. The message says what to do next."""


class ModelUnavailable(EmbedError):
    """A model cannot be had: a wrong name, no network, no weights. The message names the choices."""


class BackendUnavailable(EmbedError):
    """The library that would run a model is missing or does not work here."""


class UnknownLanguage(EmbedError, ValueError):
    """A language code that is not one."""
