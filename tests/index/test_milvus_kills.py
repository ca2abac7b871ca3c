"""A real Milvus server, and writers to it, killed at moments by chance: nothing acknowledged is lost, nothing is half
there, and what is answered meanwhile is right, or an error.
"""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from index import LibraryBusy, LibraryUnavailable
from index.milvus import MilvusLibrary
from tests.index.kinds import Kind, additions
from tests.index.samples import article, put, vector_of
from tests.milvus import Milvus, lacking

pytestmark = pytest.mark.milvus

# Seconds within which a search answers or says that it cannot.
BOUND = 25.0


def version(id: str, number: int) -> str:
    """Return a text that tells its version; each has three passages."""
    return "\n\n".join(f"{id} {number} {part}" for part in range(3))


class Books:
    """What is known of articles: the last version that was acknowledged, and the one that is being written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.known: dict[str, int] = {}
        self.trying: dict[str, int] = {}

    def may_be(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return what is acknowledged, and what is under way."""
        with self._lock:
            return dict(self.known), dict(self.trying)

    def begin(self, id: str, number: int) -> None:
        """Note that a version is being written."""
        with self._lock:
            self.trying[id] = number

    def end(self, id: str, number: int) -> None:
        """Note that it is acknowledged."""
        with self._lock:
            self.known[id] = number
            if self.trying.get(id) == number:
                del self.trying[id]


def wrong(found: dict[str, list[str]], known: dict[str, int], books: Books) -> list[str]:
    """Return what is wrong with an answer, by article: of what was acknowledged before the question all must be there,
    of three passages each, as it was before, or as it was written meanwhile.
    """
    later, trying = books.may_be()
    told = []
    for id in known.keys() - found.keys():
        told.append(f"{id} is not found")
    for id, versions in found.items():
        if len(versions) != 3 or len(set(versions)) != 1:
            told.append(f"{id} is half there: {versions}")
        elif not known.get(id, 0) <= int(versions[0]) <= max(later.get(id, -1), trying.get(id, -1)):
            told.append(f"{id} is {versions[0]}, not {known.get(id)}, {later.get(id)} or {trying.get(id)}")
    return told


def look(library: MilvusLibrary, mode: str = "dense") -> dict[str, list[str]]:
    """Return the versions of the passages of all articles, by a search for everything."""
    found: dict[str, list[str]] = {}
    for hit in library.search(vector_of("q"), {}, limit=1000, mode=mode).hits:  # type: ignore[arg-type]
        id, number, _ = hit.passage.text.split()
        found.setdefault(id, []).append(number)
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """A server to be killed."""
    if reason := lacking():
        pytest.skip(reason)
    with Milvus(tmp_path_factory.mktemp("killed")) as server:
        yield server


def test_a_server_that_is_killed_loses_nothing(own: Milvus) -> None:
    """While it is away and while it starts, every search is right, or says in bounded time that the server does not
    answer; then the same library goes on: nothing acknowledged is lost, nothing is half there.
    """
    chance, books, stop = random.Random(3), Books(), threading.Event()
    failures, answered, refused = list[str](), list[float](), list[float]()
    with Kind("milvus", own.address).open("killed") as library:
        assert isinstance(library, MilvusLibrary)

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                id = f"a{number % 12}"
                books.begin(id, number)
                try:
                    put(library, article(id, version(id, number)))
                except (LibraryUnavailable, LibraryBusy):
                    continue  # it may be there or not
                except Exception as error:
                    failures.append(f"writing: {error!r}")
                    return
                books.end(id, number)

        def search(mode: str) -> None:
            while not stop.is_set():
                known, begun = books.may_be()[0], time.monotonic()
                try:
                    failures.extend(wrong(look(library, mode), known, books))
                    answered.append(time.monotonic() - begun)
                except LibraryUnavailable:
                    refused.append(time.monotonic() - begun)
                except Exception as error:
                    failures.append(f"searching: {error!r}")

        threads = [
            threading.Thread(target=write),
            *(threading.Thread(target=search, args=(m,)) for m in ("dense", "raw")),
        ]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(chance.uniform(2, 5))
            own.kill()
            time.sleep(chance.uniform(0, 3))
            own.start()
            began, count = time.monotonic(), len(answered)
            while len(answered) < count + 4 and time.monotonic() - began < 2 * BOUND:
                time.sleep(0.1)
            assert len(answered) >= count + 4, "it does not answer again"
        time.sleep(2)
        stop.set()
        for thread in threads:
            thread.join()

        assert failures == []
        assert refused
        assert max(answered + refused) < BOUND
        with library.writing(timeout=30):  # ends what was left undone
            pass
        there = look(library)
        assert wrong(there, books.may_be()[0], books) == []
        assert library.verify() == []
        for id, versions in there.items():
            assert library.get(id) == article(id, version(id, int(versions[0])))
        assert sorted(library.contents()) == sorted(there)
        assert library.status().passages == 3 * len(there)


