import re
from dataclasses import fields
from pathlib import Path

import pytest

from service.errors import InvalidSetting
from service.settings import Settings, variable

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_defaults() -> None:
    """Without an environment the settings are the documented ones."""
    settings = Settings.from_environment({})
    assert (settings.host, settings.port, settings.backend, settings.model) == (
        "127.0.0.1",
        8000,
        "auto",
        None,
    )
    assert settings.data.name == "dragoman"
    assert settings.max_body_bytes == 67_108_864


def test_environment() -> None:
    """Variables set what they name, each as its type; an empty one is not set."""
    settings = Settings.from_environment(
        {"DRAGOMAN_DATA": "/d", "DRAGOMAN_PORT": "9", "DRAGOMAN_MODEL": "m", "DRAGOMAN_HOST": ""}
    )
    assert (settings.data, settings.port, settings.model, settings.host) == (Path("/d"), 9, "m", "127.0.0.1")


def test_warming_is_on_or_off_or_not_said() -> None:
    """Not said is neither: a library that exists goes on as it is."""
    told = [Settings.from_environment({"DRAGOMAN_WARMING": each}).warming for each in ("on", "off", "")]
    assert told == [True, False, None]


def test_command_line_goes_first() -> None:
    """What the caller gives goes before the environment, unless it is None."""
    settings = Settings.from_environment({"DRAGOMAN_PORT": "9", "DRAGOMAN_HOST": "h"}, port=10, host=None)
    assert (settings.port, settings.host) == (10, "h")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DRAGOMAN_PORT", "eighty", "DRAGOMAN_PORT must be a whole number, not 'eighty'"),
        ("DRAGOMAN_PORT", "70000", "from 0 to 65535, not 70000"),
        ("DRAGOMAN_BACKEND", "abacus", "auto, openvino, torch, not 'abacus'"),
        ("DRAGOMAN_WARMING", "lukewarm", "DRAGOMAN_WARMING must be on or off, not 'lukewarm'"),
        ("DRAGOMAN_MAX_QUERY_CHARS", "0", "DRAGOMAN_MAX_QUERY_CHARS must be at least 1"),
    ],
)
def test_a_bad_value_is_told(name: str, value: str, said: str) -> None:
    """A value without sense is one clear error that names the setting."""
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        Settings.from_environment({name: value})


def test_every_setting_is_documented_with_its_meaning() -> None:
    """docs/settings.md lists exactly the settings there are, and says of each what the code says."""
    rows = re.findall(r"^\| `(DRAGOMAN_\w+)` \| .*? \| (.*) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(variable(each.name), each.metadata["meaning"]) for each in fields(Settings)]
