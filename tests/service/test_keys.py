import hashlib
import json
from pathlib import Path

import pytest

from service.errors import InvalidKeys
from service.keys import Keys


def test_only_the_digest_of_a_key_is_kept_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The file tells name, scope, time and SHA-256, with mode 0600; the secret is nowhere in it."""
    secret = Keys(tmp_path).create("desk", "write")

    text = (tmp_path / "keys.json").read_text(encoding="utf-8")
    [kept] = json.loads(text)["keys"]
    assert (kept["name"], kept["scope"]) == ("desk", "write")
    assert kept["sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in text
    assert len(secret) > 40
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_another_process_follows_what_is_made_and_revoked(tmp_path: Path) -> None:
    """One that has read the file before finds a new key, and no longer one that was revoked."""
    running, command = Keys(tmp_path), Keys(tmp_path)
    assert running.find("dragoman_no") is None

    secret = command.create("desk", "read")
    other = command.create("other", "admin")
    found = running.find(secret)
    assert found is not None
    assert found.name == "desk"
    command.revoke("desk")

    assert running.find(secret) is None
    left = running.find(other)
    assert left is not None
    assert left.scope == "admin"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{"name": "a"}]}'])
def test_no_key_is_right_where_the_file_is_damaged(tmp_path: Path, text: str) -> None:
    """A damaged file is an error that says what to do, for reading and for writing, and stays as it is."""
    keys = Keys(tmp_path)
    secret = keys.create("desk", "read")
    keys.path.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidKeys, match="restore it"):
        keys.find(secret)
    with pytest.raises(InvalidKeys, match="restore it"):
        keys.create("new", "read")
    assert keys.path.read_text(encoding="utf-8") == text


def test_names_are_told_apart(tmp_path: Path) -> None:
    """A name in use, one that is none, and one that is not there are told."""
    keys = Keys(tmp_path)
    keys.create("desk", "read")
    with pytest.raises(InvalidKeys, match="already"):
        keys.create("desk", "read")
    with pytest.raises(InvalidKeys, match="1 to 64"):
        keys.create("two words", "read")
    with pytest.raises(InvalidKeys, match="There is no key 'desk2'"):
        keys.revoke("desk2")
