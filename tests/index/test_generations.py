import json
from pathlib import Path

import pytest

from index import DamagedLibrary, Library, LibraryAbsent, LibraryBusy, Superseded, generations
from index.generations import POINTER
from tests.index.samples import article, found, open_library, put


def with_another(folder: Path) -> Path:
    """Make a library of one article, and another generation that has it too; return that one's folder."""
    with open_library(folder) as library:
        put(library, article("a"))
    other = generations.begin(folder)
    with open_library(other, following=True) as library:
        put(library, article("a"))
    return other


def test_a_library_alone_is_its_own_generation(folder: Path) -> None:
    """Where nothing was encoded anew the folder is what serves, and there is no other."""
    open_library(folder).close()
    assert generations.folder(folder) == folder
    with pytest.raises(LibraryAbsent, match="dragoman reembed"):
        generations.folder(folder, "other")
    assert not (folder / POINTER).exists()


def test_what_does_not_serve_is_written_to_by_none_but_its_follower(folder: Path) -> None:
    """What is being built refuses articles, and is searched; what serves takes them."""
    other = with_another(folder)
    with open_library(other) as library:
        with pytest.raises(Superseded, match="restart"):
            put(library, article("b"))
        with pytest.raises(Superseded):
            library.delete("a")
        assert found(library, "a ends.", 1) == ["a ends."]
    with open_library(folder) as library:
        assert put(library, article("b")) == "added"


def test_the_switch_is_seen_by_who_has_the_old_one_open(folder: Path) -> None:
    """A library that was open before the switch refuses to write from then on, and takes again after the way back."""
    other = with_another(folder)
    with open_library(folder) as before:
        put(before, article("b"))
        generations.switch(folder)
        assert generations.folder(folder) == other
        assert generations.folder(folder, "other") == folder
        with pytest.raises(Superseded):
            put(before, article("c"))
        assert found(before, "b ends.", 1) == ["b ends."]
        with open_library(other) as now:
            assert put(now, article("c")) == "added"
            generations.switch(folder)
            assert generations.folder(folder) == folder
            with pytest.raises(Superseded):
                put(now, article("d"))
        assert put(before, article("d")) == "added"


def test_begun_once(folder: Path) -> None:
    """Beginning again gives the same generation; one that is begun after another was discarded is a new one."""
    open_library(folder).close()
    first = generations.begin(folder)
    assert generations.begin(folder) == first
    generations.discard(folder)
    assert generations.begin(folder) != first


@pytest.mark.parametrize("switched", [False, True])
def test_discarded(folder: Path, switched: bool) -> None:
    """What does not serve is removed, be it the first, whose folder the other lies in; what serves stays whole."""
    other = with_another(folder)
    if switched:
        generations.switch(folder)
    generations.discard(folder)

    gone, left = (folder, other) if switched else (other, folder)
    assert Library.describe(gone) is None
    assert generations.folder(folder) == left
    with open_library(left) as library:
        assert library.verify() == []
        assert found(library, "a ends.", 1) == ["a ends."]
        assert put(library, article("b")) == "added"
    with pytest.raises(LibraryAbsent):
        generations.discard(folder)


@pytest.mark.parametrize("told", ["", "{", "[]", '{"serving": 3}', '{"serving": "", "more": 1}'])
def test_a_damaged_pointer(folder: Path, told: str) -> None:
    """Where it is not known which generation serves, nothing is opened or written by guess."""
    with_another(folder)
    with open_library(folder) as library:
        (folder / POINTER).write_text(told)
        with pytest.raises(DamagedLibrary, match="which generation serves"):
            put(library, article("b"))
    with pytest.raises(DamagedLibrary, match="put the file back"):
        generations.folder(folder)
    (folder / POINTER).write_text(json.dumps({"serving": "1"}))
    assert generations.folder(folder).name == "1"


def test_one_at_a_time(folder: Path) -> None:
    """Who encodes anew, switches or discards does so alone."""
    open_library(folder).close()
    with generations.alone(folder), pytest.raises(LibraryBusy, match="at work"), generations.alone(folder):
        pass
