"""API keys: long random secrets that are kept as SHA-256 only, in one small file beside the library."""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock

from service.errors import InvalidKeys

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # each includes those before it

PREFIX = "dragoman_"
_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key: its name, what it may do, the digest of its secret (hexadecimal), when it was made."""

    name: str
    scope: Scope
    sha256: str
    created_at: str

    def allows(self, scope: Scope) -> bool:
        """Return whether the key may do what needs `scope`."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class Keys:
    """The keys of the library in `folder`, as its file `keys.json` tells them now.

    The file is read again when it changed, so that a running service follows it. A secret has 256 random bits:
    a plain SHA-256 of it cannot be guessed back, as that of a password could. Raises InvalidKeys where the
    file is damaged: then no key is right.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self._read: tuple[tuple[int, int, int] | None, Sequence[Key]] = (None, ())

    def all(self) -> Sequence[Key]:
        """Return the keys, in the order in which they were made."""
        try:
            at = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise InvalidKeys(f"{self.path} cannot be read ({error.strerror}); see to its permissions.") from None
        version = (at.st_ino, at.st_mtime_ns, at.st_size)
        if self._read[0] != version:
            self._read = (version, self._load())
        return self._read[1]

    def find(self, secret: str) -> Key | None:
        """Return the key whose secret this is; takes as long for a nearly right one as for any other."""
        digest = _digest(secret)
        found = None
        for key in self.all():
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def create(self, name: str, scope: Scope) -> str:
        """Make a key and return its secret, which is told this once; raises InvalidKeys for a name in use."""
        if not _NAME.fullmatch(name):
            raise InvalidKeys(f"A key's name is 1 to 64 letters of a-z, A-Z, 0-9, and . _ @ -; not {name!r}.")
        with self._changing() as keys:
            if any(key.name == name for key in keys):
                raise InvalidKeys(f"There is a key {name!r} already; revoke it first, or choose another name.")
            secret = PREFIX + secrets.token_urlsafe(32)
            made = datetime.now(UTC).isoformat(timespec="seconds")
            keys.append(Key(name, scope, _digest(secret), made))
        return secret

    def revoke(self, name: str) -> None:
        """Remove a key; raises InvalidKeys where there is none of that name."""
        with self._changing() as keys:
            left = [key for key in keys if key.name != name]
            if len(left) == len(keys):
                raise InvalidKeys(f"There is no key {name!r}; `dragoman keys list` tells which there are.")
            keys[:] = left

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """Give the keys, to be changed by one process at a time; they are written where the block does not raise."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock"), mode=0o600):
            keys = list(self.all())
            yield keys
            _write(self.path, json.dumps({"keys": [asdict(key) for key in keys]}, indent=1) + "\n")

    def _load(self) -> Sequence[Key]:
        try:
            keys = tuple(Key(**each) for each in json.loads(self.path.read_text(encoding="utf-8"))["keys"])
            if any(key.scope not in SCOPES or not isinstance(key.sha256, str) for key in keys):
                raise ValueError
        except (OSError, ValueError, TypeError, KeyError):
            raise InvalidKeys(
                f"{self.path} cannot be read as a file of keys, so no key is right; restore it, or move it away and "
                "make new ones with `dragoman keys create`."
            ) from None
        return keys


def _write(path: Path, text: str) -> None:
    """Replace a file at once, durably; only its owner may read it."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # mode 0600
    aside = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    from index.store import sync_folder  # only here: it takes longer to load than all that the commands do

    sync_folder(path.parent)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
