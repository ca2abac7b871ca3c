"""The settings of the service. This is the only module that reads the environment."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

import platformdirs

from service.errors import InvalidSetting

PREFIX = "DRAGOMAN_"
MIB = 1024 * 1024
TEXTS = ("model", "reranker", "api_key", "backend", "host", "otlp_endpoint", "log_format")
SWITCH = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}

Backend = Literal["auto", "openvino", "torch"]
LogFormat = Literal["text", "json"]
Words = Literal["server", "process"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that may be set, as one value. The variable of `data` is `DRAGOMAN_DATA`, and so on."""

    data: Path = field(
        default_factory=lambda: platformdirs.user_data_path("dragoman"),
        metadata={"meaning": "the folder of the library"},
    )
    milvus: str | None = field(
        default=None,
        metadata={
            "meaning": "where the library is if it is in Milvus, as http://localhost:19530 (extra milvus); the folder"
            " then holds keys, standing questions and the audit log"
        },
    )
    milvus_token: str | None = field(
        default=None,
        metadata={"meaning": "what Milvus asks for, as user:password"},
    )
    milvus_collection: str = field(
        default="dragoman",
        metadata={"meaning": "how the names of the library's collections in Milvus begin: letters, digits and _"},
    )
    milvus_words: Words = field(
        default="server",
        metadata={
            "meaning": "who ranks by words and sounds in Milvus: server, which is Milvus where it can and the library"
            " was made so, or process, by an index of its own"
        },
    )
    model: str | None = field(
        default=None,
        metadata={"meaning": "the model of a new library, by name or path; one that exists keeps its own"},
    )
    backend: Backend = field(
        default="auto",
        metadata={"meaning": "what runs the model: auto, openvino or torch"},
    )
    cache: Path = field(
        default_factory=lambda: platformdirs.user_cache_path("dragoman"),
        metadata={"meaning": "the folder of built models"},
    )
    late_interaction: bool = field(
        default=True,
        metadata={"meaning": "whether a new library keeps token vectors to re-rank by: on or off"},
    )
    warming: bool | None = field(
        default=None,
        metadata={
            "meaning": "whether the language means follow the library's passages and questions: on or off"
            " (which removes what questions have left); not set, as the library is"
        },
    )
    host: str = field(
        default="127.0.0.1",
        metadata={"meaning": "the address that dragoman serve listens on"},
    )
    port: int = field(
        default=8000,
        metadata={"meaning": "the port that dragoman serve listens on; 0 lets the system choose"},
    )
    max_body_bytes: int = field(
        default=64 * MIB,
        metadata={"meaning": "the largest request body, in bytes"},
    )
    max_article_bytes: int = field(
        default=64 * MIB,
        metadata={"meaning": "the largest file, or line of JSON lines, that is read, in bytes"},
    )
    max_query_chars: int = field(
        default=4_000,
        metadata={"meaning": "the longest question, in characters"},
    )
    max_waiting: int = field(
        default=128,
        metadata={"meaning": "searches that are answered or wait at once, in each process; a further one gets 503"},
    )
    request_seconds: int = field(
        default=30,
        metadata={"meaning": "seconds until a request that reads is given up, with 504; 0 for any number"},
    )
    write_seconds: int = field(
        default=600,
        metadata={"meaning": "seconds for a request that writes, its body included; 0 for any number"},
    )
    query_cache_bytes: int = field(
        default=64 * MIB,
        metadata={"meaning": "questions asked lately that are remembered as encoded, in bytes; 0 for none"},
    )
    reranker: str | None = field(
        default=None,
        metadata={"meaning": "a sentence-transformers CrossEncoder, by name or path, that puts hits in order"},
    )
    rerank_seconds: float = field(
        default=1.0,
        metadata={"meaning": "the time that re-ranking the hits of a question may take, in seconds"},
    )
    dense_threshold: int = field(
        default=1_000_000,
        metadata={"meaning": "from so many passages on the dense index is approximate, built in the background"},
    )
    dense_recall: float = field(
        default=0.99,
        metadata={"meaning": "the recall@10 against exact search that an approximate dense index must reach, 0 to 1"},
    )
    workers: int = field(
        default=1,
        metadata={"meaning": "the processes that dragoman serve answers with"},
    )
    keys: bool | None = field(
        default=None,
        metadata={
            "meaning": "whether requests need an API key: on or off; not set, on unless the host is a loopback address"
        },
    )
    api_key: str | None = field(
        default=None,
        metadata={"meaning": "the API key that dragoman mcp sends to a running service"},
    )
    rate_limit: int = field(
        default=0,
        metadata={"meaning": "requests a minute for each key, or each address where keys are off; 0 for any"},
    )
    audit: str = field(
        default="audit.jsonl",
        metadata={
            "meaning": "the file that tells of every write over HTTP, in the library's folder or elsewhere; off: none"
        },
    )
    otlp_endpoint: str | None = field(
        default=None,
        metadata={"meaning": "where OpenTelemetry traces are sent, as http://localhost:4318/v1/traces (extra otel)"},
    )
    log_format: LogFormat = field(
        default="text",
        metadata={"meaning": "text: warnings and errors in lines; json: those and every request as a JSON object"},
    )
    drain_seconds: int = field(
        default=0,
        metadata={"meaning": "seconds from SIGTERM in which /readyz says 503 and requests are still taken"},
    )
    private_hosts: tuple[str, ...] = field(
        default=(),
        metadata={
            "meaning": "hosts that dragoman add fetches from, and webhooks named on the command line are at, although"
            " they are not public, on any port: wiki.intern,10.0.0.5"
        },
    )
    stop_seconds: int = field(
        default=10,
        metadata={"meaning": "seconds that running requests are then given to finish"},
    )

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise InvalidSetting(f"The backend is one of {', '.join(get_args(Backend))}, not {self.backend!r}.")
        if self.log_format not in get_args(LogFormat):
            raise InvalidSetting(f"The log format is one of {', '.join(get_args(LogFormat))}, not {self.log_format!r}.")
        if self.milvus_words not in get_args(Words):
            raise InvalidSetting(
                f"{variable('milvus_words')} is one of {', '.join(get_args(Words))}, not {self.milvus_words!r}."
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", self.milvus_collection):
            raise InvalidSetting(
                f"{variable('milvus_collection')} is made of letters, digits and _, not {self.milvus_collection!r}."
            )
        if not 0 <= self.port <= 65_535:
            raise InvalidSetting(f"A port is a number from 0 to 65535, not {self.port}.")
        for name in (
            "request_seconds",
            "write_seconds",
            "query_cache_bytes",
            "rate_limit",
            "drain_seconds",
            "stop_seconds",
        ):
            if getattr(self, name) < 0:
                raise InvalidSetting(f"{variable(name)} must be at least 0, not {getattr(self, name)}.")
        if not self.rerank_seconds > 0:
            raise InvalidSetting(f"{variable('rerank_seconds')} must be above 0, not {self.rerank_seconds}.")
        if not 0 < self.dense_recall <= 1:
            raise InvalidSetting(f"{variable('dense_recall')} must be above 0 and at most 1, not {self.dense_recall}.")
        for name in (
            "max_body_bytes",
            "max_article_bytes",
            "max_query_chars",
            "max_waiting",
            "workers",
            "dense_threshold",
        ):
            if getattr(self, name) < 1:
                raise InvalidSetting(f"{variable(name)} must be at least 1, not {getattr(self, name)}.")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return _loopback(self.host)

    @property
    def needs_key(self) -> bool:
        """Whether a request needs an API key."""
        return not self.loopback if self.keys is None else self.keys

    @property
    def audit_path(self) -> Path | None:
        """The file that tells of writes, if there is one."""
        return None if self.audit.lower() in SWITCH and not SWITCH[self.audit.lower()] else self.data / self.audit

    @property
    def visits_path(self) -> Path:
        """The file that remembers what was fetched from which address."""
        return self.data / "visits.sqlite"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Read the variables `DRAGOMAN_*`; `given`, the command line's, goes before them unless it is `None`.

        An empty variable counts as not set. Raises InvalidSetting for a value that has no sense.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for each in fields(cls):
            text = environ.get(variable(each.name), "")
            if given.get(each.name) is not None:
                values[each.name] = given[each.name]
            elif text:
                values[each.name] = _read(each.name, text)
        return cls(**values)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def _read(name: str, text: str) -> object:
    """Read the text of a variable as its setting's type."""
    if name in ("data", "cache"):
        return Path(text).expanduser()
    if name == "audit":
        return str(Path(text).expanduser())
    if name.startswith("milvus") or name in TEXTS:
        return text
    if name in ("late_interaction", "warming", "keys"):
        if text.lower() not in SWITCH:
            raise InvalidSetting(f"{variable(name)} must be on or off, not {text!r}.")
        return SWITCH[text.lower()]
    if name == "private_hosts":
        return tuple(host.strip().lower() for host in text.split(",") if host.strip())
    if name in ("dense_recall", "rerank_seconds"):
        try:
            return float(text)
        except ValueError:
            raise InvalidSetting(f"{variable(name)} must be a number, not {text!r}.") from None
    try:
        return int(text)
    except ValueError:
        raise InvalidSetting(f"{variable(name)} must be a whole number, not {text!r}.") from None


@cache
def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
