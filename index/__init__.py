"""Rows and ranks: articles, passages and vectors in; hits out. Everything durable."""

from index.backups import Manifest, backup, restore
from index.changes import Change
from index.dense import Sizing
from index.errors import (
    ArticleNotFound,
    BackupError,
    DamagedLibrary,
    InvalidArticle,
    InvalidCursor,
    InvalidFilter,
    LibraryAbsent,
    LibraryBusy,
    LibraryClosed,
    LibraryError,
    LibraryFull,
    LibraryUnavailable,
    ModelMismatch,
    NewerSchema,
    NotCalibrated,
    PassageNotFound,
    ReadOnlyLibrary,
    Superseded,
)
from index.filters import Filter
from index.filters import parse as parse_filter
from index.library import Library
from index.milvus import MilvusLibrary
from index.milvus import Place as MilvusPlace
from index.neutral import Neutral
from index.ranking import WINDOWED
from index.records import (
    Action,
    Addition,
    Article,
    Count,
    Group,
    Hit,
    Holding,
    LibraryInfo,
    Mode,
    Passage,
    Problem,
    Status,
    cut,
)
from index.searcher import Page
from index.tokens import QuestionTokens, Tokens, TokenSpace, nearest_within
from index.transfer import AnyLibrary, Origin, differing, giving, take
from index.warmth import Sums

__all__ = [
    # what is kept and given
    "Action",
    "Addition",
    "Article",
    "Change",
    "Count",
    "Group",
    "Hit",
    "Page",
    "Passage",
    "Problem",
    "cut",
    # the library
    "AnyLibrary",
    "Library",
    "MilvusLibrary",
    "MilvusPlace",
    "LibraryInfo",
    "Sizing",
    "Mode",
    "Neutral",
    "WINDOWED",
    "Status",
    "QuestionTokens",
    "TokenSpace",
    "Tokens",
    "nearest_within",
    # backups
    "Manifest",
    "backup",
    "restore",
    # giving out and taking in
    "Holding",
    "Origin",
    "differing",
    "Sums",
    "giving",
    "take",
    # filters
    "Filter",
    "parse_filter",
    # errors
    "ArticleNotFound",
    "BackupError",
    "DamagedLibrary",
    "InvalidArticle",
    "InvalidCursor",
    "InvalidFilter",
    "LibraryAbsent",
    "LibraryBusy",
    "LibraryClosed",
    "LibraryError",
    "LibraryFull",
    "LibraryUnavailable",
    "ModelMismatch",
    "NewerSchema",
    "NotCalibrated",
    "PassageNotFound",
    "ReadOnlyLibrary",
    "Superseded",
]
