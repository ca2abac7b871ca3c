"""What the shell is offered after an option that takes one of a few words."""

from collections.abc import Callable

MODES = ("hybrid", "dense", "lexical", "raw")
GROUPS = ("none", "article", "story")
GENERATIONS = ("serving", "other")
BACKENDS = ("auto", "openvino", "torch")
SCOPES = ("read", "write", "admin")
TABLES = ("jsonl", "parquet")


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Return what offers those of the words that begin as what was typed."""

    def offered(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offered
