"""What an export says of itself: what it is of, how much it holds, and the checksum of each file."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from index import Origin, Sums
from service.errors import ExchangeFailed

MANIFEST = "manifest.json"
VERSION = 1
PIECE = 1 << 18

Format = Literal["jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("jsonl", "parquet")
TABLES = ("articles", "passages")

Advance = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export is of and when it was made (ISO 8601); `files` holds by name the SHA-256 in hexadecimal."""

    version: int
    format: Format
    made: str
    origin: Origin
    files: Mapping[str, str]

    @property
    def mark(self) -> str:
        """Return what tells this export from others."""
        return hashlib.sha256(json.dumps(dict(self.files), sort_keys=True).encode()).hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Write the manifest into an export's folder."""
        told = asdict(replace(self, origin=replace(self.origin, sums={})))
        told["origin"]["sums"] = {
            side: {code: [count, _packed(total)] for code, (count, total) in sums.seen.items()}
            for side, sums in self.origin.sums.items()
        }
        (folder / MANIFEST).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return the manifest of an export; raises ExchangeFailed."""
        path = folder / MANIFEST
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["version"] != VERSION:
                raise ExchangeFailed(
                    f"{folder} has version {told['version']!r}, and this Dragoman knows {VERSION}: upgrade it."
                )
            return cls(told["version"], told["format"], told["made"], _origin(told["origin"]), dict(told["files"]))
        except (FileNotFoundError, NotADirectoryError):
            raise ExchangeFailed(f"{folder} is no export: it has no {MANIFEST}. `dragoman export` makes one.") from None
        except OSError as error:
            raise ExchangeFailed(f"{path} cannot be read: {error.strerror}.") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ExchangeFailed(f"{path} is damaged ({error}): export again.") from None

    def differing(self, folder: Path, progress: Advance | None = None) -> list[str]:
        """Return the files that are not what was exported; raises ExchangeFailed for one that is missing."""
        try:
            sizes = {name: (folder / name).stat().st_size for name in self.files}
        except FileNotFoundError as error:
            raise ExchangeFailed(f"{error.filename} is missing: the export is not whole; export again.") from None
        total, done, found = max(sum(sizes.values()), 1), 0, []
        for name, known in self.files.items():
            digest = hashlib.sha256()
            with (folder / name).open("rb") as stream:
                while piece := stream.read(PIECE):
                    digest.update(piece)
                    done += len(piece)
                    if progress:
                        progress("checking the export", done / total)
            if digest.hexdigest() != known:
                found.append(name)
        return found


def _packed(total: Any) -> str:
    return base64.b64encode(total.astype("<f8").tobytes()).decode()


def _unpacked(total: str) -> Any:
    return np.frombuffer(base64.b64decode(total), "<f8")


def _origin(told: dict[str, Any]) -> Origin:
    sums = {
        side: Sums({code: (count, _unpacked(total)) for code, (count, total) in of.items()})
        for side, of in told.pop("sums").items()
    }
    return Origin(**told, sums=sums)
