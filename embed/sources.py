"""Where a model comes from (embedded default, local folder, Hugging Face hub), and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embed import cache, default_model
from embed.cache import Progress, quiet
from embed.errors import ModelUnavailable

# Seconds to wait for the hub's first answer. Without a network, name look-ups alone can hang for minutes.
PATIENCE = 15.0

# Files beside a model that say nothing about its vectors, and forms of the weights that torch does not read.
BESIDE = re.compile(
    r"(^|/)\.|(^|/)(onnx|openvino|coreml|assets|images)/|\.(md|txt|png|jpe?g|gif|pdf|onnx|h5|msgpack|ot|gguf)$"
    r"|(^|/)LICENSE|(^|/)NOTICE|(^|/)dragoman\.json$",
    re.IGNORECASE,
)
WORDS = re.compile(r"(^|/)(vocab|merges|stopwords|whitespacetokenizer_config)\.(txt|json)$")
PICKLED = re.compile(r"(^|/)pytorch_model[^/]*\.bin(\.index\.json)?$")

CHOICES = (
    f"Choose {default_model.NAME} (the default, no download), the path of a sentence-transformers folder, "
    "or, with network, the name of a sentence-transformers model on the Hugging Face hub."
)


@dataclass(frozen=True, slots=True)
class Source:
    """A model that can be had: the name asked for, its folder, the SHA-256 of what determines its vectors."""

    name: str
    folder: Path
    fingerprint: str


def find(name: str, folder: Path, progress: Progress | None = None) -> Source:
    """Return the source of the model `name`; `folder` is the cache. The default may be still to build: see
    `ready`.

    Raises `ModelUnavailable`, naming the choices, where there is no such model or it cannot be fetched.
    """
    if name == default_model.NAME:
        return Source(name, folder / "models" / slug(name), default_model.fingerprint())
    local = Path(name).expanduser()
    if local.is_dir():
        return Source(name, local, fingerprint(_checked(name, local), folder))
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or name.startswith((".", "/")):
        raise ModelUnavailable(f"There is no folder {name}. {CHOICES}")
    fetched = _fetch(name, progress or quiet)
    return Source(name, fetched, fingerprint(_checked(name, fetched), folder))


def ready(source: Source, progress: Progress | None = None) -> Path:
    """Return the sentence-transformers folder of the source, building the embedded default if need be."""
    if source.name == default_model.NAME:
        default_model.build(source.folder, progress)
    return source.folder


def slug(name: str) -> str:
    """Return a file name for a model's name or path."""
    return re.sub(r"[^\w.-]+", "--", name).strip("-.")[-80:]


def fingerprint(model: Path, folder: Path) -> str:
    """Return the SHA-256 over the files that determine the vectors: weights, tokenizer and configuration.

    Hashing takes seconds a gigabyte, so the result is kept in the cache `folder` with the files' sizes and
    times.
    """
    files = [path for path in sorted(model.rglob("*")) if path.is_file()]
    files = [path for path in files if _determines(path.relative_to(model).as_posix())]
    if any(path.suffix == ".safetensors" for path in files):
        files = [path for path in files if not PICKLED.search(path.relative_to(model).as_posix())]
    stats = [(path.relative_to(model).as_posix(), path.stat()) for path in files]
    seen = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    key = hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:24]
    kept = folder / "fingerprints" / f"{key}.json"
    try:
        known = json.loads(kept.read_bytes())
        if known["files"] == seen:
            return str(known["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.relative_to(model).as_posix()} {cache.sha256(path)}\n".encode())
    found = whole.hexdigest()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_name(f".{key}.{threading.get_ident()}")
        aside.write_text(json.dumps({"files": seen, "fingerprint": found}), encoding="utf-8")
        aside.replace(kept)
    except OSError:
        pass  # a cache that cannot be written costs time at the next start, nothing else
    return found


def _determines(name: str) -> bool:
    return bool(WORDS.search(name)) or not BESIDE.search(name)


def _checked(name: str, model: Path) -> Path:
    """Return the folder if it holds configuration and weights; else raise `ModelUnavailable`."""
    if not (model / "modules.json").is_file() and not (model / "config.json").is_file():
        raise ModelUnavailable(f"{name} is no model: it has neither modules.json nor config.json. {CHOICES}")
    if not any(path.suffix in (".safetensors", ".bin", ".pt") for path in model.rglob("*") if path.is_file()):
        raise ModelUnavailable(f"{name} has no weights: no .safetensors and no .bin file. {CHOICES}")
    return model


def _fetch(name: str, progress: Progress) -> Path:
    """Return the folder of a model on the hub, from its cache on this machine or else downloaded."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return _checked(name, Path(huggingface_hub.snapshot_download(name, local_files_only=True)))
    except (LocalEntryNotFoundError, ModelUnavailable):
        pass  # never downloaded, or in part
    try:
        progress(f"Looking for {name} on the hub", 0.0)
        told = _within(PATIENCE, lambda: huggingface_hub.HfApi().model_info(name, timeout=PATIENCE))
        files = [file.rfilename for file in told.siblings or ()]
        wanted = [file for file in files if _determines(file)]
        if any(file.endswith(".safetensors") for file in wanted):
            wanted = [file for file in wanted if not PICKLED.search(file)]
        progress(f"Downloading {name}", 0.0)
        fetched = Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted))
        progress(f"Downloading {name}", 1.0)
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"The hub has no model {name} that everybody may read. {CHOICES}") from error
    except HfHubHTTPError as error:
        raise ModelUnavailable(f"The hub refused {name}: {_line(error)}. {CHOICES}") from error
    except Exception as error:  # each version of the hub's client has its own network errors
        raise ModelUnavailable(
            f"{name} is not on this machine and the hub cannot be reached ({_line(error)}). {CHOICES}"
        ) from error
    return fetched


def _within(seconds: float, ask: Any) -> Any:
    """Return what `ask` returns; `TimeoutError` if it takes longer, in a thread that nobody waits for."""
    answers: list[Any] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(ask())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer in {seconds:g} s")
    return answers[0]


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
