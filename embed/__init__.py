"""Models and languages: text in; vectors, spans and language codes out."""

from embed.backends.openvino import cores
from embed.encoder import DEFAULT_MODEL, BackendName, Encoder, KeepTokens, Progress, Role, Vectors, load_encoder
from embed.errors import BackendUnavailable, EmbedError, ModelUnavailable, UnknownLanguage
from embed.explain import Pooled, shares
from embed.language import Guess, detect, normalise
from embed.passages import BUDGET, paragraphs, split
from embed.reranker import CrossEncoder, Reranker, load_reranker
from embed.sentences import sentences

__all__ = [
    # models
    "DEFAULT_MODEL",
    "BackendName",
    "CrossEncoder",
    "Encoder",
    "KeepTokens",
    "Pooled",
    "Progress",
    "Reranker",
    "Role",
    "Vectors",
    "cores",
    "load_encoder",
    "load_reranker",
    "shares",
    # languages
    "Guess",
    "detect",
    "normalise",
    # spans
    "BUDGET",
    "paragraphs",
    "sentences",
    "split",
    # errors
    "BackendUnavailable",
    "EmbedError",
    "ModelUnavailable",
    "UnknownLanguage",
]
