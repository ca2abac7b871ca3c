"""Folders that are built once and kept in the user's cache: written aside, checked, never used half done.

What is in such a folder is told by its manifest: what it was built from, and each file's size and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from embed.errors import EmbedError

Progress = Callable[[str, float], None]
"""Told the stage of long work and the fraction of it that is done, 0..1."""

MANIFEST = "dragoman.json"


def quiet(stage: str, fraction: float) -> None:
    """Stand in where nobody wants to hear of progress."""


def manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of `folder`, or None where the folder is absent, unfinished or has lost files.

    Sizes are compared, which costs microseconds and finds every torn file; see `damaged` for the bytes
    themselves.
    """
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        whole = all((folder / name).stat().st_size == file["size"] for name, file in told["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return told if whole else None


def damaged(folder: Path, told: Mapping[str, Any], names: Callable[[str], bool] = bool) -> list[str]:
    """Return the files whose bytes are not those that the manifest tells; `names` chooses which are read."""
    return [name for name, file in told["files"].items() if names(name) and sha256(folder / name) != file["sha256"]]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build(folder: Path, made: Callable[[], bool], write: Callable[[Path], Mapping[str, Any]], *, kind: str) -> None:
    """Fill `folder` by `write` unless `made` says that it is there, whatever other processes do meanwhile.

    `write` fills an empty folder and returns what the manifest is to tell. The folder gets its name only when
    all of it is on disk, so a process that is killed leaves nothing that could be mistaken for it; a damaged
    one makes room. One process builds; others wait for it. Raises `EmbedError` where the cache cannot be
    written.
    """
    if made():  # what is built may lie where no lock can be
        return
    from filelock import FileLock  # here, because most starts find everything built

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if made():
                return
            # Under the lock nobody else is building: what lies aside was left by a process that was killed.
            for left in folder.parent.glob(f".{folder.name}.aside-*"):
                shutil.rmtree(left, ignore_errors=True)
            aside = folder.parent / f".{folder.name}.aside-{uuid4().hex[:8]}"
            aside.mkdir()
            try:
                _finish(aside, write(aside))
                if folder.exists():
                    folder.rename(aside.with_name(aside.name + "-old"))
                aside.rename(folder)
                _sync(folder.parent)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
                shutil.rmtree(aside.with_name(aside.name + "-old"), ignore_errors=True)
    except OSError as error:
        raise EmbedError(
            f"Cannot write {kind} to {folder}: {error.strerror or error}. Free some space (about 1 GB) or "
            "choose another cache folder."
        ) from error


def _finish(folder: Path, told: Mapping[str, Any]) -> None:
    """Write the manifest, last, when every other file is known to be on disk."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        _sync(path)
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": sha256(path)}
    path = folder / MANIFEST
    path.write_text(json.dumps({**told, "files": files}, indent=1), encoding="utf-8")
    for each in (path, *(p for p in folder.rglob("*") if p.is_dir()), folder):
        _sync(each)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