def whole(library: MilvusLibrary, _: Milvus, count: int) -> None:
    """Assert that all so many articles are found, listed and counted, whole."""
    found = look(library)
    assert len(found) == count
    assert {len(versions) for versions in found.values()} == {3}
    assert len(library.articles(most=1000)) == count
    assert library.status().passages == 3 * count


def fresh(_: MilvusLibrary, own: Milvus, count: int) -> None:
    """Assert the same of a library that is opened now."""
    with Kind("milvus", own.address).open("sealed", read_only=True) as library:
        assert isinstance(library, MilvusLibrary)
        whole(library, own, count)


def opened(own: Milvus, name: str) -> MilvusLibrary:
    """Open a library, as soon as the server lets it be opened."""
    end = time.monotonic() + 3 * BOUND
    while True:
        try:
            library = Kind("milvus", own.address).open(name)
        except LibraryUnavailable:
            assert time.monotonic() < end
        else:
            assert isinstance(library, MilvusLibrary)
            return library


def test_what_is_loaded_of_segments_is_all(own: Milvus) -> None:
    """With a part of the library in sealed segments, a server that starts gives whole answers or none."""
    count = 60
    with opened(own, "sealed") as library:
        for part in range(3):
            ids = [f"s{number}" for number in range(part * 20, part * 20 + 20)]
            library.add_all(additions(*(article(id, version(id, 1)) for id in ids)))
            if part < 2:
                for name in ("passages", "articles", "texts", "raw", "changes"):
                    library._server._client.flush(f"sealed_{name}")
        for _ in range(2):
            own.kill()
            own.start()
            answers = 0
            end = time.monotonic() + 2 * BOUND
            while answers < 8 and time.monotonic() < end:
                for asked in (whole, fresh):
                    try:
                        asked(library, own, count)
                        answers += 1
                    except LibraryUnavailable:
                        time.sleep(0.1)
            assert answers >= 8
        # By their keys, over several segments.
        inside = sorted((f"s{number}" for number in range(count)), key=str.encode)
        assert [each.id for each in library.articles(most=7)] == inside[:7]
        assert [each.id for each in library.articles("s3", 50)] == inside[inside.index("s3") + 1 :][:50]
        assert library.verify() == []


WRITER = """
import sys
from tests.index.kinds import Kind, additions
from tests.index.samples import article
from tests.index.test_milvus_kills import version
begin = int(sys.argv[2])
with Kind("milvus", sys.argv[1]).open("writers") as library:
    print("ready", flush=True)
    for number in range(begin, begin + 1000):
        ids = [f"a{number % 5}", f"b{number}"]
        library.add_all(additions(*(article(id, version(id, number)) for id in ids)))
        print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_nothing_half_done(own: Milvus) -> None:
    """The next writer waits until its right to write has ended, takes back or ends what it left, and goes on."""
    chance, known = random.Random(5), dict[str, int]()
    with opened(own, "writers") as library:
        for turn in range(3):
            begin = 1000 * turn
            with subprocess.Popen(
                [sys.executable, "-c", WRITER, own.address, str(begin)], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                told = "".join(process.stdout.readline() for _ in range(chance.randrange(1, 5)))
                time.sleep(chance.uniform(0, 1))
                process.send_signal(signal.SIGKILL)
                told += process.stdout.read()
            numbers = [int(line) for line in told.splitlines(keepends=True) if line.endswith("\n")]
            assert numbers
            for number in numbers:
                known |= {f"a{number % 5}": number, f"b{number}": number}
            after = numbers[-1] + 1
            begun = time.monotonic()
            with library.writing():
                assert time.monotonic() - begun < 21
            found = look(library)
            # Besides them, the step that was under way may be there, and then all of it is.
            whole = known | {f"a{after % 5}": after, f"b{after}": after}
            assert found in ({id: [str(n)] * 3 for id, n in state.items()} for state in (known, whole))
            known = {id: int(versions[0]) for id, versions in found.items()}
            assert library.verify() == []
            assert sorted(library.contents()) == sorted(known)
