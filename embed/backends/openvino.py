"""The OpenVINO backend: serves a model that `embed.backends.conversion` has turned into a graph.

Start-up is part of the product, so nothing here imports torch, transformers or sentence_transformers. The
folder of a converted model holds all that serving needs: graph, tokenizer, prompts, window.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from embed import cache
from embed.backends.batches import KeepTokens, Role, by_length, edges, encodable, parts, spans, unit_mean
from embed.backends.packing import PADDED_STEP, packed, packing
from embed.backends.wordwise import Wordwise, fits
from embed.errors import BackendUnavailable
from embed.explain import Pooled

GRAPH, TOKENIZER, SETTINGS = "model.xml", "tokenizer.json", "encoder.json"

# Raise it when what the folder of a converted model holds changes: older ones are then converted anew.
FORMAT = 4

# How near a graph must be to torch in float32, cosine of their vectors for one text: in bfloat16, and where the layers'
# products are in 8-bit integers (embed/backends/quantisation.py).
AGREEMENT, AGREEMENT_INT8 = 0.999, 0.995

# Tokens of one batch, padding included, and its most texts. Of 512 to 2048, 768 to 1024 gave the most passages a
# second: larger ones leave the cores' caches, smaller ones make the matrices too small (benchmarks/results.md).
TOKENS, MOST = 1024, 64

# Texts are padded to a multiple of so many tokens, and a question by itself to one of more: the CPU's matrix tiles have
# 16 rows, a batch of a new shape takes about 20 ms longer, and one of another shape than the last up to 3. How far a
# text is padded does not change its vector.
STEP, ALONE_STEP = 16, 32

# Kernels that each stream keeps, for layers by shape: those of some 35 shapes, 2 MB each. Of 8 clients' questions one
# batch in 60 then finds none, and takes 2 ms longer. OpenVINO itself keeps 5,000, a gigabyte a stream and more
# (benchmarks/results.md).
KERNELS = 256

# How much padding a batch of questions may have before another batch costs less, in tokens; and of how many tokens on a
# second core is worth that (benchmarks/results.md). Batches of passages are cut without regard to it: of more shapes,
# they are no faster.
WASTE, SHARE = 256, 768

# Texts whose token ids are held at once, and among which like lengths are brought together.
POOL = 4096

# What a form of the graph is compiled for: one question by itself, or several questions, or passages.
Form = Literal["one", "query", "passage"]

T = TypeVar("T")
R = TypeVar("R")


class Disagreement(Exception):
    """The graph does not give what torch gave; the message says how far it is off."""


class OpenVinoEncoder:
    """An encoder that runs a converted model on the CPU, in 8-bit integers and bfloat16 where the CPU has them.

    Three forms of the graph are compiled, one of them at once and the others when they are first needed: that for a
    query by itself takes all cores; those for several queries and for passages, of a stream for each core, wait for no
    other's thread. They give the same vectors. Those of queries are their own, so that none waits for a passage.
    Queries over the window are truncated; of a passage over it, the vector is the mean of its parts', so that nothing
    in it is lost. Safe to use from many threads.
    """

    def __init__(self, folder: Path, *, name: str, fingerprint: str, first: Form = "one") -> None:
        settings = json.loads((folder / SETTINGS).read_bytes())
        self.name = name
        self.fingerprint = fingerprint
        self.dim: int = settings["dim"]
        self.window: int = settings["window"]
        self.token_dim: int = settings["token_dim"]
        self._prompts: dict[Role, str] = settings["prompts"]
        self._pad: int = settings["pad"]
        self._agreement: float = settings["agreement"]
        self._folder = folder
        self._forms: dict[Form, _Requests] = {}
        self._first = first
        self._counted: dict[str, list[int]] = {}
        self._compiling = threading.Lock()
        self._core = openvino().Core()
        with suppress(RuntimeError):  # a version that has no such setting goes on without
            self._core.set_property("CPU", {"CPU_RUNTIME_CACHE_CAPACITY": KERNELS})
        self._graph: Any = None
        # Compiling leaves Python to others, which reading a large vocabulary does not: so that begins the sooner.
        compiling = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            tokenizer = pool.submit(_tokenizer, folder, compiling)
            try:
                self._requests(first, compiling)
            finally:
                compiling.set()
            self._tokenizer = tokenizer.result()
        apart = all(prompt[-1:] in ("", " ") for prompt in self._prompts.values())
        self._wordwise = Wordwise(self._tokenizer) if apart and fits(self._tokenizer) else None
        self._edges = {role: edges(self._tokenizer, prompt) for role, prompt in self._prompts.items()}
        self._probe = [settings["probe"]["text"]], np.asarray([settings["probe"]["vector"]], np.float32)
        self.agree(*self._probe, "passage")

    @classmethod
    def load(cls, folder: Path, *, name: str, fingerprint: str, first: Form = "one") -> OpenVinoEncoder | None:
        """Load the model that was converted into `folder`; None where there is none that is whole. The `first` form is
        compiled at once.

        Raises `BackendUnavailable` without OpenVINO, or where the conversion was given up for a reason that
        is told; `Disagreement` where the graph no longer gives here what torch gave when it was made.
        """
        openvino()
        told = cache.manifest(folder)
        if told is None or (told.get("format"), told.get("fingerprint")) != (FORMAT, fingerprint):
            return None
        if "unfit" in told:
            raise BackendUnavailable(told["unfit"])
        if cache.damaged(folder, told, lambda file: not file.endswith(".bin")):
            return None
        try:
            return cls(folder, name=name, fingerprint=fingerprint, first=first)
        except RuntimeError as error:  # OpenVINO's own, of a graph that it cannot compile or run
            raise Disagreement(f"OpenVINO cannot run the graph of {name}: {str(error)[-200:].strip()}") from error

    def encode_queries(self, texts: Sequence[str], keep: KeepTokens | None = None) -> NDArray[np.float32]:
        """Encode questions: (n, dim), unit length."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        if texts:
            ids = [self._truncated(one) for one in self._ids(texts, "query")]
            step = ALONE_STEP if len(ids) == 1 else PADDED_STEP
            requests = self._requests("one" if len(ids) == 1 else "query")
            self._run(requests, ids, vectors, self._edges["query"], keep=copying(keep), step=step, waste=WASTE)
        return vectors

    def encode_passages(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] | None = None,
        keep: KeepTokens | None = None,
    ) -> NDArray[np.float32]:
        """Encode passages: (n, dim), unit length; `advance(k)` is called as k more are done."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), POOL):
            pool = texts[start : start + POOL]
            counted = self._counted
            fresh = [text for text in dict.fromkeys(pool) if text not in counted]
            whole = counted | dict(zip(fresh, self._ids(fresh, "passage"), strict=True))
            ids = [self._truncated(whole[text]) for text in pool]
            long = {i for i, text in enumerate(pool) if len(whole[text]) > self.window}

            def kept(i: int, tokens: NDArray[np.float32], start: int = start, long: set[int] = long) -> None:
                if keep and i not in long:
                    keep(start + i, tokens)

            own = self._edges["passage"]
            requests = self._requests("passage")
            self._run(requests, ids, vectors[start : start + POOL], own, advance, kept if keep else None)
            for i in sorted(long):
                vectors[start + i], tokens = self._long(pool[i])
                if keep:
                    keep(start + i, tokens)
        return vectors

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Return for each token of a text its characters `[start, end)`, white space apart."""
        if self._wordwise:
            return self._wordwise.spans(encodable(text))
        return spans(self._tokenizer, self._prompts["passage"], self._edges["passage"], text)

    def token_ids(self, text: str) -> list[int]:
        """Return the number of each token of a text in the vocabulary."""
        (every,), (before, after) = self._ids([text], "passage"), self._edges["passage"]
        return every[before : len(every) - after]

    def pooled(self, texts: Sequence[str], role: Role) -> list[Pooled | None]:
        """Return of each text all token vectors of which its vector is the mean; None where it is not."""
        every = self._ids(texts, role)
        whole = [i for i, each in enumerate(every) if role == "query" or len(each) <= self.window]
        ids = [self._truncated(every[i]) for i in whole]
        vectors = np.zeros((len(whole), self.dim), np.float32)
        tokens: dict[int, NDArray[np.float32]] = {}
        # Few texts, for which somebody waits: not worth compiling the form for the most passages a second.
        self._run(self._requests("one"), ids, vectors, (0, 0), keep=copying(tokens.__setitem__))
        found: list[Pooled | None] = [None] * len(texts)
        before, after = self._edges[role]
        for place, i in enumerate(whole):
            own = self.token_spans(texts[i])[: len(ids[place]) - before - after]
            pooled = Pooled(tokens[place], before, own)
            found[i] = pooled if pooled.makes(vectors[place]) else None
        return found

    def _long(self, text: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the vector of a passage over the window and its token vectors, both made of its parts'."""
        cut = self._ids(parts(text, self.count_tokens, self.window), "passage")
        vectors = np.zeros((len(cut), self.dim), np.float32)
        tokens: dict[int, NDArray[np.float32]] = {}
        ids = [self._truncated(one) for one in cut]
        self._run(self._requests("passage"), ids, vectors, self._edges["passage"], keep=copying(tokens.__setitem__))
        return unit_mean(vectors), np.concatenate([tokens[i] for i in range(len(cut))])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens that each text takes as a passage, prompt and special tokens included."""
        ids = self._ids(texts, "passage")
        # What is counted is mostly encoded soon after.
        if len(self._counted) > POOL:
            self._counted = {}
        self._counted.update((text, one) for text, one in zip(texts, ids, strict=True) if len(one) <= self.window)
        return [len(one) for one in ids]

    def agree(self, texts: Sequence[str], expected: NDArray[np.float32], role: Role) -> None:
        """Raise `Disagreement` unless `texts` get the vectors `expected`, alone and in one batch."""
        nearest = self._agreeing(self._requests(self._first), texts, expected, role)
        if not nearest >= self._agreement:  # so written that NaN disagrees
            raise Disagreement(
                f"OpenVINO's graph of {self.name} differs from torch: cosine {nearest:.4f} where "
                f"{self._agreement} is asked for"
            )

    def _agreeing(self, requests: _Requests, texts: Sequence[str], expected: NDArray[np.float32], role: Role) -> float:
        """Return the least cosine of the vectors that `texts` get, alone and in one batch, with those `expected`."""
        ids = [self._truncated(one) for one in self._ids(texts, role)]
        batches = [list(range(len(ids))), *([i] for i in range(len(ids)))]
        found = [requests.infer(self._inputs(requests, ids, batch)) for batch in batches]
        cosines = [(own * expected[batch]).sum(axis=1).min() for own, batch in zip(found, batches, strict=True)]
        return float(np.min(cosines))

    def _ids(self, texts: Sequence[str], role: Role) -> list[list[int]]:
        """Return the token ids of each text with its prompt, however many."""
        written = [self._prompts[role] + encodable(text) for text in texts]
        if self._wordwise:
            return self._wordwise.ids(written)
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(written)]

    def _truncated(self, ids: list[int]) -> list[int]:
        """Return the token ids that fit into the window; special tokens at the end stay there."""
        if len(ids) <= self.window:
            return ids
        closing = self._edges["passage"][1]
        return ids[: self.window - closing] + ids[len(ids) - closing :]

    def _inputs(
        self, requests: _Requests, ids: Sequence[list[int]], batch: Sequence[int], step: int = STEP
    ) -> list[NDArray[np.int64]]:
        """Return what the graph takes of a batch of texts, padded to a multiple of `step` tokens."""
        length = self._padded_length(max(len(ids[i]) for i in batch), step)
        tokens = np.full((len(batch), length), self._pad, np.int64)
        mask = np.zeros_like(tokens)
        for row, i in enumerate(batch):
            tokens[row, : len(ids[i])] = ids[i]
            mask[row, : len(ids[i])] = 1
        if requests.packed:
            return [tokens, mask, *packing([ids[i] for i in batch], length)]
        return [tokens, mask]

    def _padded_length(self, length: int, step: int) -> int:
        return min(-(-length // step) * step, self.window)

    def _run(
        self,
        requests: _Requests,
        ids: Sequence[list[int]],
        vectors: NDArray[np.float32],
        edges: tuple[int, int],
        advance: Callable[[int], None] | None = None,
        keep: KeepTokens | None = None,
        step: int = STEP,
        waste: int | None = None,
    ) -> None:
        """Fill `vectors` with those of the token ids, a batch for each stream at a time, padded to `step`s.

        `keep` is given the tokens of each but those at its `edges`, so many at the start and so many at the end, to be
        read before it returns. A batch ends sooner where the padding of the rest would be more than `waste` tokens.
        """
        lengths = [self._padded_length(len(one), step) for one in ids]
        # Each stream has its share, if that is worth a batch.
        share = max(SHARE, -(-sum(lengths) // requests.streams))
        batches = by_length(lengths, min(TOKENS, share), MOST, waste)
        before, after = edges

        def encode(batch: list[int]) -> tuple[list[int], NDArray[np.float32]]:
            def show(tokens: NDArray[np.float32]) -> None:
                assert keep is not None
                for row, i in enumerate(batch):
                    keep(i, tokens[row, before : len(ids[i]) - after])

            return batch, requests.infer(self._inputs(requests, ids, batch, step), show if keep else None)

        for batch, found in requests.map(encode, batches):
            vectors[batch] = found
            if advance:
                advance(len(batch))

    def _requests(self, form: Form, compiling: threading.Event | None = None) -> _Requests:
        """Return the requests of a form, compiled when first asked for; `compiling` is set as that begins."""
        if form not in self._forms:
            with self._compiling:
                if form not in self._forms:
                    self._forms[form] = self._compile(form, compiling)
        return self._forms[form]

    def _compile(self, form: Form, compiling: threading.Event | None) -> _Requests:
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if form != "one":
            # A stream for each core, up to where the batches of a pool are too few to feed them all. Not pinned: while
            # passages are encoded, articles are read and written on the same cores.
            streams = min(cores(), 16)
            options = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": cores(), "ENABLE_CPU_PINNING": False}
        options["INFERENCE_PRECISION_HINT"] = "bf16" if has_bfloat16(self._core) else "f32"
        # Read once for all forms: they share the file's pages.
        self._graph = self._graph or self._core.read_model(str(self._folder / GRAPH))
        if compiling:
            compiling.set()
        if form == "query" and (graph := packed(self._graph.clone(), openvino())):
            requests = _Requests(self._core.compile_model(graph, "CPU", options))
            if self._agreeing(requests, *self._probe, "passage") >= self._agreement:
                return requests
        return _Requests(self._core.compile_model(self._graph, "CPU", options))


class _Requests:
    """The inference requests of a compiled graph, as many as it has streams, lent to whoever has work."""

    def __init__(self, compiled: Any) -> None:
        self.streams = max(1, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.packed = len(compiled.inputs) > 2
        self._free = [compiled.create_infer_request() for _ in range(self.streams)]
        self._available = threading.Semaphore(self.streams)

    def infer(
        self, inputs: list[NDArray[np.int64]], show: Callable[[NDArray[np.float32]], None] | None = None
    ) -> NDArray[np.float32]:
        """Run the graph once for vectors (n, dim). `show` is given the token vectors (n, t, token_dim), padding too,
        which are overwritten once it returns.

        Waits while all requests are lent.
        """
        with self._lend() as request:
            vectors, tokens = request.infer(inputs, share_outputs=True).values()
            if show:
                show(np.asarray(tokens, np.float32))
            return np.array(vectors, np.float32)  # a copy, for the request reuses its memory

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield what `work` makes of each item, in order, as many at once as there are streams."""
        if self.streams == 1 or len(items) == 1:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(self.streams) as pool:
            yield from pool.map(work, items)

    @contextmanager
    def _lend(self) -> Iterator[Any]:
        with self._available:
            request = self._free.pop()
            try:
                yield request
            finally:
                self._free.append(request)


def copying(keep: KeepTokens | None) -> KeepTokens | None:
    """Return what gives `keep` token vectors that it can hold on to."""
    return keep and (lambda i, tokens: keep(i, tokens.copy()))


def openvino() -> Any:
    """Import OpenVINO without its telemetry; raises `BackendUnavailable` where it is not installed.

    Unless told otherwise, `import openvino` reports each use to an analytics service over the network.
    Searches are nobody's business: with its telemetry package hidden, OpenVINO takes its own silent stand-in.
    """
    if not find_spec("openvino"):
        raise BackendUnavailable("The OpenVINO backend needs openvino: pip install openvino.")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: importing it fails
    import openvino

    return openvino


def has_bfloat16(core: Any) -> bool:
    """Tell whether the CPU multiplies bfloat16; those that do multiply 8-bit integers too, twice as many."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tokenizer(folder: Path, compiling: threading.Event) -> Any:
    from tokenizers import Tokenizer

    compiling.wait()
    return Tokenizer.from_file(str(folder / TOKENIZER))
