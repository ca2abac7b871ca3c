"""Encoding on a Ray cluster: articles cut here, encoded there, and kept here.

What is to be encoded is written down first, a pool of passages a file (`todo/`), in a folder that all machines see. Ray
Data has workers, each with a model of its own, turn every such file into one of vectors (`done/`); the library takes
these in, in the order of the pools, as they come. All files are Parquet. Whatever is killed, the same command goes on
from the files that are there: what was planned is finished first, and what the library holds costs nothing.
"""

import json
import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embed import BackendName, load_encoder
from index import Article, Neutral, TokenSpace, cut
from service.engine import Engine
from service.errors import ClusterFailed, ExtraMissing
from service.pools import Encoded, Outcome, Pool, encode, sentences_in
from service.reading import Draft

if TYPE_CHECKING:
    import pyarrow

PLAN = "plan.json"

# An address of Ray's own that means: a cluster of this machine alone, begun and ended with the command.
LOCAL = "local"

# How long a cluster's address is given to answer, in seconds.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Job:
    """A folder of pools to be encoded, for one library's model; `late` tells whether token vectors are wanted."""

    folder: Path
    model: str
    fingerprint: str
    late: bool

    @property
    def _told(self) -> dict[str, Any]:
        return {"model": self.model, "fingerprint": self.fingerprint, "late": self.late}

    def todo(self, number: int) -> Path:
        """Return the file of a pool."""
        return self.folder / "todo" / f"{number:06}.parquet"

    def done(self, number: int) -> Path:
        """Return the file of a pool's vectors."""
        return self.folder / "done" / f"{number:06}.parquet"

    def planned(self) -> int | None:
        """Return how many pools were planned; None where no plan was finished. Raises ClusterFailed where it is of
        another model.
        """
        try:
            plan = json.loads((self.folder / PLAN).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ClusterFailed(f"{self.folder / PLAN} cannot be read ({error}): remove {self.folder}.") from error
        pools = plan.pop("pools", None)
        if plan != self._told or not isinstance(pools, int):
            raise ClusterFailed(
                f"{self.folder} holds what was planned for {plan.get('model')!r}, another model than the library's"
                f" ({self.model!r}): name another folder (--scratch), or remove it."
            )
        return pools

    def plan(self, pools: Iterable[Pool]) -> int:
        """Write down all pools, those in which nothing is to be encoded as done; return how many they are."""
        self.discard()
        try:
            for part in ("todo", "done"):
                (self.folder / part).mkdir(parents=True)
            number = 0
            for pool in pools:
                _write(self.todo(number), _table([_told(*each) for each in pool]))
                if not any(todo for _, _, todo in pool):
                    _write(self.done(number), _table([]))
                number += 1
            aside = self.folder / f"{PLAN}.part"
            aside.write_text(json.dumps({**self._told, "pools": number}))
            aside.replace(self.folder / PLAN)
        except OSError as error:
            raise ClusterFailed(f"{self.folder} cannot be written to ({error}): name another (--scratch).") from error
        return number

    def pool(self, number: int) -> Pool:
        """Return a pool as it was planned."""
        return [_read(told) for told in _rows(self.todo(number))]

    def encoded(self, number: int) -> Encoded:
        """Return the vectors of a pool, and its token vectors made small."""
        rows = _rows(self.done(number))
        vectors = np.array([row["vector"] for row in rows], np.float32)
        return vectors, {place: row["tokens"] for place, row in enumerate(rows) if row["tokens"] is not None}

    def discard(self) -> None:
        """Remove the folder's files, the plan first."""
        (self.folder / PLAN).unlink(missing_ok=True)
        for part in ("todo", "done"):
            shutil.rmtree(self.folder / part, ignore_errors=True)


class Worker:
    """One model, in a process of its own: what Ray Data gives batches of pools to."""

    def __init__(self, job: Job, backend: BackendName) -> None:
        self._job = job
        self._encoder = load_encoder(job.model, backend)
        if self._encoder.fingerprint != job.fingerprint:
            raise ClusterFailed(
                f"A worker has another version of {job.model!r} (fingerprint {self._encoder.fingerprint}) than the"
                f" library was built with ({job.fingerprint}): install the same version of Dragoman everywhere."
            )
        space = TokenSpace.of(Neutral.for_model(job.model).priors) if job.late else None
        self._space: TokenSpace | None = space if space and space.depth == self._encoder.token_dim else None

    def __call__(self, batch: "Mapping[str, Sequence[int]]") -> dict[str, Any]:
        """Encode the pools of a batch; return their numbers, and how many passages were encoded of each."""
        counts = []
        for number in map(int, batch["pool"]):
            pool = self._job.pool(number)
            told = sentences_in(self._encoder, pool) if self._space else []
            vectors, codes = encode(self._encoder, self._space, pool, told)
            kept = [{"vector": vector.tolist(), "tokens": codes.get(place)} for place, vector in enumerate(vectors)]
            _write(self._job.done(number), _table(kept))
            counts.append(len(kept))
        return {"pool": batch["pool"], "passages": counts}


def add(
    engine: Engine,
    drafts: Iterable[Draft],
    address: str,
    scratch: Path,
    *,
    workers: int | None = None,
    backend: BackendName = "auto",
    advance: Callable[[int], None] | None = None,
) -> Iterator[Outcome]:
    """Yield the outcome of each article, in order, once it is durable, as `Engine.add` does, encoded by `workers` of
    the Ray cluster at `address`: as many as it has graphics cards, or else a worker for each machine.

    `scratch` is a folder that every machine sees under this name. What an earlier call left there unfinished is
    finished first. `advance(n)` is told of every n passages encoded. Raises ExtraMissing, ClusterFailed.
    """
    library = engine.library
    job = Job(scratch.resolve(), library.model, library.fingerprint, library.token_space is not None)
    with library.writing():
        told = set()
        if job.planned():
            for outcome in _finished(engine, job, address, workers, backend, advance):
                told.add(outcome.article_id)
                yield outcome
        if job.plan(engine.pools.plan(drafts)):
            for outcome in _finished(engine, job, address, workers, backend, advance):
                if outcome.action != "unchanged" or outcome.article_id not in told:
                    yield outcome
    job.discard()


def _finished(
    engine: Engine,
    job: Job,
    address: str,
    workers: int | None,
    backend: BackendName,
    advance: Callable[[int], None] | None,
) -> Iterator[Outcome]:
    """Encode what is planned and not done, and keep all of it."""
    pools = job.planned() or 0
    finished = {number for number in range(pools) if job.done(number).exists()}
    waiting = iter(range(pools))
    turn = next(waiting, None)

    def kept() -> Iterator[Outcome]:
        nonlocal turn
        while turn is not None and turn in finished:
            yield from engine.pools.keep(job.pool(turn), job.encoded(turn))
            turn = next(waiting, None)

    yield from kept()
    left = [number for number in range(pools) if number not in finished]
    for number, passages in _on_cluster(job, left, address, workers, backend) if left else ():
        finished.add(number)
        if advance:
            advance(passages)
        yield from kept()
    (job.folder / PLAN).unlink(missing_ok=True)


def _on_cluster(
    job: Job, left: Sequence[int], address: str, workers: int | None, backend: BackendName
) -> Iterator[tuple[int, int]]:
    """Have the pools encoded, and yield the number of each, and of its passages, as it is done."""
    with _cluster(address) as ray:
        resources = ray.cluster_resources()
        cards, machines = int(resources.get("GPU", 0)), len(ray.nodes())
        count = min(workers or cards or machines, len(left))
        # What a worker takes of its machine: a card, or its share of the cores, for a model uses all it is given.
        share = max(1.0, resources.get("CPU", 1.0) // count)
        needed = {"num_gpus": 1.0} if cards else {"num_cpus": share}
        try:
            # A worker that dies is begun anew, and what it had not finished is done again: so is Ray Data set at first.
            done = ray.data.from_items(
                [{"pool": number} for number in left], override_num_blocks=len(left)
            ).map_batches(
                Worker,
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=count),
                fn_constructor_args=(job, backend),
                **needed,
            )
            for row in done.iter_rows():
                yield int(row["pool"]), int(row["passages"])
        except ray.exceptions.RayError as error:
            raise ClusterFailed(
                f"The cluster stopped encoding ({_first(error)}); what is encoded is kept in {job.folder}:"
                " the same command goes on from there."
            ) from error


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Be a client of the cluster while the block lasts. Raises ExtraMissing, ClusterFailed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ExtraMissing(
            "Encoding on a cluster needs Ray, which is not installed (pip install 'dragoman[ray]'): install it, or add"
            " without --ray."
        ) from error
    _reached(address)
    local: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address == LOCAL else {}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterFailed(f"There is no Ray cluster at {address!r} ({_first(error)}).") from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        yield ray
    finally:
        ray.shutdown()


def _reached(address: str) -> None:
    """Raise ClusterFailed where nobody listens at an address of host and port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise ClusterFailed(f"There is no Ray cluster at {address!r} ({_first(error)}).") from error


def _told(article: Article, passages: Sequence[Any], todo: Sequence[int]) -> dict[str, Any]:
    """Return an article of a pool as a row of a table."""
    spans = [[passage.start, passage.end] for passage in passages]
    return {"article": json.dumps(asdict(article), ensure_ascii=False), "spans": spans, "todo": list(todo)}


def _read(told: Mapping[str, Any]) -> tuple[Article, list[Any], list[int]]:
    """Return the article of a row."""
    article = Article(**json.loads(told["article"]))
    return article, cut(article, [(start, end) for start, end in told["spans"]]), list(told["todo"])


def _table(rows: list[dict[str, Any]]) -> "pyarrow.Table":
    import pyarrow

    schemas = {
        "article": pyarrow.string(),
        "spans": pyarrow.list_(pyarrow.list_(pyarrow.int64(), 2)),
        "todo": pyarrow.list_(pyarrow.int64()),
        "vector": pyarrow.list_(pyarrow.float32()),
        "tokens": pyarrow.binary(),
    }
    names = rows[0] if rows else ("vector", "tokens")
    return pyarrow.Table.from_pylist(rows, pyarrow.schema([(name, schemas[name]) for name in names]))


def _write(path: Path, table: "pyarrow.Table") -> None:
    """Write a table aside, and put it in its place when it is whole."""
    import pyarrow.parquet

    aside = path.with_suffix(f".{os.getpid()}.part")
    pyarrow.parquet.write_table(table, aside, compression="zstd")
    aside.replace(path)


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table. Raises ClusterFailed where it cannot be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ClusterFailed(f"{path} cannot be read ({error}): remove {path.parent.parent} and add again.") from error
    return rows


def _first(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
